"""Studies of several samples: groups with known differences, and variation within each group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.simulation.genes import ABUNDANCE_SPREAD, GeneModels, simulate_abundance


@dataclass(frozen=True, slots=True)
class StudyDesign:
    """How the samples of a study differ.

    Args:
        samples: number of samples; the first samples belong to the first group.
        groups: number of groups.
        spread: standard deviation of the log abundance of genes, nats.
        variation: standard deviation of a gene's log abundance between samples of a group, nats.
        changed: share of the genes whose abundance differs between the first and another group.
        fold_change: standard deviation of their log2 fold change.
    """

    samples: int = 1
    groups: int = 1
    spread: float = ABUNDANCE_SPREAD
    variation: float = 0.2
    changed: float = 0.2
    fold_change: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.groups <= self.samples:
            raise InputError(
                f"{self.samples} samples cannot be divided into {self.groups} groups",
                remedy="give each group at least one sample",
            )
        if not 0.0 <= self.changed <= 1.0:
            raise InputError(
                f"the share of changed genes is {self.changed:g}",
                remedy="give a number from 0 to 1",
            )
        for name, value in (
            ("spread", self.spread),
            ("variation", self.variation),
            ("fold change", self.fold_change),
        ):
            if not 0.0 <= value <= 10.0:
                raise InputError(f"the {name} is {value:g}", remedy="give a number from 0 to 10")


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
