"""Simulate genomes, annotations and reads with a known bias and known abundances.

``counterbias simulate``, the demo, the tests and the benchmarks share this simulator. A sample is
made in steps, each of which takes the results of the previous ones and a numpy Generator; the same
seed yields the same bytes::

    genome = simulate_genome(rng, {"chr1": 2_000_000})
    genes = simulate_annotation(rng, genome.lengths, 100)
    bias = simulate_priming_bias(rng)
    abundance = simulate_abundance(rng, genes)
    reads = simulate_reads(rng, genome, genes, abundance, Library(100_000), bias)
    write_bam("reads.bam", reads, order="pos")

Several samples of the same genome, genes, library and bias share a :class:`FragmentModel`, from
which :func:`draw_reads` draws each of them.

The probability of a fragment is proportional to the abundance of its transcript × the bias of its
two ends. The abundance is the truth that a corrected count has to recover (:class:`Truth`).
"""

from __future__ import annotations

from counterbias.simulation.bam import write_bam
from counterbias.simulation.bias import PrimingBias, ScoredBias, SequenceBias, simulate_priming_bias
from counterbias.simulation.fastq import write_fastq, write_transcripts
from counterbias.simulation.fragments import FragmentModel
from counterbias.simulation.genes import (
    GeneModels,
    simulate_abundance,
    simulate_annotation,
    write_gtf,
)
from counterbias.simulation.genome import Genome, simulate_genome, write_fasta
from counterbias.simulation.reads import Reads, draw_reads, simulate_reads
from counterbias.simulation.study import Study, simulate_study
from counterbias.simulation.truth import Starts, Truth, write_starts, write_truth
from counterbias.simulation_options import AnnotationDesign, Library, StudyDesign

__all__ = [
    "AnnotationDesign",
    "FragmentModel",
    "GeneModels",
    "Genome",
    "Library",
    "PrimingBias",
    "Reads",
    "ScoredBias",
    "SequenceBias",
    "Starts",
    "Study",
    "StudyDesign",
    "Truth",
    "draw_reads",
    "simulate_abundance",
    "simulate_annotation",
    "simulate_genome",
    "simulate_priming_bias",
    "simulate_reads",
    "simulate_study",
    "write_bam",
    "write_fasta",
    "write_fastq",
    "write_gtf",
    "write_starts",
    "write_transcripts",
    "write_truth",
]
