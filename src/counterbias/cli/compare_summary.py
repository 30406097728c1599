"""What ``counterbias compare`` prints: a table per sample and a recommendation, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterbias.errors import harmless

_HEAD = (
    "model",
    "window",
    "gain (bits/read)",
    "slope",
    "R²",
    "AUC",
    "KL k=1",
    "halves",
    "train s",
    "parameters",
    "used",
)
_TRUTH_HEAD = "RMSE log2 to truth − raw"


def summary(document: Mapping[str, Any], folder: Path) -> str:
    """Return a text for the terminal that says what came out.

    Args:
        document: the content of ``comparison.json``.
        folder: where the files are.
    """
    lines = []
    for sample in document["samples"]:
        lines += [
            f"{sample['sample']}: {sample['starts']:,} distinct read starts",
            *_sample_table(sample),
            "",
        ]
    windows = {model["window"] for sample in document["samples"] for model in sample["models"]}
    chosen = document["recommendation"]
    if chosen["model"] is None:
        lines.append("Recommended: no correction.")
    else:
        window = f" with --bias-window {chosen['window']}" if len(windows) > 1 else ""
        lines.append(f"Recommended: --bias-model {chosen['model']}{window}")
    lines.append(chosen["reason"])
    lines += _truth_lines(document)
    lines += ["", f"Tables and figures are in {folder}."]
    return "".join(f"{harmless(line)}\n" for line in lines)


def _sample_table(sample: Mapping[str, Any]) -> list[str]:
    """Lay out the measures of one sample, one aligned row per model."""
    with_truth = any(model["truth"] for model in sample["models"])
    rows = [[*_HEAD, *([_TRUTH_HEAD] if with_truth else [])]]
    rows.append([*_raw_cells(sample["raw"]), *([""] if with_truth else [])])
    for model in sample["models"]:
        if model["status"] != "ok":
            rows.append([model["model"], model["window"], f"{model['status']}: {model['reason']}"])
            continue
        rows.append([*_model_cells(model), *([_truth_cell(model["truth"])] if with_truth else [])])
    return [f"  {line}" for line in _aligned(rows)]


def _raw_cells(raw: Mapping[str, Any]) -> list[str]:
    """Return the row of a sample without any model."""
    divergence = _number(raw["kl1_before"]["value"], 4)
    halves = _number(raw["half_raw"]["value"], 3)
    return ["(raw)", "", "0", "", "0", "0.5", divergence, halves, "", "", ""]


def _model_cells(model: Mapping[str, Any]) -> list[str]:
    """Return the row of a model, without truth."""
    measures, cost = model["measures"], model["cost"]
    return [
        model["model"],
        model["window"],
        _with_error(measures["gain_cap5"], 3),
        _with_error(measures["reliability_slope"], 2),
        _number(measures["r2"]["value"], 3),
        _number(measures["auc"]["value"], 3),
        _number(measures["kl1_after"]["value"], 4),
        _number(measures["half_effective"]["value"], 3),
        _number(cost["train_seconds"], 2),
        f"{cost['parameters'] or 0:,}",
        "yes" if model["used"] else "no",
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad the cells of every column to its width."""
    # A row without numbers has a reason in its third column, which sets no width.
    widths = [
        max(len(row[place]) for row in rows if place < 2 or len(row) == len(rows[0]))
        for place in range(len(rows[0]))
    ]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def _truth_lines(document: Mapping[str, Any]) -> list[str]:
    """Compare, sample by sample, the recommended model's corrected counts with the truth."""
    chosen = document["recommendation"]
    return [
        _truth_line(sample["sample"], model["truth"])
        for sample in document["samples"]
        for model in sample["models"]
        if model["truth"] is not None
        and (model["model"], model["window"]) == (chosen["model"], chosen["window"])
    ]


def _truth_line(sample: str, truth: Mapping[str, Any]) -> str:
    """Say whether corrected counts are shown to be nearer to the truth than raw ones."""
    difference = truth["corrected_minus_raw"]["rmse"]
    if difference["value"] is None:
        return (
            f"{sample}: only {truth['features']} features have both reads and a truth: too few to "
            "tell."
        )
    if difference["low"] <= 0 <= difference["high"]:
        verdict = "neither shown to be nearer to the truth than raw ones nor farther from it"
    elif difference["high"] < 0:
        verdict = "nearer to the truth than raw ones"
    else:
        verdict = "farther from the truth than raw ones"
    return (
        f"{sample}: over {truth['features']} features with a truth, its corrected counts are "
        f"{verdict}: RMSE log2 {_truth_cell(truth)}."
    )


def _truth_cell(truth: Mapping[str, Any] | None) -> str:
    """Show the paired difference of corrected to raw, with its interval."""
    if truth is None or truth["corrected_minus_raw"]["rmse"]["value"] is None:
        return "–"
    difference = truth["corrected_minus_raw"]["rmse"]
    return f"{difference['value']:+.3f} ({difference['low']:+.3f} … {difference['high']:+.3f})"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _with_error(estimate: Mapping[str, float | None], digits: int) -> str:
    text = _number(estimate["value"], digits)
    return text if estimate["error"] is None else f"{text} ± {estimate['error']:.{digits}f}"
