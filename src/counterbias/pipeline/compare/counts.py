"""A sample counted with one of the models, as ``counterbias count`` would do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.cross_fitting import BackendFault
from counterbias.pipeline.compare.cache import Cache, describe_model
from counterbias.pipeline.compare.candidates import guarded
from counterbias.pipeline.compare.design import PreparedSample
from counterbias.pipeline.compare.memory import peak_since, start_of_peak
from counterbias.pipeline.compare.outcome import FAILED, SKIPPED, Outcome

#: Columns of a count that are kept.
COLUMNS = (
    "raw",
    "weighted",
    "effective_length",
    "corrected",
    "fpkm_raw",
    "fpkm_weighted",
    "fpkm_corrected",
)


def count_with(sample: PreparedSample, outcome: Outcome, cache: Cache) -> None:
    """Fit the outcome's model on the whole sample and correct the counts, as a count does.

    ``outcome`` gets the columns and the other results, or why there are none.
    """
    choice = outcome.candidate.choice
    assert choice is not None
    described = _attempt(outcome, lambda: describe_model(choice))
    if described is None:
        return
    key = {
        "what": "count",
        "sample": sample.digest,
        "model": described,
        "settings": dict(sample.settings),
    }
    counted = cache.load(key)
    if counted is None:
        counted = _attempt(outcome, lambda: _count(sample, choice))
        if counted is None:
            return
        unlearnable = counted[0]["nothing"]
        if len(unlearnable) == len(sample.ends):
            outcome.unlearnable = True
            outcome.give_up(SKIPPED, "; ".join(dict.fromkeys(unlearnable.values())))
            return
        cache.store(key, *counted)
    outcome.count, outcome.columns = counted


def _attempt(outcome: Outcome, compute: Callable[[], Any]) -> Any:
    """Compute something with a model; None if it fails, and ``outcome`` says why."""
    try:
        return compute()
    except BackendFault as fault:
        outcome.give_up(FAILED, f"{type(fault.__cause__).__name__}: {fault.__cause__}")
    except InputError as problem:
        outcome.give_up(SKIPPED, problem.line())
    except (Exception, SystemExit) as problem:  # a plug-in may raise anything
        outcome.give_up(FAILED, f"{type(problem).__name__}: {problem}")
    return None


def _count(
    sample: PreparedSample, choice: ModelChoice
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the results as JSON and the columns. The names in JSON are those of cached results."""
    before = start_of_peak()
    bias = sample.weigh(guarded(choice) if choice.fitted is None else choice)
    peak = peak_since(before)
    report = bias.report
    ends = report["ends"]
    curves: dict[str, Any] = {}
    for end in ends:
        for name, values in (end["training"]["curves"] or {}).items():
            curves[f"{end['end']}_{name}" if len(ends) > 1 else name] = values
    results = {
        "applied": any(bool(end["calibration"]["applied"]) for end in ends),
        "reasons": [
            end["calibration"]["reason"] for end in ends if not end["calibration"]["applied"]
        ],
        "starts": sum(int(end["unique_starts"] or 0) for end in ends),
        "train_seconds": report["run"]["seconds"].get("training"),
        "parameters": sum(int(end["training"]["parameters"] or 0) for end in ends),
        "memory_mb": peak,
        "curves": curves,
        "fold_change": {
            "weighted": report["fold_change"]["weighted"],
            "corrected": report["fold_change"]["corrected"],
        },
        "offsets": ends[0]["offsets"],
        "composition": {end["end"]: end["composition"] for end in ends},
        "warnings": list(bias.warnings),
        "nothing": dict(bias.unlearnable),
    }
    return results, {name: np.asarray(bias.columns[name]) for name in COLUMNS}
