"""Training curves, with a tab for each model that has any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from counterbias_multiqc import plots
from counterbias_multiqc.plots import Line
from counterbias_multiqc.text import escape_html
from counterbias_multiqc.view import View

_DASHES = ("solid", "dash", "dot", "dashdot")
_MAX_LINES_IN_LEGEND = 24
#: Lines that replace those of single samples if there are many.
_LOWEST, _MEDIAN, _HIGHEST = "lowest", "median of all curves", "highest"
_COLOUR_OF_MEDIAN = "#1f77b4"
_HELP = """
What the models of each sample reported after every pass over their training windows. The names of
the curves are the models' own; most are losses, in nats, on the training part and on a validation
part.

*Good*: lines that fall and level off, with the validation line close to the training line.

*Bad*: a validation line that rises again while the training line still falls: the model memorises
its windows (fewer hidden units or more reads help). Lines that still fall at the end: more epochs
would help.
"""


@dataclass(frozen=True, slots=True)
class _Curve:
    sample: str
    model: str
    title: str
    #: One value for each epoch.
    values: Sequence[float | None]


def add(view: View) -> None:
    """Add the section, if any model has curves."""
    tabs: dict[str, dict[str, Line]] = {}
    colours: dict[str, str] = {}
    dashes: dict[str, str] = {}
    for curve in _curves(view):
        name = f"{curve.sample}, {escape_html(curve.title)}"
        tab = tabs.setdefault(curve.model, {})
        tab[name] = {float(epoch): value for epoch, value in enumerate(curve.values, start=1)}
        colours[name] = view.colours[curve.sample]
        of_this_sample = [line for line in tab if line.startswith(f"{curve.sample}, ")]
        dashes[name] = _DASHES[of_this_sample.index(name) % len(_DASHES)]
    if view.uses_heat_maps:
        tabs = {model: _summary(tab) for model, tab in tabs.items()}
        colours, dashes = {_MEDIAN: _COLOUR_OF_MEDIAN}, {_LOWEST: "dot", _HIGHEST: "dot"}
    models = sorted(tabs)
    titles = [escape_html(model) for model in models]
    plot = plots.line_plot(
        [tabs[model] for model in models],
        {
            "id": view.plot_id("training_plot"),
            "title": "Counterbias: Training curves",
            "xlab": "Epoch",
            "ylab": "Value reported by the model",
            "data_labels": [
                {"name": title, "ylab": f"Value reported by {title}"} for title in titles
            ],
            "tt_label": "<b>epoch %{x}</b>: %{y:.4f}",
            "x_decimals": False,
            "showlegend": len(colours) <= _MAX_LINES_IN_LEGEND,
        },
        colours=colours,
        dashes=dashes,
    )
    view.add_section(
        "Training curves",
        "training",
        plot,
        description="How training went, epoch by epoch. There is a tab for each model with curves.",
        helptext=_HELP,
    )


def _curves(view: View) -> Iterator[_Curve]:
    """Iterate over the curves of more than one epoch."""
    for curve in (*_curves_of_runs(view), *_curves_of_comparisons(view)):
        if len(curve.values) > 1:
            yield curve


def _curves_of_runs(view: View) -> Iterator[_Curve]:
    for sample, runs in view.collection.runs.items():
        for run in runs:
            for end in run.ends:
                prefix = "" if end.label == "both" else f"{end.label}, "
                for title, values in end.curves.items():
                    yield _Curve(sample, run.backend or "model", f"{prefix}{title}", values)


def _curves_of_comparisons(view: View) -> Iterator[_Curve]:
    for sample, models in view.models.items():
        for model in models:
            for title, values in model.curves.items():
                yield _Curve(sample, model.label, title, values)


def _summary(tab: Mapping[str, Line]) -> dict[str, Line]:
    """Replace many curves by their lowest, median and highest values at each epoch."""
    values_by_epoch: dict[float, list[float]] = {}
    for line in tab.values():
        for epoch, value in line.items():
            if value is not None:
                values_by_epoch.setdefault(epoch, []).append(value)
    ranked = {epoch: sorted(values) for epoch, values in sorted(values_by_epoch.items())}
    return {
        _LOWEST: {epoch: values[0] for epoch, values in ranked.items()},
        _MEDIAN: {epoch: values[len(values) // 2] for epoch, values in ranked.items()},
        _HIGHEST: {epoch: values[-1] for epoch, values in ranked.items()},
    }
