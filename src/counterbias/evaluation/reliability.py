"""Measure whether a log bias has the right size: held-out reads observed against predicted.

The gain shows whether a model ranks the places of a unit correctly; a log bias that is a third too
small loses little of it. Its size is another question: does a place that is predicted twice the
mean of its unit get twice as many reads? In: a log bias and held-out units. Out: a slope (1 for the
right size, more if the bias is larger than predicted) and the points of a figure.

Reads enter linearly. E[reads of a place] = abundance × bias holds with amplified copies too, but
not for square roots of counts, nor for capped counts. The weight of a unit keeps a few deep units
from dominating.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.measures import relative_bias
from counterbias.evaluation.units import Units
from counterbias.loops import loop

#: Variance of the reads of a place beyond Poisson, as in a negative binomial: Var = μ + φ μ².
DISPERSION = 1.0
#: Bins of the figure, each with the same number of expected reads (weighted).
BINS = 15
#: Bases per group of units that count as one observation: about a gene.
BLOCK = 10_000
#: Coverage of the interval, and the largest slope considered.
COVERAGE, LARGEST = 0.95, 20.0
#: Most iterations of the search for the slope; it usually takes six.
_ROUNDS = 60

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Held-out reads observed against predicted; NaN without reads, or if no bias is predicted.

    Args:
        slope: factor for the log bias that fits the held-out reads best: 1 if its size is right.
        error: its standard error over genomic blocks.
        low, high: its 95% interval.
        predicted: float64 (bins,), log2 of the reads predicted by the bias over those of an even
            spread in each unit, ascending.
        observed: float64 (bins,), the same for the reads observed; NaN where there are none.
        observed_error: float64 (bins,), its standard error over blocks.
        expected, reads: float64 (bins,), number of reads predicted and observed.
        units, blocks: number of units and blocks with reads and more than one place.
    """

    slope: float
    error: float
    low: float
    high: float
    predicted: Floats
    observed: Floats
    observed_error: Floats
    expected: Floats
    reads: Floats
    units: int
    blocks: int

    def report(self) -> dict[str, Any]:
        """Return it as in reports: numbers, and lists of numbers under ``bins``."""
        names = {
            "predicted": "predicted",
            "observed": "observed",
            "error": "observed_error",
            "expected": "expected",
            "reads": "reads",
        }
        bins = {name: getattr(self, own).tolist() for name, own in names.items()}
        return {
            name: getattr(self, name)
            for name in ("slope", "error", "low", "high", "units", "blocks")
        } | {"bins": bins}


def reliability(
    log_bias: Floats,
    units: Units,
    *,
    dispersion: float = DISPERSION,
    bins: int = BINS,
    block: int = BLOCK,
) -> Reliability:
    """Compare the reads of held-out units with those that a log bias predicts, place by place.

    For place j of a unit with n reads, n b_j / Σ b reads are predicted. The slope s maximises
    Σ_u w_u Σ_j y_j ln(b_j^s / Σ_k b_k^s): Poisson regression with a separate abundance for each
    unit, which cancels. A unit of μ reads per place has the weight w = 1/(1 + φμ). Given n, the
    derivative at s = 1 has mean zero if b is right, at any depth and with any number of amplified
    copies, as long as amplification does not depend on the place. The standard error is the
    sandwich estimate over genomic blocks; the interval is from Student's t distribution.

    Args:
        log_bias: float64 (positions,), calibrated, nats, up to a constant, one per row of
            ``units.reads``; places where it is NaN are left out, with their reads.
        units: held-out units.
        dispersion: φ.
        bins: most bins; places of equal bias share one.
        block: bases per block.
    """
    group = np.unique(
        units.contig.astype(np.int64) * (1 << 40) + units.start // block, return_inverse=True
    )[1]
    total, places = _totals(units.offsets, log_bias, units.reads)
    density = np.divide(total, places, out=np.zeros(len(units)), where=places > 0)
    weight = np.where((total > 0) & (places > 1), 1.0 / (1.0 + dispersion * density), 0.0)
    used = weight > 0
    found = _slope(log_bias, units, weight, group)
    drawn = _bins(log_bias, units, (density, weight), group, bins)
    return Reliability(*found, *drawn, units=int(used.sum()), blocks=len(np.unique(group[used])))


def _slope(
    log_bias: Floats, units: Units, weight: Floats, group: NDArray[np.int64]
) -> tuple[float, float, float, float]:
    """Find the slope, its standard error and its interval; ``group`` is the block of each unit."""
    from scipy.special import stdtrit

    nothing = (math.nan, math.nan, math.nan, math.nan)
    lowest, highest, slope = -LARGEST, LARGEST, 1.0
    for _ in range(_ROUNDS):
        score, information = _derivatives(units.offsets, log_bias, units.reads, slope)
        above, below = float(weight @ score), float(weight @ information)
        if not below > 1e-12:
            return nothing
        # The likelihood is concave, so the sign of its derivative shows on which side the slope is.
        lowest, highest = (slope, highest) if above > 0 else (lowest, slope)
        step = slope + above / below
        step = step if lowest < step < highest else (lowest + highest) / 2
        if abs(step - slope) < 1e-7:
            break
        slope = step
    if abs(slope) > LARGEST - 1e-3:
        return nothing
    sums = np.bincount(group, weights=weight * score)
    blocks = int(np.count_nonzero(np.bincount(group, weights=weight * information)))
    if blocks < 2:
        return slope, math.nan, math.nan, math.nan
    error = math.sqrt(blocks / (blocks - 1) * float(sums @ sums)) / below
    reach = float(stdtrit(blocks - 1, (1 + COVERAGE) / 2)) * error
    return slope, error, slope - reach, slope + reach


def _bins(
    log_bias: Floats,
    units: Units,
    of_unit: tuple[Floats, Floats],
    group: NDArray[np.int64],
    most: int,
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Sort places into bins by their bias relative to their unit.

    ``of_unit`` holds reads per place and weight of each unit. Returns ``predicted``, ``observed``,
    ``observed_error``, ``expected`` and ``reads`` of :class:`Reliability`.
    """
    unit = units.of_position
    rows = np.flatnonzero(np.isfinite(log_bias) & (of_unit[1] > 0)[unit])
    if not len(rows):
        return (np.zeros(0),) * 5
    relative = relative_bias(log_bias, units)[rows]
    unit, reads = unit[rows], units.reads[rows]
    density, weight = of_unit[0][unit], of_unit[1][unit]
    expected = density * relative
    # Rounded, so that places of equal bias stay together.
    key = np.round(np.log2(np.maximum(relative, 1e-300)), 9)
    order = np.argsort(key, kind="stable")
    filled = np.cumsum((weight * expected)[order])
    edges = np.unique(key[order][np.searchsorted(filled, filled[-1] * np.arange(1, most) / most)])
    number = np.searchsorted(edges, key, side="right")
    size, blocks = len(edges) + 1, int(group.max()) + 1
    cell = group[unit] * size + number

    def summed(values: Floats) -> Floats:
        return np.asarray(
            np.bincount(cell, weights=weight * values, minlength=blocks * size).reshape(
                blocks, size
            ),
            np.float64,
        )

    observed, even, predicted = summed(reads), summed(density), summed(expected)
    kept = even.sum(axis=0) > 0
    observed, even, predicted = observed[:, kept], even[:, kept], predicted[:, kept].sum(axis=0)
    bottom = even.sum(axis=0)
    ratio = observed.sum(axis=0) / bottom
    present = int(np.count_nonzero(even.sum(axis=1)))
    spread = (
        np.sqrt(((observed - ratio * even) ** 2).sum(axis=0) * present / max(present - 1, 1))
        / bottom
    )
    known = ratio > 0
    logs = np.log2(ratio, out=np.full(len(ratio), np.nan), where=known)
    error = np.divide(
        spread, ratio * math.log(2), out=np.full(len(ratio), np.nan), where=known & (present > 1)
    )
    plain = [
        np.bincount(number, weights=values, minlength=size)[kept] for values in (expected, reads)
    ]
    return np.log2(predicted / bottom), logs, error, plain[0], plain[1]


@loop("i8[::1], f8[::1], f8[::1]")
def _totals(offsets, log_bias, reads):  # type: ignore[no-untyped-def]
    """Count each unit's places whose bias is known, and their reads."""
    total, places = np.zeros(len(offsets) - 1), np.zeros(len(offsets) - 1)
    for unit in range(len(offsets) - 1):
        for i in range(offsets[unit], offsets[unit + 1]):
            if np.isfinite(log_bias[i]):
                total[unit] += reads[i]
                places[unit] += 1
    return total, places


@loop("i8[::1], f8[::1], f8[::1], f8")
def _derivatives(offsets, log_bias, reads, slope):  # type: ignore[no-untyped-def]
    """Return, per unit, the first and minus the second derivative of Σ y ln(b^s / Σ b^s) in s."""
    score, information = np.zeros(len(offsets) - 1), np.zeros(len(offsets) - 1)
    for unit in range(len(offsets) - 1):
        total, top = 0.0, -np.inf
        for i in range(offsets[unit], offsets[unit + 1]):
            if np.isfinite(log_bias[i]):
                total += reads[i]
                top = max(top, slope * log_bias[i])
        if total <= 0:
            continue
        # Relative to the first known value, so that a constant in the log bias costs no precision.
        origin, started = 0.0, False
        share, mean, square, seen = 0.0, 0.0, 0.0, 0.0
        for i in range(offsets[unit], offsets[unit + 1]):
            if not np.isfinite(log_bias[i]):
                continue
            if not started:
                origin, started = log_bias[i], True
            x = log_bias[i] - origin
            p = math.exp(slope * log_bias[i] - top)
            share += p
            mean += p * x
            square += p * x * x
            seen += reads[i] * x
        mean /= share
        score[unit] = seen - total * mean
        information[unit] = total * max(square / share - mean * mean, 0.0)
    return score, information
