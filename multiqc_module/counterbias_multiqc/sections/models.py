"""Models side by side, where several were tried on a sample: table, gain per sample and model, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multiqc.plots import scatter, table
from multiqc.plots.table_object import InputRow
from multiqc.types import SampleName

from counterbias_multiqc import draw
from counterbias_multiqc.draw import View
from counterbias_multiqc.parser import Measure
from counterbias_multiqc.samples import ModelResult, mean
from counterbias_multiqc.text import colours, column_key, column_text, escape, plain, plain_name

_SHOWN = ("gain_cap5", "reliability_slope", "deviance_explained", "auc")
_COSTS = {
    "train_seconds": ("Training", "s", "Seconds to train the model"),
    "parameters": ("Parameters", "", "Free parameters of the model"),
    "windows_per_second": ("Windows/s", "", "Windows scored per second"),
    "memory_mb": ("Memory", "MB", "Memory of training"),
}
_TABLE_HELP = """
One row per sample shows its best model by gain; open it to see the others. **Gain** is the main figure: bits per read that the
model gains over uniform starts in genes that it was not trained on. Zero means that it knows nothing; a negative gain that it has
learnt noise.

*Good*: a gain clearly above zero, and a winner that wins in most samples.

*What to do*: take the simplest model whose gain is within the error of the best. Where none gains, leave the counts raw: that is
what `--bias-model auto` does.
"""
_GAIN_HELP = """
Gain in bits per read, held-out; a cell per sample and model, white at zero. *Good*: one column that is darkest green in most
rows. *Bad*: purple cells, where the model predicts worse than no model; empty cells are models that failed or were not tried.
"""
_COST_HELP = """
Each point is a model: its mean gain over samples against what it costs. *Good*: up and to the left. A model to the right of
another one that is as high buys nothing for its price. Times depend on the machine and on what else it was doing.
"""


def add(view: View) -> None:
    """Add the sections, if more than one model was tried on any sample."""
    tried = {name: models for name, models in view.models.items() if len(models) > 1}
    if not tried:
        return
    measures = _present(tried, view.collection.measures)
    if not measures:
        return
    main = next((measure for measure in measures if measure.name == "gain_cap5"), measures[0])
    _add_table(view, tried, measures)
    _add_gain(view, tried, main)
    _add_cost(view, tried, main)


def _present(
    tried: Mapping[str, Sequence[ModelResult]], measures: Sequence[Measure]
) -> list[Measure]:
    names = {name for models in tried.values() for model in models for name in model.measures}
    return [measure for measure in measures if measure.name in names]


def _add_table(
    view: View, tried: Mapping[str, Sequence[ModelResult]], measures: Sequence[Measure]
) -> None:
    rows = {
        name: [
            InputRow(
                sample=SampleName(name if place == 0 else f"{name}, {escape(model.label)}"),
                data=_cells(model, measures),
            )
            for place, model in enumerate(models)
        ]
        for name, models in tried.items()
    }
    plot = table.plot(
        rows,
        _table_headers(measures),
        {
            "id": view.id("models_table"),
            "title": "Counterbias: Models side by side",
            "namespace": "Models",
            "save_file": False,
        },
    )
    advice = [
        f"`compare` recommends **{plain(comparison.recommended)}**{': ' + plain(comparison.reason) if comparison.reason else ''}"
        if comparison.recommended
        else f"`compare` recommends no model{': ' + plain(comparison.reason) if comparison.reason else ''}"
        for comparison, _ in view.collection.comparisons
        if comparison.recommended or comparison.reason
    ]
    view.section(
        "Models side by side",
        "models",
        description="All models that were tried on each sample, measured on held-out parts of the genome; the row of a sample is "
        "its best model's.",
        helptext=_TABLE_HELP,
        plot=plot,
        alerts=[
            *({"message": f"{text}.".replace("..", "."), "level": "info"} for text in advice),
            *_failures(tried),
        ],
    )


def _failures(tried: Mapping[str, Sequence[ModelResult]]) -> list[dict[str, Any]]:
    failed = [(name, model) for name, models in tried.items() for model in models if model.failed]
    if not failed:
        return []
    said = "; ".join(
        f"**{plain_name(name)}**, {plain(model.label)}: {plain(model.failed or '')}"
        for name, model in failed[:3]
    )
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    return [{"message": f"Models without a result: {said}{more}.", "level": "warning"}]


def _cells(model: ModelResult, measures: Sequence[Measure]) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "model": escape(model.label),
        "used": {True: "yes", False: "no", None: None}[model.used],
    }
    for measure in measures:
        estimate = model.measures.get(measure.name)
        if estimate is not None:
            cells[f"m_{measure.name}"] = estimate.value
            if estimate.error is not None:
                cells[f"e_{measure.name}"] = estimate.error
    cells.update({f"c_{name}": value for name, value in model.cost.items() if name in _COSTS})
    if model.failed:
        cells["used"] = "failed"
    return {column_key(name): value for name, value in cells.items() if value is not None}


def _table_headers(measures: Sequence[Measure]) -> dict[Any, Any]:
    headers: dict[Any, Any] = {
        "model": {
            "title": "Model",
            "description": "Bias model (best by gain first)",
            "scale": False,
        },
        "used": {
            "title": "Used",
            "description": "Whether its weights are used: its gain is above zero by three standard errors",
            "scale": False,
            "cond_formatting_rules": {
                "pass": [{"s_eq": "yes"}],
                "fail": [{"s_eq": "failed"}],
                "warn": [{"s_eq": "no"}],
            },
        },
    }
    for measure in measures:
        unit = f", {measure.unit}" if measure.unit else ""
        headers[column_key(f"m_{measure.name}")] = {
            "title": column_text(measure.title + unit),
            "description": column_text(measure.description),
            "scale": {"higher": "Greens", "lower": "Greens-rev"}.get(measure.better or "", "Greys"),
            "format": "{:,.3f}",
            "hidden": measure.name not in _SHOWN,
        }
        headers[column_key(f"e_{measure.name}")] = {
            "title": column_text(f"± {measure.title}{unit}"),
            "description": column_text(f"Standard error of: {measure.description}"),
            "scale": False,
            "format": "{:,.3f}",
            "hidden": measure.name != "gain_cap5",
        }
    for name, (title, unit, description) in _COSTS.items():
        headers[f"c_{name}"] = {
            "title": f"{title} ({unit})" if unit else title,
            "description": description,
            "scale": "Oranges",
            "format": "{:,.2f}" if name == "train_seconds" else "{:,.0f}",
            "hidden": name in ("windows_per_second", "memory_mb"),
        }
    return headers


def _order(tried: Mapping[str, Sequence[ModelResult]], measure: Measure) -> list[str]:
    """Order models by their mean over samples, the best first."""
    values: dict[str, list[float | None]] = {}
    for models in tried.values():
        for model in models:
            values.setdefault(model.label, []).append(model.value(measure.name))
    return sorted(
        values,
        key=lambda label: (
            -(mean(values[label]) if mean(values[label]) is not None else float("-inf")),  # type: ignore[operator]
            label,
        ),
    )


def _title(measure: Measure) -> str:
    return f"{measure.title}, {measure.unit}" if measure.unit else measure.title


def _add_gain(view: View, tried: Mapping[str, Sequence[ModelResult]], main: Measure) -> None:
    labels = _order(tried, main)
    rows = {}
    for name, models in tried.items():
        values = {model.label: model.value(main.name) for model in models}
        rows[name] = [values.get(label) for label in labels]
    known = [abs(value) for row in rows.values() for value in row if value is not None]
    if not known:
        return
    most = max(known) or 1.0
    plot = draw.heat(
        rows,
        [escape(label) for label in labels],
        {
            "id": view.id("gain_heatmap"),
            "title": "Counterbias: Gain per sample and model",
            "xlab": "Model",
            "ylab": "Sample",
            "zlab": escape(_title(main)),
            "min": -most,
            "max": most,
            "colstops": draw.BETTER,
            "tt_decimals": 3,
        },
    )
    view.section(
        "Gain per sample and model",
        "gain",
        description=f"{plain(main.title)}, held-out; models are ordered by their mean.",
        helptext=_GAIN_HELP,
        plot=plot,
    )


def _add_cost(view: View, tried: Mapping[str, Sequence[ModelResult]], main: Measure) -> None:
    labels = _order(tried, main)
    colour = colours(labels)
    tabs, names = [], []
    height = escape(f"{_title(main)}, mean over samples")
    for cost, (title, unit, _) in _COSTS.items():
        points: dict[str, Any] = {}
        for label in labels:
            found = [model for models in tried.values() for model in models if model.label == label]
            gain, price = (
                mean(model.value(main.name) for model in found),
                mean(model.cost.get(cost) for model in found),
            )
            if gain is not None and price is not None and price > 0:
                points[escape(label)] = {
                    "x": price,
                    "y": gain,
                    "color": colour[label],
                    "name": escape(label),
                    "annotation": escape(label),
                }
        if points:
            tabs.append(points)
            names.append(
                {"name": title, "xlab": f"{title} ({unit})" if unit else title, "ylab": height}
            )
    if not tabs:
        return
    plot = scatter.plot(
        tabs,
        {
            "id": view.id("cost_plot"),
            "title": "Counterbias: Gain against cost",
            "xlab": "Cost",
            "ylab": height,
            "data_labels": names,
            "xlog": True,
            "marker_size": 12,
            "showlegend": True,
            "series_label": "models",
        },
    )
    view.section(
        "Gain against cost",
        "cost",
        description="Mean gain of each model against its training time, its size, its speed and its memory.",
        helptext=_COST_HELP,
        plot=plot,
    )
