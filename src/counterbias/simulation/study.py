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
        switched: bool (genes, groups), whether the gene's transcripts have other shares than in the
            first group.
        abundance: float64 (samples, transcripts), molecules per million.
    """

    names: tuple[str, ...]
    group: tuple[int, ...]
    log2_fold_change: NDArray[np.float64]
    switched: NDArray[np.bool_]
    abundance: NDArray[np.float64]


def simulate_study(rng: np.random.Generator, genes: GeneModels, design: StudyDesign) -> Study:
    """Draw the fold changes of genes and the abundance of each sample's transcripts.

    A single sample has the abundance that :func:`simulate_abundance` draws. The transcripts of a
    gene have the same shares in all samples, unless the gene switches: see
    :func:`_reverse_shares`. Which genes switch is drawn last, so that a study has the same
    molecules of each gene whether or not genes switch.
    """
    base = simulate_abundance(rng, genes, spread=design.spread)
    count = len(genes.gene_ids)
    changes = np.zeros((count, design.groups))
    for group in range(1, design.groups):
        changed = rng.random(count) < design.changed
        changes[:, group] = np.where(changed, rng.normal(0.0, design.fold_change, size=count), 0.0)
    group_of = tuple(number * design.groups // design.samples for number in range(design.samples))
    factors = []
    for group in group_of:
        factor = 2.0 ** changes[:, group]
        if design.samples > 1:
            factor = factor * rng.lognormal(0.0, design.variation, size=count)
        factors.append(factor)
    switched, reverse = _draw_switched(rng, genes, design), _reverse_shares(base, genes)
    rows = []
    for group, factor in zip(group_of, factors, strict=True):
        of_group = np.where(switched[genes.transcript_gene, group], reverse, base)
        abundance = of_group * factor[genes.transcript_gene]
        rows.append(1e6 * abundance / abundance.sum())
    names = tuple(f"sample{number}" for number in range(1, design.samples + 1))
    return Study(names, group_of, changes, switched, np.array(rows))


def _draw_switched(
    rng: np.random.Generator, genes: GeneModels, design: StudyDesign
) -> NDArray[np.bool_]:
    """Draw which genes switch in which group, bool (genes, groups); none in the first group."""
    several = genes.transcripts_per_gene > 1
    switched = np.zeros((len(several), design.groups), dtype=np.bool_)
    if design.switched > 0.0:
        for group in range(1, design.groups):
            switched[:, group] = several & (rng.random(len(several)) < design.switched)
    return switched


def _reverse_shares(abundance: NDArray[np.float64], genes: GeneModels) -> NDArray[np.float64]:
    """Return abundances, float64 (transcripts,), with the order of each gene's shares reversed.

    The gene's most abundant transcript gets the share of its least abundant one and so forth, so
    that the gene has as many molecules as before, and another transcript is its main one.
    """
    reverse = np.empty_like(abundance)
    ascending = np.lexsort((abundance, genes.transcript_gene))
    reverse[ascending] = abundance[np.lexsort((-abundance, genes.transcript_gene))]
    return reverse
