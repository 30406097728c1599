"""Pairing mates in position order: a :class:`MatePool` holds the records whose mate is to come.

Records with the same name, positions and template length wait in a queue, first come, first served,
so that neither time nor memory grows faster than their number. For name order see
:mod:`~counterbias.pipeline.counting.pairing`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    TLEN,
    name_of,
)
from counterbias.loops import helper, loop
from counterbias.native import load_i32, load_i64, load_u8, store_i32, store_i64, with_slack
from counterbias.pipeline.counting.pairing import (
    FIRST_POOLED,
    FRAGMENT_COLUMNS,
    MATE,
    OVERLAP,
    RECORD,
    ROW,
    STATE,
    WHERE,
    mate_key,
    set_mate,
)

#: Columns of the facts about a waiting record: its key's rank, offset and number of its bytes in
#: the arena and, where several wait with the same key, the next one; for the first, also the last
#: one (next | last << 32).
RANK, BLOB, BLOB_SIZE, QUEUE = range(4)
FACTS = 4
FACT = 8 * FACTS
#: Columns of a pool's state.
USED, ARENA, NOTES, RANKS, AMBIGUOUS, FIRST_AMBIGUOUS = range(6)
#: Why pairing by position stopped: at the batch's end, or where something must grow.
DONE, POOL_FULL, NOTES_FULL, SPILL_FULL = range(4)


@helper
def _copy(source: Any, target: Any, size: Any) -> Any:
    """Copy bytes eight at a time; up to seven bytes after the target are overwritten too."""
    for k in range(0, size, 8):
        store_i64(target + k, load_i64(source + k))


@helper
def _matched_length(here: Any, following: Any, length: Any) -> Any:
    """Return the template length in which mates must agree: 0 where one is unaligned."""
    return np.int64(0) if here == -1 or following == -1 else length


@helper
def _find(
    table: Any,
    mask: Any,
    waiting: Any,
    name: Any,
    here: Any,
    following: Any,
    which: Any,
    length: Any,
) -> Any:
    """Look up a key.

    Returns (the first row that waits under it or -1, the address of its slot or of one for it).
    ``table`` and ``waiting`` are addresses. A slot holds the number j of such a row as j + 1 or,
    where others wait after it, as -2 - j; 0 if it was never used, -1 if no row waits any more.
    """
    length = _matched_length(here, following, length)
    free = np.int64(0)
    slot = np.int64(mate_key(name, here, following, which + (length << 8))) & mask
    while True:
        place = table + 4 * slot
        j = load_i32(place)
        if j == 0:
            return np.int64(-1), place if free == 0 else free
        j = j - 1 if j > 0 else -2 - j
        if j < 0:
            if free == 0:
                free = place
        else:
            row = waiting + ROW * j
            if (
                load_i64(row + 8 * NAME) == name
                and load_i64(row + 8 * HERE) == here
                and load_i64(row + 8 * NEXT) == following
                and (load_i64(row + 8 * INFO) & READ1) == which
                and _matched_length(here, following, load_i64(row + 8 * TLEN)) == length
            ):
                return j, place
        slot = (slot + 1) & mask


@helper
def _wait(slot: Any, facts: Any, first: Any, j: Any) -> Any:
    """Add row ``j`` to the queue of a key, which begins with row ``first``, -1 if empty.

    ``slot`` and ``facts`` are addresses.
    """
    if first < 0:
        store_i32(slot, j + 1)
        return
    queue = facts + FACT * first + 8 * QUEUE
    if load_i32(slot) > 0:
        store_i64(queue, j | j << 32)
        store_i32(slot, -2 - first)
        return
    store_i64(facts + FACT * (load_i64(queue) >> 32) + 8 * QUEUE, j)
    store_i64(queue, (load_i64(queue) & 0xFFFFFFFF) | j << 32)


@helper
def _leave(slot: Any, facts: Any, first: Any) -> Any:
    """Remove the first row from the queue of a slot; return whether others waited after it.

    ``slot`` and ``facts`` are addresses.
    """
    if load_i32(slot) > 0:
        store_i32(slot, np.int64(-1))
        return False
    queue = load_i64(facts + FACT * first + 8 * QUEUE)
    after, last = queue & 0xFFFFFFFF, queue >> 32
    if after == last:
        store_i32(slot, after + 1)
    else:
        queue = facts + FACT * after + 8 * QUEUE
        store_i64(queue, (load_i64(queue) & 0xFFFFFFFF) | last << 32)
        store_i32(slot, -2 - after)
    return True


@loop(
    "u1[::1], i8[::1], i8[:, ::1], i8, i8, i8, b1, b1, i8[:, ::1], i8[:, ::1], i4[::1], "
    "u1[::1], i4[::1], i8[::1], i4[::1], i8, i8[:, ::1], i8, u1[::1], i8[::1], i8",
)
def pair_by_position(
    data: Any, offsets: Any, rows: Any, start: Any, count: Any, base: Any,
    primary_only: Any, keep: Any,
    waiting: Any, facts: Any, table: Any, arena: Any, notes: Any, state: Any,
    pool: Any, pooled: Any, fragments: Any, made: Any,
    spill: Any, spill_offsets: Any, spilled: Any,
) -> Any:  # fmt: skip
    """Pair records with mates that wait in the pool; add the others to it.

    A mate has the same name (the same 64-bit hash: a false match would need the same positions
    too), the same positions, and the template length with opposite sign; of several the earliest is
    taken. With ``keep`` whole records are kept for writing, otherwise only their names. Returns
    (records done, fragments, ints in ``pool``, records spilled, why it stopped).
    """
    mask = table.size - 1
    bytes_of = data.ctypes.data
    waiting_at, facts_at, table_at = waiting.ctypes.data, facts.ctypes.data, table.ctypes.data
    arena_at = arena.ctypes.data
    used = state[USED]
    for i in range(start, count):
        row = rows.ctypes.data + ROW * i
        info = load_i64(row + 8 * INFO)
        if primary_only and (info & NOT_PRIMARY) != 0:
            continue
        which = info & READ1
        name = load_i64(row + 8 * NAME)
        here = load_i64(row + 8 * HERE)
        following = load_i64(row + 8 * NEXT)
        length = load_i64(row + 8 * TLEN)
        match, slot = _find(
            table_at, mask, waiting_at, name, following, here, which ^ READ1, -length
        )
        if match >= 0:
            overlap = waiting[match, SET]
            if overlap <= FIRST_POOLED:
                note = FIRST_POOLED - overlap
                size = np.int64(notes[note]) + 1
                if pooled + size > pool.size:
                    state[USED] = used
                    return i, made, pooled, spilled, NOTES_FULL
                for m in range(size):
                    pool[pooled + m] = notes[note + m]
                overlap = FIRST_POOLED - pooled
                pooled += size
            record = np.int64(-1)
            if keep:
                size = facts[match, BLOB_SIZE]
                if spill_offsets[spilled] + size + 8 > spill.size:
                    state[USED] = used
                    return i, made, pooled, spilled, SPILL_FULL
                _copy(
                    arena_at + facts[match, BLOB], spill.ctypes.data + spill_offsets[spilled], size
                )
                record = -2 - spilled
                spill_offsets[spilled + 1] = spill_offsets[spilled] + size
                spilled += 1
            fragment = fragments.ctypes.data + 8 * FRAGMENT_COLUMNS * made
            set_mate(fragment, waiting_at + ROW * match, record, overlap, True)
            set_mate(fragment, row, np.int64(i), load_i64(row + 8 * SET), True)
            made += 1
            waiting[match, INFO] = -1
            if _leave(slot, facts_at, match):
                if state[AMBIGUOUS] == 0:
                    state[FIRST_AMBIGUOUS] = base + i
                state[AMBIGUOUS] += 1
            continue
        record = bytes_of + offsets[i]
        begin = record if keep else record + 36
        size = load_i32(record) + 4 if keep else load_u8(record + 12)
        overlap = load_i64(row + 8 * SET)
        members: Any = (
            np.int64(pool[FIRST_POOLED - overlap]) + 1 if overlap <= FIRST_POOLED else np.int64(0)
        )
        if (
            used == waiting.shape[0]
            or state[ARENA] + size + 8 > arena.size
            or state[NOTES] + members > notes.size
        ):
            state[USED] = used
            return i, made, pooled, spilled, POOL_FULL
        queue, slot = _find(table_at, mask, waiting_at, name, here, following, which, length)
        if queue >= 0:
            rank = facts[queue, RANK]
        else:
            rank = state[RANKS]
            state[RANKS] += 1
        _wait(slot, facts_at, queue, used)
        _copy(row, waiting_at + ROW * used, ROW)
        if members > 0:
            note = FIRST_POOLED - overlap
            for m in range(members):
                notes[state[NOTES] + m] = pool[note + m]
            waiting[used, SET] = FIRST_POOLED - state[NOTES]
            state[NOTES] += members
        facts[used, RANK] = rank
        facts[used, BLOB] = state[ARENA]
        facts[used, BLOB_SIZE] = size
        _copy(begin, arena_at + state[ARENA], size)
        state[ARENA] += size
        used += 1
    state[USED] = used
    return count, made, pooled, spilled, DONE


@loop("i8[:, ::1], i8[:, ::1], i4[::1], u1[::1], i4[::1], i8[::1]")
def _tidy(waiting: Any, facts: Any, table: Any, arena: Any, notes: Any, state: Any) -> Any:
    """Move the records that still wait together, in order, and rebuild the table."""
    table[:] = 0
    mask = table.size - 1
    used = 0
    bytes_used: Any = 0
    notes_used: Any = 0
    for j in range(state[USED]):
        if waiting[j, INFO] == -1:
            continue
        size = facts[j, BLOB_SIZE]
        # Downwards and in order, so what is overwritten (slack too) is of this record or was moved.
        if bytes_used != facts[j, BLOB]:
            for k in range(size):
                arena[bytes_used + k] = arena[facts[j, BLOB] + k]
        overlap = waiting[j, SET]
        _copy(waiting.ctypes.data + ROW * j, waiting.ctypes.data + ROW * used, ROW)
        if overlap <= FIRST_POOLED:
            note = FIRST_POOLED - overlap
            members = np.int64(notes[note]) + 1
            for m in range(members):
                notes[notes_used + m] = notes[note + m]
            waiting[used, SET] = FIRST_POOLED - notes_used
            notes_used += members
        facts[used, RANK] = facts[j, RANK]
        facts[used, BLOB] = bytes_used
        facts[used, BLOB_SIZE] = size
        bytes_used += size
        queue, slot = _find(
            table.ctypes.data, mask, waiting.ctypes.data,
            waiting[used, NAME], waiting[used, HERE], waiting[used, NEXT],
            waiting[used, INFO] & READ1, waiting[used, TLEN],
        )  # fmt: skip
        _wait(slot, facts.ctypes.data, queue, used)
        used += 1
    state[USED] = used
    state[ARENA] = bytes_used
    state[NOTES] = notes_used


class MatePool:
    """The records whose mates are still to come; its memory is proportional to their number.

    Rows are only appended, and those of paired records removed from time to time, so that records
    with equal keys are served first come, first served.

    Args:
        keep: whether to keep whole records, to be written, or only their names.
        capacity: rows to begin with.
    """

    def __init__(self, keep: bool, capacity: int = 1 << 12) -> None:
        self.keep = keep
        self.waiting: NDArray[np.int64] = np.empty((capacity, COLUMNS), dtype=np.int64)
        self.facts: NDArray[np.int64] = np.empty((capacity, FACTS), dtype=np.int64)
        self.table: NDArray[np.int32] = np.zeros(4 * capacity, dtype=np.int32)
        self.arena: NDArray[np.uint8] = with_slack(capacity * 48)
        self.notes: NDArray[np.int32] = np.empty(1024, dtype=np.int32)
        self.state: NDArray[np.int64] = np.zeros(6, dtype=np.int64)

    def make_room(self, size: int, members: int) -> None:
        """Remove the rows of paired records, and grow where the others fill more than half.

        A record of ``size`` bytes and a set of ``members`` features fit afterwards.
        """
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
        """Return the rows that still wait, in htseq-count's order: by key, then by arrival."""
        used = int(self.state[USED])
        alive = np.flatnonzero(self.waiting[:used, INFO] != -1)
        return alive[np.argsort(self.facts[alive, RANK], kind="stable")]

    def name(self, j: int) -> str:
        """Return a waiting record's name."""
        start = int(self.facts[j, BLOB]) + (36 if self.keep else 0)
        size = int(self.arena[start - 24]) if self.keep else int(self.facts[j, BLOB_SIZE])
        return name_of(self.arena[start : start + size])


def match_without_length(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match rows that are mates except for the template length, first come, first served.

    Returns the indices of reads 1 and of reads 2, in the order in which the pairs were completed.
    """
    is_first = (rows[:, INFO] & READ1) != 0
    keys = np.stack(
        (
            rows[:, NAME],
            np.where(is_first, rows[:, HERE], rows[:, NEXT]),
            np.where(is_first, rows[:, NEXT], rows[:, HERE]),
        ),
        axis=1,
    )
    # Sorted by key, then read 1 or 2, then arrival; the n-th read 1 and the n-th read 2 are mates.
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
    """Return the fragment table of waiting records; ``chosen`` has a column per mate.

    They count as spilled: the record of row ``j`` is ``-2 - j``.
    """
    fragments = np.full((len(chosen), FRAGMENT_COLUMNS), -1, dtype=np.int64)
    every = np.arange(len(chosen))
    for mate in range(chosen.shape[1]):
        j = chosen[:, mate]
        rows = waiting[j]
        side = np.where((rows[:, INFO] & READ1) != 0, 0, MATE)
        here = rows[:, HERE]
        fragments[every, side + WHERE] = np.where(
            here == -1, -1, (here >> 32) << 32 | rows[:, FIVE]
        )
        fragments[every, side + STATE] = rows[:, INFO]
        fragments[every, side + OVERLAP] = rows[:, SET]
        fragments[every, side + RECORD] = -2 - j
    return fragments


def _grown(array: NDArray[Any], rows: int, used: int) -> NDArray[Any]:
    """Return a copy of an array's first ``used`` rows with room for ``rows``."""
    larger = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
    larger[:used] = array[:used]
    return larger
