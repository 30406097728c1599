"""The trials of `accuracy.py`: one model, evaluated on one fold with one seed."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from accuracy_samples import load_sample, seqbias_scores
from shared import log, whole_numbers

from counterbias.errors import InputError
from counterbias.evaluation.reliability import reliability
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.compare.candidates import find_candidates
from counterbias.pipeline.compare.evaluation import (
    FoldSample,
    Trial,
    evaluate_backend,
    evaluate_scores,
    gene_changes,
)
from counterbias.plugins import Manager
from counterbias.records import Window

NONE, SEQBIAS = "none", "seqbias"
REFERENCES = (NONE, SEQBIAS)


@dataclass(frozen=True)
class Row:
    """A row of the table: a label and, unless it is one of the references, a model."""

    label: str
    choice: ModelChoice | None = None


@dataclass
class Result:
    """Everything that was measured on one data set, trial by trial."""

    data: str
    trials: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def choose_rows(
    arguments: argparse.Namespace, manager: Manager
) -> tuple[list[Row], dict[str, str]]:
    """Return the table's rows, and label → reason for models that cannot be trained."""
    labels = arguments.models.split(",") if arguments.models else []
    found = find_candidates(labels, [Window.parse(arguments.window)], manager)
    rows = [Row(NONE)] + ([Row(SEQBIAS)] if "fly" in arguments.data else [])
    rows += [Row(one.label, one.choice) for one in found if one.choice is not None]
    return rows, {one.label: one.reason for one in found if one.choice is None}


def measure(
    arguments: argparse.Namespace,
    data: str,
    rows: list[Row],
    result: Result,
    save: Callable[[], None],
) -> None:
    """Run all trials of one data set that are not in the result yet."""
    sample = load_sample(data, arguments.reads)
    log(
        f"{data}: {len(sample.starts):,} distinct starts, {len(sample.units)} units, "
        f"blocks of {sample.block:,} bases"
    )
    window = Window.parse(arguments.window)
    done = {key(trial) for trial in result.trials}
    for row in rows:
        if row.label == SEQBIAS and data != "fly":
            continue
        for trial in trials_of(arguments, row):
            if key({"label": row.label, **asdict(trial)}) in done:
                continue
            began = time.perf_counter()
            try:
                measured = run_trial(
                    row,
                    sample,
                    trial,
                    window=window,
                    threads=arguments.threads,
                    null=arguments.null,
                )
            except (InputError, RuntimeError, ValueError, FloatingPointError) as problem:
                result.failures[row.label] = f"{type(problem).__name__}: {problem}"
                log(f"{row.label}: {result.failures[row.label]}")
                break
            result.trials.append(measured)
            gain = measured["values"]["gain_cap5"]
            size = "" if trial.starts is None else f" starts {trial.starts}"
            shown = "–" if gain is None else f"{gain:.3f}"
            seconds = time.perf_counter() - began
            log(
                f"{data} {row.label} fold {trial.fold} seed {trial.seed}{size}: "
                f"cap5 {shown} ({seconds:.1f} s)"
            )
            save()


def trials_of(arguments: argparse.Namespace, row: Row) -> Iterator[Trial]:
    """Yield the trials of a row."""
    folds, seeds = whole_numbers(arguments.folds), whole_numbers(arguments.seeds)
    for fold in folds:
        if row.choice is None:
            yield Trial(fold)
            continue
        for seed in seeds:
            for starts in whole_numbers(arguments.learning_curve) or [None]:
                yield Trial(fold, seed, starts, arguments.null, arguments.sampling)


def key(trial: dict[str, Any]) -> tuple[Any, ...]:
    """Return what distinguishes a trial from all others."""
    return tuple(trial[name] for name in ("label", "fold", "seed", "starts", "null"))


def run_trial(
    row: Row, sample: FoldSample, trial: Trial, *, window: Window, threads: int, null: bool
) -> dict[str, Any]:
    """Measure one row in one fold with one seed."""
    measured: dict[str, Any] = {
        "label": row.label,
        "fold": trial.fold,
        "seed": trial.seed,
        "starts": trial.starts,
        "null": trial.null,
    }
    if row.choice is None:
        scores = (
            seqbias_scores(sample)
            if row.label == SEQBIAS
            else lambda positions: np.zeros(len(positions))
        )
        values = asdict(evaluate_scores(scores, sample, trial.fold, window))
        held_out = sample.held_out(trial.fold)
        slope = reliability(scores(held_out.positions()), held_out).slope
        return {**measured, "values": plain({**values, "reliability_slope": slope})}
    found = evaluate_backend(row.choice, sample, trial, threads=threads)
    # Reliability is that of the model as a counting run applies it, with gate and slope.
    measured["values"] = plain(
        {**asdict(found.accuracy), "reliability_slope": found.reliability.slope}
    )
    measured["perplexity"] = plain(dict(found.report.perplexity))
    measured["parameters"] = found.report.parameters
    measured["fit_seconds"] = found.report.seconds
    measured["windows_per_second"] = found.windows_per_second
    measured["training"], measured["validation"] = found.training, found.validation
    measured["spread"], measured["calibrated_cap5"] = found.spread, found.calibrated_cap5
    measured["calibration"] = plain(
        {
            name: getattr(found.calibration, name)
            for name in ("applied", "slope", "gain", "gain_error", "reason")
        }
    )
    if null:
        changes = gene_changes(found.model, found.calibration, sample, window, threads=threads)
        measured["genes"] = len(changes["used"])
        measured["largest_change"] = {
            name: float(np.abs(factors - 1).max()) for name, factors in changes.items()
        }
    return measured


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Replace numbers that JSON cannot represent (NaN, infinity) by None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
