"""The measures: how well a log bias predicts where reads start within a unit.

All take ``log_bias``, float64 (positions,), nats, one value per row of ``Units.reads``; a constant
added to it changes nothing. Windows that cannot be scored (N, off the contig) have the log bias
NaN: they are left out, with their reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.units import Units
from counterbias.loops import loop

#: Cap of reads per position in the three gains; None for no cap.
GAIN_CAPS: dict[str, float | None] = {"uniq": 1.0, "cap5": 5.0, "all": None}
#: Reads that a unit needs for its deviance and likelihood to count.
MIN_READS_DEVIANCE = 30


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over units with its standard error; NaN with too few ``units``."""

    value: float
    standard_error: float
    units: int


def relative_bias(log_bias: NDArray[np.float64], units: Units) -> NDArray[np.float64]:
    """Divide exp(log_bias) by its mean over the unit; float64 (positions,), NaN stays NaN."""
    unit = units.of_position
    known = np.isfinite(log_bias)
    top = np.full(len(units), -np.inf)
    filled = np.flatnonzero(np.diff(units.offsets) > 0)
    if len(filled):
        top[filled] = np.maximum.reduceat(np.where(known, log_bias, -np.inf), units.offsets[filled])
    shifted = np.where(
        known, np.exp(np.where(known, log_bias, 0.0) - np.where(known, top[unit], 0.0)), 0.0
    )
    n = np.bincount(unit, weights=known, minlength=len(units))
    total = np.bincount(unit, weights=shifted, minlength=len(units))
    mean = np.divide(total, n, out=np.ones(len(units)), where=(n > 0) & (total > 0))
    return np.where(known, shifted / mean[unit], np.nan)


def gain(
    log_bias: NDArray[np.float64],
    units: Units,
    *,
    cap: float | None = 5.0,
    relative: NDArray[np.float64] | None = None,
) -> Estimate:
    """Return bits gained per read: Σ y log2(b / mean of b over the unit) / Σ y.

    y is the number of reads, at most ``cap``. Zero without a model; largest if b is proportional to
    the true rate. The standard error is that of a ratio of sums over units, as reads of one unit
    are not independent. ``relative`` is the result of :func:`relative_bias`, if known already.
    """
    relative = relative_bias(log_bias, units) if relative is None else relative
    unit, y, b = _with_reads(relative, units)
    y = y if cap is None else np.minimum(y, cap)
    per_unit = np.bincount(unit, weights=y * np.log2(b), minlength=len(units))
    reads = np.bincount(unit, weights=y, minlength=len(units))
    return ratio_estimate(per_unit, reads)


def _with_reads(
    relative: NDArray[np.float64], units: Units
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return unit, reads and relative bias (1 for 0) of the scored positions where reads start."""
    rows = np.flatnonzero((units.reads > 0) & np.isfinite(relative))
    unit = np.searchsorted(units.offsets, rows, side="right") - 1
    return unit, units.reads[rows], np.where(relative[rows] > 0, relative[rows], 1.0)


def ratio_estimate(numerator: NDArray[Any], denominator: NDArray[Any]) -> Estimate:
    """Estimate Σ numerator / Σ denominator over independent groups, with linearised error."""
    n, total = len(numerator), float(denominator.sum())
    if n == 0 or total <= 0:
        return Estimate(float("nan"), float("nan"), n)
    value = float(numerator.sum() / total)
    if n < 2:
        return Estimate(value, float("nan"), n)
    residual = numerator - value * denominator
    return Estimate(value, float(np.sqrt(n / (n - 1) * (residual**2).sum()) / total), n)


def gains(
    log_bias: NDArray[np.float64], units: Units, *, relative: NDArray[np.float64] | None = None
) -> dict[str, Estimate]:
    """Return the gain for each of :data:`GAIN_CAPS`; ``cap5`` is the primary measure."""
    relative = relative_bias(log_bias, units) if relative is None else relative
    return {
        name: gain(log_bias, units, cap=cap, relative=relative) for name, cap in GAIN_CAPS.items()
    }


def deviance_explained(
    log_bias: NDArray[np.float64],
    units: Units,
    *,
    min_reads: float = MIN_READS_DEVIANCE,
    relative: NDArray[np.float64] | None = None,
) -> float:
    """Return the median over units of the Poisson deviance explained by the bias, 1 − D′/D.

    Per unit, a constant rate a is compared with a·b, with a by maximum likelihood. NaN without
    units of at least ``min_reads``.
    """
    relative = relative_bias(log_bias, units) if relative is None else relative
    size = len(units)
    n = np.bincount(units.of_position, weights=np.isfinite(relative), minlength=size)
    unit, y, b = _with_reads(relative, units)
    total = np.bincount(unit, weights=y, minlength=size)
    mean = np.divide(total, n, out=np.zeros(size), where=n > 0)
    # Relative bias averages 1 over the unit, so both have the same maximum likelihood rate and the
    # same Σ rate.
    base = y * (np.log(y) - np.log(mean[unit]))
    deviance = np.bincount(unit, weights=base, minlength=size)
    remaining = np.bincount(unit, weights=base - y * np.log(b), minlength=size)
    chosen = (total >= min_reads) & (deviance > 0)
    return (
        float(np.median(1.0 - remaining[chosen] / deviance[chosen]))
        if chosen.any()
        else float("nan")
    )


def likelihood_explained(
    log_bias: NDArray[np.float64], units: Units, *, min_reads: float = MIN_READS_DEVIANCE
) -> float:
    """Return the median over units of 1 − L′/L, as Jones et al. 2012 do.

    L and L′ are the Poisson log likelihoods with rate a and a·b, including the factorials of the
    counts, with a by maximum likelihood. NaN without units of at least ``min_reads``.
    """
    from scipy.special import gammaln

    relative = relative_bias(log_bias, units)
    known = np.isfinite(relative)
    unit = units.of_position
    size = len(units)
    y = np.where(known, units.reads, 0.0)
    n = np.bincount(unit, weights=known, minlength=size)
    total = np.bincount(unit, weights=y, minlength=size)
    factorials = np.bincount(unit, weights=gammaln(y + 1), minlength=size)
    rate = np.divide(total, n, out=np.ones(size), where=(n > 0) & (total > 0))
    flat = total * np.log(rate) - total - factorials
    gained = y * np.log(np.where(known & (relative > 0), relative, 1.0))
    chosen = (total >= min_reads) & (flat < 0)
    with_bias = flat + np.bincount(unit, weights=gained, minlength=size)
    return (
        float(np.median(1.0 - with_bias[chosen] / flat[chosen])) if chosen.any() else float("nan")
    )


def discrimination(
    log_bias: NDArray[np.float64], units: Units, *, relative: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Return AUC and log loss (nats) of distinct starts against uniform positions of their unit.

    AUC: probability that a start scores above a position drawn from its unit, ties counting half,
    mean over starts. Log loss: of telling a start from one position of its unit by b/(1 + b), b
    relative to the unit; ln 2 without a model.
    """
    relative = relative_bias(log_bias, units) if relative is None else relative
    wins, losses, starts = _compare_within(units.offsets, relative, units.reads)
    return (wins / starts, losses / starts) if starts else (float("nan"), float("nan"))


@loop("i8[::1], f8[::1], f8[::1]")
def _compare_within(offsets, relative, reads):  # type: ignore[no-untyped-def]
    """Sum over the distinct starts of all units: share of positions outscored, log loss, starts."""
    wins, losses, starts = 0.0, 0.0, 0
    for unit in range(len(offsets) - 1):
        first, last = offsets[unit], offsets[unit + 1]
        hits, known = np.empty(last - first), 0
        hit, foreground = 0, 0.0
        for i in range(first, last):
            if reads[i] > 0 and np.isfinite(relative[i]):
                hits[hit] = relative[i]
                hit += 1
                foreground += (
                    max(math.log(relative[i]) - math.log1p(relative[i]), -50.0)
                    if relative[i] > 0
                    else -50.0
                )
        if hit == 0:
            continue
        # Positions that score between two starts, in the order of scores, and equal to a start.
        ordered = np.sort(hits[:hit])
        between, equal = np.zeros(hit + 1, np.int64), np.zeros(hit, np.int64)
        background, product = 0.0, 1.0
        for i in range(first, last):
            b = relative[i]
            if not np.isfinite(b):
                continue
            known += 1
            # One logarithm of a product instead of many.
            product *= 1.0 + b
            if product > 1e200:
                background += math.log(product)
                product = 1.0
            low, high = 0, hit
            while low < high:
                middle = (low + high) // 2
                if ordered[middle] < b:
                    low = middle + 1
                else:
                    high = middle
            if low < hit and ordered[low] == b:
                equal[low] += 1
            else:
                between[low] += 1
        background += math.log(product)
        below, at = 0, 0
        while at < hit:
            after = at
            while after < hit and ordered[after] == ordered[at]:
                after += 1
            below += between[at]
            wins += (after - at) * (below + equal[at] / 2) / known
            below += equal[at]
            at = after
        losses += (background / known - foreground / hit) / 2 * hit
        starts += hit
    return wins, losses, starts


def effective_sample_size(weights: NDArray[np.float64]) -> tuple[float, float]:
    """Return (Σw)²/(n Σw²), 1 for equal weights, and max w / mean w; NaN without weights."""
    if not len(weights) or weights.sum() <= 0:
        return float("nan"), float("nan")
    total = float(weights.sum())
    return total**2 / (len(weights) * float((weights**2).sum())), float(weights.max()) * len(
        weights
    ) / total


def half_consistency(
    log_bias: NDArray[np.float64],
    units: Units,
    *,
    block: int = 50,
    by: str = "effective_length",
    cap: float | None = None,
) -> float:
    """Return the root mean square log2 ratio between the two halves of each unit.

    The halves are alternating blocks of ``block`` bases. Units where a half has no reads are left
    out; NaN without any.

    Args:
        log_bias: the log bias.
        units: the units.
        block: bases per block.
        by: the density compared: ``raw`` (reads per position), ``weighted`` (Σ reads/b per
            position) or ``effective_length`` (Σ reads / Σ b).
        cap: limit of 1/b, times its median over reads, for ``weighted``; None for no limit.
    """
    relative = relative_bias(log_bias, units)
    known = np.isfinite(relative)
    unit = units.of_position
    within = np.arange(len(unit)) - units.offsets[unit]
    half = 2 * unit + (within // block) % 2
    y = np.where(known, units.reads, 0.0)
    b = np.where(known, relative, 0.0)
    bottom = np.bincount(
        half,
        weights=b if by == "effective_length" else known.astype(float),
        minlength=2 * len(units),
    )
    if by == "weighted":
        weight = np.divide(1.0, b, out=np.zeros(len(b)), where=b > 0)
        if cap is not None and (y > 0).any():
            weight = np.minimum(
                weight, cap * np.median(np.repeat(weight[y > 0], y[y > 0].astype(int)))
            )
        y = y * weight
    top = np.bincount(half, weights=y, minlength=2 * len(units))
    pairs_top, pairs_bottom = top.reshape(-1, 2), bottom.reshape(-1, 2)
    usable = (pairs_top > 0).all(axis=1) & (pairs_bottom > 0).all(axis=1)
    if not usable.any():
        return float("nan")
    density = pairs_top[usable] / pairs_bottom[usable]
    return float(np.sqrt((np.log2(density[:, 0] / density[:, 1]) ** 2).mean()))
