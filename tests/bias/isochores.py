"""A small genome of isochores with genes whose bias differs, for tests of how much is corrected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterbias import simulation
from counterbias.records import Window

#: What :func:`gc` sees.
WINDOW = Window(3, 6)


def gc(contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return a bias towards G and C at three places: the mean bias of genes differs by isochore."""
    some = contexts[:, [1, 4, 8]]
    return np.asarray(1.0 * (((some == 1) | (some == 2)).sum(axis=1) - 1.5))


def simulated(
    folder: Path, rng: np.random.Generator, *, spread: float
) -> tuple[simulation.Genome, simulation.GeneModels, NDArray[np.float64]]:
    """Write ``genome.fa`` and ``genes.gtf`` with 80 genes; return both, and such abundances."""
    genome = simulation.simulate_genome(rng, {"chr1": 250_000, "chr2": 250_000}, isochore=10_000)
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 80, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    abundance = simulation.simulate_abundance(rng, genes, spread=spread)
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    return genome, genes, abundance
