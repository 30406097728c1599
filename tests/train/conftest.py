"""Simulated samples, and a model that was trained on some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest

from counterbias import simulation
from tests.train.cohorts import SAMPLES, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate single-end samples of one bias, paired-end ones, and one without any counts."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(5)
    genome = simulation.simulate_genome(rng, {"chr1": 150_000, "chr2": 100_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 26, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.2)
    abundance = simulation.simulate_abundance(rng, genes)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    for sample, fragments in SAMPLES.items():
        reads = simulation.simulate_reads(
            rng, genome, genes, abundance, simulation.Library(fragments, paired=False), bias
        )
        simulation.write_bam(folder / f"{sample}.bam", reads, order="pos")
    for sample, stranded in (("pairs", "no"), ("stranded", "yes")):
        library = simulation.Library(2000, stranded=stranded)
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library, bias)
        simulation.write_bam(folder / f"{sample}.bam", reads, order="pos")
    with (
        pysam.AlignmentFile(folder / "a.bam") as source,
        pysam.AlignmentFile(folder / "empty.bam", "wb", header=source.header),
    ):
        pass
    return folder


@pytest.fixture(scope="module")
def ran(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train pwm on three samples once; return the model file. The table is next to it."""
    out = tmp_path_factory.mktemp("ran") / "cohort.model"
    table = train(folder, out, *SAMPLES, model="pwm")
    out.with_suffix(".tsv").write_text(table)
    return out
