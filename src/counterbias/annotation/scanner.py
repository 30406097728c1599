"""The compiled scanner: bytes of an annotation → rows of integers and the strings they refer to.

It reads every line that is pure ASCII and well formed, with htseq-count's meaning, and stops at any
other, which the caller reads with :class:`~counterbias.annotation.lines.LineParser`. So it never
reports an error and never guesses.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from counterbias.loops import helper, loop
from counterbias.native import load_i64, load_u8, same_bytes

# Entries of the state, which lives from call to call.
POSITION, LINE, FEATURES, ROWS, STRINGS, ARENA, LINE_START, LINE_END = range(8)
STATE_SIZE = 8
# Columns of a row; the values of the wanted attributes follow. A string is given by its number,
# -1 where there is none.
CONTIG, START, END, STRAND, VALUES = range(5)
# Columns of the string table: offset and length of the string in the arena, its hash, and how
# often it was a feature type.
OFFSET, LENGTH, HASH, AS_TYPE = range(4)

# Why a scan stopped.
DONE, ODD, FULL = range(3)

_TAB, _LF, _CR, _SPACE, _QUOTE, _SEMICOLON, _EQUALS = 9, 10, 13, 32, 34, 59, 61

# Functions that only compiled code calls need no Python wrapper, which halves their compile time.


@helper
def _columns(data, position, tabs):
    """Find the first eight tabs; return the position after them, -1 for an unusual line."""
    found = 0
    while True:
        byte = data[position]
        if byte == _TAB:
            tabs[found] = position
            found += 1
            if found == 8:
                return position + 1
        elif byte < _SPACE or byte >= 128:
            return -1
        position += 1


@helper
def _integer(start, end):
    """Read plain digits between two addresses, at most 18; return -1 for anything else."""
    if end <= start or end - start > 18:
        return -1
    value = np.int64(0)
    for position in range(start, end):
        byte = load_u8(position)
        if byte < 48 or byte > 57:
            return -1
        value = value * 10 + byte - 48
    return value


@helper
def _plain_score(start, end):
    """Whether a score is ``.`` or of the form 12.5: at least one digit, at most one point.

    ``start`` and ``end`` are addresses.
    """
    if end - start == 1 and load_u8(start) == 46:
        return True
    digits = 0
    points = 0
    for position in range(start, end):
        byte = load_u8(position)
        if byte == 46:
            points += 1
        elif 48 <= byte <= 57:
            digits += 1
        else:
            return False
    return digits > 0 and points <= 1


@helper
def _is_among(data, start, end, wanted, bounds, types):
    """Whether a stretch of bytes is one of the first ``types`` words."""
    for word in range(types):
        size = bounds[word + 1] - bounds[word]
        if end - start == size and same_bytes(
            data.ctypes.data + start, wanted.ctypes.data + bounds[word], size
        ):
            return True
    return False


@helper
def _attributes(data, position, gtf, wanted, bounds, first_key, spans):
    """Read the last column; return the position of its line break, -1 for an unusual line.

    ``spans`` gets start and end of the value of each wanted attribute, start -1 where the line has
    none; the last of several counts.
    """
    keys = len(spans) // 2
    for key in range(keys):
        spans[2 * key] = -1
    while True:
        byte = data[position]
        while byte in (_SPACE, _TAB, _SEMICOLON):
            position += 1
            byte = data[position]
        if byte in (_LF, _CR):
            return position
        key_start = position
        while byte not in (_SPACE, _EQUALS, _TAB):
            if byte < _SPACE or byte >= 128 or byte == _SEMICOLON or (gtf and byte == _QUOTE):
                return -1
            position += 1
            byte = data[position]
        key_end = position
        if key_start == key_end:
            return -1
        while byte in (_SPACE, _EQUALS, _TAB):
            position += 1
            byte = data[position]
        value_start = position
        quoted = gtf and byte == _QUOTE
        if quoted:
            position += 1
            byte = data[position]
            while byte != _QUOTE:
                if byte < _SPACE or byte >= 128:
                    return -1
                position += 1
                byte = data[position]
            position += 1
            byte = data[position]
        value_end = position
        while byte not in (_SEMICOLON, _LF, _CR):
            if byte < _SPACE or byte >= 128 or (gtf and byte == _QUOTE):
                return -1
            position += 1
            byte = data[position]
        if quoted and value_end == position:
            value_start += 1
            value_end -= 1
        else:
            # What follows a closing quote belongs to the value, and then the quotes are kept.
            value_end = position
        for key in range(keys):
            first = bounds[first_key + key]
            size = bounds[first_key + key + 1] - first
            if key_end - key_start == size and same_bytes(
                data.ctypes.data + key_start, wanted.ctypes.data + first, size
            ):
                spans[2 * key] = value_start
                spans[2 * key + 1] = value_end


@helper
def _intern(data, start, end, state, strings, arena, table):
    """Return the number of a string, adding it where it is new."""
    code = np.uint64(14695981039346656037)  # FNV-1a
    for position in range(start, end):
        code = (code ^ np.uint64(data[position])) * np.uint64(1099511628211)
    code = (code ^ (code >> np.uint64(29))) >> np.uint64(1)
    mask = len(table) - 1
    slot = np.int64(code) & mask
    while table[slot] >= 0:
        known = table[slot]
        if (
            strings[known, HASH] == np.int64(code)
            and strings[known, LENGTH] == end - start
            and same_bytes(
                data.ctypes.data + start, arena.ctypes.data + strings[known, OFFSET], end - start
            )
        ):
            return known
        slot = (slot + 1) & mask
    new = state[STRINGS]
    offset = state[ARENA]
    for position in range(start, end):
        arena[offset + position - start] = data[position]
    strings[new, OFFSET] = offset
    strings[new, LENGTH] = end - start
    strings[new, HASH] = np.int64(code)
    strings[new, AS_TYPE] = 0
    table[slot] = new
    state[STRINGS] = new + 1
    state[ARENA] = offset + end - start
    return new


@loop("i8[:, ::1], i8, i8[::1]")
def index_strings(strings, used, table):
    """Enter the first ``used`` strings into the hash index ``table``.

    The table is all -1, and its length a power of two.
    """
    mask = len(table) - 1
    for number in range(used):
        slot = strings[number, HASH] & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = number


@helper
def _interval(data, tabs, selected, stranded):
    """Read columns 4 to 8 of a line. ``data`` and ``tabs``, where its tabs are, are addresses.

    Returns (start, end, strand); the strand is -1 for an unusual line.
    """
    third, fourth = data + load_i64(tabs + 16), data + load_i64(tabs + 24)
    fifth, sixth = data + load_i64(tabs + 32), data + load_i64(tabs + 40)
    seventh, eighth = data + load_i64(tabs + 48), data + load_i64(tabs + 56)
    first = _integer(third + 1, fourth)
    last = _integer(fourth + 1, fifth)
    sign = load_u8(sixth + 1)
    strand = 0 if sign == 43 else 1 if sign == 45 else 2
    no_frame = eighth - seventh == 2 and load_u8(seventh + 1) == 46
    if (
        first < 0
        or last < 0
        or first > last + 1
        or seventh - sixth != 2
        or (strand == 2 and sign != 46)
        or not (no_frame or _integer(seventh + 1, eighth) >= 0)
        or not _plain_score(fifth + 1, sixth)
        or (selected and (first == 0 or first > last or (stranded and strand == 2)))
    ):
        strand = -1
    return first - 1, last, strand


@helper
def _line_end(data, position):
    """Return the position of the next line break."""
    while data[position] != _LF and data[position] != _CR:
        position += 1
    return position


@loop(
    "u1[::1], i8, i8[::1], b1, b1, u1[::1], i8[::1], i8, i8, i8[:, ::1], i8[:, ::1], u1[::1], "
    "i8[::1], i8[::1], i8[::1], i8[::1]",
)
def scan(
    data,
    size,
    state,
    gtf,
    stranded,
    wanted,
    bounds,
    types,
    required,
    rows,
    strings,
    arena,
    table,
    tabs,
    spans,
    latest,
):
    """Scan ``data[state[POSITION]:size]``, which ends with a line break.

    ``wanted[bounds[i]:bounds[i + 1]]`` are first the ``types`` feature types, then the attributes,
    of which a line must have the first ``required``. ``tabs`` (8), ``spans`` (2 per attribute) and
    ``latest`` (2 more than attributes, all -1) are scratch.

    Returns DONE at the end; ODD at an unusual line, whose bounds are in ``state`` and for which
    ``rows`` has room; or FULL where a table must grow before the scan can go on.
    """
    keys = len(spans) // 2
    no_spans = spans[:0]
    position = state[POSITION]
    while position < size:
        line_start = position
        end = -1
        byte = data[position]
        if byte in (_LF, _CR):
            end = position
        elif byte == 35:
            end = position + 1
            while (data[end] >= _SPACE and data[end] < 128) or data[end] == _TAB:
                end += 1
            if data[end] != _LF and data[end] != _CR:
                end = -1
        else:
            used = state[STRINGS]
            if (
                state[ROWS] == len(rows)
                or used + keys + 2 > len(strings)
                or 2 * (used + keys + 2) > len(table)
            ):
                state[POSITION] = line_start
                return FULL
            at = state[ROWS]
            position = _columns(data, position, tabs)
            selected = position >= 0 and _is_among(
                data, tabs[1] + 1, tabs[2], wanted, bounds, types
            )
            if position >= 0:
                end = _attributes(
                    data, position, gtf, wanted, bounds, types, spans if selected else no_spans
                )
            if end >= 0:
                rows[at, START], rows[at, END], rows[at, STRAND] = _interval(
                    data.ctypes.data, tabs.ctypes.data, selected, stranded
                )
                if rows[at, STRAND] < 0:
                    end = -1
            if end >= 0 and selected:
                for key in range(required):
                    if spans[2 * key] < 0:
                        end = -1
            if end >= 0:
                if state[ARENA] + end - line_start > len(arena):
                    state[POSITION] = line_start
                    return FULL
                state[FEATURES] += 1
                # Entry 0 of the scratch is the type, 1 the contig, then the attributes.
                for item in range(keys + 2 if selected else 1):
                    if item == 0:
                        start, stop = tabs[1] + 1, tabs[2]
                    elif item == 1:
                        start, stop = line_start, tabs[0]
                    else:
                        start, stop = spans[2 * item - 4], spans[2 * item - 3]
                    number = -1
                    if start >= 0:
                        # Most strings are those of the line before. A call with five arrays,
                        # each with its count of references, would take far longer.
                        number = latest[item]
                        if (
                            number < 0
                            or strings[number, LENGTH] != stop - start
                            or not same_bytes(
                                data.ctypes.data + start,
                                arena.ctypes.data + strings[number, OFFSET],
                                stop - start,
                            )
                        ):
                            number = _intern(data, start, stop, state, strings, arena, table)
                            latest[item] = number
                    if item == 0:
                        strings[number, AS_TYPE] += 1
                    elif item == 1:
                        rows[at, CONTIG] = number
                    else:
                        rows[at, VALUES + item - 2] = number
                if selected:
                    state[ROWS] += 1
        state[LINE] += 1
        odd = end < 0
        if odd:
            end = _line_end(data, line_start)
            state[LINE_START] = line_start
            state[LINE_END] = end
        position = end + 1
        if data[end] == _CR and position < size and data[position] == _LF:
            position += 1
        state[POSITION] = position
        if odd:
            return ODD
    return DONE
