"""Results of a comparison → the document, the tables, the recommendation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.agreement import (
    Agreement,
    Interval,
    Replicates,
    SampleEstimates,
    change_of,
    compare_with_truth,
    log_pearson,
    replicate_agreement,
)
from counterbias.evaluation.recommendation import Contender, Recommendation, recommend
from counterbias.evaluation.trial_means import (
    by_fold,
    mean_points,
    paired_difference,
    summarise,
    value_of,
)
from counterbias.figures.data import ModelFigures, SampleFigures
from counterbias.options import CountingOptions
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.pipeline.compare.outcome import (
    FAILED,
    OK,
    Outcome,
    finite_or_none,
    why_left_out,
)
from counterbias.pipeline.compare.results import Comparison, SampleResult
from counterbias.writers.comparison import build_document
from counterbias.writers.comparison_schema import (
    COSTS,
    DIFFERENCES,
    ESTIMATES,
    MODEL_MEASURES,
    RAW_MEASURES,
    RAW_TRIAL_MEASURES,
    TRIAL_MEASURES,
)

#: What the bootstrap's generator is seeded with, beside the seed.
_STREAM = 7

Arrays = Mapping[str, NDArray[np.float64]]


def report(
    result: Comparison, counting: CountingOptions, *, version: str, command_line: str
) -> dict[str, Any]:
    """Make the document: comparison.json, of which comparison.tsv and the figures are views."""
    best = recommendation(result)
    return build_document(
        {
            "version": version,
            "command_line": command_line,
            "options": _options(result, counting),
            "recommendation": {"model": best.model, "window": best.window, "reason": best.reason},
            "samples": [_sample(result, one) for one in result.samples],
        }
    )


def recommendation(result: Comparison) -> Recommendation:
    """Choose one model for all samples: one that was measured in each of those in which any was."""
    contenders = []
    measured = sum(any(one.status == OK for one in sample.outcomes) for sample in result.samples)
    for number, candidate in enumerate(result.candidates):
        own = [
            (sample, sample.outcomes[number])
            for sample in result.samples
            if sample.outcomes[number].status == OK
        ]
        if (
            not own
            or len(own) < measured
            or any(sample.outcomes[number].status == FAILED for sample in result.samples)
        ):
            continue
        if _learnt_from(candidate, result):
            continue
        trials = [
            {**trial, "fold": (sample.name, trial["fold"])}
            for sample, outcome in own
            for trial in outcome.trials
        ]
        used = sum(bool(outcome.count["applied"]) for _, outcome in own)
        parameters = float(np.mean([outcome.count["parameters"] for _, outcome in own]))
        reasons = [
            str(reason)
            for _, outcome in own
            if not outcome.count["applied"]
            for reason in outcome.count["reasons"]
        ]
        label, window = candidate.label, str(candidate.window)
        contenders.append(
            Contender(
                label, window, parameters, used, len(own), trials, reasons[0] if reasons else ""
            )
        )
    return recommend(contenders)


def _learnt_from(candidate: Candidate, result: Comparison) -> list[str]:
    """Name the samples that a model file has learnt from: no block of them is held out of it."""
    file = None if candidate.choice is None else candidate.choice.fitted
    return (
        []
        if file is None
        else [sample.name for sample in result.samples if file.training.includes(sample.name)]
    )


def column_name(outcome: Outcome, result: Comparison) -> str:
    """Name a model in per_gene.tsv: its label, with the window where there are several."""
    candidate = outcome.candidate
    several = len({str(one.window) for one in result.candidates}) > 1
    return f"{candidate.label}[{candidate.window}]" if several else candidate.label


def per_gene(result: Comparison) -> dict[str, dict[str, NDArray[Any] | None]]:
    """Give, per sample, the columns of per_gene.tsv."""
    found: dict[str, dict[str, NDArray[Any] | None]] = {}
    for sample in result.samples:
        columns: dict[str, NDArray[Any] | None] = {"raw": np.asarray(sample.counts.counts)}
        for outcome in sample.outcomes:
            for column in ("weighted", "corrected"):
                columns[f"{column_name(outcome, result)}.{column}"] = outcome.columns.get(column)
        found[sample.name] = columns
    return found


def between_models(result: Comparison) -> Iterator[tuple[str, str, str, str, str, str, float]]:
    """Correlate log2 FPKM between every two models of a sample."""
    for sample in result.samples:
        able = [one for one in sample.outcomes if one.columns]
        for column in ("weighted", "corrected"):
            for first, one in enumerate(able):
                for other in able[first + 1 :]:
                    pearson = log_pearson(
                        one.columns[f"fpkm_{column}"], other.columns[f"fpkm_{column}"]
                    )
                    a, b = one.candidate, other.candidate
                    yield (
                        sample.name,
                        column,
                        a.label,
                        str(a.window),
                        b.label,
                        str(b.window),
                        pearson,
                    )


def remarks(result: Comparison) -> list[str]:
    """Say what was left out, one line each."""
    lines = []
    told = set()
    for candidate in result.candidates:
        for name in _learnt_from(candidate, result):
            lines.append(
                f"{name}: {candidate.label} has learnt from this sample: its gain here is not held out, and it is not recommended"
            )
    for position, sample in enumerate(result.samples):
        nothing = why_left_out(sample.outcomes)
        if nothing:
            lines.append(f"{sample.name} is left out: {nothing}")
        for outcome in sample.outcomes:
            if outcome.reason and not nothing:
                window = outcome.candidate.window
                lines.append(
                    f"{sample.name}: {outcome.candidate.label}, window {window}: {outcome.status}: {outcome.reason}"
                )
        lines += _warnings(result, sample)
        joined, table = sample.truth, result.truth
        missing = 0 if table is None else table.missing[_truth_column(result, position)]
        if joined is not None and table is not None and (joined.absent or joined.shared or missing):
            told.add(
                f"{table.path}: {joined.joined} features have a true value; left out: {joined.absent} identifiers that no feature has, "
                f"{joined.shared} names that several features share, {missing} cells without a value"
            )
        group = [
            one
            for one in result.samples
            if one.group == sample.group and not why_left_out(one.outcomes)
        ]
        if sample.group is not None and group == [sample]:
            lines.append(
                f"{sample.name} is alone in group '{sample.group}': there is no replicate to agree with"
            )
    return [*lines, *sorted(told)]


def _warnings(result: Comparison, sample: SampleResult) -> list[str]:
    """Give the warnings of the counts, each once; those that not every model gave name the models."""
    counted = [outcome for outcome in sample.outcomes if outcome.columns]
    of: dict[str, list[str]] = {}
    for outcome in counted:
        for text in outcome.count["warnings"]:
            of.setdefault(text, []).append(column_name(outcome, result))
    hint = "--stranded "  # was told before the models were fitted
    return [
        f"{sample.name}: {text}"
        if len(names) == len(counted)
        else f"{sample.name}: {', '.join(names)}: {text}"
        for text, names in of.items()
        if not text.startswith(hint)
    ]


# -- the document ------------------------------------------------------------------------------------------------------


def _options(result: Comparison, counting: CountingOptions) -> dict[str, Any]:
    bias = {
        name: value
        for name, value in asdict(result.bias).items()
        if name not in ("model", "window", "model_options", "threads")
    }
    truth = result.options.truth
    return {
        "models": [one.label for one in result.candidates],
        "windows": [str(window) for window in result.options.windows],
        "folds": list(result.options.folds),
        "seeds": list(result.options.seeds),
        "groups": list(result.options.groups),
        "truth": None if truth is None else asdict(truth),
        "counting": asdict(counting),
        "bias": bias,
    }


def _sample(result: Comparison, sample: SampleResult) -> dict[str, Any]:
    """Describe one sample."""
    best = _best_trials(sample)
    agreement = {
        number: _replicates(result, sample, number) for number in range(len(sample.outcomes))
    }
    first = next((one for one in agreement.values() if one is not None), None)
    raw: dict[str, Any] = {one.name: {"value": None, "error": None} for one in RAW_MEASURES}
    # Without a model the measures are the same in every model's trials, but for windows of different width.
    measured = next((one for one in sample.outcomes if one.trials), None)
    if measured is not None:
        raw |= {name: _mean(measured, name) for name in RAW_TRIAL_MEASURES}
    if first is not None:
        raw["replicate_rmse_raw"] = {"value": first.rmse["raw"], "error": None}
        raw["replicate_pearson_raw"] = {"value": first.pearson["raw"], "error": None}
    models = [
        _model(result, sample, outcome, best, agreement[number])
        for number, outcome in enumerate(sample.outcomes)
    ]
    return {"sample": sample.name, "starts": sample.starts, "raw": raw, "models": models}


def _best_trials(sample: SampleResult) -> Sequence[Mapping[str, Any]]:
    """Give the trials of the sample's best model."""
    able = [one for one in sample.outcomes if one.trials and by_fold(one.trials)]
    return (
        max(able, key=lambda one: summarise(one.trials, value_of("gain_cap5")).value).trials
        if able
        else []
    )


def _mean(outcome: Outcome, name: str) -> dict[str, Any]:
    found = summarise(outcome.trials, value_of(name))
    return {"value": found.value, "error": found.error}


def _model(
    result: Comparison,
    sample: SampleResult,
    outcome: Outcome,
    best: Sequence[Mapping[str, Any]],
    replicates: Replicates | None,
) -> dict[str, Any]:
    """Describe one model in one sample; all keys are always there."""
    count = outcome.count
    measures: dict[str, Any] = {one.name: {"value": None, "error": None} for one in MODEL_MEASURES}
    if outcome.trials:
        measures |= {name: _mean(outcome, name) for name in TRIAL_MEASURES}
        behind = paired_difference(outcome.trials, best)
        measures["behind_best"] = {"value": 0.0 - behind.value, "error": behind.error}
    if outcome.columns:
        measures |= _changes(outcome)
    if replicates is not None:
        measures |= _replicate_measures(replicates)
    cost = {name: count.get(name) for name, _ in COSTS}
    cost["windows_per_second"] = max(
        (trial["windows_per_second"] for trial in outcome.trials), default=None
    )
    return {
        "model": outcome.candidate.label,
        "window": str(outcome.candidate.window),
        "status": outcome.status,
        "reason": outcome.reason or None,
        "used": bool(count.get("applied", False)),
        "measures": measures,
        "cost": cost,
        "curves": count.get("curves", {}),
        "fold_change": count.get("fold_change", {"weighted": [], "corrected": []}),
        "reliability": asdict(mean_points(outcome.trials)),
        "truth": _truth(result, sample, outcome),
    }


def _changes(outcome: Outcome) -> dict[str, Any]:
    """Give the paper's measures of a count before and after."""
    raw = outcome.columns["fpkm_raw"]
    found: dict[str, Any] = {}
    for column in ("weighted", "corrected"):
        other = outcome.columns[f"fpkm_{column}"]
        change = change_of(raw, other)
        values = (change.distance, change.up, change.down, log_pearson(raw, other))
        names = ("distance_{}", "genes_up_{}", "genes_down_{}", "pearson_raw_{}")
        found |= {
            name.format(column): {"value": value, "error": None}
            for name, value in zip(names, values, strict=True)
        }
    return found


def _estimates(outcome: Outcome, scale: str = "abundance") -> dict[str, NDArray[np.float64]]:
    """Give raw, weighted and corrected expression."""
    names = {name: f"fpkm_{name}" if scale == "abundance" else name for name in ESTIMATES}
    return {name: np.asarray(outcome.columns[column], np.float64) for name, column in names.items()}


def _rng(result: Comparison) -> np.random.Generator:
    """Give the same draws to every model, so that models are compared on the same resamples."""
    return np.random.default_rng([result.bias.seed, _STREAM])


def _truth(result: Comparison, sample: SampleResult, outcome: Outcome) -> dict[str, Any] | None:
    """Compare with the truth table."""
    options = result.options.truth
    if options is None or sample.truth is None or not outcome.columns:
        return None
    found = compare_with_truth(
        sample.truth.values, _estimates(outcome, options.scale), _rng(result)
    )
    return {
        **_agreement(found),
        "features": found.features,
        "column": _truth_column(result, _position(result, sample)),
    }


def _position(result: Comparison, sample: SampleResult) -> int:
    return next(number for number, one in enumerate(result.samples) if one is sample)


def _truth_column(result: Comparison, position: int) -> str:
    """Name the column of the truth table that is a sample's; empty without a truth."""
    options = result.options.truth
    return "" if options is None else options.columns[position if len(options.columns) > 1 else 0]


def _agreement(found: Agreement) -> dict[str, Any]:
    def told(intervals: Mapping[str, Interval]) -> dict[str, Any]:
        return {
            name: {"value": one.value, "low": one.low, "high": one.high}
            for name, one in intervals.items()
        }

    return {
        **{name: told(found.of[name]) for name in ESTIMATES},
        **{name: told(found.minus_raw[name.removesuffix("_minus_raw")]) for name in DIFFERENCES},
    }


def _replicates(result: Comparison, sample: SampleResult, number: int) -> Replicates | None:
    """Compare a sample with the others of its group, by one model."""
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
        SampleEstimates(_estimates(one.outcomes[number]), np.asarray(one.counts.counts, np.float64))
        for one in (sample, *others)
    )
    return replicate_agreement(own, partners, _rng(result))


def _replicate_measures(found: Replicates) -> dict[str, Any]:
    measures: dict[str, Any] = {}
    for column in ("weighted", "corrected"):
        apart, error = found.minus_raw[column]
        measures[f"replicate_rmse_{column}"] = {"value": found.rmse[column], "error": None}
        measures[f"replicate_pearson_{column}"] = {
            "value": finite_or_none(found.pearson[column]),
            "error": None,
        }
        measures[f"replicate_rmse_{column}_minus_raw"] = {
            "value": apart,
            "error": error if math.isfinite(error) else None,
        }
    return measures


# -- figures -----------------------------------------------------------------------------------------------------------


def figures(result: Comparison) -> list[SampleFigures]:
    """Gather what the figures are drawn from."""
    found = []
    for position, sample in enumerate(result.samples):
        models = [
            _model_figures(result, sample, outcome)
            for outcome in sample.outcomes
            if outcome.columns
        ]
        joined = sample.truth
        label = _truth_column(result, position)
        counts = np.asarray(sample.counts.counts, np.float64)
        found.append(
            SampleFigures(
                sample.name, counts, models, None if joined is None else joined.values, label
            )
        )
    return found


def _model_figures(result: Comparison, sample: SampleResult, outcome: Outcome) -> ModelFigures:
    gain = summarise(outcome.trials, value_of("gain_cap5"))
    truth, difference = {}, {}
    if result.options.truth is not None and sample.truth is not None:
        truth = _estimates(outcome, result.options.truth.scale)
        told = _truth(result, sample, outcome) or {}
        for column in ("weighted", "corrected"):
            found = told[f"{column}_minus_raw"]
            difference[column] = {
                name: (one["value"], one["low"], one["high"]) for name, one in found.items()
            }
    return ModelFigures(
        name=column_name(outcome, result),
        used=bool(outcome.count["applied"]),
        gain=gain.value,
        gain_error=gain.error,
        seconds=float(outcome.count["train_seconds"] or math.nan),
        offsets=outcome.count["offsets"],
        composition=outcome.count["composition"],
        expression=_estimates(outcome),
        points=asdict(mean_points(outcome.trials)),
        truth=truth,
        difference=difference,
    )
