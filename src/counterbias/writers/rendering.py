"""BAM records rewritten as htseq-count's ``-o`` writes them, in a compiled loop over their bytes.

htseq-count parses each record into an object and formats that. What this changes in a record, and
what is therefore done here:

- an unaligned read loses position, mapping quality, CIGAR and template length;
- the mate's position is dropped unless the flags say that there is an aligned mate;
- the bin is computed anew;
- integer tags take the smallest type that holds them, ``A`` and ``H`` become ``Z``, ``d`` becomes
  ``f``;
- a CIGAR that is kept in the tag ``CG`` (SAMv1, section 4.2.2) goes into its field where it fits,
  otherwise behind ``XF``;
- ``XF`` is appended, as ``Z``.

Where htseq-count would write a broken record, a sound one is written: an ``A`` of NUL becomes an
empty text, a name without its NUL gets one, an ``I`` beyond 31 bits keeps its value, and tags with
control characters, which would cut a line of SAM in two, are left out of SAM and counted.

Layout of a record: SAM specification (SAMv1), section 4.2. Every length is checked against the
record before it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from counterbias.loops import helper, loop

#: Bytes of the fixed part of a record, the four of ``block_size`` included.
FIXED = 36
#: Operations that a CIGAR's field can hold.
MOST_OPERATIONS = 0xFFFF

#: Why a record cannot be written: its lengths do not fit together, its name is too long to be
#: ended, or it holds a character that no line of SAM can.
DAMAGED, LONG_NAME, CONTROL_IN_NAME = 1, 2, 3


@helper
def _signed(data: Any, at: Any) -> Any:
    """Read a little-endian int32."""
    value = (
        np.int64(data[at])
        | np.int64(data[at + 1]) << 8
        | np.int64(data[at + 2]) << 16
        | np.int64(data[at + 3]) << 24
    )
    return value - (np.int64(1) << 32) if value >= (np.int64(1) << 31) else value


@helper
def _put(out: Any, at: Any, value: Any, size: Any) -> Any:
    """Write the low ``size`` bytes of a number, little-endian; return the position after it."""
    for shift in range(size):
        out[at + shift] = (value >> (8 * shift)) & 0xFF
    return at + size


@helper
def _copy(out: Any, at: Any, data: Any, start: Any, stop: Any) -> Any:
    """Copy bytes; return the position after them."""
    for index in range(start, stop):
        out[at] = data[index]
        at += 1
    return at


@helper
def _bin_of(start: Any, end: Any) -> Any:
    """Return the smallest bin of the scheme that holds [start, end) (SAMv1, section 5.3)."""
    last = end - 1
    shift = 14
    offset = ((1 << 15) - 1) // 7
    for level in range(5, 0, -1):
        if start >> shift == last >> shift:
            return offset + (start >> shift)
        shift += 3
        offset -= 1 << (3 * (level - 1))
    return 0


@helper
def _array_width(tag_type: Any) -> Any:
    """Return the bytes of one value of this type, 0 for a type without a fixed width or unknown."""
    if tag_type == 65 or tag_type == 97 or tag_type == 99 or tag_type == 67:  # A a c C
        return 1
    if tag_type == 115 or tag_type == 83:  # s S
        return 2
    if tag_type == 105 or tag_type == 73 or tag_type == 102:  # i I f
        return 4
    if tag_type == 100:  # d
        return 8
    return 0


@helper
def _tag_end(data: Any, at: Any, stop: Any) -> Any:
    """Return where the tag that starts at ``at`` ends, -1 where it does not fit into its record."""
    if at + 4 > stop:
        return np.int64(-1)
    tag_type = data[at + 2]
    if tag_type == 90 or tag_type == 72:  # Z H
        end = at + 3
        while end < stop and data[end] != 0:
            end += 1
        return end + 1 if end < stop else np.int64(-1)
    if tag_type == 66:  # B
        if at + 8 > stop:
            return np.int64(-1)
        width = _array_width(data[at + 3])
        number = _signed(data, at + 4)
        end = at + 8 + number * width
        return end if width > 0 and number >= 0 and end <= stop else np.int64(-1)
    width = _array_width(tag_type)
    end = at + 3 + width
    return end if width > 0 and end <= stop else np.int64(-1)


@helper
def _has_control(data: Any, start: Any, stop: Any) -> Any:
    """Whether a range of bytes has a control character."""
    for index in range(start, stop):  # noqa: SIM110 (compiles faster)
        if data[index] < 32 or data[index] == 127:
            return True
    return False


@helper
def _fits_sam(data: Any, start: Any, stop: Any) -> Any:
    """Whether a tag fits into a line of SAM: neither its name nor a text has control characters."""
    tag_type = data[start + 2]
    if _has_control(data, start, start + 2):
        return False
    if tag_type == 90 or tag_type == 72:  # Z H, with the NUL that ends them
        return not _has_control(data, start + 3, stop - 1)
    # An A of NUL becomes an empty text.
    return not (tag_type == 65 and data[start + 3] != 0 and _has_control(data, start + 3, stop))


@helper
def _put_integer(out: Any, at: Any, value: Any) -> Any:
    """Write type and value of an integer tag in the smallest type, unsigned unless negative."""
    if value >= 0:
        tag_type, size = (67, 1) if value <= 255 else (83, 2) if value <= 65535 else (73, 4)
    else:
        tag_type, size = (99, 1) if value >= -128 else (115, 2) if value >= -32768 else (105, 4)
    out[at] = tag_type
    return _put(out, at + 1, value, size)


@helper
def _put_tag(out: Any, at: Any, data: Any, start: Any, stop: Any) -> Any:
    """Write one tag with the type that htseq-count gives it."""
    tag_type = data[start + 2]
    out[at] = data[start]
    out[at + 1] = data[start + 1]
    at += 2
    value = start + 3
    if tag_type == 99:  # c
        number = np.int64(data[value])
        return _put_integer(out, at, number - 256 if number > 127 else number)
    if tag_type == 67:  # C
        return _put_integer(out, at, np.int64(data[value]))
    if tag_type == 115 or tag_type == 83:  # s S
        number = np.int64(data[value]) | np.int64(data[value + 1]) << 8
        return _put_integer(
            out, at, number - 65536 if tag_type == 115 and number > 32767 else number
        )
    if tag_type == 105:  # i
        return _put_integer(out, at, _signed(data, value))
    if tag_type == 73:  # I
        return _put_integer(out, at, _signed(data, value) & 0xFFFFFFFF)
    if tag_type == 100:  # d
        out[at] = 102
        single = np.empty(1, dtype=np.float32)
        single[0] = np.frombuffer(data[value:stop].copy(), dtype=np.float64)[0]
        return _copy(out, at + 1, single.view(np.uint8), 0, 4)
    if tag_type == 65 or tag_type == 97 or tag_type == 72:  # A a H
        out[at] = 90
        if tag_type != 72 and data[value] == 0:
            stop = value
        at = _copy(out, at + 1, data, value, stop)
        if tag_type != 72:
            out[at] = 0
            at += 1
        return at
    at = _copy(out, at, data, start + 2, stop)
    # htseq-count converts a NaN (all ones in the exponent, and a fraction) to a double and back,
    # which makes it a quiet one.
    ones = tag_type == 102 and data[value + 3] & 0x7F == 0x7F and data[value + 2] & 0x80 != 0  # f
    if ones and (data[value] | data[value + 1] | data[value + 2] & 0x7F) != 0:
        out[at - 2] |= 0x40
    return at


@helper
def _put_assignment(
    out: Any, at: Any, code: Any, first: Any, last: Any, members: Any, names: Any, name_offsets: Any
) -> Any:
    """Write ``XF:Z``: a feature, a class, or class and features of an ambiguous fragment."""
    out[at] = 88
    out[at + 1] = 70
    out[at + 2] = 90
    total = len(name_offsets) - 6
    row = np.int64(code) if code >= 0 else total - 1 - code
    at = _copy(out, at + 3, names, name_offsets[row], name_offsets[row + 1])
    if code == -2 and last > first:
        out[at] = 91
        at += 1
        for index in range(first, last):
            if index > first:
                out[at] = 43
                at += 1
            member = members[index]
            at = _copy(out, at, names, name_offsets[member], name_offsets[member + 1])
        out[at] = 93
        at += 1
    out[at] = 0
    return at + 1


@helper
def _span(data: Any, cigar: Any, cigar_end: Any) -> Any:
    """Return the number of bases of the reference that a CIGAR spans, gaps included."""
    span = np.int64(0)
    for operation in range(cigar, cigar_end, 4):
        code = data[operation] & 15
        if code == 0 or code == 2 or code == 3 or code == 7 or code == 8:
            span += (_signed(data, operation) & 0xFFFFFFFF) >> 4
    return span


@helper
def _find_cigar_tag(
    data: Any, start: Any, cigar: Any, operations: Any, bases: Any, tag: Any, end: Any
) -> Any:
    """Return where the tag with the CIGAR starts, -1 where the CIGAR is in its field.

    By htslib's rule the field is then a placeholder, whose first operation clips all bases.
    Malformed tags do not count.
    """
    if operations == 0 or _signed(data, start + 4) < 0 or _signed(data, start + 8) < 0:
        return np.int64(-1)
    if _signed(data, cigar) & 0xFFFFFFFF != (bases << 4 | 4):
        return np.int64(-1)
    while 0 <= tag < end:
        following = _tag_end(data, tag, end)
        if following >= 0 and data[tag] == 67 and data[tag + 1] == 71:  # CG, the first one
            number = _signed(data, tag + 4) if following >= tag + 8 else np.int64(0)
            fits = data[tag + 2] == 66 and (data[tag + 3] | 32) == 105 and number >= operations
            return tag if fits else np.int64(-1)
        tag = following
    return np.int64(-1)


@helper
def _put_cigar(out: Any, at: Any, data: Any, cigar: Any, cigar_end: Any, bases: Any) -> Any:
    """Write a CIGAR, or the placeholder of one that is too long for its field."""
    if cigar_end - cigar <= 4 * MOST_OPERATIONS:
        return _copy(out, at, data, cigar, cigar_end)
    at = _put(out, at, bases << 4 | 4, 4)
    return _put(out, at, _span(data, cigar, cigar_end) << 4 | 3, 4)


@helper
def _put_head(out: Any, at: Any, data: Any, start: Any, cigar: Any, cigar_end: Any) -> Any:
    """Write the fixed part of a record after ``block_size``, with the bin of the given CIGAR."""
    flag = np.int64(data[start + 18]) | np.int64(data[start + 19]) << 8
    position = _signed(data, start + 8)
    aligned = flag & 4 == 0
    if aligned:
        operations = (cigar_end - cigar) // 4
        at = _copy(out, at, data, start + 4, start + 14)
        at = _put(out, at, _bin_of(position, position + max(_span(data, cigar, cigar_end), 1)), 2)
        at = _put(out, at, operations if operations <= MOST_OPERATIONS else 2, 2)
    else:
        at = _put(out, at, -1, 8)
        out[at] = data[start + 12]
        out[at + 1] = 0
        at = _put(out, at + 2, 4680, 2)
        at = _put(out, at, 0, 2)
    at = _copy(out, at, data, start + 18, start + 24)
    if flag & 9 == 1 and _signed(data, start + 24) != -1:
        at = _copy(out, at, data, start + 24, start + 32)
    else:
        at = _put(out, at, -1, 8)
    return _copy(out, at, data, start + 32, start + 36) if aligned else _put(out, at, 0, 4)


@loop("i8[::1], i8[::1], i8[::1], i4[::1], i4[::1], u1[::1], i8[::1]")
def bound(
    lengths: Any,
    record: Any,
    member_offsets: Any,
    members: Any,
    code: Any,
    names: Any,
    name_offsets: Any,
) -> Any:
    """Return a number of bytes that the entries cannot exceed."""
    total = np.int64(0)
    for entry in range(len(record)):
        length = lengths[record[entry]]
        # A tag of type A takes four bytes and becomes one of five; ZW and two XF with their classes
        # come on top.
        total += length + length // 4 + 80
        if code[entry] >= 0:
            total += name_offsets[code[entry] + 1] - name_offsets[code[entry]]
        for index in range(member_offsets[entry], member_offsets[entry + 1]):
            total += name_offsets[members[index] + 1] - name_offsets[members[index]] + 1
    return total


@loop(
    "u1[::1], i8[::1], i8[::1], i8[::1], i4[::1], b1[::1], i8[::1], i4[::1], i8[::1], b1[::1], "
    "u1[::1], i8[::1], b1, b1, u1[::1]",
)
def render(
    data: Any,
    offsets: Any,
    lengths: Any,
    record: Any,
    code: Any,
    repeated: Any,
    member_offsets: Any,
    members: Any,
    site: Any,
    second: Any,
    names: Any,
    name_offsets: Any,
    weighted: Any,
    text: Any,
    out: Any,
) -> Any:
    """Write all entries of a batch (see :class:`~counterbias.records.TaggedBatch`) to ``out``.

    Args:
        names, name_offsets: the bytes of the features' names and of the five classes, end to end,
            and where each starts.
        weighted: whether entries that were counted get ``ZW:I``, twice their row of start sites
            plus one for read 2, to be replaced by the weight later; an existing ``ZW`` is dropped.
        text: whether the records are for SAM.

    Returns:
        (bytes written, tags left out, 0), or (entry, 0, reason) for the first entry whose record
        cannot be written.
    """
    at = np.int64(0)
    left_out = np.int64(0)
    for entry in range(len(record)):
        start = offsets[record[entry]]
        length = lengths[record[entry]]
        end = start + length
        if length < FIXED or end > len(data):
            return np.int64(entry), np.int64(0), DAMAGED
        name_length = np.int64(data[start + 12])
        operations = np.int64(data[start + 16]) | np.int64(data[start + 17]) << 8
        flag = np.int64(data[start + 18]) | np.int64(data[start + 19]) << 8
        bases = _signed(data, start + 20)
        cigar = start + FIXED + name_length
        cigar_end = cigar + 4 * operations
        qualities = cigar_end + (bases + 1) // 2
        tags = qualities + bases
        if bases < 0 or name_length < 1 or tags > end:
            return np.int64(entry), np.int64(0), DAMAGED
        name_end = start + FIXED
        while name_end < cigar and data[name_end] != 0:
            name_end += 1
        if name_end - start - FIXED == 255:
            return np.int64(entry), np.int64(0), LONG_NAME
        if text and _has_control(data, start + FIXED, name_end):
            return np.int64(entry), np.int64(0), CONTROL_IN_NAME
        cigar_tag = _find_cigar_tag(data, start, cigar, operations, bases, tags, end)
        kept, kept_end = cigar, cigar_end
        if cigar_tag >= 0:
            kept, kept_end = cigar_tag + 8, _tag_end(data, cigar_tag, end)
        head = at
        at = _put_head(out, at + 4, data, start, kept, kept_end)
        at = _copy(out, at, data, start + FIXED, name_end)
        out[at] = 0
        at += 1
        out[head + 12] = at - head - FIXED
        if flag & 4 == 0:
            at = _put_cigar(out, at, data, kept, kept_end, bases)
        at = _copy(out, at, data, cigar_end, tags)
        if bases & 1:
            out[at - bases - 1] &= 0xF0
        tag = tags
        while tag < end:
            following = _tag_end(data, tag, end)
            if following < 0:
                return np.int64(entry), np.int64(0), DAMAGED
            if text and not _fits_sam(data, tag, following):
                left_out += 1
            elif tag != cigar_tag and not (weighted and data[tag] == 90 and data[tag + 1] == 87):
                at = _put_tag(out, at, data, tag, following)
            tag = following
        if weighted and site[entry] >= 0 and (code[entry] >= 0 or code[entry] == -2):
            out[at] = 90
            out[at + 1] = 87
            out[at + 2] = 73
            at = _put(out, at + 3, 2 * site[entry] + np.int64(second[entry]), 4)
        if repeated[entry]:
            at = _put_assignment(out, at, -5, 0, 0, members, names, name_offsets)
        at = _put_assignment(
            out,
            at,
            code[entry],
            member_offsets[entry],
            member_offsets[entry + 1],
            members,
            names,
            name_offsets,
        )
        if flag & 4 == 0 and cigar_tag >= 0 and kept_end - kept > 4 * MOST_OPERATIONS:
            at = _copy(out, at, data, cigar_tag, kept_end)
            out[at - (kept_end - cigar_tag) + 3] = 73  # I
        _put(out, head, at - head - 4, 4)
    return at, left_out, 0


@loop("u1[::1], u1[:, ::1]")
def put_weights(data: Any, weights: Any) -> Any:
    """Replace ``ZW:I`` by ``ZW:f`` in whole records (as :func:`render` wrote them), in place.

    Args:
        data: uint8, records end to end.
        weights: uint8 (2 × rows, 4): the bytes of the float32 weights of read 1 and read 2 of each
            row of start sites.

    Returns:
        number of tags replaced, -1 where a row is not in ``weights``, or -2 where the records are
        not whole.
    """
    replaced = 0
    start = np.int64(0)
    while start < len(data):
        if start + FIXED > len(data):
            return -2
        end = start + 4 + _signed(data, start)
        if end < start + FIXED or end > len(data):
            return -2
        bases = _signed(data, start + 20)
        operations = np.int64(data[start + 16]) | np.int64(data[start + 17]) << 8
        tag = start + FIXED + np.int64(data[start + 12]) + 4 * operations + (bases + 1) // 2 + bases
        if bases < 0 or tag > end:
            return -2
        while tag < end:
            if data[tag] == 90 and data[tag + 1] == 87:
                row = _signed(data, tag + 3) & 0xFFFFFFFF
                if row >= len(weights):
                    return -1
                data[tag + 2] = 102
                _copy(data, tag + 3, weights[row], 0, 4)
                replaced += 1
                break
            tag = _tag_end(data, tag, end)
            if tag < 0:
                return -2
        start = end
    return replaced
