"""A table of names that compiled loops look texts up in: a hash table with open addressing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments.decoding import hash_bytes
from counterbias.loops import helper, loop
from counterbias.native import load_i32, load_i64, same_bytes, with_slack


@dataclass(frozen=True, slots=True)
class NameTable:
    """Names, and where to look for each.

    Args:
        text: uint8, the names end to end, followed by slack.
        offsets: int64 (names + 1,), where each starts.
        slots: int32 (a power of two,), the number of a name + 1, or 0; a name's first slot is its
            hash modulo their number, and the next ones are tried up to an empty one.
    """

    text: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    slots: NDArray[np.int32]

    @property
    def longest(self) -> int:
        """Bytes of the longest name."""
        return int(np.diff(self.offsets).max(initial=0))


def name_table(names: Sequence[str]) -> NameTable:
    """Make the table of distinct names."""
    encoded = [name.encode("utf-8", "surrogateescape") for name in names]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    text = with_slack(int(offsets[-1]))
    text[: offsets[-1]] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    slots = np.zeros(1 << (2 * len(encoded) + 1).bit_length(), dtype=np.int32)
    _fill(text, offsets, slots)
    return NameTable(text, offsets, slots)


@helper
def find_name(here: Any, length: Any, text: Any, offsets: Any, slots: Any, mask: Any) -> Any:
    """Return the number of the name that the ``length`` bytes at ``here`` are, -1 if it is none.

    Arrays are given by address; ``mask`` is the number of slots - 1.
    """
    value, _ = hash_bytes(here, length)
    slot = value & mask
    while True:
        number = load_i32(slots + 4 * slot) - 1
        if number < 0:
            return np.int64(-1)
        first = load_i64(offsets + 8 * number)
        if load_i64(offsets + 8 * number + 8) - first == length and same_bytes(
            text + first, here, length
        ):
            return number
        slot = (slot + 1) & mask


@loop("u1[::1], i8[::1], i4[::1]")
def _fill(text: Any, offsets: Any, slots: Any) -> Any:
    """Enter all names into empty slots."""
    mask = slots.size - 1
    for number in range(offsets.size - 1):
        length = offsets[number + 1] - offsets[number]
        value, _ = hash_bytes(text.ctypes.data + offsets[number], length)
        slot = value & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = number + 1
