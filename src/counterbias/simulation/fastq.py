"""Write simulated reads as FASTQ, as sequenced, and the spliced transcripts as FASTA: what Salmon and kallisto take."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_stream
from counterbias.simulation.bam import NAME_START, Layout
from counterbias.simulation.compression import write_compressed
from counterbias.simulation.encoding import encode_fastq
from counterbias.simulation.fragments import transcript_bases
from counterbias.simulation.genes import GeneModels
from counterbias.simulation.genome import Genome, write_sequence
from counterbias.simulation.reads import Reads

_CHUNK = 20_000


def write_fastq(
    path: str | os.PathLike[str], reads: Reads, *, read: int = 1, level: int = 6, threads: int = 1
) -> int:
    """Write reads 1 or reads 2 of all fragments, unmapped ones included, compressed; give their number.

    Bases, errors and qualities are those of the BAM file's primary records, in the order of names.
    """
    rows = reads.primary
    write_compressed(path, _pieces(reads, rows, read - 1), level=level, threads=threads)
    return len(rows)


def _pieces(reads: Reads, rows: NDArray[np.int64], read: int) -> Iterator[bytes]:
    """Give the text in pieces of some thousand reads."""
    layout = Layout(reads, chunk=1)
    buffer = np.empty(_CHUNK * (60 + 2 * layout.read_length), dtype=np.uint8)
    name, transcript, start, length, bits, _ = layout.rows
    for first in range(0, len(rows), _CHUNK):
        size = encode_fastq(
            rows[first : first + _CHUNK], read, name, transcript, start, length, bits, layout.read_length, layout.error_rate,
            layout.seed, layout.contig, layout.contig_offsets, layout.bases, layout.exon_offsets, layout.exon_start,
            layout.exon_left, layout.exon_length, NAME_START, buffer,
        )  # fmt: skip
        yield buffer[:size].tobytes()


def write_transcripts(path: str | os.PathLike[str], genome: Genome, genes: GeneModels) -> int:
    """Write the spliced transcripts, 5' to 3', as FASTA; headers hold the transcript's and the gene's identifier. Give their number."""
    with whole_stream(path) as stream:
        for transcript, identifier in enumerate(genes.transcript_ids):
            gene = int(genes.transcript_gene[transcript])
            bases = transcript_bases(genome, genes, transcript)
            if genes.gene_strand[gene] == 1:
                bases = np.where(bases < 4, 3 - bases, bases)[::-1].astype(np.uint8)
            stream.write(f">{identifier} gene_id={genes.gene_ids[gene]}\n".encode())
            write_sequence(stream, bases)
    return len(genes.transcript_ids)
