"""Simulate genomes, annotations and reads with a known bias and a known abundance.

The demo, the tests and the benchmarks use this one simulator. A sample is made in four steps, each of which takes what the
former gave and a numpy Generator, so that the same seed gives the same bytes::

    genome = simulate_genome(rng, {"chr1": 2_000_000})
    genes = simulate_annotation(rng, genome.lengths, 100)
    bias = simulate_priming_bias(rng)
    reads = simulate_reads(rng, genome, genes, simulate_abundance(rng, genes), Library(100_000), bias)
    write_bam("reads.bam", reads, order="pos")

Fragments fall on transcripts with a probability proportional to abundance × bias of their two ends: the truth that
a corrected count has to find back is the abundance (:class:`Truth`).
"""

from __future__ import annotations

from counterbias.simulation.bam import write_bam
from counterbias.simulation.bias import PrimingBias, simulate_priming_bias
from counterbias.simulation.genes import AnnotationDesign, GeneModels, simulate_abundance, simulate_annotation, write_gtf
from counterbias.simulation.genome import Genome, simulate_genome, write_fasta
from counterbias.simulation.reads import Library, Reads, Truth, simulate_reads, write_truth

__all__ = [
    "AnnotationDesign",
    "GeneModels",
    "Genome",
    "Library",
    "PrimingBias",
    "Reads",
    "Truth",
    "simulate_abundance",
    "simulate_annotation",
    "simulate_genome",
    "simulate_priming_bias",
    "simulate_reads",
    "write_bam",
    "write_fasta",
    "write_gtf",
    "write_truth",
]
