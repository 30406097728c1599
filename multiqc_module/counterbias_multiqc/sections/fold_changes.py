"""How far correction changes counts, by expression."""

from __future__ import annotations

import math
from collections.abc import Sequence

from counterbias_multiqc import plots
from counterbias_multiqc.colours import DIVERGING
from counterbias_multiqc.plots import MAX_SAMPLES_IN_LEGEND, ZERO_LINE, Line
from counterbias_multiqc.records import ExpressionBin, FoldChanges
from counterbias_multiqc.view import View

_MEDIAN = 0.5
#: Up to this many samples, the spread is drawn as well as the median.
_MAX_SAMPLES_WITH_SPREAD = 8
_HELP = """
Features are grouped by their raw count, about as many in each group. The solid line is the median
of log2(corrected / raw) of each group; the dotted lines (only with few samples) enclose 90% of the
features. A value of 1 is a doubling. *Corrected* counts, which we recommend, are raw counts divided
by effective length; *weighted* counts are sums of read weights, as in Zhang et al. (2017). Where
lengths are those of transcripts, *corrected* contains them as well as the bias: features then
spread even in a sample without bias.

*Good*: medians near zero at all levels of expression, and a spread at the left that is no wider
than a factor of about two.

*Bad*: medians that drift with expression: features with low and high counts differ in composition,
or the model has learnt something other than priming. A wide funnel at the left of *weighted* is
noise: few reads with uneven weights.
"""


def add(view: View) -> None:
    """Add the section."""
    view.add_section(
        "Change in counts",
        "changes",
        _heat_map(view) if view.uses_heat_maps else _line_plot(view),
        description="Log2 fold change from raw to corrected counts, by expression; 0 is no change.",
        helptext=_HELP,
    )


def _line_plot(view: View) -> object:
    with_spread = len(view.reports) <= _MAX_SAMPLES_WITH_SPREAD
    tabs: list[dict[str, Line]] = []
    colours: dict[str, str] = {}
    dashes: dict[str, str] = {}
    for corrected in (True, False):
        tab: dict[str, Line] = {}
        for name, report in view.reports.items():
            changes = report.fold_changes
            bins = changes.corrected if corrected else changes.weighted
            if not bins or _MEDIAN not in changes.quantiles:
                continue
            tab[name] = _line(bins, changes.quantiles.index(_MEDIAN))
            colours[name] = view.colours[name]
            for number in _outer_quantiles(changes) if with_spread else ():
                title = f"{name}, {100 * changes.quantiles[number]:.0f}% quantile"
                tab[title] = _line(bins, number)
                colours[title], dashes[title] = view.colours[name], "dot"
        tabs.append(tab)
    return plots.line_plot(
        tabs,
        {
            "id": view.plot_id("changes_plot"),
            "title": "Counterbias: Change in counts by expression",
            "xlab": "Raw count (middle of the group)",
            "ylab": "log2 fold change",
            "data_labels": [
                {"name": "Corrected", "ylab": "log2(corrected / raw)"},
                {"name": "Weighted", "ylab": "log2(weighted / raw)"},
            ],
            "xlog": True,
            "tt_label": "<b>raw count %{x:.0f}</b>: %{y:+.3f}",
            "y_lines": [ZERO_LINE],
            "y_minrange": 0.2,
            "showlegend": len(view.reports) <= MAX_SAMPLES_IN_LEGEND,
        },
        colours=colours,
        dashes=dashes,
    )


def _outer_quantiles(changes: FoldChanges) -> tuple[int, ...]:
    """Return the positions of the lowest and the highest quantile, if there are several."""
    return (0, len(changes.quantiles) - 1) if len(changes.quantiles) > 1 else ()


def _line(bins: Sequence[ExpressionBin], quantile: int) -> Line:
    return {_middle(entry): round(entry.quantiles[quantile], 6) for entry in bins}


def _middle(entry: ExpressionBin) -> float:
    """Return the middle of a bin on a logarithmic axis."""
    return round(math.sqrt(entry.raw_min * entry.raw_max), 3)


def _heat_map(view: View) -> object:
    """Draw the median change, samples × groups of features."""
    width = max((len(report.fold_changes.corrected) for report in view.reports.values()), default=0)
    rows: dict[str, list[float | None]] = {}
    for name, report in view.reports.items():
        changes = report.fold_changes
        if changes.corrected and _MEDIAN in changes.quantiles:
            median = changes.quantiles.index(_MEDIAN)
            medians = [round(entry.quantiles[median], 4) for entry in changes.corrected]
            rows[name] = plots.stretch(medians, width)
    return plots.heat_map(
        rows,
        [f"group {number}" for number in range(1, width + 1)],
        {
            "id": view.plot_id("changes_heatmap"),
            "title": "Counterbias: Change in counts by expression",
            "xlab": "Groups of features, from the lowest to the highest raw counts",
            "ylab": "Sample",
            "zlab": "Median log2(corrected / raw)",
            **plots.symmetric_range(rows),
            "colstops": DIVERGING,
            "tt_decimals": 3,
        },
    )
