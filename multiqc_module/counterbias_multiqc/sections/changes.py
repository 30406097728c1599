"""How far correction moves counts, by expression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from counterbias_multiqc import draw
from counterbias_multiqc.draw import Line, View
from counterbias_multiqc.parser import Bin

#: Up to this many samples the spread is drawn beside the median.
_SPREADS = 8
_HELP = """
Features are grouped by their raw count; each group has about as many features. The solid line is the median of log2(corrected /
raw) per group, dotted lines (few samples only) hold 90 % of the features. A value of 1 is a doubling. *Corrected* counts are raw
counts over effective length, the ones we recommend; *weighted* counts are sums of read weights, the paper's estimate.

*Good*: medians near zero at all levels of expression, and a spread that is no wider at the left than a factor of two or so.

*Bad*: medians that drift with expression; then features of low and high counts differ in composition, or the model has learnt
something else than priming. A wide funnel at the left of *weighted* is noise: few reads with uneven weights.
"""


def add(view: View) -> None:
    """Add the section."""
    plot = _heat(view) if view.many else _lines(view)
    view.section(
        "Change of counts",
        "changes",
        description="Log2 fold change from raw to corrected counts, by expression; zero is no change.",
        helptext=_HELP,
        plot=plot,
    )


def _position(entry: Bin) -> float:
    """Give the middle of a bin on a logarithmic axis."""
    return round(math.sqrt(entry.raw_min * entry.raw_max), 3)


def _line(bins: Sequence[Bin], place: int) -> Line:
    return {_position(entry): round(entry.quantiles[place], 6) for entry in bins}


def _lines(view: View) -> Any:
    tabs: list[dict[str, Line]] = []
    dash: dict[str, str] = {}
    colour: dict[str, str] = {}
    for which in ("corrected", "weighted"):
        tab: dict[str, Line] = {}
        for name, report in view.reports.items():
            change = report.fold_change
            bins: Sequence[Bin] = getattr(change, which)
            if not bins or 0.5 not in change.quantiles:
                continue
            tab[name], colour[name] = _line(bins, change.quantiles.index(0.5)), view.colours[name]
            outer = (
                (0, len(change.quantiles) - 1)
                if len(view.reports) <= _SPREADS and len(change.quantiles) > 1
                else ()
            )
            for place in outer:
                title = f"{name}, {100 * change.quantiles[place]:.0f}% quantile"
                tab[title] = _line(bins, place)
                dash[title], colour[title] = "dot", view.colours[name]
        tabs.append(tab)
    return draw.lines(
        tabs,
        {
            "id": view.id("changes_plot"),
            "title": "Counterbias: Change of counts by expression",
            "xlab": "Raw count (middle of the group)",
            "ylab": "log2 fold change",
            "data_labels": [
                {"name": "Corrected", "ylab": "log2(corrected / raw)"},
                {"name": "Weighted", "ylab": "log2(weighted / raw)"},
            ],
            "xlog": True,
            "tt_label": "<b>raw count %{x:.0f}</b>: %{y:+.3f}",
            "y_lines": [{"value": 0, "color": "#999999", "width": 1, "dash": "dot"}],
            "y_minrange": 0.2,
            "showlegend": len(view.reports) <= 15,
        },
        colour=colour,
        dash=dash,
    )


def _heat(view: View) -> Any:
    rows: dict[str, list[float | None]] = {}
    most = max((len(report.fold_change.corrected) for report in view.reports.values()), default=0)
    for name, report in view.reports.items():
        change = report.fold_change
        if change.corrected and 0.5 in change.quantiles:
            medians = [entry.quantiles[change.quantiles.index(0.5)] for entry in change.corrected]
            rows[name] = [round(medians[place * len(medians) // most], 4) for place in range(most)]
    limit = (
        max(
            (abs(value) for row in rows.values() for value in row if value is not None), default=0.0
        )
        or 1.0
    )
    return draw.heat(
        rows,
        [f"group {place + 1}" for place in range(most)],
        {
            "id": view.id("changes_heatmap"),
            "title": "Counterbias: Change of counts by expression",
            "xlab": "Groups of features, from the lowest raw counts to the highest",
            "ylab": "Sample",
            "zlab": "Median log2(corrected / raw)",
            "min": -limit,
            "max": limit,
            "colstops": draw.DIVERGING,
            "tt_decimals": 3,
        },
    )
