"""The distribution of read weights, and numbers that sum it up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from multiqc.plots import violin

from counterbias_multiqc import plots
from counterbias_multiqc.checks import is_weighted
from counterbias_multiqc.colours import INTENSITY
from counterbias_multiqc.emphasis import Emphasis, by_difference
from counterbias_multiqc.plots import ZERO_LINE, Line
from counterbias_multiqc.records import Histogram, QualityReport
from counterbias_multiqc.text import number_of_samples
from counterbias_multiqc.view import View

#: A sample stands out if its effective sample size differs by more from the others', % points.
_TOLERANCE = 10.0
_HISTOGRAM_HELP = """
The bias model gives each read the weight 1/bias: 1 (log2 = 0) if reads start there as often as they
should, 2 (log2 = 1) if they do so half as often, 0.5 (log2 = −1) if twice as often. The weights of
a sample sum to its number of assigned reads.

**This section informs; it judges nothing.** Wide weights are what a strong bias asks for, and a
better model often has wider ones. Only *weighted* counts pay for them, with more scatter;
*corrected* counts, which we recommend, do not, because they divide raw counts by effective lengths.

**Usual**: one smooth hump around 0, at most a few units wide.

**Unusual, and what to do**: a wall at the right end: weights were cut to the cap (`--bias-cap`). A
hump much wider than those of similar libraries: its bias is stronger, or its model has learnt
noise; *Observed versus predicted reads* tells which.
"""
_NUMBERS_HELP = """
Each point is a sample. The numbers matter for *weighted* counts only: *corrected* counts, which we
recommend, do not pay this price.

* **Effective sample size**: how many reads of equal weight would be as precise as the weighted
  ones, % of the reads. It is 100% if all weights are equal; at 50%, weighted counts scatter as if
  half of the reads had been sequenced.
* **Capped**: reads whose weight was cut to the cap (`--bias-cap`); usually well below 1%.
* **Unscored**: reads of weight 1 because their start could not be scored (N in the window, end of
  the contig, clipped 5′ end). With much more than 1%, align without soft clipping at 5′ ends.
* **Largest weight**: relative to the mean weight.
"""


def add(view: View) -> None:
    """Add both sections."""
    weighted = {name: report for name, report in view.reports.items() if is_weighted(report)}
    shown = weighted or dict(view.reports)
    _add_histograms(view, shown)
    if len(shown) > 1:
        _add_numbers(view, shown)


def _add_histograms(view: View, reports: Mapping[str, QualityReport]) -> None:
    effective = {name: _row(report.weights).get("effective") for name, report in reports.items()}
    emphasis = by_difference(
        view, effective, _TOLERANCE, "whose effective sample size is like the others'"
    )
    view.add_section(
        "Read weights",
        "weights",
        (_heat_map if view.uses_heat_maps else _line_plot)(view, emphasis),
        description="Distribution of read weights on a log2 scale; 0 is a weight of 1. Only "
        "weighted counts pay for wide weights; corrected counts, which we recommend, do not."
        f"{view.note_on_models(reports)}"
        f"{'' if view.uses_heat_maps else emphasis.note}"
        f"{_note_on_single(reports)}{_note_on_unweighted(view, reports)}",
        helptext=_HISTOGRAM_HELP,
        docs="read-weights",
    )


def _note_on_single(reports: Mapping[str, QualityReport]) -> str:
    """Return the numbers that no table has, for a report of one sample."""
    rows = [_row(report.weights) for report in reports.values()]
    if len(rows) != 1 or not {"unscored", "largest"} <= rows[0].keys():
        return ""
    unscored, largest = rows[0]["unscored"], rows[0]["largest"]
    return (
        f" {unscored:.2g}% of the reads have a weight of 1 because their start could not be "
        f"scored; the largest weight is {largest:.1f} times the mean."
    )


def _note_on_unweighted(view: View, reports: Mapping[str, QualityReport]) -> str:
    number = len(view.reports) - len(reports)
    if not number:
        return ""
    return f" Not shown: {number_of_samples(number)} in which all weights are 1."


def _percentages(histogram: Histogram) -> dict[float, float]:
    """Map the centres of bins to % of the reads, without the empty bins at both ends."""
    edges, counts = histogram.edges, histogram.counts
    total = sum(counts)
    if total <= 0:
        return {}
    filled = [position for position, count in enumerate(counts) if count > 0]
    first, last = max(filled[0] - 1, 0), min(filled[-1] + 1, len(counts) - 1)
    return {
        (edges[position] + edges[position + 1]) / 2: 100.0 * counts[position] / total
        for position in range(first, last + 1)
    }


def _histograms(view: View, names: Iterable[str]) -> dict[str, dict[float, float]]:
    titles = view.names_with_models()
    histograms = {titles[name]: _percentages(view.reports[name].weight_histogram) for name in names}
    return {name: histogram for name, histogram in histograms.items() if histogram}


def _line_plot(view: View, emphasis: Emphasis) -> object:
    lines: dict[str, Line] = {**_histograms(view, emphasis.colours)}
    titles = view.names_with_models()
    return plots.line_plot(
        [lines],
        {
            "id": view.plot_id("weights_plot"),
            "title": "Counterbias: Read weights",
            "xlab": "log2 of the weight",
            "ylab": "Reads (%)",
            "ymin": 0,
            "tt_label": "<b>log2 weight %{x:.2f}</b>: %{y:.2f}% of reads",
            "x_lines": [ZERO_LINE],
            "showlegend": True,
        },
        colours={titles[name]: colour for name, colour in emphasis.colours.items()},
    )


def _heat_map(view: View, emphasis: Emphasis) -> object:
    """Draw samples × weights; those that stand out come first."""
    histograms = _histograms(view, emphasis.marked_first())
    centres = sorted({centre for percentages in histograms.values() for centre in percentages})
    rows = {
        name: [round(percentages.get(centre, 0.0), 3) for centre in centres]
        for name, percentages in histograms.items()
    }
    return plots.heat_map(
        rows,
        [f"log2 {centre:+.3g}" for centre in centres],
        {
            "id": view.plot_id("weights_heatmap"),
            "title": "Counterbias: Read weights",
            "xlab": "log2 of the weight",
            "ylab": "Sample",
            "zlab": "Reads (%)",
            "min": 0,
            "colstops": INTENSITY,
            "angled_xticks": True,
        },
    )


def _add_numbers(view: View, reports: Mapping[str, QualityReport]) -> None:
    rows = {
        name: row
        for name, report in reports.items()
        if not report.lengths_alone and (row := _row(report.weights))
    }
    if not rows:
        return
    plot = violin.plot(
        rows,
        _headers(),
        {
            "id": view.plot_id("weight_scalars"),
            "title": "Counterbias: Weight statistics",
            "namespace": "Weights",
            "save_file": False,
        },
    )
    view.add_section(
        "Weight statistics",
        "weight-scalars",
        plot,
        description="Effective sample size, capped and unscored reads, and the largest weight. "
        "Each point is a sample. These numbers matter for weighted counts only, not for corrected "
        "ones.",
        helptext=_NUMBERS_HELP,
        docs="weight-statistics",
    )


def _row(weights: Mapping[str, float]) -> dict[Any, Any]:
    row: dict[str, float] = {}
    for key, name in (("effective", "effective_sample_size"), ("capped", "capped_share")):
        if name in weights:
            row[key] = 100.0 * weights[name]
    if weights.get("reads", 0) > 0 and "unscored" in weights:
        row["unscored"] = 100.0 * weights["unscored"] / weights["reads"]
    if "max_over_mean" in weights:
        row["largest"] = weights["max_over_mean"]
    return row


def _headers() -> dict[Any, Any]:
    percent: dict[str, Any] = {"suffix": "%", "min": 0}
    headers: dict[Any, Any] = {
        "effective": {
            "title": "Effective sample size",
            "description": "% of the reads",
            "max": 100,
            "scale": "Blues",
            **percent,
        },
        "capped": {
            "title": "Capped",
            "description": "Reads whose weight was reduced to the cap",
            "minrange": 1,
            "scale": "OrRd",
            **percent,
        },
        "unscored": {
            "title": "Unscored",
            "description": "Reads of weight 1 because their start could not be scored",
            "minrange": 1,
            "scale": "OrRd",
            **percent,
        },
        "largest": {
            "title": "Largest weight",
            "description": "Relative to the mean weight",
            "min": 0,
            "scale": "Blues",
        },
    }
    for header in headers.values():
        header["format"] = "{:,.2f}"
    return headers
