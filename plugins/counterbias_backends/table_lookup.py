"""Look windows up in tables, compiled: the hot part of :mod:`.tables`. Not a backend.

In: windows, or a stretch of sequence whose windows overlap; tables, and for each of them which
bases of a window spell its entry. Out: the sum of the entries. Windows' bases are packed into two
bits each, ``MOST`` to a *pack*, and a table's entry is assembled from *runs* of neighbouring bases,
for a block of windows side by side. The first base of an entry counts least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias_backends.packing import MOST, pack

#: Windows that are packed before any is looked up; their packs stay in the fastest cache.
BLOCK = 128
#: The same along a sequence.
ALONG = 512


@helper(error_model="numpy")
def _look_up(
    packs: NDArray[np.uint64],
    runs: NDArray[np.uint64],
    groups: NDArray[np.int64],
    begins: NDArray[np.uint64],
    tables: NDArray[np.float64],
    words: NDArray[np.uint64],
    out: NDArray[np.float64],
) -> None:
    """Write the sums of packed windows to ``out``, at most :data:`BLOCK` numbers.

    ``words`` is scratch; the other arguments are those of :func:`add_windows`.
    """
    if not len(begins):
        out[:] = 0.0
    for group in range(len(begins)):
        words[:] = begins[group]
        for run in range(groups[group], groups[group + 1]):
            down, mask, up = runs[run, 1], runs[run, 2], runs[run, 3]
            bases = packs[np.int64(runs[run, 0])]
            for w in range(BLOCK):
                words[w] += ((bases[w] >> down) & mask) << up
        if group:
            for w in range(len(out)):
                out[w] += tables[words[w]]
        else:
            for w in range(len(out)):
                out[w] = tables[words[w]]


@loop("u1[::1], i8, i8, i8, u8[:, ::1], i8[::1], u8[::1], f8[::1], f8[::1]", error_model="numpy")
def add_windows(
    contexts: NDArray[np.uint8],
    width: int,
    low: int,
    high: int,
    runs: NDArray[np.uint64],
    groups: NDArray[np.int64],
    begins: NDArray[np.uint64],
    tables: NDArray[np.float64],
    out: NDArray[np.float64],
) -> bool:
    """Write the sums of windows to ``out``; return False where a base was above 3.

    Bases are masked before use, so that no memory outside the tables is read.

    Args:
        contexts: (n · width,).
        width: bases per window.
        low, high: the columns ``low`` to ``high`` (exclusive) are packed; no table uses others.
        runs: (runs, 4): the pack, how far to shift it down, the mask, how far to shift up.
        groups: (tables + 1,): the runs of table ``i`` are ``groups[i]`` to ``groups[i + 1]``.
        begins: (tables,), where each table begins.
        tables: all tables, one after another.
        out: (n,).
    """
    seen = np.uint64(0)
    wide = high - low
    number = (wide + MOST - 1) // MOST
    packs = np.zeros((max(number, 1), BLOCK), np.uint64)
    words = np.zeros(BLOCK, np.uint64)
    for first in range(0, len(out), BLOCK):
        count = min(BLOCK, len(out) - first)
        for part in range(number):
            begin = low + part * MOST
            size = min(MOST, high - begin)
            seen |= pack(contexts, first * width + begin, width, size, packs[part, :count])
        _look_up(packs, runs, groups, begins, tables, words, out[first : first + count])
    return bool(seen == 0)


@loop("u1[::1], i8[::1], i8[::1], u8[::1], f8[::1], f8[::1]", error_model="numpy")
def add_along(
    sequence: NDArray[np.uint8],
    columns: NDArray[np.int64],
    bounds: NDArray[np.int64],
    begins: NDArray[np.uint64],
    tables: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write the sums of all windows of a sequence to ``out``.

    Neighbouring windows need no packing.

    Args:
        sequence: (n + width − 1,); the caller has refused values above 3.
        columns: the columns of all tables; those of table ``i`` are
            ``columns[bounds[i] : bounds[i + 1]]``.
        bounds: (tables + 1,).
        begins, tables, out: as for :func:`add_windows`.
    """
    words = np.zeros(ALONG, np.uint32)
    for first in range(0, len(out), ALONG):
        count = min(ALONG, len(out) - first)
        part = out[first : first + count]
        if not len(begins):
            part[:] = 0.0
        for group in range(len(begins)):
            words[:] = 0
            for at in range(bounds[group + 1] - 1, bounds[group] - 1, -1):
                bases = sequence[first + columns[at] : first + columns[at] + count]
                for w in range(count):
                    words[w] = words[w] << np.uint32(2) | bases[w]
            table = tables[begins[group] :]
            if group:
                for w in range(count):
                    part[w] += table[words[w]]
            else:
                for w in range(count):
                    part[w] = table[words[w]]
