"""Whether corrections have the right size: held-out reads observed against those predicted."""

from __future__ import annotations

from typing import Any

from counterbias_multiqc import draw
from counterbias_multiqc.draw import Line, View
from counterbias_multiqc.parser import Reliability

#: The line on which observed and predicted reads agree.
_DIAGONAL, _GREY = "as predicted", "#999999"
#: How far it reaches beyond the outermost points.
_BEYOND = 0.25
_LABELS = {"both": "", "read1": "", "read2": ", read 2"}
_HELP = """
Places of held-out exons are sorted by the bias that the model gives them, as it is used, and put into bins of equally many
predicted reads. Each bin shows how many reads start there (vertical) and how many the model predicts (horizontal), both over
those of an even spread in the same exon, on log2 scales: 1 is twice as many, −1 half as many. The slope says how steep the line
is; it comes from single places by maximum likelihood, with an interval over stretches of the genome.

*Good*: lines on the dashed diagonal, a slope near 1.

*Bad*: a line **steeper** than the diagonal (slope above 1): the bias is larger than the model says, and a part of it stays in
corrected counts. A **flatter** line (slope below 1): the correction goes too far, as that of a model which learnt noise does. A
line that bends at one end: the model is wrong about the rarest or the most frequent starts. What happens between genes cannot
be seen here, since their abundances are not known.
"""


def add(view: View) -> None:
    """Add the section, if any file tells of it."""
    plot = _heat(view) if view.many else _lines(view)
    view.section(
        "Observed against predicted",
        "size",
        description="Held-out reads observed against those that the bias predicts, log2 over an even spread in the same exon; "
        "on the diagonal the correction has the right size.",
        helptext=_HELP,
        plot=plot,
        statuses=view.statuses("size"),
        alerts=view.alerts("size"),
    )


def _drawn(view: View) -> dict[str, tuple[str, Reliability]]:
    """Give title → (sample, reliability) of every end with more than one bin."""
    return {
        f"{name}{_LABELS.get(end.label, '')}": (name, end.reliability)
        for name, report in view.reports.items()
        for end in report.ends
        if len(end.reliability.predicted) > 1
    }


def _lines(view: View) -> Any:
    drawn = _drawn(view)
    if not drawn:
        return None
    tab: dict[str, Line] = {
        title: {round(x, 4): y for x, y in zip(found.predicted, found.observed, strict=True)}
        for title, (_, found) in drawn.items()
    }
    ends = [x for line in tab.values() for x in line]
    tab[_DIAGONAL] = {x: x for x in (min(ends) - _BEYOND, max(ends) + _BEYOND)}
    colour = {title: view.colours[name] for title, (name, _) in drawn.items()}
    dash = {title: "dot" for title, (name, _) in drawn.items() if title != name}
    return draw.lines(
        [tab],
        {
            "id": view.id("size_plot"),
            "title": "Counterbias: Observed against predicted reads",
            "xlab": "log2 of predicted reads over an even spread",
            "ylab": "log2 of observed reads over an even spread",
            "tt_label": "<b>predicted %{x:+.2f}</b>: observed %{y:+.2f}",
            "x_lines": [{"value": 0, "color": "#dddddd", "width": 1}],
            "y_lines": [{"value": 0, "color": "#dddddd", "width": 1}],
            "showlegend": len(drawn) <= 15,
        },
        colour={**colour, _DIAGONAL: _GREY},
        dash={**dash, _DIAGONAL: "dash"},
    )


def _heat(view: View) -> Any:
    """Draw observed over predicted, a row per sample, a column per bin: white on the diagonal."""
    rows: dict[str, list[float | None]] = {}
    drawn = _drawn(view)
    most = max((len(found.predicted) for _, found in drawn.values()), default=0)
    for title, (name, found) in drawn.items():
        if title == name:
            apart = [
                None if y is None else round(y - x, 4)
                for x, y in zip(found.predicted, found.observed, strict=True)
            ]
            rows[name] = [apart[place * len(apart) // most] for place in range(most)]
    limit = (
        max(
            (abs(value) for row in rows.values() for value in row if value is not None), default=0.0
        )
        or 1.0
    )
    return draw.heat(
        rows,
        [f"bin {place + 1}" for place in range(most)],
        {
            "id": view.id("size_heatmap"),
            "title": "Counterbias: Observed over predicted reads",
            "xlab": "Bins of places, from those that the model predicts the fewest reads to those with the most",
            "ylab": "Sample",
            "zlab": "log2(observed / predicted)",
            "min": -limit,
            "max": limit,
            "colstops": draw.DIVERGING,
            "tt_decimals": 3,
        },
    )
