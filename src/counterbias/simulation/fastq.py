"""Write simulated reads as FASTQ and the spliced transcripts as FASTA, for Salmon or kallisto."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterbias.files import whole_stream
from counterbias.simulation.compression import LEVEL, write_compressed
from counterbias.simulation.genes import GeneModels, transcript_bases
from counterbias.simulation.genome import Genome, write_sequence
from counterbias.simulation.layout import RecordLayout
from counterbias.simulation.reads import Reads

#: Reads encoded at a time.
_CHUNK = 20_000


def write_fastq(
    path: str | os.PathLike[str],
    reads: Reads,
    *,
    read: int = 1,
    level: int = LEVEL,
    threads: int = 1,
) -> int:
    """Write read 1 or read 2 of all fragments, unmapped ones included; return their number.

    The file is compressed. Bases, errors and qualities are those of the primary records in the BAM
    file, as sequenced, in name order.
    """
    rows = reads.primary
    write_compressed(path, _pieces(reads, rows, read), level=level, threads=threads)
    return len(rows)


def _pieces(reads: Reads, rows: NDArray[np.int64], read: int) -> Iterator[bytes]:
    """Yield the text of some thousand reads at a time."""
    layout = RecordLayout(reads)
    buffer = np.empty(_CHUNK * layout.longest_entry, dtype=np.uint8)
    for first in range(0, len(rows), _CHUNK):
        yield layout.encode_fastq(rows[first : first + _CHUNK], read, buffer)


def write_transcripts(path: str | os.PathLike[str], genome: Genome, genes: GeneModels) -> int:
    """Write the spliced transcripts, 5' to 3', as FASTA; return their number.

    Each header holds the identifiers of the transcript and of its gene.
    """
    with whole_stream(path) as stream:
        for transcript, identifier in enumerate(genes.transcript_ids):
            gene = int(genes.transcript_gene[transcript])
            bases = transcript_bases(genome, genes, transcript)
            if genes.gene_strand[gene] == 1:
                bases = np.where(bases < 4, 3 - bases, bases)[::-1].astype(np.uint8)
            stream.write(f">{identifier} gene_id={genes.gene_ids[gene]}\n".encode())
            write_sequence(stream, bases)
    return len(genes.transcript_ids)
