"""Agreement of raw and corrected counts with a truth, where ``counterbias compare --truth`` was given one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multiqc.plots import table
from multiqc.plots.table_object import InputRow
from multiqc.types import SampleName

from counterbias_multiqc import draw
from counterbias_multiqc.draw import View
from counterbias_multiqc.parser import Estimate
from counterbias_multiqc.samples import ModelResult
from counterbias_multiqc.text import escape

_STATISTICS = {
    "pearson": ("Pearson", "Correlation of log counts with the log truth", "Greens"),
    "spearman": ("Spearman", "Rank correlation with the truth", "Greens"),
    "r2": ("r²", "Share of the variance of the log truth explained", "Greens"),
    "rmse": ("RMSE", "Root mean square error, log2, after the median is subtracted", "Greens-rev"),
}
_HELP = """
Agreement with quantities known from elsewhere: qPCR, spike-ins, a simulation. Columns with **Δ** are differences *corrected −
raw* and *weighted − raw*, paired over the same features; the columns with limits, hidden at first, hold their 95 % confidence
intervals.

*Good*: a Δ Pearson above zero, a Δ RMSE below it, with an interval that does not hold zero.

*Bad*: a Δ on the wrong side. An interval that holds zero says that these features cannot tell: do not read it as a gain or as a
loss.
"""


def add(view: View) -> None:
    """Add table and heat map, if any model was compared with a truth."""
    known = {
        name: [model for model in models if model.truth] for name, models in view.models.items()
    }
    known = {name: models for name, models in known.items() if models}
    if not known:
        return
    rows = {
        name: [
            InputRow(
                sample=SampleName(name if place == 0 else f"{name}, {escape(model.label)}"),
                data=_cells(model),
            )
            for place, model in enumerate(models)
        ]
        for name, models in known.items()
    }
    plot = table.plot(
        rows,
        _headers(),
        {
            "id": view.id("truth_table"),
            "title": "Counterbias: Agreement with the truth",
            "namespace": "Truth",
            "save_file": False,
        },
    )
    view.section(
        "Agreement with the truth",
        "truth",
        description="How well raw, corrected and weighted counts agree with the truth that `compare --truth` was given.",
        helptext=_HELP,
        plot=plot,
    )
    _add_differences(view, known)


def _cells(model: ModelResult) -> dict[str, Any]:
    cells: dict[str, Any] = {"model": escape(model.label)}
    for part, values in model.truth.items():
        for name, estimate in values.items():
            if name not in _STATISTICS:
                continue
            cells[f"{part}_{name}"] = estimate.value
            if part.endswith("_minus_raw"):
                cells.update(
                    {
                        f"{part}_{name}_{key}": limit
                        for key in ("low", "high")
                        if (limit := getattr(estimate, key)) is not None
                    }
                )
    return cells


def _headers() -> dict[Any, Any]:
    headers: dict[Any, Any] = {
        "model": {"title": "Model", "description": "Bias model", "scale": False}
    }
    for name, (title, description, scale) in _STATISTICS.items():
        for part in ("raw", "corrected", "weighted"):
            headers[f"{part}_{name}"] = {
                "title": f"{title} {part}",
                "description": f"{description}, {part} counts",
                "scale": scale,
                "format": "{:,.4f}",
                "hidden": name not in ("pearson", "rmse") or part == "weighted",
            }
        for part in ("corrected", "weighted"):
            key = f"{part}_minus_raw_{name}"
            headers[key] = {
                "title": f"Δ {title} {part}",
                "description": f"{description}: {part} − raw, paired",
                "scale": "RdBu",
                "bars_zero_centrepoint": True,
                "format": "{:+,.4f}",
                "hidden": name != "pearson" or part == "weighted",
            }
            for limit in ("low", "high"):
                headers[f"{key}_{limit}"] = {
                    "title": f"Δ {title} {part}, {limit}",
                    "description": f"{limit.capitalize()} end of the 95 % confidence interval of {part} − raw",
                    "scale": False,
                    "format": "{:+,.4f}",
                    "hidden": True,
                }
    return headers


def _add_differences(view: View, known: Mapping[str, Sequence[ModelResult]]) -> None:
    labels = sorted({model.label for models in known.values() for model in models})
    rows: dict[str, list[float | None]] = {}
    for name, models in known.items():
        found = {model.label: _difference(model) for model in models}
        rows[name] = [None if (one := found.get(label)) is None else one.value for label in labels]
    sizes = [abs(value) for row in rows.values() for value in row if value is not None]
    if not sizes:
        return
    most = max(sizes) or 1.0
    plot = draw.heat(
        rows,
        [escape(label) for label in labels],
        {
            "id": view.id("truth_heatmap"),
            "title": "Counterbias: Gain in agreement with the truth",
            "xlab": "Model",
            "ylab": "Sample",
            "zlab": "Pearson of corrected − Pearson of raw",
            "min": -most,
            "max": most,
            "colstops": draw.BETTER,
            "tt_decimals": 4,
        },
    )
    view.section(
        "Gain in agreement",
        "truth-gain",
        description="Pearson correlation of log counts with the log truth, corrected − raw; green is better, purple worse. "
        "See the intervals in the table above.",
        helptext=_HELP,
        plot=plot,
    )


def _difference(model: ModelResult) -> Estimate | None:
    return model.truth.get("corrected_minus_raw", {}).get("pearson")
