"""Measures of one model in one sample, with the names and keys of comparison.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.agreement import (
    Interval,
    Replicates,
    SampleEstimates,
    change_of,
    compare_with_truth,
    log_pearson,
    replicate_agreement,
)
from counterbias.evaluation.trial_means import summarise, value_of
from counterbias.pipeline.compare.outcome import Outcome, finite_or_none
from counterbias.pipeline.compare.results import Comparison, SampleResult
from counterbias.writers.comparison_schema import DIFFERENCES, ESTIMATES

#: Seeds the bootstrap's generator, together with the user's seed.
_STREAM = 7


def trial_mean(outcome: Outcome, name: str) -> dict[str, Any]:
    """Return the mean of a measure over trials."""
    mean = summarise(outcome.trials, value_of(name))
    return {"value": mean.value, "error": mean.error}


def estimates_of(outcome: Outcome, scale: str = "abundance") -> dict[str, NDArray[np.float64]]:
    """Return raw, weighted and corrected values per feature: FPKM, or fragments.

    ``scale`` is one of :data:`counterbias.options.TRUTH_SCALES`.
    """
    columns = {name: f"fpkm_{name}" if scale == "abundance" else name for name in ESTIMATES}
    return {
        name: np.asarray(outcome.columns[column], np.float64) for name, column in columns.items()
    }


def change_measures(outcome: Outcome) -> dict[str, Any]:
    """Return by how much correction changes expression."""
    raw = outcome.columns["fpkm_raw"]
    measures: dict[str, Any] = {}
    for column in ("weighted", "corrected"):
        other = outcome.columns[f"fpkm_{column}"]
        change = change_of(raw, other)
        values = {
            f"distance_{column}": change.distance,
            f"genes_up_{column}": change.up,
            f"genes_down_{column}": change.down,
            f"pearson_raw_{column}": log_pearson(raw, other),
        }
        measures |= {name: {"value": value, "error": None} for name, value in values.items()}
    return measures


def _generator(result: Comparison) -> np.random.Generator:
    """Return a generator with the same draws for every model, so that resamples are the same."""
    return np.random.default_rng([result.bias.seed, _STREAM])


def truth_measures(
    result: Comparison, sample: SampleResult, outcome: Outcome
) -> dict[str, Any] | None:
    """Return the agreement with the truth table, or None."""
    options = result.options.truth
    if options is None or sample.truth is None or not outcome.columns:
        return None
    agreement = compare_with_truth(
        sample.truth.values, estimates_of(outcome, options.scale), _generator(result)
    )
    return {
        **{name: _intervals(agreement.of[name]) for name in ESTIMATES},
        **{
            name: _intervals(agreement.minus_raw[name.removesuffix("_minus_raw")])
            for name in DIFFERENCES
        },
        "features": agreement.features,
        "column": result.truth_column(sample),
    }


def _intervals(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {
        name: {"value": one.value, "low": one.low, "high": one.high}
        for name, one in intervals.items()
    }


def replicates_of(result: Comparison, sample: SampleResult, number: int) -> Replicates | None:
    """Compare a sample with the others of its group, by one model (``number`` is its outcome's)."""
    outcome = sample.outcomes[number]
    if sample.group is None or not outcome.columns:
        return None
    others = [
        one
        for one in result.samples
        if one is not sample and one.group == sample.group and one.outcomes[number].columns
    ]
    if not others:
        return None
    own, *partners = (
        SampleEstimates(
            estimates_of(one.outcomes[number]), np.asarray(one.counts.counts, np.float64)
        )
        for one in (sample, *others)
    )
    return replicate_agreement(own, partners, _generator(result))


def replicate_measures(replicates: Replicates) -> dict[str, Any]:
    """Return the agreement of weighted and corrected expression with that of replicates."""
    measures: dict[str, Any] = {}
    for column in ("weighted", "corrected"):
        difference, error = replicates.minus_raw[column]
        measures[f"replicate_rmse_{column}"] = {"value": replicates.rmse[column], "error": None}
        measures[f"replicate_pearson_{column}"] = {
            "value": finite_or_none(replicates.pearson[column]),
            "error": None,
        }
        measures[f"replicate_rmse_{column}_minus_raw"] = {
            "value": difference,
            "error": error if math.isfinite(error) else None,
        }
    return measures
