"""The compiled loops over records, called directly on memory that ends at a forbidden page.

The loops read and write without bounds checks, so only a crash reveals a length that was not
checked. Every buffer has exactly the size that the code around the loops gives it. There are two
oracles: the process must survive, and results must be what the loops promise.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import decoding
from counterbias.native import SLACK
from counterbias.options import BarcodeOptions, CountingOptions
from counterbias.pipeline.counting import pairing, pairing_by_position
from counterbias.pipeline.counting.assignment import Assigner
from counterbias.pipeline.counting.barcodes import BARCODE_COLUMNS
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.pipeline.counting.molecules import MoleculeCounter
from counterbias.pipeline.counting.starts import count_fragments
from counterbias.pipeline.counting.tagged import tagged_batch
from counterbias.pipeline.counting.umis import count_umis
from counterbias.records import Annotation
from counterbias.writers import rendering
from tests.fuzz import bam_changes, scratch
from tests.fuzz.case import Case
from tests.fuzz.guarded import Guarded
from tests.helpers.alignment_builders import CONTIGS, annotation, random_gtf

#: Longer streams are cut to this many bytes.
LONGEST = 1 << 15
#: Two of the tags that records have.
BARCODES = BarcodeOptions("XA", "MD", umi_distance=2)
#: How many mates may wait before their pool grows.
CAPACITY = 8


def mutate(rng: random.Random) -> Case:
    """Draw a stream without a header, and the parameters of the loops."""
    bits = rng.getrandbits(5)
    options = {
        "by_name": bool(bits & 1),
        "primary_only": bool(bits & 2),
        "tagged": bits & 12 == 12,
        "front": bool(bits & 16),
    }
    return Case(bam_changes.random_stream(rng), options)


class Room:
    """All buffers, allocated once."""

    def __init__(self) -> None:
        self.data = Guarded(LONGEST + SLACK, np.uint8)
        self.offsets = Guarded(LONGEST // 36 + 1, np.int64)
        self.rows = Guarded(LONGEST // 36 * decoding.COLUMNS, np.int64)
        self.first_block = Guarded(LONGEST // 36 + 1, np.int64)
        self.covered = Guarded(LONGEST // 4 + 1, np.int64)
        self.fragments = Guarded(LONGEST // 36 * pairing.FRAGMENT_COLUMNS, np.int64)
        self.outcomes = Guarded(LONGEST // 36, np.uint8)
        self.sets = Guarded(LONGEST // 36, np.int64)
        self.barcodes = Guarded(LONGEST // 36 * BARCODE_COLUMNS, np.int64)
        self.missing = Guarded(2 * LONGEST // 36, np.int64)
        self.group = Guarded(LONGEST // 36, np.int64)
        self.mate = Guarded(LONGEST // 36, np.int64)
        self.out = Guarded(1 << 20, np.uint8)
        self.spill = Guarded(2 * LONGEST, np.uint8)
        self.spill_offsets = Guarded(LONGEST // 36 + 1, np.int64)
        pool = pairing_by_position.MatePool(keep=True, capacity=CAPACITY)
        names = ("waiting", "facts", "table", "arena", "notes")
        self.mates = {
            name: Guarded(getattr(pool, name).size, getattr(pool, name).dtype) for name in names
        }


@lru_cache(maxsize=1)
def _room() -> Room:
    return Room()


@lru_cache(maxsize=1)
def _genes() -> Annotation:
    return annotation(scratch.folder("bam_loops"), random_gtf(random.Random(7), 14))


@lru_cache(maxsize=1)
def _names() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    encoded = [
        name.encode()
        for name in (
            *_genes().features.ids,
            "__no_feature",
            "__ambiguous",
            "__too_low",
            "__not_aligned",
            "__more",
        )
    ]
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum(
        [0, *map(len, encoded)]
    ).astype(np.int64)


@lru_cache(maxsize=2)
def _assigner(primary_only: bool) -> Assigner:
    genes = _genes()
    ignored = "ignore" if primary_only else "score"
    options = CountingOptions(
        nonunique="all", secondary_alignments=ignored, supplementary_alignments=ignored
    )
    return Assigner(genes.steps, len(genes.features), tuple(name for name, _ in CONTIGS), options)


def _mates(keep: bool) -> pairing_by_position.MatePool:
    """Return a pool of waiting mates that soon has to grow, with guarded buffers to begin with."""
    mates = pairing_by_position.MatePool(keep=keep, capacity=CAPACITY)
    for name, room in _room().mates.items():
        plain = getattr(mates, name)
        guarded = room.ending(plain.size).reshape(plain.shape)
        guarded[:] = plain if name == "table" else 0
        setattr(mates, name, guarded)
    return mates


class _Stream:
    """The bytes of a stream, and the state that one batch leaves to the next."""

    def __init__(self, content: bytes, options: dict[str, Any]) -> None:
        room = _room()
        self.size = len(content)
        self.data = (
            room.data.beginning(self.size + SLACK)
            if options["front"]
            else room.data.ending(self.size + SLACK)
        )
        self.data[: self.size] = np.frombuffer(content, dtype=np.uint8)
        self.data[self.size :] = 0
        self.paired = bool(self.size >= 36 and content[18] & 1)
        self.by_name = options["by_name"] or not self.paired
        self.primary_only = options["primary_only"]
        self.tagged = options["tagged"]
        self.mates = _mates(self.tagged)
        self.assigner = _assigner(self.primary_only)
        self.records = 0

    def batch(self, start: int, last: bool) -> tuple[int, str]:
        """Process a batch from ``start``. Return the start of the next one, and any problem."""
        offsets = _room().offsets.ending((self.size - start) // 36 + 1)
        keep = self.paired and self.by_name and not last
        count, stop, problem = decoding.walk(
            self.data, start, self.size, offsets, keep, self.primary_only
        )
        assert start <= stop <= self.size
        assert count == 0 or (offsets[0] == start and offsets[count - 1] < self.size)
        if problem:
            return stop, f"walk: {decoding.PROBLEMS[problem]}"
        problem = self.work(offsets, int(count), int(stop) - start)
        self.records += int(count)
        return stop, problem

    def work(self, offsets: NDArray[np.int64], count: int, size: int) -> str:
        """Decode, pair, classify and render a batch. Return a problem or an empty text."""
        room = _room()
        rows = room.rows.ending(count * decoding.COLUMNS).reshape(count, decoding.COLUMNS)
        first_block, covered = (
            room.first_block.ending(count + 1),
            room.covered.ending(size // 4 + 1),
        )
        done, problem = decoding.decode(
            self.data,
            offsets,
            count,
            len(CONTIGS),
            self.paired,
            self.tagged,
            rows,
            first_block,
            covered,
        )
        if problem:
            assert 0 <= done < count
            return f"decode: {decoding.PROBLEMS[problem]}"
        assert done == count
        assert first_block[count] <= size // 4
        blocks = covered[: first_block[count]]
        assert ((blocks >> 32) < (blocks & 0xFFFFFFFF)).all()
        pool = np.empty(64, dtype=np.int32)
        pool, used = self.assigner.find_overlaps(
            rows, count, first_block, covered, self.paired, pool
        )
        fragments = room.fragments.ending(count * pairing.FRAGMENT_COLUMNS).reshape(
            count, pairing.FRAGMENT_COLUMNS
        )
        data, starts = self.data[: self.size], offsets[:count]
        if self.by_name:
            missing, group, mate = (
                room.missing.ending(2 * count).reshape(count, 2),
                room.group.ending(count),
                room.mate.ending(count),
            )
            made, lost = pairing.pair_by_name(
                self.data, offsets, rows, count, self.paired, self.primary_only,
                fragments, missing, group, mate,
            )  # fmt: skip
            assert lost <= made <= count
        else:
            made, pool, used, spilled = self.by_position(
                offsets, rows, count, pool, used, fragments
            )
            if self.tagged:
                spill_offsets = room.spill_offsets.ending(LONGEST // 36 + 1)[: spilled + 1]
                starts = np.concatenate((starts, spill_offsets[:spilled] + self.size))
                data = np.concatenate(
                    (data, room.spill.ending(2 * LONGEST)[: spill_offsets[spilled]])
                )
        batch = FragmentBatch(
            fragments, room.outcomes.ending(made), room.sets.ending(made), pool, used, made
        )
        self.assigner.classify(batch)
        if batch.invalid_nh >= 0:
            return "classify: the tag NH is not a number"
        site_of = count_fragments(self.assigner, batch, 0, None, want_rows=self.tagged)
        records = RecordBytes(data, starts, count)
        if self.tagged or self.by_name:  # otherwise mates that waited are names only
            self.count_molecules(batch, records)
        if self.tagged and made:
            self.render(tagged_batch(batch, records, self.assigner.index, site_of))
        return ""

    def count_molecules(self, batch: FragmentBatch, records: RecordBytes) -> None:
        """Find barcodes, in tags that are not always texts, and count what has any."""
        molecules = MoleculeCounter(BARCODES, len(_genes().features), keep_rows=True)
        batch.barcodes = (
            _room()
            .barcodes.ending(batch.count * BARCODE_COLUMNS)
            .reshape(batch.count, BARCODE_COLUMNS)
        )
        molecules.reader.find(batch, records)
        if batch.bad_barcode is not None:
            assert 0 <= batch.bad_barcode[0] < batch.count
            return
        molecules.add(batch, records, self.assigner)
        cells = count_umis(molecules)
        assert molecules.fragments == batch.count
        assert (
            cells.umis.sum() + cells.merged + cells.tied <= molecules.reads[: molecules.used].sum()
        )

    def by_position(
        self,
        offsets: NDArray[np.int64],
        rows: NDArray[np.int64],
        count: int,
        pool: NDArray[np.int32],
        used: int,
        fragments: NDArray[np.int64],
    ) -> tuple[int, NDArray[np.int32], int, int]:
        """Pair by position. Return fragments, pool, integers used in it, and records spilled."""
        room, mates = _room(), self.mates
        spill, spill_offsets = (
            room.spill.ending(2 * LONGEST),
            room.spill_offsets.ending(LONGEST // 36 + 1),
        )
        spill_offsets[0] = 0
        i = made = spilled = 0
        while True:
            i, made, used, spilled, stopped = pairing_by_position.pair_by_position(
                self.data, offsets, rows, i, count, self.records, self.primary_only, mates.keep,
                mates.waiting, mates.facts, mates.table, mates.arena, mates.notes, mates.state,
                pool, used, fragments, made, spill, spill_offsets, spilled,
            )  # fmt: skip
            if stopped == pairing_by_position.DONE:
                return made, pool, used, spilled
            assert stopped in (pairing_by_position.POOL_FULL, pairing_by_position.NOTES_FULL), (
                stopped
            )
            if stopped == pairing_by_position.POOL_FULL:
                overlap = int(rows[i, decoding.SET])
                members = (
                    1 + int(pool[pairing.FIRST_POOLED - overlap])
                    if overlap <= pairing.FIRST_POOLED
                    else 0
                )
                size = 4 + int.from_bytes(
                    self.data[offsets[i] : offsets[i] + 4].tobytes(), "little"
                )
                mates.make_room(size, members)
            else:
                pool = np.concatenate((pool, np.empty(len(pool), dtype=np.int32)))

    def render(self, batch: Any) -> None:
        """Render the output of ``-o``, with weights."""
        names, name_offsets = _names()
        needed = int(
            rendering.bound(
                batch.lengths,
                batch.record,
                batch.member_offsets,
                batch.members,
                batch.code,
                names,
                name_offsets,
            )
        )
        out = _room().out.ending(needed)
        site = np.arange(len(batch), dtype=np.int64)
        as_text = bool(self.size & 1)
        length, left_out, problem = rendering.render(
            batch.buffer, batch.offsets, batch.lengths, batch.record, batch.code, batch.repeated,
            batch.member_offsets, batch.members, site, batch.second, names, name_offsets, True,
            as_text, out,
        )  # fmt: skip
        # Decoding has checked all tags, so that only names may make a record unfit for writing.
        assert problem != rendering.DAMAGED, f"entry {length} cannot be written"
        assert as_text or not left_out
        if problem:
            return
        written = out[:length]
        position = 0
        while position < length:
            size = int.from_bytes(written[position : position + 4].tobytes(), "little")
            position += 4 + size
        assert position == length
        weighted = _room().spill.ending(int(length)) if length <= 2 * LONGEST else written
        weighted[:] = written
        counted = int(((batch.code >= 0) | (batch.code == -2)).sum())
        assert (
            rendering.put_weights(weighted, np.full((2 * len(batch), 4), 7, dtype=np.uint8))
            == counted
        )


def check(case: Case) -> str:
    """Run the loops over a stream, in two batches as the reader would form them."""
    stream = _Stream(b"".join(case.parts)[:LONGEST], case.options)
    stop, problem = stream.batch(0, last=False)
    if not problem:
        stop, problem = stream.batch(stop, last=True)
    if problem:
        return f"refused: {problem}"
    if stop < stream.size:
        return "refused: the file ends in the middle of a record"
    return "read"
