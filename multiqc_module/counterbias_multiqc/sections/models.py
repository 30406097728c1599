"""Comparison of the models tried on each sample: table, gain by sample, and gain versus cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiqc.plots import scatter, table
from multiqc.plots.table_object import InputRow
from multiqc.types import SampleName

from counterbias_multiqc import plots
from counterbias_multiqc.colours import WORSE_BETTER, assign_colours
from counterbias_multiqc.records import Measure
from counterbias_multiqc.samples import MAIN_MEASURE, ModelResult, NamedComparison, mean
from counterbias_multiqc.text import column_key, column_text, escape, escape_html, escape_markdown
from counterbias_multiqc.view import View, spell_out

_SHOWN_MEASURES = (MAIN_MEASURE, "reliability_slope", "deviance_explained", "auc")
_TABLE_HELP = """
The row of each sample shows its best model by gain; open it to see the others. **Gain** is the main
measure: how many bits per read the model gains over uniform read starts, in genes that it was not
trained on. Zero means that it knows nothing, a negative gain that it has learnt noise.

*Good*: a gain clearly above zero, and one model that is best in most samples.

*What to do*: choose the simplest model whose gain is within the error of the best. If no model has
a gain, leave the counts raw; this is what `--bias-model auto` does.
"""
_GAIN_HELP = """
Held-out gain in bits per read, one cell for each sample and model; zero is white. *Good*: one
column has the darkest green in most rows. *Bad*: purple cells, in which the model predicts worse
than no model. Empty cells are models that failed or were not tried.
"""
_COST_HELP = """
Each point is a model: its mean gain over samples versus its cost. *Good*: up and to the left. A
model to the right of another one with the same gain is more expensive but no better. Times depend
on the machine and on what else was running.
"""


@dataclass(frozen=True, slots=True)
class _Cost:
    title: str
    unit: str
    description: str
    format: str = "{:,.0f}"
    hidden: bool = False

    @property
    def title_with_unit(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title


_COSTS = {
    "train_seconds": _Cost("Training", "s", "Time to train the model", format="{:,.2f}"),
    "parameters": _Cost("Parameters", "", "Free parameters of the model"),
    "windows_per_second": _Cost("Windows/s", "", "Windows scored per second", hidden=True),
    "memory_mb": _Cost("Memory", "MB", "Memory needed for training", hidden=True),
}


@dataclass(frozen=True, slots=True)
class _Tried:
    """The samples on which several models were tried, and what is known of these models."""

    models: Mapping[str, Sequence[ModelResult]]
    measures: Sequence[Measure]

    @property
    def main_measure(self) -> Measure:
        """The measure to compare models by."""
        return next(
            (measure for measure in self.measures if measure.name == MAIN_MEASURE),
            self.measures[0],
        )

    def by_label(self) -> dict[str, list[ModelResult]]:
        """Map labels of models to their results, the best model first by its mean."""
        results: dict[str, list[ModelResult]] = {}
        for models in self.models.values():
            for model in models:
                results.setdefault(model.label, []).append(model)
        gains = {label: self.mean_gain(models) for label, models in results.items()}

        def rank(label: str) -> tuple[float, str]:
            gain = gains[label]
            return float("inf") if gain is None else -gain, label

        return {label: results[label] for label in sorted(results, key=rank)}

    def mean_gain(self, models: Sequence[ModelResult]) -> float | None:
        """Return the mean of the main measure over samples."""
        return mean(model.value(self.main_measure.name) for model in models)


def add(view: View) -> None:
    """Add the sections, if several models were tried on any sample."""
    models = {name: models for name, models in view.models.items() if len(models) > 1}
    known = {name for results in models.values() for model in results for name in model.measures}
    measures = [measure for measure in view.collection.measures() if measure.name in known]
    if not measures:
        return
    tried = _Tried(models, measures)
    _add_table(view, tried)
    _add_gain(view, tried)
    _add_cost(view, tried)


def _add_table(view: View, tried: _Tried) -> None:
    rows = {
        name: [
            InputRow(
                sample=SampleName(name if rank == 0 else f"{name}, {escape_html(model.label)}"),
                data=_cells(model, tried.measures),
            )
            for rank, model in enumerate(models)
        ]
        for name, models in tried.models.items()
    }
    plot = table.plot(
        rows,
        _headers(tried.measures),
        {
            "id": view.plot_id("models_table"),
            "title": "Counterbias: Model comparison",
            "namespace": "Models",
            "save_file": False,
        },
    )
    view.add_section(
        "Model comparison",
        "models",
        plot,
        description="All models tried on each sample, measured on held-out parts of the genome. "
        "The row of a sample shows its best model.",
        helptext=_TABLE_HELP,
        alerts=[
            *(
                alert
                for entry in view.collection.comparisons
                for alert in _recommendation_alerts(entry)
            ),
            *_failure_alerts(tried),
        ],
    )


def _recommendation_alerts(entry: NamedComparison) -> list[dict[str, Any]]:
    recommended, reason = entry.comparison.recommended, entry.comparison.reason
    if not recommended and not reason:
        return []
    model = f"**{escape(recommended)}**" if recommended else "no model"
    message = f"`compare` recommends {model}{f': {escape(reason)}' if reason else ''}."
    return [{"message": message.replace("..", "."), "level": "info"}]


def _failure_alerts(tried: _Tried) -> list[dict[str, Any]]:
    failures = [
        f"**{escape_markdown(name)}**, {escape(model.label)}: {escape(model.failure)}"
        for name, models in tried.models.items()
        for model in models
        if model.failure
    ]
    if not failures:
        return []
    return [{"message": f"Models without a result: {spell_out(failures)}.", "level": "warning"}]


def _cells(model: ModelResult, measures: Sequence[Measure]) -> dict[str, Any]:
    used = {True: "yes", False: "no", None: None}[model.used]
    cells: dict[str, Any] = {
        "model": escape_html(model.label),
        "used": "failed" if model.failure else used,
    }
    for measure in measures:
        estimate = model.measures.get(measure.name)
        if estimate is not None:
            cells[f"m_{measure.name}"] = estimate.value
            cells[f"e_{measure.name}"] = estimate.error
    cells.update({f"c_{name}": value for name, value in model.cost.items() if name in _COSTS})
    return {column_key(name): value for name, value in cells.items() if value is not None}


def _headers(measures: Sequence[Measure]) -> dict[Any, Any]:
    headers: dict[Any, Any] = {
        "model": {
            "title": "Model",
            "description": "Bias model, the best by gain first",
            "scale": False,
        },
        "used": {
            "title": "Used",
            "description": "Whether the weights of this model are used: its gain must exceed zero "
            "by three standard errors",
            "scale": False,
            "cond_formatting_rules": {
                "pass": [{"s_eq": "yes"}],
                "fail": [{"s_eq": "failed"}],
                "warn": [{"s_eq": "no"}],
            },
        },
    }
    for measure in measures:
        headers.update(_measure_headers(measure))
    for name, cost in _COSTS.items():
        headers[f"c_{name}"] = {
            "title": cost.title_with_unit,
            "description": cost.description,
            "scale": "Oranges",
            "format": cost.format,
            "hidden": cost.hidden,
        }
    return headers


def _measure_headers(measure: Measure) -> dict[Any, Any]:
    """Return the headers of a measure and of its standard error."""
    title = _with_unit(measure)
    return {
        column_key(f"m_{measure.name}"): {
            "title": column_text(title),
            "description": column_text(measure.description),
            "scale": {"higher": "Greens", "lower": "Greens-rev"}.get(measure.better or "", "Greys"),
            "format": "{:,.3f}",
            "hidden": measure.name not in _SHOWN_MEASURES,
        },
        column_key(f"e_{measure.name}"): {
            "title": column_text(f"± {title}"),
            "description": column_text(f"Standard error: {measure.description}"),
            "scale": False,
            "format": "{:,.3f}",
            "hidden": measure.name != MAIN_MEASURE,
        },
    }


def _with_unit(measure: Measure) -> str:
    return f"{measure.title}, {measure.unit}" if measure.unit else measure.title


def _add_gain(view: View, tried: _Tried) -> None:
    labels = list(tried.by_label())
    main = tried.main_measure
    rows: dict[str, list[float | None]] = {}
    for name, models in tried.models.items():
        gains = {model.label: model.value(main.name) for model in models}
        rows[name] = [gains.get(label) for label in labels]
    if plots.largest_magnitude(rows) is None:
        return
    plot = plots.heat_map(
        rows,
        [escape_html(label) for label in labels],
        {
            "id": view.plot_id("gain_heatmap"),
            "title": "Counterbias: Gain by sample and model",
            "xlab": "Model",
            "ylab": "Sample",
            "zlab": escape_html(_with_unit(main)),
            **plots.symmetric_range(rows),
            "colstops": WORSE_BETTER,
            "tt_decimals": 3,
        },
    )
    view.add_section(
        "Gain by sample and model",
        "gain",
        plot,
        description=f"{escape(main.title)} on held-out data; models are sorted by their mean.",
        helptext=_GAIN_HELP,
    )


def _add_cost(view: View, tried: _Tried) -> None:
    gain_title = escape_html(f"{_with_unit(tried.main_measure)}, mean over samples")
    tabs, labels = [], []
    for name, cost in _COSTS.items():
        points = _points(tried, name)
        if points:
            tabs.append(points)
            labels.append({"name": cost.title, "xlab": cost.title_with_unit, "ylab": gain_title})
    if not tabs:
        return
    plot = scatter.plot(
        tabs,
        {
            "id": view.plot_id("cost_plot"),
            "title": "Counterbias: Gain versus cost",
            "xlab": "Cost",
            "ylab": gain_title,
            "data_labels": labels,
            "xlog": True,
            "marker_size": 12,
            "showlegend": True,
            "series_label": "models",
        },
    )
    view.add_section(
        "Gain versus cost",
        "cost",
        plot,
        description="Mean gain of each model versus its training time, number of parameters, speed "
        "and memory.",
        helptext=_COST_HELP,
    )


def _points(tried: _Tried, cost: str) -> dict[str, Any]:
    """Return a point for each model with a known gain and cost; the axis is logarithmic."""
    results = tried.by_label()
    colours = assign_colours(results)
    points = {}
    for label, models in results.items():
        gain, mean_cost = tried.mean_gain(models), mean(model.cost.get(cost) for model in models)
        if gain is not None and mean_cost is not None and mean_cost > 0:
            name = escape_html(label)
            points[name] = {
                "x": mean_cost,
                "y": gain,
                "color": colours[label],
                "name": name,
                "annotation": name,
            }
    return points
