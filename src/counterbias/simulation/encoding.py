# mypy: ignore-errors
"""Compiled loops that lay out simulated fragments as BAM records (SAMv1 section 4.2).

A record is a function of the seed and of its fragment. A record's number is row × 2 + side: 0 the left read, 1 the right one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from counterbias.simulation.kernels import mix, uniform

#: Bits of a fragment.
LEFT_IS_FIRST, SECONDARY, LEFT_UNMAPPED, RIGHT_UNMAPPED, DUPLICATE = 1, 2, 4, 8, 16
#: Record names are ``SIM:1:FC:1:TILE:X:Y``; so many fragments share a tile.
PER_TILE = 40_000


@njit(cache=True, nogil=True)
def _exon_of(exon_left, first, last, offset):
    """Give the exon (of rows first … last - 1) that holds an offset along the transcript."""
    while last - first > 1:
        middle = (first + last) >> 1
        if exon_left[middle] <= offset:
            first = middle
        else:
            last = middle
    return first


@njit(cache=True, nogil=True)
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
    """Give contig, position and strand of records as one number; unmapped fragments come last."""
    for number in range(len(records)):
        row, side = records[number] >> 1, records[number] & 1
        if bits[row] & LEFT_UNMAPPED and bits[row] & RIGHT_UNMAPPED:
            keys[number] = np.int64(1) << 62
            continue
        placed = side
        if bits[row] & (RIGHT_UNMAPPED if side else LEFT_UNMAPPED):
            placed = 1 - side  # an unmapped read stands at its mate
        offset = start[row] + (length[row] - read_length if placed else 0)
        first, last = exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1]
        exon = _exon_of(exon_left, first, last, offset)
        position = exon_start[exon] + offset - exon_left[exon]
        reverse = side if placed == side else 0
        keys[number] = (np.int64(contig[transcript[row]]) << 40) | (position << 1) | reverse


@njit(cache=True, nogil=True)
def _put(buffer, at, value, size):
    """Write a little-endian number; give the place after it."""
    for byte in range(size):
        buffer[at + byte] = (value >> (8 * byte)) & 0xFF
    return at + size


@njit(cache=True, nogil=True)
def _put_decimal(buffer, at, value):
    """Write a number as decimal digits; give the place after it."""
    digits, rest = 1, value // 10
    while rest > 0:
        digits += 1
        rest //= 10
    for digit in range(digits):
        buffer[at + digits - 1 - digit] = 48 + value % 10
        value //= 10
    return at + digits


@njit(cache=True, nogil=True)
def _put_name(buffer, at, name_start, number, seed):
    """Write the name of a fragment, ascending in natural order; give the place after its closing zero."""
    for byte in range(len(name_start)):
        buffer[at + byte] = name_start[byte]
    at += len(name_start)
    within = number % PER_TILE
    spread = np.int64(mix(seed, np.uint64(number)) >> np.uint64(40)) % 9000
    at = _put_decimal(buffer, at, 1101 + number // PER_TILE)
    buffer[at] = 58
    at = _put_decimal(buffer, at + 1, 1000 + within // 2)
    buffer[at] = 58
    at = _put_decimal(buffer, at + 1, 1000 + within % 2 * 10000 + spread)
    buffer[at] = 0
    return at + 1


@njit(cache=True, nogil=True)
def _bin(start, end):
    """Give the bin of an interval (SAMv1 section 5.3)."""
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


@njit(cache=True, nogil=True)
def _put_qualities(buffer, at, length, seed):
    """Write qualities in four bins, as recent sequencers do: mostly 37, with drops that differ from read to read."""
    for base in range(length):
        buffer[at + base] = 37
    kind = uniform(seed, np.uint64(0))
    rate = 0.001 if kind < 0.75 else (0.02 if kind < 0.95 else 0.1)
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


@njit(cache=True, nogil=True, inline="always")
def _seed_of(seed, name, secondary, side):
    """Give the seed of one read's qualities and errors."""
    return mix(
        seed, np.uint64(4 * np.int64(name) + 2 * secondary + side) + np.uint64(1) << np.uint64(20)
    )


@njit(cache=True, nogil=True)
def _put_unmapped(sequence, bases, origin, name, side, read_length):
    """Fill in what an aligner could not place: scattered bases of the genome."""
    for base in range(read_length):
        sequence[base] = bases[(origin + 7 * base + name * 13 + side * 101) % len(bases)]


@njit(cache=True, nogil=True)
def _substitute(sequence, read_length, error_rate, read_seed):
    """Exchange bases at the rate of errors; give the number of bases that differ from the genome's (an N always does)."""
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


@njit(cache=True, nogil=True)
def encode_fastq(
    rows, read, name, transcript, start, length, bits, read_length, error_rate, seed, contig, contig_offsets, bases, exon_offsets,
    exon_start, exon_left, exon_length, name_start, buffer,
):  # fmt: skip
    """Write read 1 (``read`` 0) or read 2 of primary rows as FASTQ, as sequenced, into ``buffer``; give the number of bytes."""
    letters = np.array([65, 67, 71, 84, 78], dtype=np.uint8)
    sequence, qualities = (
        np.empty(read_length, dtype=np.uint8),
        np.empty(read_length, dtype=np.uint8),
    )
    at = 0
    for number in range(len(rows)):
        row = rows[number]
        kind = np.int64(bits[row])
        side = 0 if (kind & LEFT_IS_FIRST != 0) == (read == 0) else 1
        unmapped = kind & (RIGHT_UNMAPPED if side else LEFT_UNMAPPED) != 0
        first_exon, last_exon = exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1]
        read_start = contig_offsets[contig[transcript[row]]]
        read_seed = _seed_of(seed, name[row], False, side)
        if unmapped:
            _put_unmapped(
                sequence, bases, read_start + exon_start[first_exon], name[row], side, read_length
            )
        else:
            offset = np.int64(start[row]) + (length[row] - read_length if side else 0)
            exon = _exon_of(exon_left, first_exon, last_exon, offset)
            for base in range(read_length):
                if offset - exon_left[exon] >= exon_length[exon]:
                    exon += 1
                sequence[base] = bases[read_start + exon_start[exon] + offset - exon_left[exon]]
                offset += 1
            _substitute(sequence, read_length, error_rate, read_seed)
        _put_qualities(qualities, 0, read_length, read_seed)
        buffer[at] = 64  # @
        at = _put_name(buffer, at + 1, name_start, np.int64(name[row]), seed)
        buffer[at - 1] = 10
        reverse = side == 1 and not unmapped
        for base in range(read_length):
            code = (
                np.int64(sequence[read_length - 1 - base]) if reverse else np.int64(sequence[base])
            )
            buffer[at + base] = letters[3 - code] if reverse and code < 4 else letters[code]
        at += read_length
        buffer[at], buffer[at + 1], buffer[at + 2] = 10, 43, 10
        at += 3
        for base in range(read_length):
            buffer[at + base] = 33 + (
                qualities[read_length - 1 - base] if reverse else qualities[base]
            )
        at += read_length
        buffer[at] = 10
        at += 1
    return at


@njit(cache=True, nogil=True)
def start_positions(transcript, offset, exon_offsets, exon_start, exon_left, positions):
    """Give the position on the contig of each offset along a transcript."""
    for row in range(len(offset)):
        exon = _exon_of(
            exon_left, exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1], offset[row]
        )
        positions[row] = exon_start[exon] + offset[row] - exon_left[exon]


@njit(cache=True, nogil=True)
def encode_records(
    records, name, transcript, start, length, bits, hits, read_length, paired, error_rate, seed, contig, contig_offsets,
    bases, exon_offsets, exon_start, exon_left, exon_length, name_start, buffer, ends,
):  # fmt: skip
    """Write records into ``buffer``; fill ``ends`` and give the number of bytes."""
    codes = np.array([1, 2, 4, 8, 15], dtype=np.uint8)
    sequence = np.empty(read_length + 1, dtype=np.uint8)
    at = 0
    for number in range(len(records)):
        row, side = records[number] >> 1, records[number] & 1
        kind = np.int64(bits[row])
        unmapped = kind & (RIGHT_UNMAPPED if side else LEFT_UNMAPPED) != 0
        mate_unmapped = paired and kind & (LEFT_UNMAPPED if side else RIGHT_UNMAPPED) != 0
        nowhere = unmapped and (mate_unmapped or not paired)
        secondary = kind & SECONDARY != 0
        first_exon, last_exon = exon_offsets[transcript[row]], exon_offsets[transcript[row] + 1]
        chromosome = np.int64(contig[transcript[row]])

        # Where both reads begin and where the right one ends.
        left_offset, right_offset = (
            np.int64(start[row]),
            np.int64(start[row]) + length[row] - read_length,
        )
        offset = right_offset if side else left_offset
        exon = _exon_of(exon_left, first_exon, last_exon, offset)
        own = exon_start[exon] + offset - exon_left[exon]
        other_offset = left_offset if side else right_offset
        other_exon = _exon_of(exon_left, first_exon, last_exon, other_offset)
        mate = exon_start[other_exon] + other_offset - exon_left[other_exon]
        final = np.int64(start[row]) + length[row] - 1
        final_exon = _exon_of(exon_left, first_exon, last_exon, final)
        template_end = exon_start[final_exon] + final - exon_left[final_exon] + 1

        flag, template, mate_contig = 0, 0, -1
        is_first = (kind & LEFT_IS_FIRST != 0) == (side == 0)
        if paired:
            flag = 1 | (64 if is_first else 128)
            mate_contig = chromosome
            if not (unmapped or mate_unmapped):
                flag |= 2
                template = mate - template_end if side else template_end - own
            if mate_unmapped:
                flag |= 8
                mate = own
            elif side == 0:
                flag |= 32
        if unmapped:
            flag |= 4
            own = mate
            if nowhere:
                chromosome, mate_contig, own, mate = -1, -1, -1, -1
        elif side == 1:
            flag |= 16
        if secondary:
            flag |= 256
        if kind & DUPLICATE:
            flag |= 1024
        if not paired:
            mate, mate_contig = -1, -1

        # Fixed fields are written last, when sizes are known.
        head = at
        at = _put_name(buffer, head + 36, name_start, np.int64(name[row]), seed)
        name_size = at - head - 36
        operations, position, left, taken = 0, own, read_length, 0
        read_start = contig_offsets[max(0, chromosome)]
        if unmapped:
            _put_unmapped(
                sequence,
                bases,
                contig_offsets[contig[transcript[row]]] + exon_start[first_exon],
                name[row],
                side,
                read_length,
            )
        else:
            while left > 0:
                inside = offset - exon_left[exon]
                size = min(left, exon_length[exon] - inside)
                if operations > 0:
                    gap = exon_start[exon] - position
                    at = _put(buffer, at, gap << 4 | 3, 4)
                    operations += 1
                at = _put(buffer, at, size << 4, 4)
                operations += 1
                for base in range(size):
                    sequence[taken + base] = bases[read_start + exon_start[exon] + inside + base]
                position = exon_start[exon] + inside + size
                taken += size
                left -= size
                offset += size
                exon += 1

        read_seed = _seed_of(seed, name[row], secondary, side)
        mismatches = 0 if unmapped else _substitute(sequence, read_length, error_rate, read_seed)

        shown = (
            0 if secondary else read_length
        )  # secondary alignments have no sequence of their own: '*'
        if not secondary:
            sequence[read_length] = 0
            for base in range(0, read_length, 2):
                low = codes[sequence[base + 1]] if base + 1 < read_length else np.uint8(0)
                buffer[at] = codes[sequence[base]] << 4 | low
                at += 1
            at = _put_qualities(buffer, at, read_length, read_seed)
        if not unmapped:
            at = _put(buffer, at, 0x43484E, 3)  # NH:C
            at = _put(buffer, at, np.int64(hits[row]), 1)
            at = _put(buffer, at, 0x434D4E, 3)  # NM:C
            at = _put(buffer, at, min(255, mismatches) if not secondary else 0, 1)

        quality = 0 if unmapped else (60 if hits[row] == 1 else (3 if hits[row] == 2 else 1))
        interval = _bin(own, max(position, own + 1)) if own >= 0 else 4680
        _put(buffer, head, at - head - 4, 4)
        _put(buffer, head + 4, chromosome, 4)
        _put(buffer, head + 8, own, 4)
        buffer[head + 12] = name_size
        buffer[head + 13] = quality
        _put(buffer, head + 14, interval, 2)
        _put(buffer, head + 16, operations, 2)
        _put(buffer, head + 18, flag, 2)
        _put(buffer, head + 20, shown, 4)
        _put(buffer, head + 24, mate_contig, 4)
        _put(buffer, head + 28, mate, 4)
        _put(buffer, head + 32, template, 4)
        ends[number] = at
    return at
