"""What the figures of a comparison are drawn from."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np

from counterbias.evaluation.trial_means import mean_points, summarise, value_of
from counterbias.figures.data import ModelFigures, SampleFigures
from counterbias.pipeline.compare.measures import estimates_of, truth_measures
from counterbias.pipeline.compare.outcome import Outcome
from counterbias.pipeline.compare.results import Comparison, SampleResult


def figures_of(result: Comparison) -> list[SampleFigures]:
    """Return what the figures show, per sample."""
    return [
        SampleFigures(
            sample.name,
            np.asarray(sample.counts.counts, np.float64),
            [_model(result, sample, one) for one in sample.outcomes if one.columns],
            None if sample.truth is None else sample.truth.values,
            result.truth_column(sample),
        )
        for sample in result.samples
    ]


def _model(result: Comparison, sample: SampleResult, outcome: Outcome) -> ModelFigures:
    gain = summarise(outcome.trials, value_of("gain_cap5"))
    truth, difference = {}, {}
    if result.options.truth is not None and sample.truth is not None:
        truth = estimates_of(outcome, result.options.truth.scale)
        measures = truth_measures(result, sample, outcome) or {}
        for column in ("weighted", "corrected"):
            difference[column] = {
                name: (one["value"], one["low"], one["high"])
                for name, one in measures[f"{column}_minus_raw"].items()
            }
    return ModelFigures(
        name=result.name_of(outcome.candidate),
        used=bool(outcome.count["applied"]),
        gain=gain.value,
        gain_error=gain.error,
        seconds=float(outcome.count["train_seconds"] or math.nan),
        offsets=outcome.count["offsets"],
        composition=outcome.count["composition"],
        expression=estimates_of(outcome),
        points=asdict(mean_points(outcome.trials)),
        truth=truth,
        difference=difference,
    )
