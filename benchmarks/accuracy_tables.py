"""The tables that `accuracy.py` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from accuracy_trials import REFERENCES, SEQBIAS, Result
from shared import markdown

from counterbias.evaluation.trial_means import Mean, paired_difference, summarise, value_of

#: Columns of the two tables: heading, name of the measure, digits.
ACCURACY = (
    ("gain uniq", "gain_uniq", 3),
    ("gain cap5", "gain_cap5", 3),
    ("gain all", "gain_all", 3),
    ("slope", "reliability_slope", 2),
    ("R²", "r2", 3),
    ("AUC", "auc", 3),
    ("log loss", "log_loss", 3),
)
WEIGHTS = (
    ("ESS", "ess", 2),
    ("max/mean", "max_over_mean", 1),
    ("KL k=1", "kl1_after", 4),
    ("KL k=3", "kl3_after", 3),
    ("halves, weighted", "half_weighted", 3),
    ("halves, effective length", "half_effective", 3),
)


def table(result: Result) -> str:
    """Format the measures as two Markdown tables."""
    labels = list(dict.fromkeys(trial["label"] for trial in result.trials))
    of = {label: [trial for trial in result.trials if trial["label"] == label] for label in labels}
    first, second = (
        ["model", *(column[0] for column in ACCURACY)],
        ["model", *(column[0] for column in WEIGHTS)],
    )
    if SEQBIAS in of:
        first.append("cap5 − seqbias")
    upper, lower = [first], [[*second, "perplexity", "parameters", "fit s", "windows/s"]]
    for label, trials in of.items():
        cells = [
            with_error(
                summarise(trials, lambda trial, name=name: trial["values"].get(name)), digits
            )
            for _, name, digits in ACCURACY
        ]
        if SEQBIAS in of:
            cells.append(
                ""
                if label == SEQBIAS
                else with_error(paired_difference(trials, of[SEQBIAS]), 3, sign=True)
            )
        upper.append([label, *cells])
        cost = ["", "", "", ""]
        if "parameters" in trials[0]:
            cost = [
                perplexities(trials),
                f"{np.median([trial['parameters'] for trial in trials]):,.0f}",
            ]
            cost += [f"{np.mean([trial['fit_seconds'] for trial in trials]):.2f}"]
            cost += [quantity(max(trial["windows_per_second"] for trial in trials))]
        lower.append(
            [
                label,
                *(
                    with_error(summarise(trials, value_of(name)), digits)
                    for _, name, digits in WEIGHTS
                ),
                *cost,
            ]
        )
    lines = [markdown(upper), "", markdown(lower)]
    any_trials = next(iter(of.values()), [])
    before = [f"k={k} {summarise(any_trials, value_of(f'kl{k}_before')).value:.4f}" for k in (1, 3)]
    halves = f"{summarise(any_trials, value_of('half_raw')).value:.3f}"
    lines.append(f"\nBefore weighting: KL {', '.join(before)}; halves {halves}.")
    spreads = {
        label: summarise(trials, value_of("gain_cap5")).seeds for label, trials in of.items()
    }
    listed = [f"{label} {spread:.3f}" for label, spread in spreads.items() if math.isfinite(spread)]
    if listed:
        lines.append(f"Standard deviation of cap5 between seeds: {', '.join(listed)}.")
    return "\n".join(lines)


def curve_table(result: Result) -> str:
    """Format gain_cap5 by the number of starts."""
    trials = [trial for trial in result.trials if trial["label"] not in REFERENCES]
    sizes = sorted({trial["starts"] for trial in trials})
    rows = [["model", *(f"{size:,} starts" for size in sizes)]]
    for label in dict.fromkeys(trial["label"] for trial in trials):
        cells = []
        for size in sizes:
            own = [trial for trial in trials if (trial["label"], trial["starts"]) == (label, size)]
            as_fitted, as_used = (
                summarise(own, value_of("gain_cap5")),
                summarise(own, lambda trial: trial["calibrated_cap5"]),
            )
            cells.append(
                f"{with_error(Mean(as_fitted.value, math.nan, 0), 2)} / {with_error(as_used, 2)}"
            )
        rows.append([label, *cells])
    note = (
        "Each cell: gain cap5 of the model as fitted / as a counting run applies it (slope and "
        "gate) ± SE over folds."
    )
    return f"{markdown(rows)}\n\n{note}"


def null_table(result: Result) -> str:
    """Format what models learn from a sample without bias."""
    rows = [
        [
            "model",
            "starts",
            "SD of log2 b",
            "gate opened",
            "largest change, as used",
            "largest change, ungated",
        ]
    ]
    trials = [trial for trial in result.trials if trial["label"] not in REFERENCES]
    for label, size in dict.fromkeys((trial["label"], trial["starts"]) for trial in trials):
        own = [trial for trial in trials if (trial["label"], trial["starts"]) == (label, size)]
        opened = sum(trial["calibration"]["applied"] for trial in own)
        largest = {
            name: max(trial["largest_change"][name] for trial in own)
            for name in ("used", "ungated")
        }
        starts = "all" if size is None else f"{size:,}"
        spread = summarise(own, lambda trial: trial["spread"]).value
        cells = [
            label,
            starts,
            f"{spread:.3f}",
            f"{opened} of {len(own)}",
            f"{largest['used']:.1%}",
            f"{largest['ungated']:.1%}",
        ]
        rows.append(cells)
    genes = {trial["genes"] for trial in trials}
    return markdown(rows) + f"\n\nOver {min(genes, default=0)} genes with at least 100 reads."


def with_error(mean: Mean, digits: int, *, sign: bool = False) -> str:
    if not math.isfinite(mean.value):
        return "–"
    text = f"{mean.value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
    return text if not math.isfinite(mean.error) else f"{text} ± {mean.error:.{digits}f}"


def perplexities(trials: Sequence[dict[str, Any]]) -> str:
    names = list(trials[0]["perplexity"])
    return " / ".join(
        f"{summarise(trials, lambda trial, name=name: trial['perplexity'].get(name)).value:.3f}"
        for name in names
    )


def quantity(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e5 else f"{value:,.0f}"
