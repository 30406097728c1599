"""Barcodes as numbers: each different text gets one, in the order in which they first appear."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.native import (
    load_i32,
    load_i64,
    load_u8,
    prefetch,
    same_bytes,
    store_i32,
    store_i64,
    store_u8,
)
from counterbias.pipeline.counting.assignment import is_left_out
from counterbias.pipeline.counting.barcodes import (
    CELL_HASH,
    CELL_NUMBER,
    CELL_SIZE,
    CELL_START,
    UMI_HASH,
    UMI_NUMBER,
    UMI_SIZE,
    UMI_START,
)

#: Fragments that are looked up together, so that their accesses to memory overlap.
AHEAD = 32


@helper
def _number_text(
    text: Any,
    size: Any,
    value: Any,
    slots: Any,
    mask: Any,
    hashes: Any,
    starts: Any,
    arena: Any,
    used: Any,
) -> Any:
    """Return the number of the text at an address, whose hash is ``value``; a new one gets one.

    The tables are given by address; ``used`` is that of the number of texts.
    """
    slot = value & mask
    while True:
        number = load_i32(slots + 4 * slot) - 1
        if number < 0:
            break
        start = load_i64(starts + 8 * number)
        if (
            load_i64(hashes + 8 * number) == value
            and load_i64(starts + 8 * number + 8) - start == size
            and same_bytes(text, arena + start, size)
        ):
            return number
        slot = (slot + 1) & mask
    number = load_i64(used)
    start = load_i64(starts + 8 * number)
    for i in range(size):
        store_u8(arena + start + i, load_u8(text + i))
    store_i64(starts + 8 * number + 8, start + size)
    store_i64(hashes + 8 * number, value)
    store_i32(slots + 4 * slot, number + 1)
    store_i64(used, number + 1)
    return number


@loop(
    "u1[::1], i8[:, ::1], i8, u1[::1], i4[::1], i8[::1], i8[::1], u1[::1], i4[::1], i8[::1], "
    "i8[::1], u1[::1], i8[::1]",
)
def number_barcodes(
    data: Any, barcodes: Any, count: Any, outcomes: Any,
    cell_slots: Any, cell_hashes: Any, cell_starts: Any, cell_texts: Any,
    umi_slots: Any, umi_hashes: Any, umi_starts: Any, umi_texts: Any, used: Any,
) -> Any:  # fmt: skip
    """Number the barcodes of fragments that are counted; ``used`` has the cells and the UMIs."""
    base = data.ctypes.data
    cell_slots_at, umi_slots_at = cell_slots.ctypes.data, umi_slots.ctypes.data
    for f in range(count):
        # Most accesses miss the cache, so that those of later fragments begin now.
        ahead = f + AHEAD
        if ahead < count and barcodes[ahead, CELL_START] >= 0:
            prefetch(cell_slots_at + 4 * (barcodes[ahead, CELL_HASH] & (cell_slots.size - 1)))
            prefetch(umi_slots_at + 4 * (barcodes[ahead, UMI_HASH] & (umi_slots.size - 1)))
        ahead = f + AHEAD // 2
        if ahead < count and barcodes[ahead, CELL_START] >= 0:
            slot = barcodes[ahead, UMI_HASH] & (umi_slots.size - 1)
            number = load_i32(umi_slots_at + 4 * slot) - 1
            prefetch(umi_hashes.ctypes.data + 8 * number)
            prefetch(umi_starts.ctypes.data + 8 * number)
        if barcodes[f, CELL_START] < 0 or is_left_out(outcomes[f]):
            continue
        barcodes[f, CELL_NUMBER] = _number_text(
            base + barcodes[f, CELL_START], barcodes[f, CELL_SIZE], barcodes[f, CELL_HASH],
            cell_slots_at, cell_slots.size - 1, cell_hashes.ctypes.data,
            cell_starts.ctypes.data, cell_texts.ctypes.data, used.ctypes.data,
        )  # fmt: skip
        barcodes[f, UMI_NUMBER] = _number_text(
            base + barcodes[f, UMI_START], barcodes[f, UMI_SIZE], barcodes[f, UMI_HASH],
            umi_slots_at, umi_slots.size - 1, umi_hashes.ctypes.data,
            umi_starts.ctypes.data, umi_texts.ctypes.data, used.ctypes.data + 8,
        )  # fmt: skip


@loop("i8[::1], i8, i4[::1]")
def _fill_text_slots(hashes: Any, used: Any, slots: Any) -> Any:
    """Enter texts into an empty table of slots."""
    mask = slots.size - 1
    for number in range(used):
        slot = hashes[number] & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = number + 1


class Texts:
    """Different texts, numbered in the order in which they first appear.

    Attributes:
        slots: int32, hash table: number + 1, 0 where empty.
        hashes: int64 (room,).
        starts: int64 (room + 1,), where each text starts in ``arena``; the next one ends it.
        arena: uint8, the texts.
    """

    def __init__(self) -> None:
        self.slots: NDArray[np.int32] = np.zeros(1 << 11, dtype=np.int32)
        self.hashes: NDArray[np.int64] = np.empty(1 << 10, dtype=np.int64)
        self.starts: NDArray[np.int64] = np.zeros((1 << 10) + 1, dtype=np.int64)
        self.arena: NDArray[np.uint8] = np.empty(1 << 14, dtype=np.uint8)

    def make_room(self, used: int, more: int, size: int) -> None:
        """Make room for ``more`` texts of ``size`` bytes in all, besides the ``used`` ones."""
        filled = int(self.starts[used])
        if filled + size > len(self.arena):
            self.arena = grown(self.arena, 2 * len(self.arena) + size, filled)
        if used + more > len(self.hashes):
            room = 2 * (len(self.hashes) + more)
            self.hashes = grown(self.hashes, room, used)
            self.starts = grown(self.starts, room + 1, used + 1)
            self.slots = np.zeros(slots_for(room), dtype=np.int32)
            _fill_text_slots(self.hashes, used, self.slots)

    def free_tables(self) -> None:
        """Free what only new texts need."""
        self.slots, self.hashes = self.slots[:0].copy(), self.hashes[:0].copy()

    def as_bytes(self, used: int) -> list[bytes]:
        """Return the texts."""
        data, bounds = self.arena.tobytes(), self.starts[: used + 1].tolist()
        return [data[start:end] for start, end in pairwise(bounds)]


def slots_for(room: int) -> int:
    """Return the size of a hash table for ``room`` entries: a power of two, at most half full."""
    return 1 << max(2 * room - 1, 1).bit_length()


def grown(array: NDArray[Any], room: int, used: int) -> NDArray[Any]:
    """Return a copy of an array's first ``used`` rows with room for ``room``."""
    larger = np.empty((room, *array.shape[1:]), dtype=array.dtype)
    larger[:used] = array[:used]
    return larger
