"""All measures of one log bias on the units of one held-out fold, in one record.

The log bias may come from a model, from a file, or be zero everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation import measures
from counterbias.evaluation.composition import KMERS, composition, noise_floor, symmetrised_kl
from counterbias.evaluation.units import Units

#: Cap of read weights in the measure ``half_weighted``, times their median.
HALF_CAP = 10.0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How accurate a log bias is on held-out units; NaN where a measure is not defined.

    Args:
        gain_uniq, gain_cap5, gain_all: bits per read with reads per position capped at 1, at 5, and
            not capped; ``gain_cap5`` is the primary measure.
        r2: 1 − L′/L of Poisson log likelihoods, median over units
            (:func:`~counterbias.evaluation.measures.likelihood_explained`).
        deviance: the same for Poisson deviances.
        auc, log_loss: distinct starts against uniform positions of their unit (log loss in nats).
        ess, max_over_mean: effective sample size and largest weight of 1/b over distinct starts,
            not capped.
        kl1_before … kl4_after: symmetrised KL divergence of k-mers between distinct starts and
            positions of their units, bits, mean over the window's offsets, unweighted and weighted
            by 1/b.
        kl1_floor … kl4_floor: the same for weighted starts drawn from the background: noise.
        half_raw, half_weighted, half_effective: RMS log2 ratio of densities of alternating 50-base
            blocks: reads, reads weighted by capped 1/b, reads by effective length.
        units, starts: number of units and distinct starts.
    """

    gain_uniq: float
    gain_cap5: float
    gain_all: float
    r2: float
    deviance: float
    auc: float
    log_loss: float
    ess: float
    max_over_mean: float
    kl1_before: float
    kl1_after: float
    kl1_floor: float
    kl2_before: float
    kl2_after: float
    kl2_floor: float
    kl3_before: float
    kl3_after: float
    kl3_floor: float
    kl4_before: float
    kl4_after: float
    kl4_floor: float
    half_raw: float
    half_weighted: float
    half_effective: float
    units: int
    starts: int


def measure_accuracy(
    log_bias: NDArray[np.float64],
    units: Units,
    contexts: NDArray[np.uint8],
    valid: NDArray[np.bool_],
) -> Accuracy:
    """Take all measures of a log bias.

    Args:
        log_bias: float64 (positions,), nats, up to a constant, one per row of ``units.reads``; NaN
            for none.
        units: the held-out units.
        contexts: uint8 (positions, width), the windows at the units' positions.
        valid: bool (positions,), whether the window can be used.
    """
    gains = measures.gains(log_bias, units)
    auc, log_loss = measures.discrimination(log_bias, units)
    started = (units.reads > 0) & np.isfinite(log_bias)
    weights = inverse_bias(log_bias[started])
    ess, largest = measures.effective_sample_size(weights)
    divergence: dict[str, float] = {}
    for k in KMERS:
        found = _divergence(log_bias, units, contexts, valid, k)
        divergence |= {
            f"kl{k}_{side}": value
            for side, value in zip(("before", "after", "floor"), found, strict=True)
        }
    return Accuracy(
        gain_uniq=gains["uniq"].value,
        gain_cap5=gains["cap5"].value,
        gain_all=gains["all"].value,
        r2=measures.likelihood_explained(log_bias, units),
        deviance=measures.deviance_explained(log_bias, units),
        auc=auc,
        log_loss=log_loss,
        ess=ess,
        max_over_mean=largest,
        **divergence,
        half_raw=measures.half_consistency(log_bias, units, by="raw"),
        half_weighted=measures.half_consistency(log_bias, units, by="weighted", cap=HALF_CAP),
        half_effective=measures.half_consistency(log_bias, units, by="effective_length"),
        units=len(units),
        starts=int((units.reads > 0).sum()),
    )


def inverse_bias(log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1/b up to a constant, at most 1, so that it cannot overflow."""
    if not len(log_bias):
        return np.zeros(0)
    return np.asarray(np.exp(log_bias.min() - log_bias))


def _divergence(
    log_bias: NDArray[np.float64],
    units: Units,
    contexts: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    k: int,
) -> tuple[float, float, float]:
    """Return the mean divergence of distinct starts from the background, and its noise floor.

    The divergence is a mean over offsets, before and after weighting by 1/b. The background is
    every position of a unit, weighted so that each unit counts as much as among the starts: the
    expectation of uniform draws, one per start.
    """
    known = valid & np.isfinite(log_bias)
    started = known & (units.reads > 0)
    if not started.any() or contexts.shape[1] < k:
        return math.nan, math.nan, math.nan
    unit = units.of_position
    starts = np.bincount(unit[started], minlength=len(units))
    share = starts / np.maximum(np.bincount(unit[known], minlength=len(units)), 1)
    background = composition(contexts[known], share[unit[known]], k=k)
    foreground = contexts[started]
    before = symmetrised_kl(composition(foreground, k=k), background)
    weighted = composition(foreground, inverse_bias(log_bias[started]), k=k)
    after = symmetrised_kl(weighted, background)
    return float(before.mean()), float(after.mean()), noise_floor(weighted, background)
