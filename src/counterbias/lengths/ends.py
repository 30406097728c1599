"""Where the 5' ends of a feature's fragments lie along its line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.records import PRESENT, REVERSE, Features, StartSites

#: What is known of a fragment: both ends, the left or the right one alone, or nothing.
BOTH, LEFT, RIGHT, NEITHER = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class FragmentRows:
    """Rows of start sites by feature, and the columns by which compiled loops read them.

    Takes 4 bytes per row of the wanted features.

    Args:
        rows: int32 or int64 (n,), rows feature by feature, in their order.
        offsets: int64 (features + 1,), where those of each feature begin.
        share: float32 (rows of the start sites,), or empty: all 1.
        columns: contig, position and bits of read 1, then of read 2; for single-end data the latter
            are those of read 1, and ``paired`` is false.
        paired: whether there is a read 2.
    """

    rows: NDArray[np.int32] | NDArray[np.int64]
    offsets: NDArray[np.int64]
    share: NDArray[np.float32]
    columns: tuple[NDArray[np.int32] | NDArray[np.uint8], ...]
    paired: bool


def fragments_by_feature(sites: StartSites, wanted: NDArray[np.bool_]) -> FragmentRows:
    """Group the rows of start sites by feature, for the features wanted, bool (features,)."""
    offsets = np.cumsum(_first_rows(sites.feature, wanted))
    rows: NDArray[np.int32] | NDArray[np.int64] = np.empty(int(offsets[-1]), np.int32)
    if len(sites) >= 2**31:
        rows = rows.astype(np.int64)
    _group(sites.feature, wanted, offsets[:-1].copy(), rows)
    first, second = sites.ends[0], sites.ends[-1]
    return FragmentRows(
        rows,
        offsets,
        np.empty(0, np.float32) if sites.share is None else sites.share,
        tuple(column for end in (first, second) for column in (end.contig, end.position, end.bits)),
        len(sites.ends) > 1,
    )


@loop("i4[::1], b1[::1]")
def _first_rows(feature, wanted):  # type: ignore[no-untyped-def]
    """Return 0, then the number of rows of each wanted feature, int64 (features + 1,).

    ``np.bincount`` would copy the column to 8 bytes per row.
    """
    found = np.zeros(len(wanted) + 1, np.int64)
    for row in range(len(feature)):
        owner = feature[row]
        found[owner + 1] += wanted[owner]
    return found


@loop("i4[::1], b1[::1], i8[::1], i4[::1]")
def _group(feature, wanted, used, rows):  # type: ignore[no-untyped-def]
    """List the rows of each wanted feature; ``used`` holds where its next row goes."""
    for row in range(len(feature)):
        owner = feature[row]
        if wanted[owner]:
            rows[used[owner]] = row
            used[owner] += 1


def bases_before(features: Features) -> NDArray[np.int64]:
    """Return the bases of its feature before each block, int64 (blocks,)."""
    length = features.block_end - features.block_start
    upto = np.cumsum(length) - length
    per_feature = np.diff(features.block_offsets)
    first = features.block_offsets[:-1][per_feature > 0]
    return np.asarray(upto - np.repeat(upto[first], per_feature[per_feature > 0]))


@helper
def last_upto(value, ascending, first, last):  # type: ignore[no-untyped-def]
    """Return the index of the last number in ``first:last`` that is at most ``value``."""
    while first < last:
        middle = (first + last) // 2
        if ascending[middle] <= value:
            first = middle + 1
        else:
            last = middle
    return first - 1


@helper
def offset_on_line(position, first, last, block_start, block_end, before):  # type: ignore[no-untyped-def]
    """Turn a genome position into an offset along the blocks ``first:last``; -1 outside them.

    The blocks are those of a feature on one strand of one contig; ``before`` is from
    :func:`bases_before`.
    """
    block = last_upto(position, block_start, first, last)
    if block < first or position >= block_end[block]:
        return -1
    return before[block] + position - block_start[block]


@helper
def ends_of(row, contig, contig_1, position_1, bits_1, contig_2, position_2, bits_2, paired):  # type: ignore[no-untyped-def]
    """Return what is known of a fragment, and the genome positions of its left and right end."""
    one = bits_1[row] & PRESENT != 0 and contig_1[row] == contig
    two = paired and bits_2[row] & PRESENT != 0 and contig_2[row] == contig
    minus_1, minus_2 = bits_1[row] & REVERSE != 0, bits_2[row] & REVERSE != 0
    if one and two:
        left, right = np.int64(position_1[row]), np.int64(position_2[row])
        if minus_1 == minus_2:
            return NEITHER, left, right
        if minus_1:
            left, right = right, left
        return (BOTH if left <= right else NEITHER), left, right
    if one:
        place = np.int64(position_1[row])
        return (RIGHT if minus_1 else LEFT), place, place
    if two:
        place = np.int64(position_2[row])
        return (RIGHT if minus_2 else LEFT), place, place
    return NEITHER, np.int64(-1), np.int64(-1)
