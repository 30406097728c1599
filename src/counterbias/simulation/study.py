"""Studies of several samples: groups with known differences, and variation within each group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.simulation.genes import GeneModels, simulate_abundance
from counterbias.simulation_options import StudyDesign


@dataclass(frozen=True, slots=True)
class Study:
    """The samples drawn for a design.

    Args:
        names: sample names, ``sample1`` and so on.
        group: group of each sample, from 0.
        log2_fold_change: float64 (genes, groups), planned, relative to the first group, whose
            column is 0.
        abundance: float64 (samples, transcripts), molecules per million.
    """

    names: tuple[str, ...]
    group: tuple[int, ...]
    log2_fold_change: NDArray[np.float64]
    abundance: NDArray[np.float64]


def simulate_study(rng: np.random.Generator, genes: GeneModels, design: StudyDesign) -> Study:
    """Draw the fold changes of genes and the abundance of each sample's transcripts.

    A single sample has the abundance that :func:`simulate_abundance` draws. The isoforms of a gene
    have the same shares in all samples.
    """
    base = simulate_abundance(rng, genes, spread=design.spread)
    count = len(genes.gene_ids)
    changes = np.zeros((count, design.groups))
    for group in range(1, design.groups):
        changed = rng.random(count) < design.changed
        changes[:, group] = np.where(changed, rng.normal(0.0, design.fold_change, size=count), 0.0)
    group_of = tuple(number * design.groups // design.samples for number in range(design.samples))
    rows = []
    for group in group_of:
        factor = 2.0 ** changes[:, group]
        if design.samples > 1:
            factor = factor * rng.lognormal(0.0, design.variation, size=count)
        abundance = base * factor[genes.transcript_gene]
        rows.append(1e6 * abundance / abundance.sum())
    names = tuple(f"sample{number}" for number in range(1, design.samples + 1))
    return Study(names, group_of, changes, np.array(rows))
