"""How far correction changes counts, by expression."""

from __future__ import annotations

import math
from collections.abc import Sequence

from counterbias_multiqc import plots
from counterbias_multiqc.colours import DIVERGING
from counterbias_multiqc.emphasis import Emphasis, by_difference
from counterbias_multiqc.plots import ZERO_LINE, Line
from counterbias_multiqc.records import ExpressionBin, FoldChanges
from counterbias_multiqc.view import View

_MEDIAN = 0.5
#: Up to this many samples, the spread is drawn as well as the median.
_MAX_SAMPLES_WITH_SPREAD = 4
#: A sample stands out if its line rises or falls by so much more or less than the others', log2.
_TOLERANCE = 0.5
_HELP = """
Genes are sorted by their raw count into groups of about equal size. The solid line is the median
change of each group from raw to corrected counts, on a log2 scale: 0 is no change, 1 is twice as
many, −1 half as many. Dotted lines (only with few samples) enclose 90% of the genes.

*Corrected* counts, which we recommend, are raw counts divided by effective length. *Weighted*
counts are sums of read weights, as in Zhang et al. (2017). Where lengths are those of transcripts,
*corrected* contains these lengths as well as the bias: genes then change even in a sample without
bias, and short genes are raised.

**Good**: lines that are alike in all samples of an experiment.

**Bad, and what to do**: a line that rises or falls where the others do not. Genes with few and with
many reads then change differently in this sample: look at its base composition and at *Observed
versus predicted reads*; if these are fine, its genes differ in composition. A wide funnel at the
left of *weighted* is noise, from few reads with uneven weights: use *corrected* counts.
"""


def add(view: View) -> None:
    """Add the section."""
    names = [
        name for name, report in view.reports.items() if _MEDIAN in report.fold_changes.quantiles
    ]
    trends = {name: _trend(view.reports[name].fold_changes) for name in names}
    emphasis = by_difference(view, trends, _TOLERANCE, "whose trend is like the others'")
    if view.uses_heat_maps:
        plot, notes = _heat_map(view, emphasis), ""
    else:
        plot, notes = _line_plot(view, emphasis), emphasis.note
    view.add_section(
        "Change in counts",
        "changes",
        plot,
        description="How much correction changes the counts of genes, from few reads (left) to "
        f"many (right); 0 is no change.{view.note_on_models(names)}{notes}",
        helptext=_HELP,
        docs="change-in-counts",
    )


def _trend(changes: FoldChanges) -> float | None:
    """Return by how much the median change of the last group differs from that of the first."""
    bins = changes.corrected or changes.weighted
    if not bins:
        return None
    place = changes.quantiles.index(_MEDIAN)
    return bins[-1].quantiles[place] - bins[0].quantiles[place]


def _line_plot(view: View, emphasis: Emphasis) -> object:
    with_spread = len(emphasis.colours) <= _MAX_SAMPLES_WITH_SPREAD
    titles = view.names_with_models()
    tabs: list[dict[str, Line]] = []
    colours: dict[str, str] = {}
    dashes: dict[str, str] = {}
    for corrected in (True, False):
        tab: dict[str, Line] = {}
        for name, colour in emphasis.colours.items():
            changes = view.reports[name].fold_changes
            bins = changes.corrected if corrected else changes.weighted
            if not bins:
                continue
            sample = titles[name]
            tab[sample] = _line(bins, changes.quantiles.index(_MEDIAN))
            colours[sample] = colour
            for number in _outer_quantiles(changes) if with_spread else ():
                title = f"{sample}, {100 * changes.quantiles[number]:.0f}% quantile"
                tab[title] = _line(bins, number)
                colours[title], dashes[title] = colour, "dot"
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
            "showlegend": True,
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


def _heat_map(view: View, emphasis: Emphasis) -> object:
    """Draw the median change, samples × groups of features; those that stand out come first."""
    width = max((len(report.fold_changes.corrected) for report in view.reports.values()), default=0)
    titles = view.names_with_models()
    rows: dict[str, list[float | None]] = {}
    for name in emphasis.marked_first():
        changes = view.reports[name].fold_changes
        if changes.corrected:
            median = changes.quantiles.index(_MEDIAN)
            medians = [round(entry.quantiles[median], 4) for entry in changes.corrected]
            rows[titles[name]] = plots.stretch(medians, width)
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
