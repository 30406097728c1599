"""Pairing a file in position order: batch by batch, then what is left without a mate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import AlignmentStream, Batch
from counterbias.alignments.decoding import END, HERE, INFO, NEXT, READ1, REVERSE_FLAG, SET, TLEN
from counterbias.pipeline.counting import pairing, pairing_by_position
from counterbias.pipeline.counting.batch_work import BatchWork
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.pipeline.counting.listeners import Reporter

#: Fragments of records without mates that are counted at a time.
LEFTOVERS = 1 << 16


class WaitingMates:
    """The records of a file in position order whose mates are still to come.

    Args:
        stream: the file.
        primary_only: whether records that are not primary are ignored.
        keep_records: whether whole records are kept, to be written.
        reporter: takes the warnings.
    """

    def __init__(
        self,
        stream: AlignmentStream,
        primary_only: bool,
        keep_records: bool,
        reporter: Reporter,
    ) -> None:
        self._stream = stream
        self._primary_only = primary_only
        self._reporter = reporter
        self._pool = pairing_by_position.MatePool(keep=keep_records)
        # Bytes of the records whose mates are in the present batch.
        self._spill: NDArray[np.uint8] = np.empty(1 << 16, dtype=np.uint8)
        self._spill_offsets: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._first_ambiguous = ""

    def pair(self, work: BatchWork) -> RecordBytes:
        """Make fragments of a batch's records and of those that waited for them.

        Returns the records that the fragments refer to, complete if records are kept.
        """
        batch, fragments, pool = work.batch, work.fragments, self._pool
        if len(self._spill_offsets) < batch.count + 1:
            self._spill_offsets = np.zeros(2 * batch.count + 1, dtype=np.int64)
        row = made = spilled = 0
        pooled = fragments.pooled
        ambiguous_before = self._ambiguous
        while True:
            row, made, pooled, spilled, stopped = pairing_by_position.pair_by_position(
                batch.data, batch.offsets, batch.rows, row, batch.count, batch.first_record,
                self._primary_only, pool.keep,
                pool.waiting, pool.facts, pool.table, pool.arena, pool.notes, pool.state,
                fragments.pool, pooled, fragments.table, made,
                self._spill, self._spill_offsets, spilled,
            )  # fmt: skip
            if stopped == pairing_by_position.DONE:
                break
            self._enlarge(stopped, batch, int(row), fragments)
        fragments.count, fragments.pooled = int(made), int(pooled)
        if not ambiguous_before and self._ambiguous:
            first = int(pool.state[pairing_by_position.FIRST_AMBIGUOUS]) - batch.first_record
            self._first_ambiguous = str(self._mate_key(batch, first))
        return self._records(batch, int(spilled))

    @property
    def _ambiguous(self) -> int:
        """Number of records that had several candidates for their mate."""
        return int(self._pool.state[pairing_by_position.AMBIGUOUS])

    def _enlarge(self, stopped: int, batch: Batch, row: int, fragments: FragmentBatch) -> None:
        """Make room for what pairing stopped at."""
        if stopped == pairing_by_position.POOL_FULL:
            overlap = int(batch.rows[row, SET])
            members = (
                1 + int(fragments.pool[pairing.FIRST_POOLED - overlap])
                if overlap <= pairing.FIRST_POOLED
                else 0
            )
            self._pool.make_room(batch.size(row), members)
        elif stopped == pairing_by_position.NOTES_FULL:
            fragments.enlarge_pool()
        else:
            more = np.empty(len(self._spill) + batch.size(row), dtype=np.uint8)
            self._spill = np.concatenate((self._spill, more))

    def _records(self, batch: Batch, spilled: int) -> RecordBytes:
        """Return the batch's records, followed by the spilled ones."""
        offsets, data = batch.offsets[: batch.count], batch.data[: batch.end]
        if spilled:
            spill = self._spill[: int(self._spill_offsets[spilled])]
            offsets = np.concatenate((offsets, self._spill_offsets[:spilled] + len(data)))
            data = np.concatenate((data, spill))
        return RecordBytes(data, offsets, batch.count)

    def _mate_key(self, batch: Batch, row: int) -> tuple[Any, ...]:
        """Return the key by which htseq-count looks for a record's mate, which it prints."""
        contigs = self._stream.header.contigs
        here, following, info, length = (
            int(batch.rows[row, column]) for column in (HERE, NEXT, INFO, TLEN)
        )

        def place(packed: int) -> tuple[str | None, int | None]:
            return (contigs[packed >> 32], packed & 0xFFFFFFFF) if packed != -1 else (None, None)

        other = "second" if info & READ1 else "first"
        both = here != -1 and following != -1
        return (
            self._stream.name(batch, row),
            other,
            *place(following),
            *place(here),
            -length if both else None,
        )

    # -- after the last batch ----------------------------------------------------------------------

    def leftovers(self) -> Iterator[tuple[FragmentBatch, RecordBytes]]:
        """Yield what still waits, as fragments and their records; warn as htseq-count does."""
        pool = self._pool
        left = pool.left()
        # htseq-count does not find mates that disagree about the template length; it counts each.
        first, second = pairing_by_position.match_without_length(pool.waiting[left])
        pairs = np.stack((left[first], left[second]), axis=1)
        alone = np.delete(left, np.concatenate((first, second)))
        yield from self._as_fragments(pairs)
        if len(alone):
            keys = len(np.unique(pool.facts[alone, pairing_by_position.RANK]))
            record = self._describe(int(alone[0]))
            self._reporter.warn(
                f"Mate records missing for {keys} records; first such record: {record}."
            )
            yield from self._as_fragments(alone[:, None])
        if self._ambiguous:
            self._reporter.warn(
                f"Mate pairing was ambiguous for {self._ambiguous} records; mate key for first "
                f"such record: {self._first_ambiguous}."
            )
        if len(pairs):
            self._reporter.warn(
                f"{len(pairs)} pairs were put together although their mates disagree about the "
                "template length (htseq-count counts such mates one by one)."
            )

    def _describe(self, waiting: int) -> str:
        """Describe a waiting record in htseq-count's words."""
        pool = self._pool
        here, end, info = (int(pool.waiting[waiting, column]) for column in (HERE, END, INFO))
        name = f"<SAM_Alignment object: Paired-end read '{pool.name(waiting)}'"
        if here == -1:
            return f"{name}, not aligned>"
        contig = self._stream.header.contigs[here >> 32]
        strand = "-" if info & REVERSE_FLAG else "+"
        return f"{name} aligned to {contig}:[{here & 0xFFFFFFFF},{end})/{strand}>"

    def _as_fragments(
        self, waiting: NDArray[np.int64]
    ) -> Iterator[tuple[FragmentBatch, RecordBytes]]:
        """Yield waiting records as fragments, some at a time.

        ``waiting`` has a row per fragment and a column per mate: the numbers of waiting records.
        """
        pool = self._pool
        fragments = FragmentBatch.empty(pool.notes)
        for begin in range(0, len(waiting), LEFTOVERS):
            chosen = waiting[begin : begin + LEFTOVERS]
            fragments.make_room(len(chosen))
            fragments.count = len(chosen)
            table = fragments.table[: len(chosen)]
            table[:] = pairing_by_position.as_fragments(pool.waiting, chosen)
            fragments.pooled = int(pool.state[pairing_by_position.NOTES])
            # Of all that wait, only the chosen records are listed, in the order of their numbers.
            listed = np.unique(chosen)
            for column in (pairing.RECORD, pairing.MATE + pairing.RECORD):
                present = table[:, column] < -1
                table[present, column] = -2 - np.searchsorted(listed, -2 - table[present, column])
            offsets = pool.facts[listed, pairing_by_position.BLOB]
            yield fragments, RecordBytes(pool.arena, offsets, 0)
