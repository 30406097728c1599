"""Simulated fragments as the compiled loops take them, for BAM and FASTQ alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.simulation.encoding import (
    LEFT_IS_FIRST,
    encode_fastq,
    encode_records,
    sort_keys,
)
from counterbias.simulation.reads import Reads

#: The first fields of every read name.
_NAME_START = np.frombuffer(b"SIM:1:FC:1:", dtype=np.uint8)


class RecordLayout:
    """The arrays of one sample, in the order in which the compiled loops take them.

    Attributes:
        longest_record: upper bound of the bytes of one BAM record.
        longest_entry: upper bound of the bytes of one FASTQ entry.
    """

    def __init__(self, reads: Reads) -> None:
        genes, library = reads.genes, reads.library
        self._paired, self._read_length = library.paired, library.aligned_length
        self._error_rate, self._seed = library.error_rate, reads.seed
        self._fragments = (
            reads.fragment,
            reads.transcript,
            reads.start,
            reads.length,
            reads.bits,
            reads.hits,
        )
        self._contig = genes.transcript_contig
        self._genome = (self._contig, reads.genome.offsets, reads.genome.bases)
        self._exons = (genes.exon_offsets, genes.exon_start, genes.exon_left, genes.exon_lengths)
        most_exons = int(np.diff(genes.exon_offsets).max(initial=1))
        # Fixed fields, name, bases and qualities, tags; and 4 bytes for each CIGAR operation, of
        # which there are fewer than 2 per base and than 2 per exon.
        cigar = 8 * min(self._read_length, most_exons)
        self.longest_record = 36 + 40 + 2 * self._read_length + 32 + cigar
        self.longest_entry = 60 + 2 * self._read_length

    def sorted_records(self, order: str) -> NDArray[np.int64]:
        """Return records sorted by ``name`` or ``pos``: row × 2 + side (0 left, 1 right)."""
        _, transcript, start, length, bits, _ = self._fragments
        rows = np.arange(len(bits), dtype=np.int64)
        if self._paired:
            left_first = (bits & LEFT_IS_FIRST) == 1
            sides = np.empty((len(bits), 2), dtype=np.int64)
            sides[:, 0] = 2 * rows + ~left_first
            sides[:, 1] = 2 * rows + left_first
            records = sides.reshape(-1)
        else:
            records = 2 * rows + ((bits & LEFT_IS_FIRST) == 0)
        if order == "name":
            return records
        keys = np.empty(len(records), dtype=np.int64)
        exon_offsets, exon_start, exon_left, _ = self._exons
        sort_keys(
            records,
            transcript,
            start,
            length,
            bits,
            self._read_length,
            self._paired,
            self._contig,
            exon_offsets,
            exon_start,
            exon_left,
            keys,
        )
        return records[np.argsort(keys, kind="stable")]

    def encode_records(
        self, records: NDArray[np.int64], buffer: NDArray[np.uint8]
    ) -> tuple[bytes, NDArray[np.int64]]:
        """Return the bytes of BAM records, and where each of them ends."""
        ends = np.empty(len(records), dtype=np.int64)
        size = encode_records(
            records,
            *self._fragments,
            self._read_length,
            self._paired,
            self._error_rate,
            self._seed,
            *self._genome,
            *self._exons,
            _NAME_START,
            buffer,
            ends,
        )
        return buffer[:size].tobytes(), ends

    def encode_fastq(self, rows: NDArray[np.int64], read: int, buffer: NDArray[np.uint8]) -> bytes:
        """Return the FASTQ entries of read 1 or read 2 of primary rows."""
        fragment, transcript, start, length, bits, _ = self._fragments
        size = encode_fastq(
            rows,
            read,
            fragment,
            transcript,
            start,
            length,
            bits,
            self._read_length,
            self._error_rate,
            self._seed,
            *self._genome,
            *self._exons,
            _NAME_START,
            buffer,
        )
        return buffer[:size].tobytes()
