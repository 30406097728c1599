"""Positions → windows of bases: the only place that reads genomes.

A :class:`Genome` holds contigs as codes 0-3 = A, C, G, T and 4 for anything else. :func:`extract`
cuts windows out of them on the read's strand, contig by contig, so that memory holds one contig at
a time, and of it only the pages that are needed; :func:`extract_stretches` returns the sequence of
consecutive positions. With :class:`Splices`, a window that crosses an exon's edge continues in the
transcript's next exon. A window that contains an N or leaves the contig is marked as not valid;
bases are never made up.
"""

from __future__ import annotations

from counterbias.genome.aliases import read_aliases
from counterbias.genome.fasta import Genome
from counterbias.genome.splicing import Splices, Transcripts, make_splices
from counterbias.genome.windows import CodesByContig, extract, extract_stretches, extract_tiles

__all__ = [
    "CodesByContig",
    "Genome",
    "Splices",
    "Transcripts",
    "extract",
    "extract_stretches",
    "extract_tiles",
    "make_splices",
    "read_aliases",
]
