"""Pairing mates in name order, as htseq-count does, in the order in which it completes pairs.

Input: rows of :mod:`~counterbias.alignments.decoding`. Output: a table of fragments. In name order
a batch holds whole groups of records with the same name, so batches are independent. For position
order see :mod:`~counterbias.pipeline.counting.pairing_by_position`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from counterbias.alignments.decoding import (
    COLUMNS,
    FIVE,
    HERE,
    INFO,
    NAME,
    NEXT,
    NOT_PRIMARY,
    READ1,
    SET,
    same_name,
)
from counterbias.loops import helper, loop
from counterbias.native import load_i64, store_i64

#: Columns of the fragment table; those of read 2 follow, ``MATE`` columns later.
#: WHERE: contig << 32 | position of the 5' end, -1 where missing or unaligned. STATE: the row's
#: INFO, -1 where missing. OVERLAP: its SET. RECORD: the record's number in the batch, -1 where
#: missing, ``-2 - n`` for record n of the batch's spill.
WHERE, STATE, OVERLAP, RECORD = range(4)
MATE = 4
FRAGMENT_COLUMNS = 8
#: Bytes of a row.
ROW = 8 * COLUMNS

#: A SET from here downwards refers to members in a pool: ``pool[FIRST_POOLED - SET]`` is their
#: number, and they follow.
FIRST_POOLED = -3

#: Groups of records with the same name up to this size are searched one by one.
FEW = 8


@helper
def set_mate(fragment: Any, row: Any, record: Any, overlap: Any, paired: Any) -> Any:
    """Write a mate into the fragment at an address, as read 1 or read 2 by its flag."""
    info = load_i64(row + 8 * INFO)
    if paired and (info & READ1) == 0:
        fragment += 8 * MATE
    here = load_i64(row + 8 * HERE)
    store_i64(
        fragment + 8 * WHERE, -1 if here == -1 else (here >> 32) << 32 | load_i64(row + 8 * FIVE)
    )
    store_i64(fragment + 8 * STATE, info)
    store_i64(fragment + 8 * OVERLAP, overlap)
    store_i64(fragment + 8 * RECORD, record)


@helper
def _clear(fragment: Any) -> Any:
    """Mark both mates of the fragment at an address as missing."""
    for place in range(0, 64, 8):
        store_i64(fragment + place, np.int64(-1))


@helper
def _are_mates(first: Any, second: Any) -> Any:
    """Whether two rows with the same name, given by address, are mates, as in htseq-count."""
    if ((load_i64(first + 8 * INFO) ^ load_i64(second + 8 * INFO)) & READ1) == 0:
        return False
    first_here, first_next = load_i64(first + 8 * HERE), load_i64(first + 8 * NEXT)
    second_here, second_next = load_i64(second + 8 * HERE), load_i64(second + 8 * NEXT)
    if (first_here == -1) != (second_next == -1) or (first_next == -1) != (second_here == -1):
        return False
    if first_here == -1 or second_here == -1:
        return True
    return first_here == second_next and second_here == first_next


@helper
def _match_few(row: Any, group: Any, size: Any, mate: Any) -> Any:
    """Find the mate of each record of a small group: the next one that is still free, or -1."""
    for a in range(size):
        mate[a] = -1
    for a in range(size):
        if mate[a] >= 0:
            continue
        for b in range(a + 1, size):
            if mate[b] < 0 and _are_mates(row + ROW * group[a], row + ROW * group[b]):
                mate[a] = b
                mate[b] = a
                break


@helper
def _pair_positions(row: Any) -> Any:
    """Return the positions of read 1 and read 2 of a record's pair, as the record states them.

    Where one of them is unaligned, the positions do not matter and become 0.
    """
    here, following = load_i64(row + 8 * HERE), load_i64(row + 8 * NEXT)
    if here == -1 or following == -1:
        here, following = min(here, 0), min(following, 0)
    if (load_i64(row + 8 * INFO) & READ1) == 0:
        here, following = following, here
    return here, following


@helper
def _match_many(row: Any, group: Any, size: Any, mate: Any) -> Any:
    """Do what :func:`_match_few` does, in time linear in the size of the group.

    Records whose pairs have the same positions wait in one queue, which at any time holds only
    reads 1 or only reads 2.
    """
    slots = 4
    while slots < 2 * size:
        slots *= 2
    # Per slot: a record with its key, and the first and last record of its queue, -1 if empty. Per
    # record: the next one in the queue.
    table = np.full((slots, 3), -1, dtype=np.int64)
    following = np.full(size, -1, dtype=np.int64)
    for b in range(size):
        mate[b] = -1
        here = row + ROW * group[b]
        first, second = _pair_positions(here)
        slot = np.int64(mate_key(0, first, second, 0)) & (slots - 1)
        while table[slot, 0] >= 0:
            other_first, other_second = _pair_positions(row + ROW * group[table[slot, 0]])
            if other_first == first and other_second == second:
                break
            slot = (slot + 1) & (slots - 1)
        table[slot, 0] = b
        a = table[slot, 1]
        if a >= 0 and _are_mates(row + ROW * group[a], here):
            mate[a] = b
            mate[b] = a
            table[slot, 1] = following[a]
        elif a >= 0:
            following[table[slot, 2]] = b
            table[slot, 2] = b
        else:
            table[slot, 1] = b
            table[slot, 2] = b


@loop("u1[::1], i8[::1], i8[:, ::1], i8, b1, b1, i8[:, ::1], i8[:, ::1], i8[::1], i8[::1]")
def pair_by_name(
    data: Any,
    offsets: Any,
    rows: Any,
    count: Any,
    paired: Any,
    primary_only: Any,
    fragments: Any,
    missing: Any,
    group: Any,
    mate: Any,
) -> Any:
    """Pair adjacent records with the same name; each single-end record becomes a fragment.

    ``missing`` gets (fragment, row) of each record with an aligned mate that its group does not
    hold. ``group`` and ``mate`` are scratch for the numbers of one group's records. Returns
    (fragments, missing mates).
    """
    base = data.ctypes.data
    row = rows.ctypes.data
    fragment = fragments.ctypes.data
    made = 0
    lost = 0
    i = 0
    while i < count:
        size = 0
        first = i
        if not paired:
            group[0] = i
            size = 1
            i += 1
        while i < count and paired:
            here = row + ROW * i
            if not (primary_only and (load_i64(here + 8 * INFO) & NOT_PRIMARY) != 0):
                if size == 0:
                    first = i
                # The hash is a shortcut only: names that agree in it are compared byte by byte.
                elif load_i64(here + 8 * NAME) != load_i64(
                    row + ROW * first + 8 * NAME
                ) or not same_name(base + offsets[i], base + offsets[first]):
                    break
                group[size] = i
                size += 1
            i += 1
        if size <= FEW:
            _match_few(row, group, size, mate)
        else:
            _match_many(row, group, size, mate)
        for a in range(size):
            other = mate[a]
            if 0 <= other < a:
                continue
            one = group[a]
            here = row + ROW * one
            _clear(fragment)
            set_mate(fragment, here, one, load_i64(here + 8 * SET), paired)
            if other >= 0:
                other = group[other]
                set_mate(
                    fragment,
                    row + ROW * other,
                    other,
                    load_i64(row + ROW * other + 8 * SET),
                    paired,
                )
            elif paired and load_i64(here + 8 * NEXT) != -1:
                missing[lost, 0] = made
                missing[lost, 1] = one
                lost += 1
            fragment += 8 * FRAGMENT_COLUMNS
            made += 1
    return made, lost


@helper
def mate_key(name: Any, here: Any, following: Any, which: Any) -> Any:
    """Hash what identifies a record as the mate of another."""
    value = (
        np.uint64(name)
        + np.uint64(here) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(following) * np.uint64(0xC2B2AE3D27D4EB4F)
    )
    value = (value ^ (value >> np.uint64(31)) ^ np.uint64(which)) * np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@loop("i8[:, ::1], i8[:, ::1], i8, i8, i8[:, ::1], i8")
def recall(rows: Any, missing: Any, count: Any, base: Any, known: Any, used: Any) -> Any:
    """Find a record without its mate whose mate was seen earlier, also alone; remember the others.

    ``known`` is a hash table, int64 (slots, 2): hash, record number + 1 (0 if empty). The number of
    slots is a power of two; once half of them are full, no more are remembered. Returns (index into
    ``missing`` or -1, number of the earlier record, slots used).
    """
    mask = known.shape[0] - 1
    for k in range(count):
        i = missing[k, 1]
        if rows[i, HERE] == -1:
            continue
        which = rows[i, INFO] & READ1
        key = np.int64(mate_key(rows[i, NAME], rows[i, NEXT], rows[i, HERE], which ^ READ1))
        slot = key & mask
        while known[slot, 1] != 0:
            if known[slot, 0] == key:
                return k, known[slot, 1] - 1, used
            slot = (slot + 1) & mask
        if 2 * used >= known.shape[0]:
            continue
        key = np.int64(mate_key(rows[i, NAME], rows[i, HERE], rows[i, NEXT], which))
        slot = key & mask
        while known[slot, 1] != 0 and known[slot, 0] != key:
            slot = (slot + 1) & mask
        if known[slot, 1] == 0:
            known[slot, 0] = key
            known[slot, 1] = base + i + 1
            used += 1
    return -1, 0, used
