"""Write simulated fragments as BAM (SAMv1 section 4.2), record by record in a compiled loop, compressed by BGZF blocks.

A record depends on the seed and on its fragment only, so that name- and position-sorted files hold the same records.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import whole_stream
from counterbias.simulation.compression import BLOCK, write_blocks
from counterbias.simulation.encoding import LEFT_IS_FIRST, encode_records, sort_keys
from counterbias.simulation.reads import Reads

_CHUNK = 40_000
#: What all names begin with.
NAME_START = np.frombuffer(b"SIM:1:FC:1:", dtype=np.uint8)


def write_bam(
    path: str | os.PathLike[str],
    reads: Reads,
    *,
    order: str = "name",
    level: int = 6,
    threads: int = 1,
) -> int:
    """Write reads as a BAM file sorted by ``name`` or ``pos``; give the number of records.

    The bytes do not depend on ``threads``. Raises InputError for another order.
    """
    if order not in ("name", "pos"):
        raise InputError(f"reads cannot be sorted by '{order}'", remedy="choose name or pos")
    layout = Layout(reads)
    records = layout.order(order)
    with whole_stream(path) as stream:
        write_blocks(
            stream, _blocks(layout, records, _header(reads, order)), level=level, threads=threads
        )
    return len(records)


def _header(reads: Reads, order: str) -> bytes:
    """Give the BAM header."""
    sorting = "queryname" if order == "name" else "coordinate"
    lengths = reads.genome.lengths
    lines = [f"@HD\tVN:1.6\tSO:{sorting}"]
    lines += [f"@SQ\tSN:{name}\tLN:{length}" for name, length in lengths.items()]
    text = ("\n".join([*lines, "@PG\tID:counterbias-simulate\tPN:counterbias"]) + "\n").encode()
    parts = [b"BAM\1", struct.pack("<i", len(text)), text, struct.pack("<i", len(lengths))]
    for name, length in lengths.items():
        parts.append(
            struct.pack("<i", len(name) + 1) + name.encode() + b"\0" + struct.pack("<i", length)
        )
    return b"".join(parts)


def _blocks(layout: Layout, records: NDArray[np.int64], header: bytes) -> Iterator[bytes]:
    """Give the uncompressed content of BGZF blocks: the header by itself, then whole records, as htslib cuts them."""
    for start in range(0, len(header), BLOCK):
        yield header[start : start + BLOCK]
    kept = b""
    for first in range(0, len(records), _CHUNK):
        content, ends = layout.encode(records[first : first + _CHUNK])
        content, ends = kept + content, ends + len(kept)
        start = 0
        while len(content) - start > BLOCK:
            # The last record end that fits; a record longer than a block is cut.
            fitting = int(np.searchsorted(ends, start + BLOCK, side="right")) - 1
            end = int(ends[fitting]) if fitting >= 0 and ends[fitting] > start else start + BLOCK
            yield content[start:end]
            start = end
        kept = content[start:]
    if kept:
        yield kept


class Layout:
    """Arrays in the form that the compiled loops take, and buffers for them."""

    def __init__(self, reads: Reads, *, chunk: int = _CHUNK) -> None:
        genes, library = reads.genes, reads.library
        self.paired, self.read_length, self.error_rate, self.seed = (
            library.paired,
            library.aligned_length,
            library.error_rate,
            reads.seed,
        )
        exon_lengths = genes.exon_end - genes.exon_start
        before = np.cumsum(exon_lengths) - exon_lengths
        self.exon_offsets, self.exon_start = genes.exon_offsets, genes.exon_start
        self.exon_left = before - np.repeat(
            before[genes.exon_offsets[:-1]], np.diff(genes.exon_offsets)
        )
        self.exon_length = exon_lengths
        self.contig = genes.gene_contig[genes.transcript_gene]
        self.bases, self.contig_offsets = reads.genome.bases, reads.genome.offsets
        self.rows = (
            reads.name,
            reads.transcript,
            reads.start,
            reads.length,
            reads.bits,
            reads.hits,
        )
        # Fixed part, name, read, tags; and 4 bytes for each of at most 2 × bases + 1 CIGAR operations.
        longest = (
            36
            + 40
            + 2 * self.read_length
            + 32
            + 8 * min(self.read_length, int(np.diff(self.exon_offsets).max(initial=1)))
        )
        self.buffer = np.empty(chunk * longest, dtype=np.uint8)

    def order(self, order: str) -> NDArray[np.int64]:
        """Give the records in the order of the file: row × 2 + side (0 left, 1 right)."""
        _, transcript, start, length, bits, _ = self.rows
        rows = np.arange(len(bits), dtype=np.int64)
        if self.paired:
            left_first = (bits & LEFT_IS_FIRST) == 1
            sides = np.empty((len(bits), 2), dtype=np.int64)
            sides[:, 0] = 2 * rows + ~left_first
            sides[:, 1] = 2 * rows + left_first
            records = sides.reshape(-1)
        else:
            records = 2 * rows + ((bits & LEFT_IS_FIRST) == 0)
        if order == "pos":
            keys = np.empty(len(records), dtype=np.int64)
            sort_keys(
                records, transcript, start, length, bits, self.read_length, self.paired, self.contig,
                self.exon_offsets, self.exon_start, self.exon_left, keys,
            )  # fmt: skip
            records = records[np.argsort(keys, kind="stable")]
        return records

    def encode(self, records: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
        """Give the bytes of records, and where each one ends."""
        ends = np.empty(len(records), dtype=np.int64)
        name, transcript, start, length, bits, hits = self.rows
        size = encode_records(
            records, name, transcript, start, length, bits, hits, self.read_length, self.paired, self.error_rate, self.seed,
            self.contig, self.contig_offsets, self.bases, self.exon_offsets, self.exon_start, self.exon_left,
            self.exon_length, NAME_START, self.buffer, ends,
        )  # fmt: skip
        return self.buffer[:size].tobytes(), ends
