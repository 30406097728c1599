"""Whether corrections have the right size: observed versus predicted held-out reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from counterbias_multiqc import plots
from counterbias_multiqc.colours import DIVERGING, GREY
from counterbias_multiqc.emphasis import Emphasis, by_checks, worst_first
from counterbias_multiqc.plots import Line
from counterbias_multiqc.records import Reliability
from counterbias_multiqc.text import number_of_samples
from counterbias_multiqc.view import View, end_suffix

#: Name of the line on which observed and predicted reads agree.
_DIAGONAL = "as predicted"
#: How far that line reaches beyond the outermost points.
_MARGIN = 0.25
_AXIS = {"value": 0, "color": GREY, "width": 0.5}
_CHECK = "size"
_HELP = """
Does the bias that the model predicts have the right size? All positions of genes that the model did
not see are sorted by how many reads it predicts there, and put into groups. Each point is a group:
to the right, more reads predicted than with an even spread over the gene; upwards, more reads
found. Scales are log2: 1 is twice as many, −1 half as many. On the dashed diagonal, the prediction
comes true. The *slope* says how steep the line is, with its 95% interval in the warning. Stranded
pairs have a line for each of their two reads.

**Good**: lines on the diagonal, slopes near 1.

**Bad, and what to do**

* **Steeper than the diagonal, slope above 1**: the bias is larger than the model says, so that part
  of it stays in the corrected counts. Let `counterbias compare` find a better model.
* **Flatter, slope below 1**: the correction goes too far, as with a model that has learnt noise.
  With few reads, add `--bias-prior FILE` to `counterbias count`, FILE being a model that
  `counterbias train` made from other samples.
* **Bent at one end**: the model is wrong about the rarest or the most frequent starts.

Whether genes differ from each other as predicted cannot be seen here, because it is not known how
abundant they are.
"""


@dataclass(frozen=True, slots=True)
class _Curve:
    """The bins of one read end."""

    sample: str
    title: str
    #: Whether it is read 2.
    second: bool
    bins: Reliability


def add(view: View) -> None:
    """Add the section."""
    curves = list(_curves(view))
    names = list(dict.fromkeys(curve.sample for curve in curves))
    if view.uses_heat_maps:
        plot, note = _heat_map(view, curves), " Samples that need a look come first."
    else:
        emphasis = by_checks(view, names, _CHECK)
        plot, note = _line_plot(view, curves, emphasis), emphasis.note
    view.add_section(
        "Observed versus predicted reads",
        "size",
        plot,
        description="Reads found at positions that the bias model did not see, versus those that "
        "it predicts there. On the diagonal, the correction has the right size."
        f"{view.note_on_models(names)}{note}{_note_on_missing(view, names)}",
        helptext=_HELP,
        statuses=view.statuses(_CHECK),
        alerts=view.alerts(_CHECK),
        docs="observed-versus-predicted-reads",
    )


def _curves(view: View) -> Iterator[_Curve]:
    names = view.names_with_models()
    for name, report in view.reports.items():
        for end in report.ends:
            if len(end.reliability.predicted) > 1 and end.applied is not False:
                suffix = end_suffix(end)
                title = f"{names[name]}{suffix}"
                yield _Curve(name, title, bool(suffix), end.reliability)


def _note_on_missing(view: View, names: list[str]) -> str:
    number = sum(not report.lengths_alone for report in view.reports.values()) - len(names)
    if not number:
        return ""
    return f" Not shown: {number_of_samples(number)} whose model is not used or was not measured."


def _line_plot(view: View, curves: list[_Curve], emphasis: Emphasis) -> object:
    if not curves:
        return None
    places = {name: place for place, name in enumerate(emphasis.colours)}
    curves = sorted(curves, key=lambda curve: places[curve.sample])
    points = [value for curve in curves for value in curve.bins.predicted]
    ends = (min(points) - _MARGIN, max(points) + _MARGIN)
    lines: dict[str, Line] = {_DIAGONAL: {position: position for position in ends}}
    for curve in curves:
        pairs = zip(curve.bins.predicted, curve.bins.observed, strict=True)
        lines[curve.title] = {round(predicted, 4): observed for predicted, observed in pairs}
    colours = {curve.title: emphasis.colours[curve.sample] for curve in curves}
    return plots.line_plot(
        [lines],
        {
            "id": view.plot_id("size_plot"),
            "title": "Counterbias: Observed versus predicted reads",
            "xlab": "log2(predicted reads / even spread)",
            "ylab": "log2(observed reads / even spread)",
            "tt_label": "<b>predicted %{x:+.2f}</b>: observed %{y:+.2f}",
            "x_lines": [_AXIS],
            "y_lines": [_AXIS],
            "showlegend": True,
        },
        colours={**colours, _DIAGONAL: GREY},
        dashes={**{curve.title: "dot" for curve in curves if curve.second}, _DIAGONAL: "dash"},
    )


def _heat_map(view: View, curves: list[_Curve]) -> object:
    """Draw observed / predicted reads, samples × bins: white on the diagonal."""
    width = max((len(curve.bins.predicted) for curve in curves), default=0)
    rows: dict[str, list[float | None]] = {}
    places = worst_first(view, (curve.sample for curve in curves), _CHECK)
    for curve in sorted(curves, key=lambda curve: places.index(curve.sample)):
        pairs = zip(curve.bins.predicted, curve.bins.observed, strict=True)
        ratios = [
            None if observed is None else round(observed - predicted, 4)
            for predicted, observed in pairs
        ]
        rows[curve.title] = plots.stretch(ratios, width)
    return plots.heat_map(
        rows,
        [f"bin {number}" for number in range(1, width + 1)],
        {
            "id": view.plot_id("size_heatmap"),
            "series_label": "rows",
            "title": "Counterbias: Observed / predicted reads",
            "xlab": "Bins of positions, from the fewest to the most predicted reads per position",
            "ylab": "Sample",
            "zlab": "log2(observed / predicted)",
            **plots.symmetric_range(rows),
            "colstops": DIVERGING,
            "tt_decimals": 3,
        },
    )
