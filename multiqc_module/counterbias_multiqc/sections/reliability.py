"""Whether corrections have the right size: observed versus predicted held-out reads."""

from __future__ import annotations

from dataclasses import dataclass

from counterbias_multiqc import plots
from counterbias_multiqc.colours import DIVERGING, GREY
from counterbias_multiqc.plots import MAX_SAMPLES_IN_LEGEND, Line
from counterbias_multiqc.records import Reliability
from counterbias_multiqc.view import View, end_suffix

#: Name of the line on which observed and predicted reads agree.
_DIAGONAL = "as predicted"
#: How far that line reaches beyond the outermost points.
_MARGIN = 0.25
_AXIS = {"value": 0, "color": "#dddddd", "width": 1}
_HELP = """
The positions of held-out exons are sorted by the bias that the model assigns to them and put into
bins with equal numbers of predicted reads. Each bin shows how many reads start there (vertical) and
how many the model predicts (horizontal), relative to an even spread over the same exon, on log2
scales: 1 is twice as many, −1 half as many. The slope measures how steep the line is. It is
estimated from single positions by maximum likelihood, with a confidence interval over blocks of the
genome.

*Good*: lines on the dashed diagonal and a slope near 1.

*Bad*: a line **steeper** than the diagonal (slope above 1): the bias is larger than predicted, and
part of it stays in the corrected counts. A **flatter** line (slope below 1): the correction goes
too far, as with a model that has learnt noise. A line that bends at one end: the model is wrong
about the rarest or the most frequent starts. Whether the bias differs between genes as predicted
cannot be seen here, because the abundances of genes are not known.
"""


@dataclass(frozen=True, slots=True)
class _Curve:
    """The bins of one read end."""

    sample: str
    suffix: str
    bins: Reliability

    @property
    def title(self) -> str:
        return f"{self.sample}{self.suffix}"


def add(view: View) -> None:
    """Add the section."""
    curves = [
        _Curve(name, end_suffix(end), end.reliability)
        for name, report in view.reports.items()
        for end in report.ends
        if len(end.reliability.predicted) > 1
    ]
    view.add_section(
        "Observed versus predicted reads",
        "size",
        _heat_map(view, curves) if view.uses_heat_maps else _line_plot(view, curves),
        description="Held-out reads versus those that the bias model predicts, as log2 ratios to "
        "an even spread over the same exon. On the diagonal, the correction has the right size.",
        helptext=_HELP,
        statuses=view.statuses("size"),
        alerts=view.alerts("size"),
    )


def _line_plot(view: View, curves: list[_Curve]) -> object:
    if not curves:
        return None
    lines: dict[str, Line] = {
        curve.title: {
            round(predicted, 4): observed
            for predicted, observed in zip(curve.bins.predicted, curve.bins.observed, strict=True)
        }
        for curve in curves
    }
    positions = [predicted for line in lines.values() for predicted in line]
    ends = (min(positions) - _MARGIN, max(positions) + _MARGIN)
    lines[_DIAGONAL] = {position: position for position in ends}
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
            "showlegend": len(lines) - 1 <= MAX_SAMPLES_IN_LEGEND,
        },
        colours={**{curve.title: view.colours[curve.sample] for curve in curves}, _DIAGONAL: GREY},
        dashes={**{curve.title: "dot" for curve in curves if curve.suffix}, _DIAGONAL: "dash"},
    )


def _heat_map(view: View, curves: list[_Curve]) -> object:
    """Draw observed / predicted reads, samples × bins: white on the diagonal."""
    width = max((len(curve.bins.predicted) for curve in curves), default=0)
    rows: dict[str, list[float | None]] = {}
    for curve in curves:
        if not curve.suffix:
            ratios = [
                None if observed is None else round(observed - predicted, 4)
                for predicted, observed in zip(
                    curve.bins.predicted, curve.bins.observed, strict=True
                )
            ]
            rows[curve.sample] = plots.stretch(ratios, width)
    return plots.heat_map(
        rows,
        [f"bin {number}" for number in range(1, width + 1)],
        {
            "id": view.plot_id("size_heatmap"),
            "title": "Counterbias: Observed / predicted reads",
            "xlab": "Bins of positions, from the fewest to the most predicted reads per position",
            "ylab": "Sample",
            "zlab": "log2(observed / predicted)",
            **plots.symmetric_range(rows),
            "colstops": DIVERGING,
            "tt_decimals": 3,
        },
    )
