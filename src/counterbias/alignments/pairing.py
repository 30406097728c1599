"""Join the records of a pair, as htseq-count joins them, in the order in which it completes them.

Comes in: rows of :mod:`~counterbias.alignments.decoding`. Goes out: a table of fragments. In name order a batch holds whole groups of records
with one name, so batches are independent. In position order a :class:`MatePool` remembers the records whose mate is still to come.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.alignments.decoding import COLUMNS, FIVE, HERE, INFO, NAME, NEXT, NOT_PRIMARY, READ1, SET, TLEN, same_name
from counterbias.alignments.native import load_i32, load_u8, load_u64, store_u64, with_slack

#: Columns of the fragment table; those of read 2 follow, ``MATE`` columns later.
#: WHERE: contig << 32 | position of the 5' end, -1 where missing or unaligned. STATE: a row's INFO, -1 where missing. OVERLAP: its SET.
#: RECORD: the record's number in the batch, or ``-2 - n`` for the n-th record in the batch's spill, -1 where missing.
WHERE, STATE, OVERLAP, RECORD = range(4)
MATE = 4
FRAGMENT_COLUMNS = 8

#: A SET from here downwards points to members in a pool: ``pool[FIRST_POOLED - SET]`` is their number, they follow.
FIRST_POOLED = -3

#: Columns of what a pool knows of a waiting record: its number in the file, its key's rank, its bytes in the arena.
NUMBER, RANK, BLOB, BLOB_SIZE = range(4)
#: Columns of a pool's state.
USED, ARENA, NOTES, RANKS, AMBIGUOUS, FIRST_AMBIGUOUS = range(6)
#: Why pairing by position stopped before the batch's end.
DONE, POOL_FULL, NOTES_FULL, SPILL_FULL = range(4)


@njit(cache=True, nogil=True)
def _set_mate(fragments: Any, fragment: Any, rows: Any, i: Any, record: Any, overlap: Any) -> Any:
    """Write one mate into a fragment, on the side its flag says."""
    side = 0 if (rows[i, INFO] & READ1) != 0 else MATE
    here = rows[i, HERE]
    fragments[fragment, side] = -1 if here == -1 else (here >> 32) << 32 | rows[i, FIVE]
    fragments[fragment, side + STATE] = rows[i, INFO]
    fragments[fragment, side + OVERLAP] = overlap
    fragments[fragment, side + RECORD] = record


@njit(cache=True, nogil=True)
def _clear(fragments: Any, fragment: Any) -> Any:
    """Make a fragment of two missing mates."""
    for side in range(0, 8, MATE):
        fragments[fragment, side] = -1
        fragments[fragment, side + STATE] = -1
        fragments[fragment, side + OVERLAP] = -1
        fragments[fragment, side + RECORD] = -1


@njit(cache=True, nogil=True)
def _are_mates(rows: Any, first: Any, second: Any) -> Any:
    """Tell whether two records of one name are mates, as htseq-count judges."""
    if ((rows[first, INFO] ^ rows[second, INFO]) & READ1) == 0:
        return False
    if (rows[first, HERE] == -1) != (rows[second, NEXT] == -1) or (rows[first, NEXT] == -1) != (rows[second, HERE] == -1):
        return False
    if rows[first, HERE] == -1 or rows[second, HERE] == -1:
        return True
    return rows[first, HERE] == rows[second, NEXT] and rows[second, HERE] == rows[first, NEXT]


@njit(cache=True, nogil=True)
def pair_by_name(
    data: Any, offsets: Any, rows: Any, count: Any, paired: Any, primary_only: Any, fragments: Any, missing: Any
) -> Any:
    """Join adjacent records of one name; single-end records become fragments of their own.

    ``missing`` gets (fragment, row) of each record whose flag promises an aligned mate that its group does not hold.
    Gives (fragments, missing mates).
    """
    made = 0
    lost = 0
    if not paired:
        for i in range(count):
            _clear(fragments, i)
            here = rows[i, HERE]
            fragments[i, WHERE] = -1 if here == -1 else (here >> 32) << 32 | rows[i, FIVE]
            fragments[i, STATE] = rows[i, INFO]
            fragments[i, OVERLAP] = rows[i, SET]
            fragments[i, RECORD] = i
        return count, 0
    group = np.empty(64, dtype=np.int64)
    i = 0
    while i < count:
        size = 0
        first = i
        while i < count:
            if not (primary_only and (rows[i, INFO] & NOT_PRIMARY) != 0):
                if size > 0:
                    # The hash is a shortcut only: names that agree in it are compared byte by byte.
                    if rows[i, NAME] != rows[first, NAME] or not same_name(data, offsets[i], offsets[first]):
                        break
                else:
                    first = i
                if size == group.size:
                    larger = np.empty(2 * size, dtype=np.int64)
                    larger[:size] = group
                    group = larger
                group[size] = i
                size += 1
            i += 1
        for a in range(size):
            one = group[a]
            if one < 0:
                continue
            _clear(fragments, made)
            _set_mate(fragments, made, rows, one, one, rows[one, SET])
            found = False
            for b in range(a + 1, size):
                other = group[b]
                if other >= 0 and _are_mates(rows, one, other):
                    _set_mate(fragments, made, rows, other, other, rows[other, SET])
                    group[b] = -1
                    found = True
                    break
            if not found and rows[one, NEXT] != -1:
                missing[lost, 0] = made
                missing[lost, 1] = one
                lost += 1
            made += 1
    return made, lost


@njit(cache=True, nogil=True)
def _key(name: Any, here: Any, following: Any, which: Any) -> Any:
    """Hash what identifies a record as someone's mate."""
    value = np.uint64(name) + np.uint64(here) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(following) * np.uint64(0xC2B2AE3D27D4EB4F)
    value = (value ^ (value >> np.uint64(31)) ^ np.uint64(which)) * np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def recall(rows: Any, missing: Any, count: Any, base: Any, known: Any, used: Any) -> Any:
    """Look whether a record's lost mate is a record that was lost earlier; remember those that are not.

    ``known`` is a table of a power of two of slots, int64 (slots, 2): hash, record number + 1 (0 is empty). No more is remembered when half
    of it is full. Gives (index into ``missing`` or -1, the earlier record's number, slots used).
    """
    mask = known.shape[0] - 1
    for k in range(count):
        i = missing[k, 1]
        if rows[i, HERE] == -1:
            continue
        which = rows[i, INFO] & READ1
        key = np.int64(_key(rows[i, NAME], rows[i, NEXT], rows[i, HERE], which ^ READ1))
        slot = key & mask
        while known[slot, 1] != 0:
            if known[slot, 0] == key:
                return k, known[slot, 1] - 1, used
            slot = (slot + 1) & mask
        if 2 * used >= known.shape[0]:
            continue
        key = np.int64(_key(rows[i, NAME], rows[i, HERE], rows[i, NEXT], which))
        slot = key & mask
        while known[slot, 1] != 0:
            slot = (slot + 1) & mask
        known[slot, 0] = key
        known[slot, 1] = base + i + 1
        used += 1
    return -1, 0, used


@njit(cache=True, nogil=True)
def _copy(source: Any, start: Any, target: Any, place: Any, size: Any) -> Any:
    """Copy bytes eight at a time; up to seven bytes of the target's slack are overwritten too."""
    for k in range(0, size, 8):
        store_u64(target, place + k, load_u64(source, start + k))


@njit(cache=True, nogil=True)
def pair_by_position(
    data: Any, offsets: Any, rows: Any, start: Any, count: Any, base: Any, primary_only: Any, keep: Any,
    waiting: Any, facts: Any, table: Any, arena: Any, notes: Any, state: Any,
    pool: Any, pooled: Any, fragments: Any, made: Any, spill: Any, spill_offsets: Any, spilled: Any,
) -> Any:  # fmt: skip
    """Join records with mates that wait in the pool; let the others wait.

    A mate agrees in name (its 64-bit hash: a false match would need the same positions too), in both positions and in the
    template length with its sign turned; among several the earliest is taken. With ``keep`` whole records are kept for writing,
    otherwise just their names. Gives (records done, fragments, ints in ``pool``, records spilled, why it stopped).
    """
    mask = table.size - 1
    for i in range(start, count):
        info = rows[i, INFO]
        if primary_only and (info & NOT_PRIMARY) != 0:
            continue
        which = info & READ1
        here = rows[i, HERE]
        following = rows[i, NEXT]
        both = here != -1 and following != -1
        match = -1
        again = False
        slot = np.int64(_key(rows[i, NAME], following, here, which ^ READ1)) & mask
        while table[slot] != 0:
            j = table[slot] - 1
            if (
                waiting[j, NAME] == rows[i, NAME]
                and waiting[j, INFO] != -1
                and (waiting[j, INFO] & READ1) != which
                and waiting[j, HERE] == following
                and waiting[j, NEXT] == here
                and (not both or waiting[j, TLEN] == -rows[i, TLEN])
            ):
                if match >= 0:
                    again = True
                    break
                match = j
            slot = (slot + 1) & mask
        if match >= 0:
            overlap = waiting[match, SET]
            if overlap <= FIRST_POOLED:
                note = FIRST_POOLED - overlap
                size = notes[note] + 1
                if pooled + size > pool.size:
                    return i, made, pooled, spilled, NOTES_FULL
                pool[pooled : pooled + size] = notes[note : note + size]
                overlap = FIRST_POOLED - pooled
                pooled += size
            record = np.int64(-1)
            if keep:
                size = facts[match, BLOB_SIZE]
                if spill_offsets[spilled] + size + 8 > spill.size:
                    return i, made, pooled, spilled, SPILL_FULL
                _copy(arena, facts[match, BLOB], spill, spill_offsets[spilled], size)
                record = -2 - spilled
                spill_offsets[spilled + 1] = spill_offsets[spilled] + size
                spilled += 1
            _clear(fragments, made)
            _set_mate(fragments, made, waiting, match, record, overlap)
            _set_mate(fragments, made, rows, i, i, rows[i, SET])
            made += 1
            waiting[match, INFO] = -1
            if again:
                if state[AMBIGUOUS] == 0:
                    state[FIRST_AMBIGUOUS] = base + i
                state[AMBIGUOUS] += 1
            continue
        size = load_i32(data, offsets[i]) + 4 if keep else load_u8(data, offsets[i] + 12) + 36
        begin = offsets[i] if keep else offsets[i] + 36
        if not keep:
            size -= 36
        overlap = rows[i, SET]
        members = pool[FIRST_POOLED - overlap] + 1 if overlap <= FIRST_POOLED else 0
        j = state[USED]
        if j == waiting.shape[0] or state[ARENA] + size + 8 > arena.size or state[NOTES] + members > notes.size:
            return i, made, pooled, spilled, POOL_FULL
        rank = np.int64(-1)
        slot = np.int64(_key(rows[i, NAME], here, following, which)) & mask
        while table[slot] != 0:
            k = table[slot] - 1
            if (
                rank < 0
                and waiting[k, NAME] == rows[i, NAME]
                and waiting[k, INFO] != -1
                and (waiting[k, INFO] & READ1) == which
                and waiting[k, HERE] == here
                and waiting[k, NEXT] == following
                and (not both or waiting[k, TLEN] == rows[i, TLEN])
            ):
                rank = facts[k, RANK]
            slot = (slot + 1) & mask
        if rank < 0:
            rank = state[RANKS]
            state[RANKS] += 1
        table[slot] = j + 1
        for column in range(COLUMNS):
            waiting[j, column] = rows[i, column]
        if members > 0:
            note = FIRST_POOLED - overlap
            notes[state[NOTES] : state[NOTES] + members] = pool[note : note + members]
            waiting[j, SET] = FIRST_POOLED - state[NOTES]
            state[NOTES] += members
        facts[j, NUMBER] = base + i
        facts[j, RANK] = rank
        facts[j, BLOB] = state[ARENA]
        facts[j, BLOB_SIZE] = size
        _copy(data, begin, arena, state[ARENA], size)
        state[ARENA] += size
        state[USED] += 1
    return count, made, pooled, spilled, DONE


@njit(cache=True, nogil=True)
def _tidy(waiting: Any, facts: Any, table: Any, arena: Any, notes: Any, state: Any) -> Any:
    """Move the records that still wait together, in their order, and build the table anew."""
    table[:] = 0
    mask = table.size - 1
    used = 0
    bytes_used = 0
    notes_used = 0
    for j in range(state[USED]):
        if waiting[j, INFO] == -1:
            continue
        size = facts[j, BLOB_SIZE]
        for k in range(size):
            arena[bytes_used + k] = arena[facts[j, BLOB] + k]
        overlap = waiting[j, SET]
        for column in range(COLUMNS):
            waiting[used, column] = waiting[j, column]
        if overlap <= FIRST_POOLED:
            note = FIRST_POOLED - overlap
            members = notes[note] + 1
            for k in range(members):
                notes[notes_used + k] = notes[note + k]
            waiting[used, SET] = FIRST_POOLED - notes_used
            notes_used += members
        facts[used, NUMBER] = facts[j, NUMBER]
        facts[used, RANK] = facts[j, RANK]
        facts[used, BLOB] = bytes_used
        facts[used, BLOB_SIZE] = size
        bytes_used += size
        slot = np.int64(_key(waiting[used, NAME], waiting[used, HERE], waiting[used, NEXT], waiting[used, INFO] & READ1)) & mask
        while table[slot] != 0:
            slot = (slot + 1) & mask
        table[slot] = used + 1
        used += 1
    state[USED] = used
    state[ARENA] = bytes_used
    state[NOTES] = notes_used


class MatePool:
    """Records whose mates are still to come; its memory follows their number.

    Rows are only ever appended, and dead ones cleared away from time to time, which keeps first come, first served among equal keys.
    """

    def __init__(self, keep: bool, capacity: int = 1 << 14) -> None:
        self.keep = keep
        self.waiting: NDArray[np.int64] = np.empty((capacity, COLUMNS), dtype=np.int64)
        self.facts: NDArray[np.int64] = np.empty((capacity, 4), dtype=np.int64)
        self.table: NDArray[np.int32] = np.zeros(4 * capacity, dtype=np.int32)
        self.arena: NDArray[np.uint8] = with_slack(capacity * 48)
        self.notes: NDArray[np.int32] = np.empty(1024, dtype=np.int32)
        self.state: NDArray[np.int64] = np.zeros(6, dtype=np.int64)

    def make_room(self, size: int, members: int) -> None:
        """Clear dead rows away, and grow where the living fill more than half; ``size`` and ``members`` must fit then."""
        _tidy(self.waiting, self.facts, self.table, self.arena, self.notes, self.state)
        used, arena, notes = (int(value) for value in self.state[:3])
        if 2 * used > len(self.waiting):
            rows = 2 * len(self.waiting)
            self.waiting = _grown(self.waiting, rows, used)
            self.facts = _grown(self.facts, rows, used)
            self.table = np.zeros(4 * rows, dtype=np.int32)
            _tidy(self.waiting, self.facts, self.table, self.arena, self.notes, self.state)
        if 2 * (arena + size + 8) > len(self.arena):
            self.arena = _grown(self.arena, 2 * len(self.arena) + 2 * size, arena)
        if 2 * (notes + members) > len(self.notes):
            self.notes = _grown(self.notes, 2 * len(self.notes) + 2 * members, notes)

    def left(self) -> NDArray[np.int64]:
        """Give the indices of the rows that still wait, in htseq-count's order: by key, then first come, first served."""
        used = int(self.state[USED])
        alive = np.flatnonzero(self.waiting[:used, INFO] != -1)
        return alive[np.argsort(self.facts[alive, RANK], kind="stable")]

    def name(self, j: int) -> str:
        """Give a waiting record's name."""
        start = int(self.facts[j, BLOB]) + (36 if self.keep else 0)
        size = int(self.arena[start - 24]) if self.keep else int(self.facts[j, BLOB_SIZE])
        return self.arena[start : start + size - 1].tobytes().decode("utf-8", "replace")


def match_without_length(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match rows that are mates but for the template length, first come, first served.

    Gives the indices of reads 1 and of reads 2, in the order in which the pairs were complete.
    """
    is_first = (rows[:, INFO] & READ1) != 0
    keys = np.stack(
        (rows[:, NAME], np.where(is_first, rows[:, HERE], rows[:, NEXT]), np.where(is_first, rows[:, NEXT], rows[:, HERE])), axis=1
    )
    # Sorted by key, then by read 1 or 2, then by order; equal ranks within a key's reads 1 and reads 2 go together.
    order = np.lexsort((np.arange(len(rows)), ~is_first, keys[:, 2], keys[:, 1], keys[:, 0]))
    if not len(order):
        return order, order
    ordered = keys[order]
    new_key = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))
    new_run = new_key | np.concatenate(([True], is_first[order][1:] != is_first[order][:-1]))
    group = np.cumsum(new_key)
    rank = np.arange(len(order)) - np.flatnonzero(new_run)[np.cumsum(new_run) - 1]
    again = np.lexsort((~is_first[order], rank, group))
    same = (group[again][1:] == group[again][:-1]) & (rank[again][1:] == rank[again][:-1])
    first, second = order[again[:-1][same]], order[again[1:][same]]
    complete = np.argsort(np.maximum(first, second), kind="stable")
    return first[complete], second[complete]


def as_fragments(waiting: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the fragment table of waiting records; ``chosen`` has a column per mate. They count as spilled: record ``-2 - j``."""
    fragments = np.full((len(chosen), FRAGMENT_COLUMNS), -1, dtype=np.int64)
    every = np.arange(len(chosen))
    for mate in range(chosen.shape[1]):
        j = chosen[:, mate]
        rows = waiting[j]
        side = np.where((rows[:, INFO] & READ1) != 0, 0, MATE)
        here = rows[:, HERE]
        fragments[every, side + WHERE] = np.where(here == -1, -1, (here >> 32) << 32 | rows[:, FIVE])
        fragments[every, side + STATE] = rows[:, INFO]
        fragments[every, side + OVERLAP] = rows[:, SET]
        fragments[every, side + RECORD] = -2 - j
    return fragments


def _grown(array: NDArray[Any], rows: int, used: int) -> NDArray[Any]:
    """Give a longer copy of an array's first ``used`` rows."""
    larger = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
    larger[:used] = array[:used]
    return larger
