"""A simulated data set in the place of the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterbias import simulation
from counterbias.genome import Genome, extract
from counterbias.records import Positions

LENGTH = 400_000


@pytest.fixture(scope="session")
def simulated_fly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a set named as the real one; the true log bias takes the place of seqbias."""
    root = tmp_path_factory.mktemp("data")
    own = root / "fly_pasilla_chr4"
    own.mkdir()
    rng = np.random.default_rng(3)
    genome = simulation.simulate_genome(rng, {"chr4": LENGTH})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 60, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.0)
    abundance = simulation.simulate_abundance(rng, genes)
    reads = simulation.simulate_reads(
        rng, genome, genes, abundance, simulation.Library(15_000, spliced_context=False), bias
    )
    simulation.write_fasta(own / "genome.fa", genome)
    simulation.write_gtf(own / "genes.gtf", genes)
    simulation.write_bam(own / "reads.bam", reads, order="pos")
    truth = np.zeros((2, LENGTH), np.float16)
    with Genome(str(own / "genome.fa")) as opened:
        for strand in (0, 1):
            whole = Positions(
                np.zeros(LENGTH, np.int32),
                np.arange(LENGTH),
                np.full(LENGTH, strand, np.uint8),
                np.ones(LENGTH),
            )
            contexts, valid = extract(opened, ("chr4",), whole, bias.window)
            truth[strand] = np.where(valid, bias.log_bias(contexts), 0)
    np.savez(own / "seqbias_heldout_log_bias.npz", log_bias=truth)
    return root
