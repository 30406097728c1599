"""The document of a comparison, comparison.json, of which comparison.tsv is a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from counterbias.evaluation.agreement import Replicates
from counterbias.evaluation.trial_means import (
    by_fold,
    mean_points,
    paired_difference,
    summarise,
    value_of,
)
from counterbias.options import CountingOptions
from counterbias.pipeline.compare.measures import (
    change_measures,
    replicate_measures,
    replicates_of,
    trial_mean,
    truth_measures,
)
from counterbias.pipeline.compare.outcome import Outcome
from counterbias.pipeline.compare.recommended import recommendation
from counterbias.pipeline.compare.results import Comparison, SampleResult
from counterbias.writers.comparison import build_document
from counterbias.writers.comparison_schema import (
    COSTS,
    MODEL_MEASURES,
    RAW_MEASURES,
    RAW_TRIAL_MEASURES,
    TRIAL_MEASURES,
)


def report(
    result: Comparison, counting: CountingOptions, *, version: str, command_line: str
) -> dict[str, Any]:
    """Return the document.

    Args:
        result: the comparison.
        counting: how reads were counted.
        version: the program's.
        command_line: what the user typed.
    """
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


def _options(result: Comparison, counting: CountingOptions) -> dict[str, Any]:
    """Describe what was asked for."""
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
    replicates = [replicates_of(result, sample, number) for number in range(len(sample.outcomes))]
    models = [
        _model(result, sample, outcome, best, replicates[number])
        for number, outcome in enumerate(sample.outcomes)
    ]
    return {
        "sample": sample.name,
        "starts": sample.starts,
        "raw": _raw_measures(sample, replicates),
        "models": models,
    }


def _raw_measures(sample: SampleResult, replicates: Sequence[Replicates | None]) -> dict[str, Any]:
    """Return the measures without correction.

    They are the same in every model's trials, except for windows of different width.
    """
    raw: dict[str, Any] = {one.name: {"value": None, "error": None} for one in RAW_MEASURES}
    measured = next((one for one in sample.outcomes if one.trials), None)
    if measured is not None:
        raw |= {name: trial_mean(measured, name) for name in RAW_TRIAL_MEASURES}
    compared = next((one for one in replicates if one is not None), None)
    if compared is not None:
        raw["replicate_rmse_raw"] = {"value": compared.rmse["raw"], "error": None}
        raw["replicate_pearson_raw"] = {"value": compared.pearson["raw"], "error": None}
    return raw


def _best_trials(sample: SampleResult) -> Sequence[Mapping[str, Any]]:
    """Return the trials of the sample's best model; empty if none was measured."""
    measured = [one for one in sample.outcomes if one.trials and by_fold(one.trials)]
    if not measured:
        return []
    gain = value_of("gain_cap5")
    return max(measured, key=lambda one: summarise(one.trials, gain).value).trials


def _model(
    result: Comparison,
    sample: SampleResult,
    outcome: Outcome,
    best: Sequence[Mapping[str, Any]],
    replicates: Replicates | None,
) -> dict[str, Any]:
    """Describe one model in one sample, always with all keys.

    ``best`` are the trials of the sample's best model.
    """
    count = outcome.count
    measures: dict[str, Any] = {one.name: {"value": None, "error": None} for one in MODEL_MEASURES}
    if outcome.trials:
        measures |= {name: trial_mean(outcome, name) for name in TRIAL_MEASURES}
        behind = paired_difference(outcome.trials, best)
        measures["behind_best"] = {"value": 0.0 - behind.value, "error": behind.error}
    if outcome.columns:
        measures |= change_measures(outcome)
    if replicates is not None:
        measures |= replicate_measures(replicates)
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
        "truth": truth_measures(result, sample, outcome),
    }
