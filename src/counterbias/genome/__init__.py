"""Positions → windows of bases: the only place that reads genomes.

A :class:`Genome` gives contigs as codes 0-3 = A, C, G, T and 4 for all else. :func:`extract` cuts
windows out of them on the read's strand, contig by contig, so that one contig in memory is enough, and of it only the pages that are
needed; :func:`extract_stretches` gives the sequence of consecutive positions. With :class:`Splices` a window that
reaches over an exon's edge goes on in the transcript's next exon. A window that holds an N or leaves the contig is marked as not valid;
bases are never made up.
"""

from __future__ import annotations

from counterbias.genome.aliases import read_aliases
from counterbias.genome.fasta import CACHE_BYTES, Genome
from counterbias.genome.pages import UNKNOWN
from counterbias.genome.splicing import Splices, Transcripts, make_splices
from counterbias.genome.windows import CodesByContig, extract, extract_stretches, extract_tiles

__all__ = [
    "CACHE_BYTES",
    "UNKNOWN",
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
