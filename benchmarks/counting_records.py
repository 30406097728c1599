"""Write simulated reads as BAM records that look as a sequencer and an aligner would write them.

What a BAM file holds decides how large it is and how fast it inflates, and inflating is a large
part of counting. The simulator writes 99 of 100 bases with the same quality; this module replaces
its names, qualities, tags and mapping qualities. Read names have Illumina's seven fields and ascend
as ``samtools sort -n`` sorts them, secondary alignments have bases and qualities, and tags (NH, HI,
AS, nM) and mapping qualities (255 for a single alignment) are those of STAR.

``python benchmarks/bam_bytes.py FILE...`` on files of 2 million pairs (novaseq: 150,000 pairs) and
on real ones, at level 6, inflated by libdeflate on a busy machine at 2.5 GHz:

    file                            bases  bytes  bytes      bytes per  bits per  given the  ns per
                                           raw    at level 6  quality   quality   previous   record
    hiseq, by name                     50    171       60.9      0.33      3.32       2.31      229
    hiseq, by position                 50    171       47.7      0.36      3.33       2.32      170
    novaseq, by name                   50    170       45.7      0.05      0.28       0.26      174
    novaseq, by position               50    171       37.9      0.06      0.28       0.26      147
    the simulator, by name             45    144       41.1      0.02      0.09       0.09      143
    Genome Analyzer II (GSM461178)     37    124       22.0      0.14      0.83       0.80       88
    HiSeq 2500, yeast                  51    205       47.2      0.38      3.21       2.56      177
    HiSeq 2000, SRR1039508             63    199       51.1      0.31      3.02       1.95      184
    HiSeq 2000, SEQC                  100    276       93.7      0.40      3.81       2.65      317

The real files are in position order and cover few genes, deeply, so that their bases compress well.
"""

# mypy: ignore-errors
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from counting_instruments import INSTRUMENTS, Instrument, fill_qualities
from numba import njit
from numpy.typing import NDArray

from counterbias.simulation import Reads
from counterbias.simulation.bam import bam_header
from counterbias.simulation.compression import BLOCK, write_blocks
from counterbias.simulation.encoding import SECONDARY, put_decimal
from counterbias.simulation.layout import RecordLayout

#: Records encoded at a time.
CHUNK = 100_000
#: Bytes by which a record may grow: a longer name, bases of a secondary alignment, tags.
_GROWTH = 80


@njit(cache=True, nogil=True)
def _put_number(buffer, at, value):
    """Write decimal digits and a colon; return the place after them."""
    at = put_decimal(buffer, at, value)
    buffer[at] = 58
    return at + 1


@njit(cache=True, nogil=True)
def _put_name(buffer, at, name_start, fragment, seed, per_tile, swaths, tiles):
    """Write lane, tile, x and y of a fragment and a closing zero; return the place after it."""
    for byte in range(len(name_start)):
        buffer[at + byte] = name_start[byte]
    tile, within = fragment // per_tile, fragment % per_tile
    lane, tile = tile // (2 * swaths * tiles), tile % (2 * swaths * tiles)
    surface, tile = tile // (swaths * tiles), tile % (swaths * tiles)
    number = 1000 * (1 + surface) + 100 * (1 + tile // tiles) + 1 + tile % tiles
    # Clusters of the same column have y coordinates in bands of their own.
    per_column = 1 + per_tile // 3000
    band = 36_000 // per_column
    y = 1000 + within % per_column * band + np.int64(seed % np.uint64(band))
    at = _put_number(buffer, at + len(name_start), 1 + lane)
    at = _put_number(buffer, at, number)
    at = _put_number(buffer, at, 1000 + within // per_column * 10)
    at = _put_number(buffer, at, y)
    buffer[at - 1] = 0
    return at


@njit(cache=True, nogil=True)
def _put_tag(buffer, at, first, second, value):
    """Write a tag whose value is one byte; return the place after it."""
    buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3] = first, second, 67, value
    return at + 4


@njit(cache=True, nogil=True)
def _int32(buffer, at):
    """Return the little-endian number at ``at``."""
    return (
        np.int64(buffer[at])
        | np.int64(buffer[at + 1]) << 8
        | np.int64(buffer[at + 2]) << 16
        | np.int64(buffer[at + 3]) << 24
    )


@njit(cache=True, nogil=True)
def rewrite_records(
    content, rows, fragment, seeds, hit, secondary, name_start, layout, chain, buffer, ends
):
    """Write records of the simulator anew into ``buffer`` and fill ``ends``; return the size.

    ``layout`` is fragments per tile, swaths and tiles; ``chain`` is that of an instrument.
    """
    rates, states, values, shares, ceilings = chain
    source = at = 0
    for number in range(len(rows)):
        row = rows[number]
        size = 4 + _int32(content, source)
        name_size = np.int64(content[source + 12])
        middle = 4 * (np.int64(content[source + 16]) | np.int64(content[source + 17]) << 8)
        length = _int32(content, source + 20)
        flag = np.int64(content[source + 18]) | np.int64(content[source + 19]) << 8
        head = at
        buffer[at : at + 36] = content[source : source + 36]
        if secondary[row]:
            buffer[head + 19] |= 1  # 256
        own = seeds[fragment[row]]
        at = _put_name(buffer, at + 36, name_start, np.int64(fragment[row]), own, *layout)
        buffer[head + 12] = at - head - 36
        middle += (length + 1) // 2
        begin = source + 36 + name_size
        buffer[at : at + middle] = content[begin : begin + middle]
        at += middle
        seed = own + np.uint64(flag >> 6 & 3)  # apart for read 1 and read 2
        at = fill_qualities(
            buffer, at, length, flag & 16 != 0, seed, rates, states, values, shares, ceilings
        )
        if not flag & 4:
            hits, mismatches = content[source + size - 5], content[source + size - 1]
            if hits == 1:
                buffer[head + 13] = 255
            at = _put_tag(buffer, at, 78, 72, hits)
            at = _put_tag(buffer, at, 72, 73, hit[row])
            at = _put_tag(buffer, at, 65, 83, max(0, 2 * length - 2 - 2 * np.int64(mismatches)))
            at = _put_tag(buffer, at, 110, 77, mismatches)
        for byte in range(4):
            buffer[head + byte] = (at - head - 4) >> (8 * byte) & 0xFF
        source += size
        ends[number] = at
    return at


def write_realistic_bam(
    path: Path, reads: Reads, order: str, instrument: str, *, threads: int = 1
) -> int:
    """Write reads as a BAM file sorted by ``name`` or ``pos``; return the number of records.

    The same reads have the same names and qualities in both orders.
    """
    secondary = reads.bits & SECONDARY != 0
    # The simulator leaves out the bases of secondary alignments, so it is told of none.
    layout = RecordLayout(replace(reads, bits=reads.bits & np.uint8(0xFF ^ SECONDARY)))
    records = layout.sorted_records(order)
    contents = _realistic(layout, records, reads, secondary, INSTRUMENTS[instrument])
    with path.open("wb") as stream:
        write_blocks(stream, _blocks(bam_header(reads, order), contents), threads=threads)
    return len(records)


def _realistic(
    layout: RecordLayout,
    records: NDArray[np.int64],
    reads: Reads,
    secondary: NDArray[np.bool_],
    instrument: Instrument,
) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
    """Yield the bytes of records, some at a time, and where each of them ends."""
    fragment, rows = reads.fragment, np.arange(len(reads.fragment))
    first = np.concatenate(([True], fragment[1:] != fragment[:-1]))[: len(rows)]
    hit = (rows - np.maximum.accumulate(np.where(first, rows, 0)) + 1).astype(np.uint8)
    count = int(fragment[-1]) + 1 if len(fragment) else 0
    # The low bits tell the reads of a fragment apart.
    seeds = np.random.default_rng(int(reads.seed)).integers(1, 2**61, size=count) * 8
    columns = (fragment, seeds.astype(np.uint64), hit, secondary)
    name_start = np.frombuffer(instrument.name_start.encode(), dtype=np.uint8)
    all_tiles = instrument.lanes * 2 * instrument.swaths * instrument.tiles
    tiling = (1 + count // all_tiles, instrument.swaths, instrument.tiles)
    chain = instrument.chain(reads.library.aligned_length)
    raw = np.empty(CHUNK * layout.longest_record, dtype=np.uint8)
    buffer = np.empty(CHUNK * (layout.longest_record + _GROWTH), dtype=np.uint8)
    for start in range(0, len(records), CHUNK):
        chosen = records[start : start + CHUNK]
        content, ends = layout.encode_records(chosen, raw)
        plain = np.frombuffer(content, dtype=np.uint8)
        size = rewrite_records(
            plain, chosen >> 1, *columns, name_start, tiling, chain, buffer, ends
        )
        yield buffer[:size].tobytes(), ends


def _blocks(header: bytes, contents: Iterator[tuple[bytes, NDArray[np.int64]]]) -> Iterator[bytes]:
    """Yield the contents of BGZF blocks: the header's own, then such of whole records."""
    for start in range(0, len(header), BLOCK):
        yield header[start : start + BLOCK]
    for content, ends in contents:
        start = 0
        while start < len(content):
            end = int(ends[np.searchsorted(ends, start + BLOCK, side="right") - 1])
            yield content[start:end]
            start = end
