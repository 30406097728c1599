"""Agreement of counts with the truth, if ``counterbias compare --truth`` was given one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multiqc.plots import table
from multiqc.plots.table_object import InputRow
from multiqc.types import SampleName

from counterbias_multiqc import plots
from counterbias_multiqc.colours import WORSE_BETTER
from counterbias_multiqc.samples import ModelResult
from counterbias_multiqc.text import escape_html
from counterbias_multiqc.view import View

#: Statistic → title, description, colour scale.
_STATISTICS = {
    "pearson": ("Pearson", "Correlation of log counts with the log truth", "Greens"),
    "spearman": ("Spearman", "Rank correlation with the truth", "Greens"),
    "r2": ("r²", "Share of the variance of the log truth explained", "Greens"),
    "rmse": (
        "RMSE",
        "Root mean square error on a log2 scale, after subtracting the median",
        "Greens-rev",
    ),
}
_SHOWN_STATISTICS = ("pearson", "rmse")
_SHOWN_DIFFERENCE = "pearson"
#: Key of a difference between counts: corrected or weighted counts, then this.
_MINUS_RAW = "_minus_raw"
_LIMITS = ("low", "high")
_HELP = """
Agreement with quantities known from elsewhere: qPCR, spike-ins or a simulation. Columns with **Δ**
are differences, *corrected − raw* and *weighted − raw*, paired over the same features. The columns
*low* and *high*, hidden by default, hold their 95% confidence intervals.

*Good*: a Δ Pearson above zero or a Δ RMSE below zero, with an interval that excludes zero.

*Bad*: a Δ on the wrong side of zero. If the interval includes zero, these features cannot tell
whether there is a difference: do not take it for a gain or a loss.
"""


def add(view: View) -> None:
    """Add a table and a heat map, if any model was compared with a truth."""
    models_by_sample = {
        name: with_truth
        for name, models in view.models.items()
        if (with_truth := [model for model in models if model.truth])
    }
    if models_by_sample:
        _add_table(view, models_by_sample)
        _add_differences(view, models_by_sample)


def _add_table(view: View, models_by_sample: Mapping[str, Sequence[ModelResult]]) -> None:
    rows = {
        name: [
            InputRow(
                sample=SampleName(name if rank == 0 else f"{name}, {escape_html(model.label)}"),
                data=_cells(model),
            )
            for rank, model in enumerate(models)
        ]
        for name, models in models_by_sample.items()
    }
    plot = table.plot(
        rows,
        _headers(),
        {
            "id": view.plot_id("truth_table"),
            "title": "Counterbias: Agreement with the truth",
            "namespace": "Truth",
            "save_file": False,
        },
    )
    view.add_section(
        "Agreement with the truth",
        "truth",
        plot,
        description="How well raw, corrected and weighted counts agree with the truth given to "
        "`compare --truth`.",
        helptext=_HELP,
    )


def _cells(model: ModelResult) -> dict[str, Any]:
    cells: dict[str, Any] = {"model": escape_html(model.label)}
    for part, estimates in model.truth.items():
        for name, estimate in estimates.items():
            if name not in _STATISTICS:
                continue
            cells[f"{part}_{name}"] = estimate.value
            if part.endswith(_MINUS_RAW):
                for limit in _LIMITS:
                    cells[f"{part}_{name}_{limit}"] = getattr(estimate, limit)
    return {key: value for key, value in cells.items() if value is not None}


def _headers() -> dict[Any, Any]:
    headers: dict[Any, Any] = {
        "model": {"title": "Model", "description": "Bias model", "scale": False}
    }
    for name in _STATISTICS:
        headers.update(_value_headers(name))
        for counts in ("corrected", "weighted"):
            headers.update(_difference_headers(name, counts))
    return headers


def _value_headers(statistic: str) -> dict[Any, Any]:
    title, description, scale = _STATISTICS[statistic]
    return {
        f"{counts}_{statistic}": {
            "title": f"{title} {counts}",
            "description": f"{description}, {counts} counts",
            "scale": scale,
            "format": "{:,.4f}",
            "hidden": statistic not in _SHOWN_STATISTICS or counts == "weighted",
        }
        for counts in ("raw", "corrected", "weighted")
    }


def _difference_headers(statistic: str, counts: str) -> dict[Any, Any]:
    """Return the headers of the difference from raw counts and of its interval."""
    title, description, _ = _STATISTICS[statistic]
    key = f"{counts}{_MINUS_RAW}_{statistic}"
    headers: dict[Any, Any] = {
        key: {
            "title": f"Δ {title} {counts}",
            "description": f"{description}: {counts} − raw, paired over features",
            "scale": "RdBu",
            "bars_zero_centrepoint": True,
            "format": "{:+,.4f}",
            "hidden": statistic != _SHOWN_DIFFERENCE or counts == "weighted",
        }
    }
    for limit, end in zip(_LIMITS, ("Lower", "Upper"), strict=True):
        headers[f"{key}_{limit}"] = {
            "title": f"Δ {title} {counts}, {limit}",
            "description": f"{end} limit of the 95% confidence interval of {counts} − raw",
            "scale": False,
            "format": "{:+,.4f}",
            "hidden": True,
        }
    return headers


def _add_differences(view: View, models_by_sample: Mapping[str, Sequence[ModelResult]]) -> None:
    labels = sorted({model.label for models in models_by_sample.values() for model in models})
    rows: dict[str, list[float | None]] = {}
    for name, models in models_by_sample.items():
        differences = {model.label: _difference(model) for model in models}
        rows[name] = [differences.get(label) for label in labels]
    if plots.largest_magnitude(rows) is None:
        return
    plot = plots.heat_map(
        rows,
        [escape_html(label) for label in labels],
        {
            "id": view.plot_id("truth_heatmap"),
            "title": "Counterbias: Gain in agreement with the truth",
            "xlab": "Model",
            "ylab": "Sample",
            "zlab": "Pearson corrected − Pearson raw",
            **plots.symmetric_range(rows),
            "colstops": WORSE_BETTER,
            "tt_decimals": 4,
        },
    )
    view.add_section(
        "Gain in agreement",
        "truth-gain",
        plot,
        description="Pearson correlation of log counts with the log truth, corrected − raw. Green "
        "is better, purple is worse. The table above has the confidence intervals.",
        helptext=_HELP,
    )


def _difference(model: ModelResult) -> float | None:
    estimate = model.truth.get(f"corrected{_MINUS_RAW}", {}).get("pearson")
    return None if estimate is None else estimate.value
