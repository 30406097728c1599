"""Turning the bytes of BAM records into rows of numbers (SAMv1 specification, section 4.2).

Input: inflated bytes. :func:`walk` finds where records start, one after the other; :func:`decode`
then reads a batch of them, in any thread. Output: one row of eight int64 per record, and the
reference intervals that it covers. The loops read untrusted bytes without the interpreter's checks,
so every length is compared with the record's end before it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.native import (
    load_i32,
    load_i64,
    load_u8,
    load_u16,
    load_u64,
    prefetch,
    store_i64,
)
from counterbias.records import CLIPPED, PRESENT, REVERSE, TRAINABLE

#: Columns of a row.
#: NAME: 64-bit hash of the name. HERE, NEXT: contig << 32 | position of the record and of its mate,
#: -1 where htseq-count regards it as unaligned. INFO: see below. FIVE: position of the 5'-most
#: aligned base. SET: the features it overlaps (filled in by the assignment stage). TLEN: template
#: length. END: where the alignment ends.
NAME, HERE, NEXT, INFO, FIVE, SET, TLEN, END = range(8)
COLUMNS = 8

#: Within INFO: the flag (16 bits), MAPQ (8), the bits of ``EndSites`` (4), the class of the NH tag
#: (2); from HITS_SHIFT on, where the assignment stage fills it in, the number in the NH tag.
MAPQ_SHIFT, BITS_SHIFT, NH_SHIFT, HITS_SHIFT = 16, 24, 28, 32
NH_ABSENT, NH_ONE, NH_MANY, NH_INVALID = 0, 1, 2, 3
#: What :func:`integer_tag` returns for a tag of another type: no integer of 32 bits.
NO_INTEGER = -(1 << 62)

PAIRED_FLAG, UNMAPPED, MATE_UNMAPPED, REVERSE_FLAG, READ1, READ2 = 0x1, 0x4, 0x8, 0x10, 0x40, 0x80
NOT_PRIMARY = 0x900

#: SET until the assignment stage fills it in.
SET_NONE = -1

#: Longest record that is accepted: a corrupted length must not make us collect the whole file.
MAX_RECORD = 1 << 28

#: The problems that :func:`walk` and :func:`decode` find.
(
    BAD_SIZE,
    BAD_LENGTHS,
    BAD_CONTIG,
    BAD_POSITION,
    BAD_CIGAR,
    BAD_CIGAR_LENGTH,
    BAD_TAGS,
    NOT_PAIRED,
    NEITHER_READ,
) = range(1, 10)
PROBLEMS = {
    BAD_SIZE: "a record has an impossible length",
    BAD_LENGTHS: "the lengths of name, CIGAR and sequence do not fit into the record",
    BAD_CONTIG: "the record lies on a contig that the header does not have",
    BAD_POSITION: "the record is mapped to an impossible position",
    BAD_CIGAR: "the CIGAR holds an unknown operation",
    BAD_CIGAR_LENGTH: "the CIGAR and the sequence differ in length",
    BAD_TAGS: "a tag runs over the end of the record or has an unknown type",
    NOT_PAIRED: "a single-end record among paired-end ones",
    NEITHER_READ: "a paired-end record is neither read 1 nor read 2 (flags 0x40, 0x80)",
}


def name_of(field: NDArray[np.uint8]) -> str:
    """Return the text of a name field, for messages."""
    return field.tobytes().partition(b"\0")[0].decode("utf-8", "replace")


@helper
def fields_end(start: Any) -> Any:
    """Return the address at which a record's tags start, -1 where a length is impossible.

    The record's first 36 bytes must have been read.
    """
    length = load_i32(start + 20)
    name = load_u8(start + 12)
    end = start + 36 + name + 4 * load_u16(start + 16) + ((length + 1) >> 1) + length
    if name < 1 or length < 0 or end > start + 4 + load_i32(start):
        return -1
    return end


@helper
def same_name(first: Any, second: Any) -> Any:
    """Whether two records, whose name fields lie within them, have the same name.

    As in htslib, a name ends at its first NUL or, where a damaged file has none, with its field.
    """
    length = load_u8(first + 12)
    if length == load_u8(second + 12):
        place = 36
        left = length
        while left >= 8 and load_u64(first + place) == load_u64(second + place):
            place += 8
            left -= 8
        # Bytes after the name are shifted out; they lie within the record or the buffer's slack.
        if left == 0 or (
            left < 8
            and ((load_u64(first + place) ^ load_u64(second + place)) << np.uint64(64 - 8 * left))
            == 0
        ):
            return True
    for i in range(256):
        one = load_u8(first + 36 + i) if i < length else 0
        other = load_u8(second + 36 + i) if i < load_u8(second + 12) else 0
        if one != other:
            return False
        if one == 0:
            break
    return True


@loop("u1[::1], i8, i8, i8[::1], b1, b1")
def walk(data: Any, start: Any, end: Any, offsets: Any, keep_groups: Any, primary_only: Any) -> Any:
    """Write the starts of the complete records in ``data[start:end]`` to ``offsets``.

    With ``keep_groups`` the last group of records with the same name is left for the next batch,
    since it may continue there. Records that take no part in pairing do not separate groups.
    Returns (records, start of the rest, problem or 0).
    """
    base = data.ctypes.data
    count = 0
    here = start
    while here + 4 <= end:
        size = load_i32(base + here)
        if size < 32 or size > MAX_RECORD:
            return count, here, BAD_SIZE
        if here + 4 + size > end:
            if here + 36 <= end and fields_end(base + here) < 0:
                return count, here, BAD_LENGTHS
            break
        # Records are of similar length, so one of the next lies about here.
        prefetch(base + here + 5 * size)
        offsets[count] = here
        count += 1
        here += 4 + size
    if not keep_groups:
        return count, here, 0
    last = count - 1
    while last >= 0 and primary_only and (load_u16(base + offsets[last] + 18) & NOT_PRIMARY) != 0:
        last -= 1
    first = max(last, 0)
    for i in range(last - 1, -1, -1):
        record = base + offsets[i]
        if primary_only and (load_u16(record + 18) & NOT_PRIMARY) != 0:
            continue
        if fields_end(record) < 0 or not same_name(record, base + offsets[last]):
            break
        first = i
    if count > 0:
        here = offsets[first]
    return first, here, 0


@helper
def _has_zero(word: Any) -> Any:
    """Whether one of a word's eight bytes is 0."""
    low, high = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
    return ((word - low) & ~word & high) != 0


@helper
def next_tag(here: Any, end: Any) -> Any:
    """Return the start of the tag after the one at ``here``, -1 where it is malformed."""
    if here + 4 > end:
        return -1
    tag_type = load_u8(here + 2)
    here += 3
    if tag_type == 65 or tag_type == 99 or tag_type == 67:  # A c C
        here += 1
    elif tag_type == 115 or tag_type == 83:  # s S
        here += 2
    elif tag_type == 105 or tag_type == 73 or tag_type == 102:  # i I f
        here += 4
    elif tag_type == 100:  # d
        here += 8
    elif tag_type == 90 or tag_type == 72:  # Z H
        while here + 8 <= end and not _has_zero(load_u64(here)):
            here += 8
        while here < end and load_u8(here) != 0:
            here += 1
        here += 1
    elif tag_type == 66:  # B
        if here + 5 > end:
            return -1
        element = load_u8(here)
        count = load_i32(here + 1)
        if element == 99 or element == 67:
            size = 1
        elif element == 115 or element == 83:
            size = 2
        elif element == 105 or element == 73 or element == 102:
            size = 4
        else:
            return -1
        if count < 0:
            return -1
        here += 5 + size * count
    else:
        return -1
    return here if here <= end else -1


@helper
def integer_tag(here: Any) -> Any:
    """Return the value of the well-formed tag at ``here``, :data:`NO_INTEGER` if it is no integer.

    As htseq-count does, numbers of 32 bits are taken as signed.
    """
    tag_type = load_u8(here + 2)
    here += 3
    if tag_type == 67:  # C
        return load_u8(here)
    if tag_type == 99:  # c
        value = load_u8(here)
        return value - 256 if value > 127 else value
    if tag_type == 83:  # S
        return load_u16(here)
    if tag_type == 115:  # s
        value = load_u16(here)
        return value - 65536 if value > 32767 else value
    if tag_type == 105 or tag_type == 73:  # i I
        return load_i32(here)
    return np.int64(NO_INTEGER)


@helper
def _hits(here: Any) -> Any:
    """Classify the well-formed NH tag at ``here``: NH_ONE, NH_MANY (above 1) or NH_INVALID."""
    value = integer_tag(here)
    if value != NO_INTEGER:
        return NH_MANY if value > 1 else NH_ONE
    tag_type = load_u8(here + 2)
    if tag_type == 102:  # f: positive floats are ordered as their bits are, up to infinity
        value = load_i32(here + 3)
        return NH_MANY if value > 0x3F800000 and value <= 0x7F800000 else NH_ONE
    if tag_type == 100:  # d: likewise
        value = load_i64(here + 3)
        return NH_MANY if value > 0x3FF0000000000000 and value <= 0x7FF0000000000000 else NH_ONE
    return NH_INVALID


@helper
def _read_tags(here: Any, end: Any, want_cigar: Any, check_all: Any) -> Any:
    """Find NH and, if wanted, CG. Returns (class of NH, start of CG or -1, problem or 0)."""
    hits = NH_ABSENT
    cigar = np.int64(-1)
    while here < end:
        following = next_tag(here, end)
        if following < 0:
            return hits, cigar, BAD_TAGS
        tag = load_u16(here)
        if tag == 0x484E and hits == NH_ABSENT:  # NH
            hits = _hits(here)
            if not want_cigar and not check_all:
                break
        elif tag == 0x4743 and want_cigar and cigar < 0:  # CG
            cigar = here
        here = following
    return hits, cigar, 0


@helper
def _long_cigar(start: Any, operations: Any) -> Any:
    """Whether the CIGAR may stand in for one in the CG tag: it begins with all bases clipped."""
    if operations == 0 or load_i32(start + 4) < 0 or load_i32(start + 8) < 0:
        return False
    first = load_i32(start + 36 + load_u8(start + 12)) & 0xFFFFFFFF
    return (first & 15) == 4 and (first >> 4) == load_i32(start + 20)


@helper
def hash_bytes(here: Any, length: Any) -> Any:
    """Hash bytes, eight at a time; those read beyond the end are masked out.

    Returns (hash, whether one of the bytes is NUL).
    """
    low, high = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
    value = np.uint64(length) * np.uint64(0x9E3779B97F4A7C15)
    zeros = np.uint64(0)
    while length >= 8:
        word = load_u64(here)
        zeros |= (word - low) & ~word & high
        value = (value ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
        here += 8
        length -= 8
    if length > 0:
        mask = (np.uint64(1) << np.uint64(8 * length)) - np.uint64(1)
        word = load_u64(here) & mask
        zeros |= (word - low) & ~word & high & mask
        value = (value ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return np.int64(value ^ (value >> np.uint64(29))), zeros != 0


@helper
def _hash_name(start: Any) -> Any:
    """Hash a record's name; see :func:`same_name` for where it ends."""
    here = start + 36
    length = load_u8(start + 12)
    if load_u8(here + length - 1) == 0:
        length -= 1
    value, early = hash_bytes(here, length)
    if early:
        length = np.int64(0)
        while load_u8(here + length) != 0:
            length += 1
        value, early = hash_bytes(here, length)
    return value


@loop("u1[::1], i8[::1], i8, i8, b1, b1, i8[:, ::1], i8[::1], i8[::1]")
def decode(
    data: Any,
    offsets: Any,
    count: Any,
    contigs: Any,
    paired: Any,
    check_tags: Any,
    rows: Any,
    first_block: Any,
    blocks: Any,
) -> Any:
    """Fill ``rows[:count]``, ``first_block[: count + 1]`` and ``blocks``.

    A block is a covered reference interval, start << 32 | end; adjacent ones are joined. ``blocks``
    must have room for one entry per four bytes of records. Returns (records done, problem or 0).
    """
    base = data.ctypes.data
    row = rows.ctypes.data
    filled = 0
    for i in range(count):
        start = base + offsets[i]
        end = start + 4 + load_i32(start)
        contig = load_i32(start + 4)
        position = load_i32(start + 8)
        name_length = load_u8(start + 12)
        mapq = load_u8(start + 13)
        operations = load_u16(start + 16)
        flag = load_u16(start + 18)
        length = load_i32(start + 20)
        next_contig = load_i32(start + 24)
        next_position = load_i32(start + 28)
        tags = fields_end(start)
        if tags < 0:
            return i, BAD_LENGTHS
        if contig < -1 or contig >= contigs or next_contig < -1 or next_contig >= contigs:
            return i, BAD_CONTIG
        if paired:
            if (flag & PAIRED_FLAG) == 0:
                return i, NOT_PAIRED
            if (flag & (READ1 | READ2)) == 0:
                return i, NEITHER_READ
        placeholder = _long_cigar(start, operations)
        hits, tag, problem = _read_tags(tags, end, placeholder, check_tags)
        if problem != 0:
            return i, problem
        cigar = start + 36 + name_length
        # htslib's rule: the tag must be an array of at least as many 32-bit numbers as the
        # placeholder has operations.
        if (
            tag >= 0
            and load_u8(tag + 2) == 66
            and (load_u8(tag + 3) | 32) == 105
            and load_i32(tag + 4) >= operations
        ):
            operations = load_i32(tag + 4)
            cigar = tag + 8
        aligned = (flag & UNMAPPED) == 0
        first_block[i] = filled
        here = position
        query = np.int64(0)
        # Start and end of the block that is not yet written, and the first covered base of all.
        covered = np.int64(-1)
        covered_end = np.int64(-1)
        first_covered = np.int64(-1)
        first_word = np.int64(0)
        word = np.int64(0)
        for k in range(operations):
            word = load_i32(cigar + 4 * k) & 0xFFFFFFFF
            if k == 0:
                first_word = word
            size = word >> 4
            operation = word & 15
            if operation == 0 or operation >= 7:  # M = X
                if operation > 8 and aligned:
                    return i, BAD_CIGAR
                if size > 0 and aligned:
                    if covered_end != here:
                        if covered_end >= 0:
                            blocks[filled] = covered << 32 | covered_end
                            filled += 1
                        else:
                            first_covered = here
                        covered = here
                    covered_end = here + size
                    # Checked here, so that no impossible block is written.
                    if covered_end > 0x7FFFFFFF or here < 0:
                        return i, BAD_POSITION
                here += size
                query += size
            elif operation == 2 or operation == 3:  # D N
                here += size
            elif operation == 1 or operation == 4:  # I S
                query += size
        if covered_end >= 0:
            blocks[filled] = covered << 32 | covered_end
            filled += 1
        bits = PRESENT
        five = position
        if aligned:
            if contig < 0 or position < 0 or here > 0x7FFFFFFF:
                return i, BAD_POSITION
            if operations > 0 and length > 0 and query != length:
                return i, BAD_CIGAR_LENGTH
            if (flag & REVERSE_FLAG) != 0:
                bits |= REVERSE
                if covered_end >= 0:
                    five = covered_end - 1
            else:
                word = first_word
                if covered_end >= 0:
                    five = first_covered
            if ((word & 15) == 4 or (word & 15) == 5) and (word >> 4) > 0:
                bits |= CLIPPED
            elif covered_end >= 0 and hits <= NH_ONE and (flag & NOT_PRIMARY) == 0:
                bits |= TRAINABLE
        store_i64(row + 8 * NAME, _hash_name(start))
        store_i64(row + 8 * HERE, contig << 32 | position if aligned else np.int64(-1))
        following = np.int64(-1)
        if (flag & (PAIRED_FLAG | MATE_UNMAPPED)) == PAIRED_FLAG and next_contig >= 0:
            following = next_contig << 32 | (next_position & 0xFFFFFFFF)
        store_i64(row + 8 * NEXT, following)
        store_i64(row + 8 * INFO, flag | mapq << MAPQ_SHIFT | bits << BITS_SHIFT | hits << NH_SHIFT)
        store_i64(row + 8 * FIVE, five)
        store_i64(row + 8 * SET, SET_NONE)
        store_i64(row + 8 * TLEN, load_i32(start + 32))
        store_i64(row + 8 * END, max(here, position + 1))
        row += 8 * COLUMNS
    first_block[count] = filled
    return count, 0
