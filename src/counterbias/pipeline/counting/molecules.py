"""Molecules: the reads of each cell, UMI and feature, counted while a file is read.

Barcodes and molecules are numbered in the order in which they first appear, in hash tables with
open addressing. So memory grows with the number of different molecules, not with that of reads.
Where weights are to be known later, each row of start sites keeps the number of its molecule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.loops import helper, loop
from counterbias.native import (
    load_i32,
    load_i64,
    prefetch,
    store_i32,
    store_i64,
)
from counterbias.options import BarcodeOptions
from counterbias.pipeline.counting.assignment import AMBIGUOUS as UNDECIDED
from counterbias.pipeline.counting.assignment import (
    ASSIGNED,
    COUNT_ALL,
    LISTED,
    LOW_QUALITY,
    MULTIMAPPED,
    NOT_ALIGNED,
    Assigner,
    first_member,
    is_left_out,
    set_size,
)
from counterbias.pipeline.counting.barcode_numbers import (
    AHEAD,
    Texts,
    grown,
    number_barcodes,
    slots_for,
)
from counterbias.pipeline.counting.barcodes import (
    CELL_NUMBER,
    CELL_SIZE,
    CELL_START,
    UMI_NUMBER,
    UMI_SIZE,
    BarcodeReader,
    without_barcodes,
)
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.records import CLASSES

#: Columns of a molecule's key. FEATURE: of a class, its number behind those of the features.
CELL, UMI, FEATURE = range(3)
#: The classes by number, as in :data:`~counterbias.records.CLASSES`.
NO_FEATURE, AMBIGUOUS, TOO_LOW, UNALIGNED, NOT_UNIQUE = range(len(CLASSES))
#: Why adding fragments stopped.
DONE, MOLECULES_FULL, ROWS_FULL = range(3)
#: A column of the table of barcodes that is used again, for the slot of the fragment's molecule.
SLOT = CELL_SIZE
#: Rows of start sites per chunk of molecules' numbers.
CHUNK = 1 << 18


@helper
def hash_key(cell: Any, umi: Any, feature: Any) -> Any:
    """Hash a molecule's key."""
    value = (
        np.uint64(cell) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(umi) * np.uint64(0xC2B2AE3D27D4EB4F)
        + np.uint64(feature) * np.uint64(0xD1342543DE82EF95)
    )
    value = (value ^ (value >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.int64(value ^ (value >> np.uint64(32)))


@helper
def _add_read(
    cell: Any, umi: Any, feature: Any, slots: Any, mask: Any, keys: Any, reads: Any, used: Any
) -> Any:
    """Add a read to its molecule, a new one if need be. Returns (its number, molecules).

    The tables are given by address.
    """
    slot = hash_key(cell, umi, feature) & mask
    while True:
        number = load_i32(slots + 4 * slot) - 1
        if number < 0:
            break
        key = keys + 12 * number
        if (
            load_i32(key + 4 * CELL) == cell
            and load_i32(key + 4 * UMI) == umi
            and load_i32(key + 4 * FEATURE) == feature
        ):
            store_i64(reads + 8 * number, load_i64(reads + 8 * number) + 1)
            return number, used
        slot = (slot + 1) & mask
    key = keys + 12 * used
    store_i32(key + 4 * CELL, cell)
    store_i32(key + 4 * UMI, umi)
    store_i32(key + 4 * FEATURE, feature)
    store_i64(reads + 8 * used, np.int64(1))
    store_i32(slots + 4 * slot, used + 1)
    return used, used + 1


@helper
def _class_of(outcome: Any, size: Any) -> Any:
    """Return the class of a fragment by its outcome and the size of its set, -1 for none."""
    if outcome == LOW_QUALITY:
        return np.int64(TOO_LOW)
    if outcome == NOT_ALIGNED:
        return np.int64(UNALIGNED)
    if outcome == ASSIGNED and size == 0:
        return np.int64(NO_FEATURE)
    several = outcome == UNDECIDED or (outcome == ASSIGNED and size > 1)
    return np.int64(AMBIGUOUS) if several else np.int64(-1)


@helper
def _set_of(outcome: Any, code: Any, member_offsets: Any, members: Any, pool: Any) -> Any:
    """Return the size of a fragment's set and the address of its first member, 0 without one."""
    if outcome not in (ASSIGNED, LISTED):
        return np.int64(0), np.int64(0)
    return (
        set_size(code, member_offsets, pool),
        first_member(code, member_offsets, members, pool),
    )


@loop(
    "i8[:, ::1], i8, i8, u1[::1], i8[::1], b1, i8[::1], i4[::1], i4[::1], i8, "
    "i4[::1], i4[:, ::1], i8[::1], i8, b1, i4[::1], i8",
)
def add_fragments(
    barcodes: Any, start: Any, count: Any, outcomes: Any, sets: Any, all_features: Any,
    member_offsets: Any, members: Any, pool: Any, features: Any,
    slots: Any, keys: Any, reads: Any, used: Any, keep: Any, molecule_of: Any, row: Any,
) -> Any:  # fmt: skip
    """Add fragments, whose barcodes have numbers, to molecules, in order.

    As in htseq-count-barcodes, a class takes part like a feature, and a fragment with NH > 1 is a
    read of ``__alignment_not_unique`` besides what it is assigned to. With ``keep``,
    ``molecule_of`` gets the molecule of each row that :func:`.assignment.tally` makes, -1 without
    barcodes. Returns (fragments done, molecules, rows, why it stopped).
    """
    room = keys.shape[0]
    slots_at, keys_at, reads_at = slots.ctypes.data, keys.ctypes.data, reads.ctypes.data
    offsets_at, members_at = member_offsets.ctypes.data, members.ctypes.data
    pool_at = pool.ctypes.data
    mask = slots.size - 1
    for begin in range(start, count, AHEAD):
        end = min(begin + AHEAD, count)
        for f in range(begin, end):
            if barcodes[f, CELL_START] >= 0 and not is_left_out(outcomes[f]):
                outcome = outcomes[f] & 7
                size, place = _set_of(outcome, sets[f], offsets_at, members_at, pool_at)
                special = _class_of(outcome, size)
                column = features + special if special >= 0 or size == 0 else load_i32(place)
                slot = hash_key(barcodes[f, CELL_NUMBER], barcodes[f, UMI_NUMBER], column) & mask
                prefetch(slots_at + 4 * slot)
                barcodes[f, SLOT] = slot
        for f in range(begin, end):
            if barcodes[f, CELL_START] >= 0 and not is_left_out(outcomes[f]):
                number = load_i32(slots_at + 4 * barcodes[f, SLOT]) - 1
                prefetch(keys_at + 12 * number)
                prefetch(reads_at + 8 * number)
        for f in range(begin, end):
            outcome = outcomes[f] & 7
            size, place = _set_of(outcome, sets[f], offsets_at, members_at, pool_at)
            every = size == 1 or all_features or outcome == LISTED
            shared = size if every else np.int64(0)
            if used + shared + 2 > room:
                return f, used, row, MOLECULES_FULL
            if keep and row + shared > molecule_of.size:
                return f, used, row, ROWS_FULL
            if barcodes[f, CELL_START] < 0:
                for _ in range(shared if keep else 0):
                    molecule_of[row] = -1
                    row += 1
                continue
            if is_left_out(outcomes[f]):
                continue
            cell, umi = barcodes[f, CELL_NUMBER], barcodes[f, UMI_NUMBER]
            if (outcomes[f] & MULTIMAPPED) != 0:
                _, used = _add_read(
                    cell, umi, features + NOT_UNIQUE, slots_at, mask, keys_at, reads_at, used
                )
            special = _class_of(outcome, size)
            if special >= 0:
                _, used = _add_read(
                    cell, umi, features + special, slots_at, mask, keys_at, reads_at, used
                )
            for k in range(shared):
                number, used = _add_read(
                    cell, umi, load_i32(place + 4 * k), slots_at, mask, keys_at, reads_at, used
                )
                if keep:
                    molecule_of[row] = number
                    row += 1
    return count, used, row, DONE


@loop("i4[:, ::1], i8, i4[::1]")
def _fill_slots(keys: Any, used: Any, slots: Any) -> Any:
    """Enter molecules into an empty table of slots."""
    mask = slots.size - 1
    for number in range(used):
        slot = hash_key(keys[number, CELL], keys[number, UMI], keys[number, FEATURE]) & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = number + 1


class MoleculeCounter:
    """Counts the reads of each molecule of one file.

    Args:
        options: the tags of cell and UMI.
        features: number of features.
        keep_rows: whether the molecule of each row of start sites is kept.

    Attributes:
        cells, umis: their barcodes.
        keys: int32 (room, 3), cell, UMI and feature of each molecule.
        reads: int64 (room,), its reads.
        used: number of molecules.
        fragments, missing: fragments seen, and those of them without barcodes.
    """

    def __init__(self, options: BarcodeOptions, features: int, *, keep_rows: bool) -> None:
        self.options = options
        self.features = features
        self.reader = BarcodeReader(options)
        self.cells, self.umis = Texts(), Texts()
        self.texts_used: NDArray[np.int64] = np.zeros(2, dtype=np.int64)
        self.keys: NDArray[np.int32] = np.empty((1 << 14, 3), dtype=np.int32)
        self.reads: NDArray[np.int64] = np.empty(1 << 14, dtype=np.int64)
        self.used = 0
        self.fragments = self.missing = 0
        self._slots: NDArray[np.int32] = np.zeros(slots_for(1 << 14), dtype=np.int32)
        self._keep_rows = keep_rows
        # A fragment's rows must fit into one chunk, and it may have one per feature.
        self._capacity = max(CHUNK, features) if keep_rows else 0
        self._full: list[NDArray[np.int32]] = []
        self._chunk: NDArray[np.int32] = np.empty(self._capacity, dtype=np.int32)
        self._row = 0

    def add(self, fragments: FragmentBatch, records: RecordBytes, assigner: Assigner) -> None:
        """Add a batch, whose barcodes and outcomes are known; batches must come in order."""
        count, index = fragments.count, assigner.index
        missing = without_barcodes(fragments)
        self.fragments += count
        self.missing += int(missing.sum())
        self._make_room_for_barcodes(fragments.barcodes[:count][~missing])
        cells, umis = self.cells, self.umis
        number_barcodes(
            records.data, fragments.barcodes, count, fragments.outcomes,
            cells.slots, cells.hashes, cells.starts, cells.arena,
            umis.slots, umis.hashes, umis.starts, umis.arena, self.texts_used,
        )  # fmt: skip
        done = 0
        while done < count:
            done, used, row, stopped = add_fragments(
                fragments.barcodes, done, count, fragments.outcomes, fragments.sets,
                assigner.nonunique == COUNT_ALL,
                index.member_offsets, index.members, fragments.pool, self.features,
                self._slots, self.keys, self.reads, self.used,
                self._keep_rows, self._chunk, self._row,
            )  # fmt: skip
            self.used, self._row = int(used), int(row)
            if stopped == MOLECULES_FULL:
                self._make_room_for_molecules()
            elif stopped == ROWS_FULL:
                self._next_chunk()

    def _make_room_for_barcodes(self, barcodes: NDArray[np.int64]) -> None:
        sizes = barcodes[:, CELL_SIZE].sum(), barcodes[:, UMI_SIZE].sum()
        for texts, used, size in zip((self.cells, self.umis), self.texts_used, sizes, strict=True):
            texts.make_room(int(used), len(barcodes), int(size))

    def _make_room_for_molecules(self) -> None:
        room = 2 * len(self.reads) + self.features
        self.keys = grown(self.keys, room, self.used)
        self.reads = grown(self.reads, room, self.used)
        if 2 * room > len(self._slots):
            self._slots = np.zeros(slots_for(room), dtype=np.int32)
            _fill_slots(self.keys, self.used, self._slots)

    def _next_chunk(self) -> None:
        self._full.append(self._chunk[: self._row])
        self._chunk = np.empty(self._capacity, dtype=np.int32)
        self._row = 0

    def check(self, file: str) -> None:
        """Refuse a file without a fragment that has both barcodes, unless it is empty.

        Raises:
            InputError: there are fragments, and all lack one of the two.
        """
        if not self.fragments or self.missing < self.fragments:
            return
        cell, umi = self.options.cell_tag, self.options.umi_tag
        raise InputError(
            f"none of its alignments has both the tags {cell} (cell) and {umi} (UMI)",
            file=file,
            remedy="name the tags that it has with --cell-barcode and --UMI, or count it with "
            "counterbias count",
        )

    def free_tables(self) -> None:
        """Free the hash tables: there are no more fragments to add."""
        self._slots = self._slots[:0].copy()
        self.cells.free_tables()
        self.umis.free_tables()

    def weights(self, of_rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum the weights of rows of start sites by molecule, float64 (molecules,)."""
        total = np.zeros(self.used)
        first = 0
        for molecules in (*self._full, self._chunk[: self._row]):
            chosen = molecules >= 0
            weight = of_rows[first : first + len(molecules)][chosen]
            np.add.at(total, molecules[chosen], weight.astype(np.float64))
            first += len(molecules)
        return total

    def hide_missing(self, fragments: FragmentBatch, site_of: NDArray[np.int64]) -> None:
        """Change the outcomes of fragments without barcodes to what ``-o`` shows for them.

        htseq-count-barcodes calls them ``__too_low_aQual`` there, and counts them nowhere.
        """
        missing = without_barcodes(fragments)
        fragments.outcomes[: fragments.count][missing] = LOW_QUALITY
        site_of[missing] = -1
