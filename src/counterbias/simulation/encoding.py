# mypy: ignore-errors
"""Compiled loops that lay out simulated fragments as BAM records (SAMv1 section 4.2).

A record depends on the seed and on its fragment only. Its number is row × 2 + side, where side is 0
for the left read and 1 for the right read. Offsets count from a transcript's leftmost base.
"""

from __future__ import annotations

import numpy as np

from counterbias.loops import helper, loop
from counterbias.simulation.kernels import mix, uniform

#: What is known of an alignment's fragment, as bits.
LEFT_IS_FIRST, SECONDARY, LEFT_UNMAPPED, RIGHT_UNMAPPED, DUPLICATE = 1, 2, 4, 8, 16
#: Fragments per tile; read names are ``SIM:1:FC:1:TILE:X:Y``.
PER_TILE = 40_000


@helper
def _exon_of(exon_left, first, last, offset):
    """Return the exon, of rows ``first`` to ``last - 1``, that holds an offset."""
    while last - first > 1:
        middle = (first + last) >> 1
        if exon_left[middle] <= offset:
            first = middle
        else:
            last = middle
    return first


@loop(
    "i8[::1], i4[::1], i4[::1], i4[::1], u1[::1], i8, b1, i4[::1], i8[::1], i8[::1], i8[::1], "
    "i8[::1]",
)
def sort_keys(
    records,
    transcript,
    start,
    length,
    bits,
    read_length,
    paired,
    contig,
    exon_offsets,
    exon_start,
    exon_left,
    keys,
):
    """Fill ``keys`` with contig, position and strand as one number; the unmapped come last."""
    for number in range(len(records)):
        row, side = records[number] >> 1, records[number] & 1
        if bits[row] & LEFT_UNMAPPED and bits[row] & RIGHT_UNMAPPED:
            keys[number] = np.int64(1) << 62
            continue
        placed = side
        if bits[row] & (RIGHT_UNMAPPED if side else LEFT_UNMAPPED):
            placed = 1 - side  # an unmapped read is placed where its mate is
        offset = start[row] + (length[row] - read_length if placed else 0)
        first, last = exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1]
        exon = _exon_of(exon_left, first, last, offset)
        position = exon_start[exon] + offset - exon_left[exon]
        reverse = side if placed == side else 0
        keys[number] = (np.int64(contig[transcript[row]]) << 40) | (position << 1) | reverse


@helper
def _put(buffer, at, value, size):
    """Write a little-endian number; return the place after it."""
    for byte in range(size):
        buffer[at + byte] = (value >> (8 * byte)) & 0xFF
    return at + size


@helper
def put_decimal(buffer, at, value):
    """Write a number as decimal digits; return the place after it."""
    digits, rest = 1, value // 10
    while rest > 0:
        digits += 1
        rest //= 10
    for digit in range(digits):
        buffer[at + digits - 1 - digit] = 48 + value % 10
        value //= 10
    return at + digits


@helper
def _put_name(buffer, at, name_start, fragment, seed):
    """Write the name of a fragment and a closing zero; return the place after it.

    Names ascend in natural order.
    """
    for byte in range(len(name_start)):
        buffer[at + byte] = name_start[byte]
    at += len(name_start)
    within = fragment % PER_TILE
    spread = np.int64(mix(seed, np.uint64(fragment)) >> np.uint64(40)) % 9000
    at = put_decimal(buffer, at, 1101 + fragment // PER_TILE)
    buffer[at] = 58
    at = put_decimal(buffer, at + 1, 1000 + within // 2)
    buffer[at] = 58
    at = put_decimal(buffer, at + 1, 1000 + within % 2 * 10000 + spread)
    buffer[at] = 0
    return at + 1


@helper
def _bin(start, end):
    """Return the bin of an interval (SAMv1 section 5.3); of an unplaced read, 4680."""
    if start < 0:
        return 4680
    end -= 1
    if start >> 14 == end >> 14:
        return 4681 + (start >> 14)
    if start >> 17 == end >> 17:
        return 585 + (start >> 17)
    if start >> 20 == end >> 20:
        return 73 + (start >> 20)
    if start >> 23 == end >> 23:
        return 9 + (start >> 23)
    if start >> 26 == end >> 26:
        return 1 + (start >> 26)
    return 0


@helper
def _put_qualities(buffer, at, length, seed):
    """Write binned qualities, as of recent sequencers: mostly 37, with drops that vary by read."""
    for base in range(length):
        buffer[at + base] = 37
    number = uniform(seed, np.uint64(0))
    rate = 0.001 if number < 0.75 else (0.02 if number < 0.95 else 0.1)
    base, counter = 0, np.uint64(1)
    while True:
        base += np.int64(np.log(1.0 - uniform(seed, counter)) / np.log(1.0 - rate))
        if base >= length:
            break
        depth = mix(seed, counter + np.uint64(1)) & np.uint64(7)
        buffer[at + base] = 25 if depth < 5 else 11
        base += 1
        counter += np.uint64(2)
    return at + length


@helper(inline=True)
def _seed_of(seed, fragment, secondary, side):
    """Return the seed of one read's qualities and errors."""
    number = np.uint64(4 * np.int64(fragment) + 2 * secondary + side)
    return mix(seed, number + np.uint64(1) << np.uint64(20))


@helper
def _fill_unmapped(sequence, bases, origin, fragment, side, read_length):
    """Fill in a read that an aligner could not place: scattered bases of the genome."""
    for base in range(read_length):
        sequence[base] = bases[(origin + 7 * base + fragment * 13 + side * 101) % len(bases)]


@helper
def _fill_spliced(
    sequence, bases, contig_start, offset, exon, exon_start, exon_left, exon_length, read_length
):
    """Fill in the transcript's bases from an offset in ``exon`` on."""
    for base in range(read_length):
        if offset - exon_left[exon] >= exon_length[exon]:
            exon += 1
        sequence[base] = bases[contig_start + exon_start[exon] + offset - exon_left[exon]]
        offset += 1


@helper
def _substitute(sequence, read_length, error_rate, read_seed):
    """Substitute bases at the error rate; return the number of mismatches.

    An N always is a mismatch.
    """
    mismatches = 0
    for base in range(read_length):
        mismatches += sequence[base] > 3
    if error_rate <= 0.0:
        return mismatches
    base, counter = 0, np.uint64(1) << np.uint64(32)
    while True:
        base += np.int64(np.log(1.0 - uniform(read_seed, counter)) / np.log(1.0 - error_rate))
        if base >= read_length:
            return mismatches
        if sequence[base] < 4:
            shift = 1 + np.int64(mix(read_seed, counter + np.uint64(1)) >> np.uint64(8)) % 3
            sequence[base] = (sequence[base] + shift) & 3
            mismatches += 1
        base += 1
        counter += np.uint64(2)


@loop(
    "i8[::1], i8, i4[::1], i4[::1], i4[::1], i4[::1], u1[::1], i8, f8, u8, i4[::1], i8[::1], "
    "u1[::1], i8[::1], i8[::1], i8[::1], i8[::1], u1[::1], u1[::1]",
)
def encode_fastq(
    rows,
    read,
    fragment,
    transcript,
    start,
    length,
    bits,
    read_length,
    error_rate,
    seed,
    contig,
    contig_offsets,
    bases,
    exon_offsets,
    exon_start,
    exon_left,
    exon_length,
    name_start,
    buffer,
):
    """Write read 1 or read 2 of primary rows into ``buffer`` as FASTQ, as sequenced.

    Returns the number of bytes.
    """
    letters = np.array([65, 67, 71, 84, 78], dtype=np.uint8)
    sequence = np.empty(read_length, dtype=np.uint8)
    qualities = np.empty(read_length, dtype=np.uint8)
    at = 0
    for number in range(len(rows)):
        row = rows[number]
        flags = np.int64(bits[row])
        side = 0 if (flags & LEFT_IS_FIRST != 0) == (read == 1) else 1
        unmapped = flags & (RIGHT_UNMAPPED if side else LEFT_UNMAPPED) != 0
        first_exon, last_exon = exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1]
        contig_start = contig_offsets[contig[transcript[row]]]
        read_seed = _seed_of(seed, fragment[row], False, side)
        if unmapped:
            origin = contig_start + exon_start[first_exon]
            _fill_unmapped(sequence, bases, origin, fragment[row], side, read_length)
        else:
            offset = np.int64(start[row]) + (length[row] - read_length if side else 0)
            exon = _exon_of(exon_left, first_exon, last_exon, offset)
            _fill_spliced(
                sequence,
                bases,
                contig_start,
                offset,
                exon,
                exon_start,
                exon_left,
                exon_length,
                read_length,
            )
            _substitute(sequence, read_length, error_rate, read_seed)
        _put_qualities(qualities, 0, read_length, read_seed)
        buffer[at] = 64  # @
        at = _put_name(buffer, at + 1, name_start, np.int64(fragment[row]), seed)
        buffer[at - 1] = 10
        reverse = side == 1 and not unmapped
        for base in range(read_length):
            source = read_length - 1 - base if reverse else base
            code = np.int64(sequence[source])
            buffer[at + base] = letters[3 - code] if reverse and code < 4 else letters[code]
        at += read_length
        buffer[at], buffer[at + 1], buffer[at + 2] = 10, 43, 10
        at += 3
        for base in range(read_length):
            source = read_length - 1 - base if reverse else base
            buffer[at + base] = 33 + qualities[source]
        at += read_length
        buffer[at] = 10
        at += 1
    return at


@loop("i4[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1]")
def start_positions(transcript, offset, exon_offsets, exon_start, exon_left, positions):
    """Fill ``positions`` with the position on the contig of each offset."""
    for row in range(len(offset)):
        exon = _exon_of(
            exon_left, exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1], offset[row]
        )
        positions[row] = exon_start[exon] + offset[row] - exon_left[exon]


@helper
def _position(offset, first_exon, last_exon, exon_start, exon_left):
    """Return the position on the contig of an offset along one transcript, and its exon."""
    exon = _exon_of(exon_left, first_exon, last_exon, offset)
    return exon_start[exon] + offset - exon_left[exon], exon


@helper
def _sam_flag(flags, side, paired, unmapped, mate_unmapped):
    """Return the FLAG of a record (SAMv1 section 1.4)."""
    flag = 0
    if paired:
        is_first = (flags & LEFT_IS_FIRST != 0) == (side == 0)
        flag = 1 | (64 if is_first else 128)
        if not (unmapped or mate_unmapped):
            flag |= 2
        if mate_unmapped:
            flag |= 8
        elif side == 0:
            flag |= 32
    if unmapped:
        flag |= 4
    elif side == 1:
        flag |= 16
    if flags & SECONDARY:
        flag |= 256
    if flags & DUPLICATE:
        flag |= 1024
    return flag


@helper
def _mapping_quality(hits):
    """Return the MAPQ of a read with this number of alignments."""
    if hits == 1:
        return 60
    return 3 if hits == 2 else 1


@helper
def _put_cigar(buffer, at, offset, exon, exon_start, exon_left, exon_length, read_length):
    """Write matches and skipped introns from an offset in ``exon`` on.

    Returns the place after them, their number and the position after the last match.
    """
    operations, position, left = 0, np.int64(0), read_length
    while left > 0:
        inside = offset - exon_left[exon]
        size = min(left, exon_length[exon] - inside)
        if operations > 0:
            intron = exon_start[exon] - position
            at = _put(buffer, at, intron << 4 | 3, 4)
            operations += 1
        at = _put(buffer, at, size << 4, 4)
        operations += 1
        position = exon_start[exon] + inside + size
        left -= size
        offset += size
        exon += 1
    return at, operations, position


@helper
def _put_bases(buffer, at, sequence, read_length):
    """Write bases, two to a byte; return the place after them."""
    codes = np.array([1, 2, 4, 8, 15], dtype=np.uint8)
    for base in range(0, read_length, 2):
        low = codes[sequence[base + 1]] if base + 1 < read_length else np.uint8(0)
        buffer[at] = codes[sequence[base]] << 4 | low
        at += 1
    return at


@loop(
    "i8[::1], i4[::1], i4[::1], i4[::1], i4[::1], u1[::1], u1[::1], i8, b1, f8, u8, i4[::1], "
    "i8[::1], u1[::1], i8[::1], i8[::1], i8[::1], i8[::1], u1[::1], u1[::1], i8[::1]",
)
def encode_records(
    records,
    fragment,
    transcript,
    start,
    length,
    bits,
    hits,
    read_length,
    paired,
    error_rate,
    seed,
    contig,
    contig_offsets,
    bases,
    exon_offsets,
    exon_start,
    exon_left,
    exon_length,
    name_start,
    buffer,
    ends,
):
    """Write BAM records into ``buffer`` and fill ``ends``; return the number of bytes."""
    sequence = np.empty(read_length, dtype=np.uint8)
    at = 0
    for number in range(len(records)):
        row, side = records[number] >> 1, records[number] & 1
        flags = np.int64(bits[row])
        unmapped = flags & (RIGHT_UNMAPPED if side else LEFT_UNMAPPED) != 0
        mate_unmapped = paired and flags & (LEFT_UNMAPPED if side else RIGHT_UNMAPPED) != 0
        secondary = flags & SECONDARY != 0
        first_exon, last_exon = exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1]
        contig_id = np.int64(contig[transcript[row]])
        contig_start = contig_offsets[contig_id]

        exons = (first_exon, last_exon, exon_start, exon_left)
        left_offset = np.int64(start[row])
        right_offset = left_offset + length[row] - read_length
        offset = right_offset if side else left_offset
        position, exon = _position(offset, *exons)
        mate, _ = _position(left_offset if side else right_offset, *exons)
        template, mate_contig = np.int64(0), np.int64(-1)
        if paired:
            mate_contig = contig_id
            if not (unmapped or mate_unmapped):
                last, _ = _position(left_offset + length[row] - 1, *exons)
                template = mate - last - 1 if side else last + 1 - position
            if mate_unmapped:
                mate = position
        if unmapped:
            position = mate
            if mate_unmapped or not paired:
                contig_id, position, mate_contig, mate = -1, -1, -1, -1
        if not paired:
            mate = -1

        # The fixed fields are written last, when the sizes are known.
        head = at
        at = _put_name(buffer, head + 36, name_start, np.int64(fragment[row]), seed)
        name_size = at - head - 36
        read_seed = _seed_of(seed, fragment[row], secondary, side)
        operations, end, mismatches = 0, position, 0
        if unmapped:
            origin = contig_start + exon_start[first_exon]
            _fill_unmapped(sequence, bases, origin, fragment[row], side, read_length)
        else:
            at, operations, end = _put_cigar(
                buffer, at, offset, exon, exon_start, exon_left, exon_length, read_length
            )
            _fill_spliced(
                sequence,
                bases,
                contig_start,
                offset,
                exon,
                exon_start,
                exon_left,
                exon_length,
                read_length,
            )
            mismatches = _substitute(sequence, read_length, error_rate, read_seed)
        shown = 0
        if not secondary:  # SAM shows the sequence of a secondary alignment as '*'
            shown = read_length
            at = _put_bases(buffer, at, sequence, read_length)
            at = _put_qualities(buffer, at, read_length, read_seed)
        if not unmapped:
            at = _put(buffer, at, 0x43484E, 3)  # NH:C
            at = _put(buffer, at, np.int64(hits[row]), 1)
            at = _put(buffer, at, 0x434D4E, 3)  # NM:C
            at = _put(buffer, at, min(255, mismatches) if not secondary else 0, 1)

        _put(buffer, head, at - head - 4, 4)
        _put(buffer, head + 4, contig_id, 4)
        _put(buffer, head + 8, position, 4)
        buffer[head + 12] = name_size
        buffer[head + 13] = 0 if unmapped else _mapping_quality(hits[row])
        _put(buffer, head + 14, _bin(position, max(end, position + 1)), 2)
        _put(buffer, head + 16, operations, 2)
        _put(buffer, head + 18, _sam_flag(flags, side, paired, unmapped, mate_unmapped), 2)
        _put(buffer, head + 20, shown, 4)
        _put(buffer, head + 24, mate_contig, 4)
        _put(buffer, head + 28, mate, 4)
        _put(buffer, head + 32, template, 4)
        ends[number] = at
    return at
