"""Simulated fragments: shares are found as depth grows, and standard errors are honest."""

from __future__ import annotations

import numpy as np
import pytest

from counterbias.lengths import (
    FeatureBias,
    TranscriptLengths,
    transcript_lengths,
)
from counterbias.records import PRESENT, REVERSE, EndSites, StartSites
from tests.helpers.transcript_builders import (
    CONTIG,
    CONTIGS,
    BiasField,
    Gene,
    annotate,
    some_lengths,
)

WITH, WITHOUT = [(100, 500), (600, 750), (900, 1700)], [(100, 500), (900, 1700)]
LATE = [(300, 500), (600, 750), (900, 1700)]
#: A skipped exon and a late start.
GENE = [WITH, WITHOUT, LATE]
LENGTHS = np.arange(100, 301)
PROBABILITY = np.exp(-0.5 * ((LENGTHS - 200) / 40) ** 2)
PROBABILITY /= PROBABILITY.sum()
LAYOUT = some_lengths(dict(zip(LENGTHS.tolist(), PROBABILITY.tolist(), strict=True)))
FIELD = BiasField.draw(8)


class Simulated:
    """A gene whose molecules are known, from which fragments are drawn."""

    def __init__(self, transcripts: list[list[tuple[int, int]]], molecules: list[float]) -> None:
        self.gene = Gene(transcripts)
        self.molecules = np.array(molecules)
        self.features, self.transcripts = annotate([self.gene])

    def draw(
        self, rng: np.random.Generator, count: int, field: BiasField | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw both ends of fragments, int32 (count,) each, from all that are possible."""
        left, right, weight = [], [], []
        for t, molecules in enumerate(self.molecules):
            positions = self.gene.positions(t)
            for length, probability in zip(LENGTHS, PROBABILITY, strict=True):
                starts, ends = positions[: 1 - length], positions[length - 1 :]
                left.append(starts)
                right.append(ends)
                bias = np.zeros(len(starts))
                if field is not None:
                    bias = field.log[0, 0, 0, starts] + field.log[0, 0, 1, ends]
                weight.append(molecules * probability * np.exp(bias))
        every = np.concatenate(weight)
        chosen = rng.choice(len(every), count, p=every / every.sum())
        return np.concatenate(left)[chosen], np.concatenate(right)[chosen]

    def measure(
        self, left: np.ndarray, right: np.ndarray, *, paired: bool, field: BiasField | None = None
    ) -> TranscriptLengths:
        """Measure the gene, whose fragments are read from the left and the right in turn."""
        n = len(left)
        swapped = np.arange(n) % 2 == 1
        bits = np.array([PRESENT, PRESENT | REVERSE], np.uint8)
        ends = tuple(
            EndSites(
                np.zeros(n, np.int32),
                np.where(side, right, left).astype(np.int32),
                bits[side.astype(int)],
            )
            for side in (swapped, ~swapped)[: 1 + paired]
        )
        sites = StartSites(CONTIGS, (CONTIG, CONTIG), np.zeros(n, np.int32), None, ends)
        bias = FeatureBias(self.features, np.arange(2), field, LAYOUT)
        return transcript_lengths(bias, self.transcripts, sites, only=np.array([n > 0]))


@pytest.mark.parametrize("paired", [True, False], ids=["pairs", "reads"])
@pytest.mark.parametrize("field", [None, FIELD], ids=["unbiased", "biased"])
def test_the_error_falls_with_the_root_of_the_depth(paired: bool, field: BiasField | None) -> None:
    simulated = Simulated(GENE, [0.5, 0.3, 0.2])
    rng = np.random.default_rng(1)
    left, right = simulated.draw(rng, 20 * 16_000, field)
    errors, certain = [], []
    for depth in (1000, 16_000):
        samples = [
            simulated.measure(
                left[i * depth : (i + 1) * depth],
                right[i * depth : (i + 1) * depth],
                paired=paired,
                field=field,
            )
            for i in range(20)
        ]
        molecules = np.array([one.molecules for one in samples])
        errors.append(np.sqrt(((molecules - simulated.molecules) ** 2).mean(axis=0)))
        certain.append(np.mean([one.molecules_se for one in samples], axis=0))
    # Sixteen times the depth: a quarter of the error; 20 samples tell it within a third. Lengths
    # off the distribution, which no fragment here has, are thought possible: 0.001 of the shares.
    assert (errors[1] - 0.001 < errors[0] / 2.5).all()
    assert certain[1] == pytest.approx(certain[0] / 4, rel=0.15)
    assert (errors[1] < 1.7 * certain[1]).all()
    assert errors[1].max() < (0.03 if paired else 0.05)


@pytest.mark.parametrize(
    ("transcripts", "molecules", "count"),
    [
        ([WITH, WITHOUT], [0.5, 0.5], 30),
        ([WITH, WITHOUT], [0.5, 0.5], 300),
        ([WITH, LATE], [0.5, 0.5], 300),
        (GENE, [0.5, 0.3, 0.2], 300),
        (GENE, [0.5, 0.3, 0.2], 3000),
        ([[(100, 800)], [(1000, 1700)]], [0.9, 0.1], 30),
        ([[(100, 800)], [(1000, 1700)]], [0.99, 0.01], 300),
        ([WITH, WITHOUT, WITHOUT], [0.9, 0.1, 0.0], 1000),
        ([WITH, WITHOUT, WITHOUT], [0.9, 0.1, 0.0], 10_000),
    ],
)
@pytest.mark.parametrize("paired", [True, False], ids=["pairs", "reads"])
def test_standard_errors_cover_the_truth(
    transcripts: list[list[tuple[int, int]]], molecules: list[float], count: int, paired: bool
) -> None:
    simulated = Simulated(transcripts, molecules)
    rng = np.random.default_rng(2)
    samples = 300 if count < 10_000 else 60
    left, right = simulated.draw(rng, samples * count, None)
    inside = np.zeros(len(molecules))
    for i in range(samples):
        rows = slice(i * count, (i + 1) * count)
        found = simulated.measure(left[rows], right[rows], paired=paired)
        inside += np.abs(found.molecules - simulated.molecules) < 1.96 * found.molecules_se
    # 95 % or more; of 300 samples, chance moves that by 1.3 points.
    assert (inside / samples > 0.95 - 3 * np.sqrt(0.95 * 0.05 / samples)).all(), inside / samples


@pytest.mark.parametrize("paired", [True, False], ids=["pairs", "reads"])
def test_a_sample_merged_with_itself_has_the_same_shares(paired: bool) -> None:
    simulated = Simulated(GENE, [0.5, 0.3, 0.2])
    left, right = simulated.draw(np.random.default_rng(3), 2000, None)
    once = simulated.measure(left, right, paired=paired)
    twice = simulated.measure(np.tile(left, 2), np.tile(right, 2), paired=paired)
    # But for the prior, which is worth a fragment or two.
    assert (np.abs(twice.share - once.share) < 0.15 * once.share_se).all()
    assert twice.features == pytest.approx(once.features, rel=3e-3)
    assert twice.share_se == pytest.approx(once.share_se / np.sqrt(2), rel=0.03)
