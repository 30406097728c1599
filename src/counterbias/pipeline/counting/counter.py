"""Count one alignment file: bytes → records → fragments → features.

Batches of records are inflated, read and, in name order, paired and judged by whichever thread is free; cutting records out, pairing by
position and counting happen in the file's order. So the result, down to the order of sums, does not depend on the threads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import (
    AlignmentHeader,
    AlignmentStream,
    Batch,
    decode_batch,
    inflate,
    open_alignments,
)
from counterbias.alignments.decoding import END, HERE, INFO, NEXT, READ1, REVERSE_FLAG, SET, TLEN
from counterbias.alignments.workers import Job, Workers
from counterbias.errors import InputError
from counterbias.options import CountingOptions
from counterbias.pipeline.counting import pairing, pairing_by_position
from counterbias.pipeline.counting.assignment import COUNT_FRACTION, Assigner
from counterbias.pipeline.counting.starts import SiteCollector, count_fragments
from counterbias.pipeline.counting.tagged import tagged_batch
from counterbias.records import Annotation, SampleCounts, TaggedBatch

#: htseq-count tells its progress at each multiple of this.
PROGRESS = 100_000
#: Lost mates remembered, in name order, to tell an unsorted file from one with missing mates.
REMEMBERED = 1 << 20
#: Records without mates counted at a time.
LEFTOVERS = 1 << 16


class Work:
    """A batch of records and what becomes of it."""

    def __init__(self) -> None:
        self.batch: Batch
        self.pool: NDArray[np.int32] = np.empty(4096, dtype=np.int32)
        self.used = 0
        self.fragments: NDArray[np.int64] = np.empty((0, pairing.FRAGMENT_COLUMNS), dtype=np.int64)
        self.kinds: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self.result: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.missing: NDArray[np.int64] = np.empty((0, 2), dtype=np.int64)
        self.group: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.mate: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.made = 0
        self.lost = 0
        self.bad_hits = -1
        self.problem: tuple[int, int] | None = None
        self.loaded: Job | None = None
        self.decoded: Job | None = None

    def make_room(self, count: int) -> None:
        """See to it that ``count`` fragments fit."""
        if len(self.fragments) < count:
            self.fragments = np.empty((2 * count, pairing.FRAGMENT_COLUMNS), dtype=np.int64)
            self.kinds = np.empty(2 * count, dtype=np.uint8)
            self.result = np.empty(2 * count, dtype=np.int64)
            self.missing = np.empty((2 * count, 2), dtype=np.int64)
            self.group = np.empty(2 * count, dtype=np.int64)
            self.mate = np.empty(2 * count, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How an alignment file is read.

    Args:
        reference: the genome's FASTA file, for CRAM.
        threads: threads to use, this one included. No result depends on them.
        libdeflate: whether to inflate with libdeflate where it is found; else with zlib.
    """

    reference: str | None = None
    threads: int = 1
    libdeflate: bool = True


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is called while a file is counted, in the order in which htseq-count reports things.

    Args:
        on_header: called with the header once it was read.
        progress: called with the number of fragments done, and whether they are pairs, at each
            multiple of 100,000 when the next one begins.
        warn: called with each of htseq-count's warnings (without ``Warning:``) when it arises.
        record_sink: called with the records to write to ``-o``, batch by batch.
    """

    on_header: Callable[[AlignmentHeader], None] | None = None
    progress: Callable[[int, bool], None] | None = None
    warn: Callable[[str], None] | None = None
    record_sink: Callable[[TaggedBatch], None] | None = None


def count_alignments(
    path: str,
    annotation: Annotation,
    options: CountingOptions,
    *,
    want_sites: bool = False,
    reading: ReadingOptions = ReadingOptions(),
    listeners: Listeners = Listeners(),
) -> SampleCounts:
    """Count the reads or read pairs of one alignment file for features.

    Args:
        path: BAM, SAM or CRAM file, ``-`` for stdin.
        annotation: features and steps, made for the strandedness of ``options``.
        options: htseq-count's options.
        want_sites: whether to keep the start sites of counted fragments.
        reading: reference, threads.
        listeners: who is called meanwhile.

    Raises:
        InputError: the file cannot be read, or htseq-count would stop at it.
    """
    began = time.perf_counter()
    stream = open_alignments(
        path,
        reference=reading.reference,
        by_name=options.order == "name",
        primary_only=_primary_only(options),
        library=reading.libdeflate,
    )
    workers = Workers(reading.threads)
    try:
        if listeners.on_header:
            listeners.on_header(stream.header)
        counter = _Counter(stream, annotation, options, want_sites, listeners)
        _run(counter, stream, workers, reading.threads)
        return counter.finish(path, began)
    finally:
        workers.close()
        stream.source.close()


def _primary_only(options: CountingOptions) -> bool:
    return options.secondary_alignments == "ignore" and options.supplementary_alignments == "ignore"


def _run(counter: _Counter, stream: AlignmentStream, workers: Workers, threads: int) -> None:
    """Move batches through their steps: some inflating, some being read, one after the other counted."""
    inflating: deque[Work] = deque()
    reading: deque[Work] = deque()
    spare: list[Work] = []
    ahead = 1 if threads == 1 else threads + 2
    more = True

    def finish_first() -> None:
        work = reading.popleft()
        assert work.decoded is not None
        workers.result(work.decoded)
        counter.take(work)
        stream.release(work.batch)
        spare.append(work)

    while True:
        while more and len(inflating) < ahead:
            work = spare.pop() if spare else Work()
            work.batch = stream.new_batch()
            more = stream.load(work.batch)
            if more:
                work.loaded = workers.submit(inflate, work.batch)
                inflating.append(work)
        if not inflating:
            break
        work = inflating.popleft()
        assert work.loaded is not None
        workers.result(work.loaded)
        stream.walk(work.batch)
        work.decoded = workers.submit(counter.read, work)
        reading.append(work)
        while len(reading) >= ahead or (
            reading and reading[0].decoded is not None and reading[0].decoded.done.is_set()
        ):
            finish_first()
    while reading:
        finish_first()
    last = stream.last_batch()
    if last is not None:
        work = Work()
        work.batch = last
        counter.read(work)
        counter.take(work)
    counter.take_leftovers()
    for remark in stream.source.remarks():
        counter.warn(f"{stream.source.path}: {remark}")


class _Counter:
    """What is common to the batches of one file."""

    def __init__(
        self,
        stream: AlignmentStream,
        annotation: Annotation,
        options: CountingOptions,
        want_sites: bool,
        listeners: Listeners,
    ) -> None:
        self.stream = stream
        self.options = options
        self.listeners = listeners
        self.assigner = Assigner(
            annotation.steps, len(annotation.features), stream.header.contigs, options
        )
        self.want_sites = want_sites
        self.sites: SiteCollector | None = None
        self.primary_only = _primary_only(options)
        self.done = 0
        self._missing_mates = 0
        self._known: NDArray[np.int64] = np.zeros((0, 2), dtype=np.int64)
        self._known_used = 0
        self._mates = pairing_by_position.MatePool(keep=listeners.record_sink is not None)
        self._spill: NDArray[np.uint8] = np.empty(1 << 16, dtype=np.uint8)
        self._spill_offsets: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._first_ambiguous = ""
        self._site_of: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._told = 0

    def warn(self, text: str) -> None:
        """Pass a warning on."""
        if self.listeners.warn:
            self.listeners.warn(text)

    @property
    def _by_position(self) -> bool:
        return bool(self.stream.paired) and self.options.order == "pos"

    def read(self, work: Work) -> None:
        """Do all for a batch that needs no other batch; any thread may do it."""
        batch = work.batch
        paired = bool(self.stream.paired)
        done, problem = decode_batch(
            batch, len(self.stream.header.contigs), paired, self.listeners.record_sink is not None
        )
        work.problem = (done, problem) if problem else None
        if problem:
            return
        work.make_room(batch.count)
        work.pool, work.used = self.assigner.find_overlaps(
            batch.rows, batch.count, batch.first_block, batch.covered, paired, work.pool
        )
        if self._by_position:
            return
        made, lost = pairing.pair_by_name(
            batch.data, batch.offsets, batch.rows, batch.count, paired, self.primary_only, work.fragments, work.missing, work.group,
            work.mate,
        )  # fmt: skip
        work.made, work.lost = int(made), int(lost)
        self._classify(work)

    def _classify(self, work: Work) -> None:
        work.pool, work.bad_hits = self.assigner.classify(
            work.fragments, work.made, work.pool, work.used, work.kinds, work.result
        )

    def take(self, work: Work) -> None:
        """Count a batch; batches must come in order."""
        if work.problem is not None:
            raise self.stream.problem(work.batch, *work.problem)
        if not work.batch.count:
            return  # its bytes were only gathered
        spilled = 0
        if self._by_position:
            spilled = self._pair_by_position(work)
            self._classify(work)
        elif work.lost:
            self._warn_of_missing(work)
        self._count(work)
        if self.listeners.record_sink is not None:
            batch = work.batch
            offsets = batch.offsets[: batch.count]
            data = batch.data[: batch.end]
            if spilled:
                # Mates from earlier batches follow the batch's own bytes.
                spill = self._spill[: int(self._spill_offsets[spilled])]
                offsets = np.concatenate((offsets, self._spill_offsets[:spilled] + len(data)))
                data = np.concatenate((data, spill))
            self._write(work, data, offsets, batch.count)

    def _pair_by_position(self, work: Work) -> int:
        """Pair a batch's records with those that wait; gives the number of waiting records whose bytes were spilled."""
        batch, mates = work.batch, self._mates
        if len(self._spill_offsets) < batch.count + 1:
            self._spill_offsets = np.zeros(2 * batch.count + 1, dtype=np.int64)
        i = made = spilled = 0
        pooled = work.used
        before = int(mates.state[pairing_by_position.AMBIGUOUS])
        while True:
            i, made, pooled, spilled, why = pairing_by_position.pair_by_position(
                batch.data, batch.offsets, batch.rows, i, batch.count, batch.first_record, self.primary_only, mates.keep,
                mates.waiting, mates.facts, mates.table, mates.arena, mates.notes, mates.state,
                work.pool, pooled, work.fragments, made, self._spill, self._spill_offsets, spilled,
            )  # fmt: skip
            if why == pairing_by_position.DONE:
                break
            if why == pairing_by_position.POOL_FULL:
                overlap = int(batch.rows[i, SET])
                members = (
                    1 + int(work.pool[pairing.FIRST_POOLED - overlap])
                    if overlap <= pairing.FIRST_POOLED
                    else 0
                )
                mates.make_room(batch.size(int(i)), members)
            elif why == pairing_by_position.NOTES_FULL:
                work.pool = np.concatenate((work.pool, np.empty(len(work.pool), dtype=np.int32)))
            else:
                self._spill = np.concatenate(
                    (self._spill, np.empty(len(self._spill) + batch.size(int(i)), dtype=np.uint8))
                )
        work.made, work.used = int(made), int(pooled)
        if before == 0 and mates.state[pairing_by_position.AMBIGUOUS]:
            row = int(mates.state[pairing_by_position.FIRST_AMBIGUOUS]) - batch.first_record
            self._first_ambiguous = str(self._mate_key(batch, row))
        return int(spilled)

    def _mate_key(self, batch: Batch, row: int) -> tuple[Any, ...]:
        """Give the key under which htseq-count looks for a record's mate, which it prints."""
        contigs = self.stream.header.contigs
        here, following, info, length = (
            int(batch.rows[row, column]) for column in (HERE, NEXT, INFO, TLEN)
        )

        def place(packed: int) -> tuple[str | None, int | None]:
            return (contigs[packed >> 32], packed & 0xFFFFFFFF) if packed != -1 else (None, None)

        other = "second" if info & READ1 else "first"
        both = here != -1 and following != -1
        return (
            self.stream.name(batch, row),
            other,
            *place(following),
            *place(here),
            -length if both else None,
        )

    def _warn_of_missing(self, work: Work) -> None:
        """Warn of the first record without its mate; raise InputError where mates turn up apart from each other."""
        batch = work.batch
        if not self._missing_mates:
            self._tell_progress(int(work.missing[0, 0]))
            name = self.stream.name(batch, int(work.missing[0, 1]))
            self.warn(
                f"Read {name} claims to have an aligned mate which could not be found in an adjacent line."
            )
        self._missing_mates += work.lost
        if not len(self._known):
            self._known = np.zeros((2 * REMEMBERED, 2), dtype=np.int64)
        at, earlier, self._known_used = pairing.recall(
            batch.rows, work.missing, work.lost, batch.first_record, self._known, self._known_used
        )
        if at >= 0:
            row = int(work.missing[at, 1])
            raise InputError(
                f"read {self.stream.name(batch, row)} and its mate are not adjacent, so the file is not sorted by name",
                file=self.stream.source.path,
                place=f"records {int(earlier) + 1} and {batch.first_record + row + 1}",
                remedy="give -r pos if it is sorted by position, otherwise sort it with: samtools sort -n",
            )

    def _count(self, work: Work) -> None:
        """Add a batch's fragments to the counts and start sites."""
        if work.bad_hits >= 0:
            what = "read pair" if self.stream.paired else "read"
            raise InputError(
                "the tag NH is not a number",
                file=self.stream.source.path,
                place=f"{what} {self.done + work.bad_hits + 1}",
            )
        self._tell_progress(work.made)
        if self.want_sites and self.sites is None:
            self.sites = self._new_sites()
        self._site_of = count_fragments(
            self.assigner, work.fragments, work.made, work.kinds, work.result, work.pool, self.done, self.sites,
            self.listeners.record_sink is not None,
        )  # fmt: skip
        self.done += work.made
        self._told = 0

    def _new_sites(self) -> SiteCollector:
        header, assigner = self.stream.header, self.assigner
        fraction = assigner.nonunique == COUNT_FRACTION
        lengths = tuple(max(length, 0) for length in header.lengths)
        return SiteCollector(
            header.contigs,
            lengths,
            paired=bool(self.stream.paired),
            fraction=fraction,
            features=len(assigner.counts),
        )

    def _tell_progress(self, begun: int) -> None:
        """Tell of the multiples passed when the next ``begun`` fragments have begun."""
        if self.listeners.progress:
            first = max(self.done + self._told, 1)
            for number in range(-(-first // PROGRESS) * PROGRESS, self.done + begun, PROGRESS):
                self.listeners.progress(number, bool(self.stream.paired))
        self._told = begun

    def _write(
        self, work: Work, data: NDArray[np.uint8], offsets: NDArray[np.int64], own: int
    ) -> None:
        """Hand records to the sink."""
        assert self.listeners.record_sink is not None
        self.listeners.record_sink(
            tagged_batch(
                work.fragments,
                work.made,
                work.kinds,
                work.result,
                work.pool,
                self.assigner.index,
                self._site_of,
                data,
                offsets,
                own,
            )
        )

    def take_leftovers(self) -> None:
        """Count the records whose mates never came, and give the warnings that stand at the end."""
        if self._by_position:
            self._settle()
        elif self._missing_mates > 1:
            self.warn(f"{self._missing_mates} reads with missing mate encountered.")

    def _settle(self) -> None:
        """Count what still waits for a mate in position order."""
        mates = self._mates
        left = mates.left()
        # htseq-count loses mates that disagree about the template length, and counts each alone.
        first, second = pairing_by_position.match_without_length(mates.waiting[left])
        pairs = np.stack((left[first], left[second]), axis=1)
        alone = np.delete(left, np.concatenate((first, second)))
        self._count_waiting(pairs)
        if len(alone):
            keys = len(np.unique(mates.facts[alone, pairing_by_position.RANK]))
            record = self._describe(int(alone[0]))
            self.warn(f"Mate records missing for {keys} records; first such record: {record}.")
            self._count_waiting(alone[:, None])
        if mates.state[pairing_by_position.AMBIGUOUS]:
            number = int(mates.state[pairing_by_position.AMBIGUOUS])
            self.warn(
                f"Mate pairing was ambiguous for {number} records; mate key for first such record: {self._first_ambiguous}."
            )
        if len(pairs):
            self.warn(
                f"{len(pairs)} pairs were put together although their mates disagree about the template length (htseq-count "
                "counts such mates one by one)."
            )

    def _describe(self, j: int) -> str:
        """Describe a waiting record in htseq-count's words."""
        mates = self._mates
        here, end = int(mates.waiting[j, HERE]), int(mates.waiting[j, END])
        name = f"<SAM_Alignment object: Paired-end read '{mates.name(j)}'"
        if here == -1:
            return f"{name}, not aligned>"
        strand = "-" if int(mates.waiting[j, INFO]) & REVERSE_FLAG else "+"
        return f"{name} aligned to {self.stream.header.contigs[here >> 32]}:[{here & 0xFFFFFFFF},{end})/{strand}>"

    def _count_waiting(self, fragments: NDArray[np.int64]) -> None:
        """Count fragments that are given as rows of waiting records: one column, or read by read two."""
        mates = self._mates
        work = Work()
        work.pool = mates.notes
        for begin in range(0, len(fragments), LEFTOVERS):
            chosen = fragments[begin : begin + LEFTOVERS]
            work.make_room(len(chosen))
            work.made = len(chosen)
            work.fragments[: len(chosen)] = pairing_by_position.as_fragments(mates.waiting, chosen)
            work.used = int(mates.state[pairing_by_position.NOTES])
            self._classify(work)
            self._count(work)
            if self.listeners.record_sink is not None:
                # Of all that wait, this part's records alone are listed, in the order in which the fragments name them.
                listed = np.unique(chosen)
                for column in (pairing.RECORD, pairing.MATE + pairing.RECORD):
                    records = work.fragments[: work.made, column]
                    records[records < -1] = -2 - np.searchsorted(listed, -2 - records[records < -1])
                self._write(work, mates.arena, mates.facts[listed, pairing_by_position.BLOB], 0)

    def finish(self, path: str, began: float) -> SampleCounts:
        """Give the result."""
        fraction = self.assigner.nonunique == COUNT_FRACTION
        sites = None
        if self.want_sites:
            if self.sites is None:
                self.sites = self._new_sites()
            sites = self.sites.finish()
        counts: NDArray[Any] = self.assigner.parts if fraction else self.assigner.counts
        return SampleCounts(
            path=path,
            paired=bool(self.stream.paired),
            fragments=self.done,
            counts=counts,
            touched=counts > 0 if fraction else None,
            classes=tuple(int(number) for number in self.assigner.classes),  # type: ignore[arg-type]
            sites=sites,
            seconds=time.perf_counter() - began,
        )
