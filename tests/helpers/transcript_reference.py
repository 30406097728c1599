"""Lengths by transcripts as they are defined, slowly: positions one by one, fragment by fragment.

Nothing is shared with the package but the constants of the definition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterbias.lengths.abundance import PRIOR_FRAGMENTS
from counterbias.lengths.classes import ANY_LENGTH, STEPS
from counterbias.lengths.effective import PRIOR_PLACEMENTS
from counterbias.lengths.transcripts import LEAST_SHARE
from tests.helpers.transcript_builders import Fragment, Gene, Library


@dataclass(frozen=True)
class Expected:
    """What a gene's measurement should be: see TranscriptLengths.

    ``likelihood`` has one row per fragment that fits a transcript, ``weight`` its share; ``unfit``
    is the sum of those that fit none.
    """

    length: float
    effective: np.ndarray
    share: np.ndarray
    likelihood: np.ndarray
    weight: np.ndarray
    unfit: float


def density_of(library: Library) -> np.ndarray:
    """Probability of each fragment length from 0."""
    assert library.layout.lengths is not None
    first, last, probability = library.layout.lengths.spans()
    density = np.zeros(last.max() + 1)
    for low, high, share in zip(first, last, probability, strict=True):
        for length in range(low, high + 1):
            density[length] += share / (high - low + 1)
    return density


def bias_of(library: Library, gene: Gene, transcript: int, side: str) -> np.ndarray:
    """b of fragments' left or right ends at each base of a transcript."""
    positions = gene.positions(transcript)
    if library.field is None:
        return np.ones(len(positions))
    strand = 0 if side == "left" else 1  # a left end is a read on the + strand
    number = 0
    if library.layout.stranded != "no":
        read_one = gene.strand if library.layout.stranded == "yes" else 1 - gene.strand
        number = 0 if strand == read_one else 1
        if number == 1 and library.layout.ends == "first":
            return np.ones(len(positions))
    return np.asarray(np.exp(library.field.log[number, gene.contig, strand, positions]))


def effective_length(library: Library, gene: Gene, transcript: int) -> float:
    """Places times the mean product of both ends' b over them."""
    n, density = len(gene.positions(transcript)), density_of(library)
    left, right = (bias_of(library, gene, transcript, side) for side in ("left", "right"))
    sides = [(left, right)]
    if library.layout.ends == "first" and library.layout.stranded == "no":
        sides = [(left, np.ones(n)), (np.ones(n), right)]
    found = []
    for one, other in sides:
        top, bottom = PRIOR_PLACEMENTS * one.mean() * other.mean(), PRIOR_PLACEMENTS
        places = 0.0
        for length in range(1, min(len(density) - 1, n) + 1):
            for start in range(n - length + 1):
                top += density[length] * one[start] * other[start + length - 1]
                places += density[length]
        found.append(top / (bottom + places))
    return float(max(places, LEAST_SHARE * n) * np.mean(found))


def likelihood(library: Library, gene: Gene, fragment: Fragment, transcript: int) -> float | None:
    """P(fragment | an end where it was seen, transcript); None if the fragment says nothing."""
    density = density_of(library)
    stray = ANY_LENGTH / (2 * len(density))

    def probability(length: int) -> float:
        return stray + (1 - ANY_LENGTH) * (density[length] if length < len(density) else 0.0)

    ends = [
        end
        for end, contig in zip((fragment.first, fragment.second), fragment.contigs, strict=True)
        if end is not None and contig == gene.contig
    ]
    if not ends or (len(ends) == 2 and ends[0][1] == ends[1][1]):
        return None
    place = {position: i for i, position in enumerate(gene.positions(transcript).tolist())}
    if len(ends) == 2:
        left, right = sorted(ends, key=lambda end: end[1])
        if left[0] > right[0]:
            return None
        if left[0] not in place or right[0] not in place:
            return 0.0
        return probability(place[right[0]] - place[left[0]] + 1)
    (position, strand) = ends[0]
    if position not in place:
        return 0.0
    at, n = place[position], len(place)
    other = np.ones(n)
    if library.layout.ends == "both":
        other = bias_of(library, gene, transcript, "right" if strand == "+" else "left")
    partners = range(at, n) if strand == "+" else range(at, -1, -1)
    total = sum(
        density[length] * other[there]
        for length, there in enumerate(partners, 1)
        if length < len(density)
    )
    room = min(len(partners), 2 * len(density))
    return float((1 - ANY_LENGTH) * total + stray * room * other.mean())


def expect(library: Library, number: int = 0, *, rounded: bool = True) -> Expected:
    """Measure one gene; ``rounded``: with likelihoods rounded as the package does."""
    gene = library.genes[number]
    count = len(gene.transcripts)
    effective = np.array([effective_length(library, gene, t) for t in range(count)])
    rows, weight, unfit = [], [], 0.0
    for fragment in library.fragments:
        if fragment.gene != number:
            continue
        row = [likelihood(library, gene, fragment, t) for t in range(count)]
        if row[0] is None:
            continue
        share = float(np.float32(fragment.share)) if library.shares else 1.0
        if max(row) == 0.0:  # type: ignore[type-var]
            unfit += share
            continue
        rows.append(row)
        weight.append(share)
    values = np.array(rows, float).reshape(-1, count)
    with np.errstate(divide="ignore"):
        steps = np.log(values) * STEPS
    steps = np.rint(steps) if rounded else steps
    values = np.exp((steps - steps.max(axis=1, initial=-np.inf)[:, None]) / STEPS)
    share = shares(values / effective, np.array(weight), effective)
    return Expected(
        1 / (share / effective).sum(), effective, share, values, np.array(weight), unfit
    )


def log_posterior(
    theta: np.ndarray, ratio: np.ndarray, weight: np.ndarray, effective: np.ndarray
) -> float:
    """The function whose maximum the shares are."""
    prior = PRIOR_FRAGMENTS * effective / effective.sum()
    return float(weight @ np.log(ratio @ theta) + prior @ np.log(theta))


def shares(ratio: np.ndarray, weight: np.ndarray, effective: np.ndarray) -> np.ndarray:
    """Maximise the posterior by Newton's method; it is concave, so its maximum is unique."""
    prior = PRIOR_FRAGMENTS * effective / effective.sum()
    theta = effective / effective.sum()
    count = len(theta)
    for _ in range(500):
        mixed = ratio @ theta
        gradient = ratio.T @ (weight / mixed) + prior / theta
        curvature = (ratio.T * (weight / mixed**2)) @ ratio + np.diag(prior / theta**2)
        system = np.block(
            [[curvature, np.ones((count, 1))], [np.ones((1, count)), np.zeros((1, 1))]]
        )
        step = np.linalg.solve(system, np.append(gradient, 0.0))[:count]
        size, before = 1.0, log_posterior(theta, ratio, weight, effective)
        while (theta + size * step).min() <= 0:
            size /= 2
        while (
            size > 1e-12 and log_posterior(theta + size * step, ratio, weight, effective) < before
        ):
            size /= 2
        theta = theta + size * step
        theta /= theta.sum()
        if abs(size * step).max() < 1e-12:
            break
    mixed = ratio @ theta
    gradient = ratio.T @ (weight / mixed) + prior / theta
    # At the maximum all derivatives are equal (Karush, Kuhn, Tucker): to the number of fragments.
    assert np.allclose(gradient * theta, (weight.sum() + PRIOR_FRAGMENTS) * theta, atol=1e-5)
    return np.asarray(theta)
