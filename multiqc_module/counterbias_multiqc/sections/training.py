"""Training curves, a tab per model that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from counterbias_multiqc import draw
from counterbias_multiqc.draw import Line, View
from counterbias_multiqc.text import escape
from counterbias_multiqc.values import Number

_DASHES = ("solid", "dash", "dot", "dashdot")
_HELP = """
What the models of a sample reported after each pass over its training windows. The names are the model's own; most are losses, in
nats, on the part that it learns from and on a validation part.

*Good*: lines that fall and level off, with the validation line close to the training line.

*Bad*: a validation line that rises again while training goes on falling: the model learns its windows by heart (fewer hidden
units or more reads help); lines that still fall at the end: it would gain from more epochs.
"""


def add(view: View) -> None:
    """Add the section, if any model has curves."""
    tabs: dict[str, dict[str, Line]] = {}
    colour: dict[str, str] = {}
    dash: dict[str, str] = {}
    for sample, model, title, values in _curves(view):
        line = f"{sample}, {escape(title)}"
        tabs.setdefault(model, {})[line] = {
            float(epoch): value for epoch, value in enumerate(values, start=1)
        }
        colour[line] = view.colours.get(sample, "#7f7f7f")
        dash[line] = _DASHES[_place(tabs[model], sample, line) % len(_DASHES)]
    if view.many:
        tabs = {model: _summary(tab) for model, tab in tabs.items()}
        colour, dash = {"median of all curves": "#1f77b4"}, {"lowest": "dot", "highest": "dot"}
    names = sorted(tabs)
    plot = draw.lines(
        [tabs[name] for name in names],
        {
            "id": view.id("training_plot"),
            "title": "Counterbias: Training curves",
            "xlab": "Epoch",
            "ylab": "Value that the model reports",
            "data_labels": [
                {"name": escape(name), "ylab": f"{escape(name)}: value reported"} for name in names
            ],
            "tt_label": "<b>epoch %{x}</b>: %{y:.4f}",
            "x_decimals": False,
            "showlegend": len(colour) <= 24,
        },
        colour=colour,
        dash=dash,
    )
    view.section(
        "Training",
        "training",
        description="How training went, epoch by epoch; a tab per model that has curves.",
        helptext=_HELP,
        plot=plot,
    )


def _curves(view: View) -> list[tuple[str, str, str, Sequence[Number]]]:
    """Give (sample, model, title, values) of all curves of more than one epoch."""
    found: list[tuple[str, str, str, Sequence[Number]]] = []
    for sample, runs in view.collection.runs.items():
        for run in runs:
            for end in run.ends:
                where = "" if end.label == "both" else f"{end.label}, "
                found += [
                    (sample, run.backend or "model", f"{where}{title}", values)
                    for title, values in end.curves.items()
                ]
    for sample, models in view.models.items():
        found += [
            (sample, model.label, title, values)
            for model in models
            for title, values in model.curves.items()
        ]
    return [curve for curve in found if len(curve[3]) > 1]


def _place(tab: Mapping[str, Line], sample: str, line: str) -> int:
    return [name for name in tab if name.startswith(f"{sample}, ")].index(line)


def _summary(tab: Mapping[str, Line]) -> dict[str, Line]:
    """Sum many curves up: lowest, median and highest value per epoch."""
    epochs: dict[float, list[float]] = {}
    for line in tab.values():
        for epoch, value in line.items():
            if value is not None:
                epochs.setdefault(epoch, []).append(value)
    ranked = {epoch: sorted(values) for epoch, values in sorted(epochs.items())}
    return {
        "lowest": {epoch: values[0] for epoch, values in ranked.items()},
        "median of all curves": {
            epoch: values[len(values) // 2] for epoch, values in ranked.items()
        },
        "highest": {epoch: values[-1] for epoch, values in ranked.items()},
    }
