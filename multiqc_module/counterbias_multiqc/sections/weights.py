"""How read weights are spread, and the scalars of weighting."""

from __future__ import annotations

from typing import Any

from multiqc.plots import violin

from counterbias_multiqc import checks, draw
from counterbias_multiqc.draw import Line, View
from counterbias_multiqc.parser import Report

_HELP = """
A read's weight is 1/bias: 1 (log2 = 0) where its start is neither favoured nor disfavoured, 2 (log2 = 1) where such starts are
seen half as often as they should be. All weights of a sample sum to its assigned fragments.

*Good*: one smooth hump around 0, at most a few units wide.

*Bad*: a long tail to the right that ends in a wall: weights were cut to the cap (`--bias-cap`). A library whose hump is much
wider than its siblings' has a stronger bias or a model that has learnt noise.
"""
_SCALAR_HELP = """
* **Effective sample size**: as how many equally weighted reads the weighted ones count, % of the reads. 100 % with equal weights;
  at 50 %, weighted counts scatter as if half of the reads had been sequenced. Use *corrected* counts, which do not pay this
  price.
* **Clipped**: reads whose weight was cut to the cap. *Good*: well under 1 %.
* **Unscored**: reads of weight 1 because their start could not be scored (N in the window, end of the contig, clipped 5′ end).
* **Largest weight**: over the mean weight.
"""


def add(view: View) -> None:
    """Add both sections."""
    plot = _heat(view) if view.many else _lines(view)
    view.section(
        "Read weights",
        "weights",
        description=f"How the weights of reads are spread, log2 scale; 0 is a weight of 1.{_left_out(view)}",
        helptext=_HELP,
        plot=plot,
        statuses=view.statuses("weights"),
        alerts=view.alerts("weights"),
    )
    _add_scalars(view)


def _histogram(report: Report) -> dict[float, float]:
    """Give bin centre → % of the reads, without the empty bins at both ends."""
    total = sum(report.histogram_counts)
    if total <= 0:
        return {}
    edges, counts = report.histogram_edges, report.histogram_counts
    filled = [place for place, count in enumerate(counts) if count > 0]
    first, last = max(filled[0] - 1, 0), min(filled[-1] + 1, len(counts) - 1)
    return {
        (edges[place] + edges[place + 1]) / 2: 100.0 * counts[place] / total
        for place in range(first, last + 1)
    }


def _drawn(view: View) -> dict[str, Report]:
    """Give the samples with weights other than 1; all, if there are none."""
    return {name: report for name, report in view.reports.items() if checks.used(report)} or dict(
        view.reports
    )


def _left_out(view: View) -> str:
    number = 0 if view.many else len(view.reports) - len(_drawn(view))
    if not number:
        return ""
    return (
        f" {number} samples whose weights are all 1 are not drawn."
        if number > 1
        else " 1 sample whose weights are all 1 is not drawn."
    )


def _lines(view: View) -> Any:
    data: dict[str, Line] = {
        name: found for name, report in _drawn(view).items() if (found := _histogram(report))
    }
    return draw.lines(
        [data],
        {
            "id": view.id("weights_plot"),
            "title": "Counterbias: Read weights",
            "xlab": "log2 of the weight",
            "ylab": "Reads (%)",
            "ymin": 0,
            "tt_label": "<b>log2 weight %{x:.2f}</b>: %{y:.2f}% of reads",
            "x_lines": [{"value": 0, "color": "#999999", "width": 1, "dash": "dot"}],
            "showlegend": len(data) <= 15,
        },
        colour=dict(view.colours),
    )


def _heat(view: View) -> Any:
    found = {name: _histogram(report) for name, report in view.reports.items()}
    steps = sorted({step for values in found.values() for step in values})
    rows = {
        name: [round(values.get(step, 0.0), 3) for step in steps]
        for name, values in found.items()
        if values
    }
    return draw.heat(
        rows,
        [f"log2 {step:+.3g}" for step in steps],
        {
            "id": view.id("weights_heatmap"),
            "title": "Counterbias: Read weights",
            "xlab": "log2 of the weight",
            "ylab": "Sample",
            "zlab": "Reads (%)",
            "min": 0,
            "colstops": draw.RISING,
            "angled_xticks": True,
        },
    )


def _add_scalars(view: View) -> None:
    data = {name: row for name, report in view.reports.items() if (row := _scalars(report))}
    if not data:
        return
    share: dict[str, Any] = {"suffix": "%", "min": 0}
    headers: dict[Any, Any] = {
        "effective": {
            "title": "Effective sample size",
            "description": "% of the reads",
            "max": 100,
            "scale": "RdYlGn",
            **share,
        },
        "clipped": {
            "title": "Clipped",
            "description": "Weights cut to the cap",
            "minrange": 1,
            "scale": "OrRd",
            **share,
        },
        "unscored": {
            "title": "Unscored",
            "description": "Reads of weight 1 without a score",
            "minrange": 1,
            "scale": "OrRd",
            **share,
        },
        "largest": {
            "title": "Largest weight",
            "description": "Largest weight over mean weight",
            "min": 0,
            "scale": "Blues",
        },
    }
    for header in headers.values():
        header["format"] = "{:,.2f}"
    plot = violin.plot(
        data,
        headers,
        {
            "id": view.id("weight_scalars"),
            "title": "Counterbias: Weights in numbers",
            "namespace": "Weights",
            "save_file": False,
        },
    )
    view.section(
        "Weights in numbers",
        "weight-scalars",
        description="Effective sample size, clipped and unscored reads, and the largest weight; each point is a sample.",
        helptext=_SCALAR_HELP,
        plot=plot,
    )


def _scalars(report: Report) -> dict[Any, Any]:
    weights = report.weights
    row: dict[str, float] = {}
    for key, name in (("effective", "effective_sample_size"), ("clipped", "capped_share")):
        if name in weights:
            row[key] = 100.0 * weights[name]
    if weights.get("reads", 0) > 0 and "unscored" in weights:
        row["unscored"] = 100.0 * weights["unscored"] / weights["reads"]
    if "max_over_mean" in weights:
        row["largest"] = weights["max_over_mean"]
    return row
