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
#: Longest title of a tab as HTML, and how much is left of a longer one before it is made HTML.
_MAX_TITLE, _LENGTH_IF_CUT = 100, 20
#: Lines that replace those of single samples if there are many.
_LOWEST, _MEDIAN, _HIGHEST = "lowest", "median of all curves", "highest"
_COLOUR_OF_MEDIAN = "#1f77b4"
#: What a curve measures, by the end of its name → title, unit, whether it falls.
_KINDS = {
    "gain": ("gain", "bits/read", False),
    "log_loss": ("log loss", "nats/window", True),
    "perplexity": ("perplexity", "per base", True),
    "score": ("score", "", False),
    "loss": ("loss", "", True),
}
_HELP = """
What the models of each sample reported after every stage of their training. There is a tab for each
model and each thing that it reported; its axis says which direction is better. A **gain** or a
**score** should *rise*; a **log loss**, a **perplexity** and any other **loss** should *fall*.
Curves of *validation* are on reads that were set aside; not every model sets some aside.

*Good*: curves that get better and level off, with validation close to training.

*Bad*: validation that gets worse again while training still gets better: the model memorises its
reads (more reads or fewer parameters help). Curves that still get better at the end: longer
training would help.
"""


@dataclass(frozen=True, slots=True)
class _Curve:
    sample: str
    model: str
    #: Where the run is from, in words; empty if all are from one source.
    source: str
    title: str
    #: One value for each stage.
    values: Sequence[float | None]

    @property
    def kind(self) -> str:
        """What the curve measures: a key of ``_KINDS``, or the curve's own name."""
        return next((kind for kind in _KINDS if self.title.endswith(kind)), self.title)

    @property
    def tab(self) -> str:
        """The name of the tab that it is drawn in."""
        title = _KINDS[self.kind][0] if self.kind in _KINDS else self.kind
        source = f" ({self.source})" if self.source else ""
        return f"{self.model}{source}: {title}"

    @property
    def axis(self) -> str:
        """The axis of its tab, with unit and the direction that is better."""
        if self.kind not in _KINDS:
            return f"{self.kind}, as reported by {self.model}"
        title, unit, falls = _KINDS[self.kind]
        better = "lower is better" if falls else "higher is better"
        return f"{title.capitalize()}{f' ({unit})' if unit else ''}, {better}"


def add(view: View) -> None:
    """Add the section, if any model has curves."""
    tabs: dict[str, dict[str, Line]] = {}
    axes: dict[str, str] = {}
    colours: dict[str, str] = {}
    dashes: dict[str, str] = {}
    for curve in _curves(view):
        name = f"{curve.sample}, {escape_html(curve.title.replace('_', ' '))}"
        axes[curve.tab] = curve.axis
        tab = tabs.setdefault(curve.tab, {})
        tab[name] = {float(stage): value for stage, value in enumerate(curve.values, start=1)}
        colours[name] = view.colours[curve.sample]
        of_this_sample = [line for line in tab if line.startswith(f"{curve.sample}, ")]
        dashes[name] = _DASHES[of_this_sample.index(name) % len(_DASHES)]
    if view.uses_heat_maps:
        tabs = {model: _summary(tab) for model, tab in tabs.items()}
        colours, dashes = {_MEDIAN: _COLOUR_OF_MEDIAN}, {_LOWEST: "dot", _HIGHEST: "dot"}
    names = sorted(tabs)
    plot = plots.line_plot(
        [tabs[name] for name in names],
        {
            "id": view.plot_id("training_plot"),
            "title": "Counterbias: Training curves",
            # Tabs say whose the curves are; MultiQC leaves out a single one.
            **({"subtitle": _tab_title(names[0], 1)} if len(names) == 1 else {}),
            "xlab": "Stage of training",
            "ylab": "Value reported by the model",
            "data_labels": [
                {"name": _tab_title(name, number), "ylab": escape_html(axes[name])}
                for number, name in enumerate(names, start=1)
            ],
            "tt_label": "<b>stage %{x}</b>: %{y:.4f}",
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
        description="How training went, stage by stage."
        + (
            " There is a tab for each model that reports on its training, and for each thing that "
            "it reports."
            if len(names) > 1
            else ""
        ),
        helptext=_HELP,
        docs="training-curves",
    )


def _tab_title(name: str, number: int) -> str:
    """Return a tab's title, which MultiQC makes the name of a data file from."""
    title = escape_html(name)
    if len(title) <= _MAX_TITLE:
        return title
    return f"{escape_html(name[:_LENGTH_IF_CUT])}… {number}"


def _curves(view: View) -> Iterator[_Curve]:
    """Iterate over the curves of more than one stage."""
    for curve in (*_curves_of_runs(view), *_curves_of_comparisons(view)):
        if len(curve.values) > 1:
            yield curve


def _curves_of_runs(view: View) -> Iterator[_Curve]:
    source = "count" if view.collection.comparisons else ""
    for sample, runs in view.collection.runs.items():
        for run in runs:
            for end in run.ends:
                prefix = "" if end.label == "both" else f"{end.label}, "
                for title, values in end.curves.items():
                    yield _Curve(sample, run.backend or "model", source, f"{prefix}{title}", values)


def _curves_of_comparisons(view: View) -> Iterator[_Curve]:
    several = len(view.sources) > 1
    for source in view.sources:
        for sample, models in source.models.items():
            for model in models:
                for title, values in model.curves.items():
                    name = source.key if several else ""
                    yield _Curve(sample, model.label, name, title, values)


def _summary(tab: Mapping[str, Line]) -> dict[str, Line]:
    """Replace many curves by their lowest, median and highest values at each stage."""
    values_by_stage: dict[float, list[float]] = {}
    for line in tab.values():
        for stage, value in line.items():
            if value is not None:
                values_by_stage.setdefault(stage, []).append(value)
    ranked = {stage: sorted(values) for stage, values in sorted(values_by_stage.items())}
    return {
        _LOWEST: {stage: values[0] for stage, values in ranked.items()},
        _MEDIAN: {stage: values[len(values) // 2] for stage, values in ranked.items()},
        _HIGHEST: {stage: values[-1] for stage, values in ranked.items()},
    }
