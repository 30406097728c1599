"""The distribution of read weights, and numbers that sum it up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiqc.plots import violin

from counterbias_multiqc import plots
from counterbias_multiqc.checks import is_weighted
from counterbias_multiqc.colours import INTENSITY
from counterbias_multiqc.plots import MAX_SAMPLES_IN_LEGEND, ZERO_LINE, Line
from counterbias_multiqc.records import Histogram, QualityReport
from counterbias_multiqc.view import View

_HISTOGRAM_HELP = """
The weight of a read is 1/bias: 1 (log2 = 0) if its start is neither favoured nor disfavoured, 2
(log2 = 1) if such starts are seen half as often as they should be. The weights of a sample sum to
its number of assigned fragments.

*Good*: one smooth hump around 0, at most a few units wide.

*Bad*: a long tail to the right that ends in a wall: weights were reduced to the cap
(`--bias-cap`). If the hump of one library is much wider than those of similar libraries, its bias
is stronger or its model has learnt noise.
"""
_NUMBERS_HELP = """
* **Effective sample size**: how many reads of equal weight would be as precise as the weighted
  ones, % of the reads. It is 100% if all weights are equal; at 50%, weighted counts scatter as if
  half of the reads had been sequenced. Use *corrected* counts, which do not pay this price.
* **Capped**: reads whose weight was reduced to the cap. *Good*: well below 1%.
* **Unscored**: reads of weight 1 because their start could not be scored (N in the window, end of
  the contig, clipped 5′ end).
* **Largest weight**: relative to the mean weight.
"""


def add(view: View) -> None:
    """Add both sections."""
    _add_histograms(view)
    _add_numbers(view)


def _add_histograms(view: View) -> None:
    if view.uses_heat_maps:
        plot, note = _heat_map(view), ""
    else:
        plot, note = _line_plot(view), _note_on_unweighted(view)
    view.add_section(
        "Read weights",
        "weights",
        plot,
        description="Distribution of read weights on a log2 scale; 0 is a weight of 1." + note,
        helptext=_HISTOGRAM_HELP,
        statuses=view.statuses("weights"),
        alerts=view.alerts("weights"),
    )


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


def _weighted(view: View) -> dict[str, QualityReport]:
    """Return the samples with weights other than 1; all samples if there are none."""
    weighted = {name: report for name, report in view.reports.items() if is_weighted(report)}
    return weighted or dict(view.reports)


def _note_on_unweighted(view: View) -> str:
    number = len(view.reports) - len(_weighted(view))
    if not number:
        return ""
    samples = "1 sample" if number == 1 else f"{number} samples"
    return f" Not shown: {samples} in which all weights are 1."


def _line_plot(view: View) -> object:
    lines: dict[str, Line] = {
        name: line
        for name, report in _weighted(view).items()
        if (line := _percentages(report.weight_histogram))
    }
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
            "showlegend": len(lines) <= MAX_SAMPLES_IN_LEGEND,
        },
        colours=view.colours,
    )


def _heat_map(view: View) -> object:
    histograms = {
        name: percentages
        for name, report in view.reports.items()
        if (percentages := _percentages(report.weight_histogram))
    }
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


def _add_numbers(view: View) -> None:
    rows = {
        name: row
        for name, report in view.reports.items()
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
        "Each point is a sample.",
        helptext=_NUMBERS_HELP,
    )


def _row(weights: Mapping[str, float]) -> dict[Any, Any]:
    row: dict[str, float] = {}
    for key, name in (("effective", "effective_sample_size"), ("clipped", "capped_share")):
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
            "scale": "RdYlGn",
            **percent,
        },
        "clipped": {
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
