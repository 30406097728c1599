"""Means of trials over folds and seeds.

A *trial* here is a mapping with ``fold``, ``seed`` and ``values`` (measure → number or None).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Trials = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Mean:
    """A mean over folds of means over seeds.

    Args:
        value: the mean.
        error: its standard error over folds.
        seeds: standard deviation between seeds.
    """

    value: float
    error: float
    seeds: float


def summarise(trials: Trials, take: Callable[[Mapping[str, Any]], float | None]) -> Mean:
    """Average a number over seeds, then over folds."""
    folds: dict[Any, list[float]] = {}
    for trial in trials:
        value = take(trial)
        if value is not None and math.isfinite(value):
            folds.setdefault(trial["fold"], []).append(value)
    if not folds:
        return Mean(math.nan, math.nan, math.nan)
    means = [float(np.mean(values)) for values in folds.values()]
    spreads = [float(np.var(values, ddof=1)) for values in folds.values() if len(values) > 1]
    error = float(np.std(means, ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.nan
    return Mean(
        float(np.mean(means)), error, math.sqrt(float(np.mean(spreads))) if spreads else math.nan
    )


def value_of(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    """Return a function that takes a measure from a trial."""
    return lambda trial: trial["values"][name]


def by_fold(trials: Trials, name: str = "gain_cap5") -> dict[Any, float]:
    """Average a measure over the seeds of each fold."""
    found: dict[Any, list[float]] = {}
    for trial in trials:
        value = trial["values"][name]
        if value is not None and math.isfinite(value):
            found.setdefault(trial["fold"], []).append(value)
    return {fold: float(np.mean(values)) for fold, values in found.items()}


def paired_difference(
    trials: Trials, reference: Trials, name: str = "gain_cap5", other: str = ""
) -> Mean:
    """Average over folds the difference from a reference in the same fold (means over seeds).

    The reference's measure is ``other``, or the same one.
    """
    own, against = by_fold(trials, name), by_fold(reference, other or name)
    shared = [
        {"fold": fold, "values": {name: own[fold] - against[fold]}}
        for fold in own
        if fold in against
    ]
    return summarise(shared, value_of(name))


@dataclass(frozen=True, slots=True)
class Points:
    """Held-out reads predicted and observed per bin, log2 over those of an even spread.

    ``error`` is the standard error of ``observed`` over folds.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    error: tuple[float, ...]


def mean_points(trials: Trials) -> Points:
    """Average the bins of ``reliability`` over seeds, then over folds.

    All bins of a trial hold the same share of the predicted reads, so bins of the same rank belong
    together. Trials with fewer bins than others, such as those in which the model was not used, are
    left out.
    """
    most = max((len(trial["reliability"]["predicted"]) for trial in trials), default=0)
    chosen = [trial for trial in trials if len(trial["reliability"]["predicted"]) == most]
    means = {
        name: [summarise(chosen, _bin_of(name, rank)) for rank in range(most)]
        for name in ("predicted", "observed")
    }
    predicted, observed = (
        tuple(one.value for one in means[name]) for name in ("predicted", "observed")
    )
    return Points(predicted, observed, tuple(one.error for one in means["observed"]))


def _bin_of(name: str, rank: int) -> Callable[[Mapping[str, Any]], float | None]:
    """Return a function that takes a bin of ``reliability`` from a trial."""
    return lambda trial: trial["reliability"][name][rank]
