"""Agreement of counts with the truth, if ``counterbias compare --truth`` was given one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multiqc.plots import table

from counterbias_multiqc import plots
from counterbias_multiqc.colours import WORSE_BETTER
from counterbias_multiqc.records import Estimate
from counterbias_multiqc.sources import ModelResult, Source
from counterbias_multiqc.text import escape_html
from counterbias_multiqc.view import View

#: Statistic → title, unit, description, colour scale.
_STATISTICS = {
    "pearson": ("Pearson", "", "correlation of log counts with the log truth", "Greens"),
    "rmse": (
        "RMSE",
        " (log2)",
        "root mean square error on a log2 scale, after subtracting the mean",
        "Greens-rev",
    ),
}
#: The difference between corrected and raw counts.
_DIFFERENCE = "corrected_minus_raw"
_DOCS = "agreement-with-the-truth"
_HELP = """
Agreement with quantities known from elsewhere: qPCR, spike-ins or a simulation, over the given
number of features. The columns **Δ** are *corrected − raw*, paired over the same features,
with their 95% confidence interval.

*Good*: a change of Pearson above zero or of RMSE below zero, with an interval that excludes zero.

*Bad*: a change on the wrong side of zero. If the interval includes zero, these features cannot tell
whether there is a difference: do not take it for a gain or a loss.
"""


def add(view: View) -> None:
    """Add a table and a heat map for each source in which models were compared with a truth."""
    for source in view.sources:
        known = {
            name: with_truth
            for name, models in source.models.items()
            if (with_truth := [model for model in models if model.truth.agreement])
        }
        if known:
            _add_table(view, source, known)
            _add_differences(view, source, known)


def _add_table(view: View, source: Source, known: Mapping[str, Sequence[ModelResult]]) -> None:
    rows = {
        name if rank == 0 else f"{name}, {escape_html(model.label)}": _cells(model)
        for name, models in known.items()
        for rank, model in enumerate(models)
    }
    plot = table.plot(
        rows,  # type: ignore[arg-type]
        _headers(),
        {
            "id": view.plot_id(f"truth_table_{source.key}"),
            "title": "Counterbias: Agreement with the truth",
            "namespace": "Truth",
            "save_file": False,
        },
    )
    view.add_section(
        "Agreement with the truth",
        f"truth-{source.key}",
        plot,
        description="How well raw and corrected counts agree with the truth given to "
        f"`compare --truth`, {source.title}.",
        helptext=_HELP,
        docs=_DOCS,
    )


def _cells(model: ModelResult) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "model": escape_html(model.label),
        "features": model.truth.features,
    }
    for name in _STATISTICS:
        for counts in ("raw", "corrected"):
            estimate = model.truth.agreement.get(counts, {}).get(name)
            cells[f"{counts}_{name}"] = None if estimate is None else estimate.value
        change = _change(model, name)
        cells[f"change_{name}"] = None if change is None else _with_interval(change)
    return {key: value for key, value in cells.items() if value is not None}


def _change(model: ModelResult, statistic: str) -> Estimate | None:
    return model.truth.agreement.get(_DIFFERENCE, {}).get(statistic)


def _with_interval(change: Estimate) -> str:
    """Return a text such as "+0.012 (0.008 to 0.016)"."""
    text = f"{change.value:+.3f}"
    if change.low is None or change.high is None:
        return text
    return f"{text} ({change.low:.3f} to {change.high:.3f})"


def _headers() -> dict[Any, Any]:
    headers: dict[Any, Any] = {
        "model": {"title": "Model", "description": "Bias model", "scale": False},
        "features": {
            "title": "Features",
            "description": "Features with both reads and a known quantity",
            "scale": False,
            "format": "{:,.0f}",
        },
    }
    for name, (title, unit, description, _) in _STATISTICS.items():
        headers[f"change_{name}"] = {
            "title": f"Δ {title}{unit}",
            "description": f"corrected − raw with its 95% confidence interval: {description}",
            "scale": False,
        }
    for name, (title, unit, description, scale) in _STATISTICS.items():
        for counts in ("raw", "corrected"):
            headers[f"{counts}_{name}"] = {
                "title": f"{title}, {counts}{unit}",
                "description": f"{counts} counts: {description}",
                "scale": scale,
                "format": "{:,.3f}",
            }
    return headers


def _add_differences(
    view: View, source: Source, known: Mapping[str, Sequence[ModelResult]]
) -> None:
    """Add a heat map; of one sample, the table says it all."""
    labels = [
        label
        for label in source.by_label()
        if any(model.label == label for models in known.values() for model in models)
    ]
    rows: dict[str, list[float | None]] = {}
    for name, models in known.items():
        changes = {model.label: _change(model, "pearson") for model in models}
        rows[name] = [
            None if (change := changes.get(label)) is None else change.value for label in labels
        ]
    if len(rows) == 1 or plots.largest_magnitude(rows) is None:
        return
    plot = plots.heat_map(
        rows,
        [escape_html(label) for label in labels],
        {
            "id": view.plot_id(f"truth_heatmap_{source.key}"),
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
        f"truth-gain-{source.key}",
        plot,
        description="Pearson correlation of log counts with the log truth, corrected − raw, "
        f"{source.title}. Green is better, purple is worse. The table above has the confidence "
        "intervals.",
        helptext=_HELP,
        docs=_DOCS,
    )
