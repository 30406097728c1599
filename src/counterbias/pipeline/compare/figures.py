"""What the figures of a comparison are drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from counterbias.evaluation.trial_means import (
    Trials,
    mean_points,
    paired_difference,
    summarise,
    value_of,
)
from counterbias.figures.data import ModelFigures, SampleFigures, Span
from counterbias.pipeline.compare.measures import estimates_of
from counterbias.pipeline.compare.outcome import Outcome
from counterbias.pipeline.compare.results import Comparison, SampleResult

#: Half consistency: the estimate's name in the figures → its measure.
_HALVES = {"raw": "half_raw", "weighted": "half_weighted", "corrected": "half_effective"}


def figures_of(result: Comparison, document: Mapping[str, Any]) -> list[SampleFigures]:
    """Return what the figures show, per sample.

    Args:
        result: the comparison.
        document: what :func:`~counterbias.pipeline.compare.report.report` says of it, whose numbers
            the figures repeat.
    """
    return [
        SampleFigures(
            sample.name,
            np.asarray(sample.counts.counts, np.float64),
            [
                _model(result, sample, outcome, {**described["raw"], **model["measures"]}, model)
                for outcome, model in zip(sample.outcomes, described["models"], strict=True)
                if outcome.columns
            ],
            None if sample.truth is None else sample.truth.values,
            result.truth_column(sample),
            sample.starts,
        )
        for sample, described in zip(result.samples, document["samples"], strict=True)
    ]


def _model(
    result: Comparison,
    sample: SampleResult,
    outcome: Outcome,
    measures: Mapping[str, Any],
    described: Mapping[str, Any],
) -> ModelFigures:
    """Return what the figures show of one model in one sample.

    ``measures`` are those of the model and of the sample without correction.
    """
    count, against = outcome.count, described["truth"]
    truth: dict[str, Any] = {}
    if result.options.truth is not None and against is not None:
        truth = {
            "truth": estimates_of(outcome, result.options.truth.scale),
            "agreement": {
                estimate: {name: _number(one["value"]) for name, one in against[estimate].items()}
                for estimate in ("raw", "corrected")
            },
            "features": against["features"],
            "difference": {
                measure: {
                    name: _span(against[f"{name}_minus_raw"][measure])
                    for name in ("weighted", "corrected")
                }
                for measure in ("rmse", "pearson")
            },
        }
    gain = measures["gain_cap5"]
    return ModelFigures(
        name=result.name_of(outcome.candidate),
        used=bool(count["applied"]),
        gain=_number(gain["value"]),
        gain_error=_number(gain["error"]),
        seconds=_number(count["train_seconds"] or None),
        offsets=count["offsets"],
        composition=count["composition"],
        expression=estimates_of(outcome),
        points=asdict(mean_points(outcome.trials)),
        halves=_halves(outcome.trials),
        replicates=_replicates(measures),
        **truth,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _span(interval: Mapping[str, float | None]) -> Span:
    value, low, high = (_number(interval[name]) for name in ("value", "low", "high"))
    return value, low, high


def _around(value: float, error: float) -> Span:
    return value, value - error, value + error


def _halves(trials: Trials) -> dict[str, Span]:
    """Return the half consistency, and its paired differences from raw over folds."""
    found = {}
    for estimate, name in _HALVES.items():
        mean = summarise(trials, value_of(name))
        found[estimate] = _around(mean.value, mean.error)
        if estimate != "raw":
            change = paired_difference(trials, trials, name, _HALVES["raw"])
            found[f"{estimate}_minus_raw"] = _around(change.value, change.error)
    return found


def _replicates(measures: Mapping[str, Any]) -> dict[str, Span]:
    """Return the agreement with replicates, and its paired differences from raw."""
    if measures["replicate_rmse_raw"]["value"] is None:
        return {}
    found = {"raw": _around(_number(measures["replicate_rmse_raw"]["value"]), math.nan)}
    for estimate in ("weighted", "corrected"):
        for name in (estimate, f"{estimate}_minus_raw"):
            one = measures[f"replicate_rmse_{name}"]
            found[name] = _around(_number(one["value"]), _number(one["error"]))
    return found
