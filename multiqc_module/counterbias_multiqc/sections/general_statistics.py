"""Columns of MultiQC's table of general statistics."""

from __future__ import annotations

from typing import Any

from multiqc import config

from counterbias_multiqc import checks, problems
from counterbias_multiqc.records import QualityReport
from counterbias_multiqc.sources import mean
from counterbias_multiqc.text import escape_html
from counterbias_multiqc.thresholds import Thresholds
from counterbias_multiqc.view import View, summary_badge

_PERCENT: dict[str, Any] = {"min": 0, "max": 100, "suffix": "%"}


def add(view: View) -> None:
    """Add the columns."""
    rows = {
        name: {
            "checks": problems.summary(problems.problems_of(name, view.findings[name])),
            **row(report, view.thresholds),
        }
        for name, report in view.reports.items()
    }
    headers = view.module.get_general_stats_headers(all_headers=_headers())
    if headers and any(rows.values()):
        view.module.general_stats_addcols(rows, headers)


def row(report: QualityReport, thresholds: Thresholds) -> dict[Any, Any]:
    """Return a sample's values, which the data file has, too."""
    weights = report.weights
    values = {
        "percent_assigned": checks.percent_assigned(report),
        "bias_removed": checks.bias_removed(report, thresholds),
        "assigned": report.counts.get("assigned"),
        "gain": mean(end.gain for end in report.ends),
        "reliability_slope": mean(end.reliability.slope for end in report.ends),
        "effective_sample_size": _percent(weights.get("effective_sample_size")),
        "clipped": _percent(weights.get("capped_share")),
        "model": _model(report),
        "prior_share": _percent(
            mean(end.prior_share for end in report.ends if end.applied is not False)
        ),
        "unique_starts": min(
            (end.starts for end in report.ends if end.starts is not None), default=None
        ),
    }
    return {key: value for key, value in values.items() if value is not None}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _model(report: QualityReport) -> str | None:
    if report.ends and all(end.no_model for end in report.ends):
        return "none"
    return escape_html(report.backend) if report.backend else None


def _headers() -> dict[Any, Any]:
    return {
        "checks": {
            "title": "Checks",
            "description": "Whether the sample needs a look, and at what first; +1: and at one "
            "thing more. Reasons, and what to run, stand in the section Checks",
            "scale": False,
            "format": summary_badge,
        },
        "percent_assigned": {
            "title": "Assigned",
            "description": "Fragments assigned to a feature, % of all fragments",
            "scale": "RdYlGn",
            **_PERCENT,
        },
        "bias_removed": {
            "title": "Bias removed",
            "description": "Reduction by weighting of the divergence between read starts and "
            "background, inside the window of the model and on held-out data; empty where there is "
            "no bias to remove, or where the model is not used",
            "scale": "Purples",
            **_PERCENT,
        },
        "assigned": {
            "title": f"{config.read_count_prefix} Assigned",
            "description": f"Fragments assigned to a feature ({config.read_count_desc})",
            "min": 0,
            "scale": "PuBu",
            "modify": lambda value: float(value) * config.read_count_multiplier,
            "shared_key": "read_count",
            "hidden": True,
        },
        "gain": {
            "title": "Gain",
            "description": "Bits per held-out read start that the model gains over the background",
            "format": "{:,.3f}",
            "scale": "Greens",
            "hidden": True,
        },
        "reliability_slope": {
            "title": "Slope",
            "description": "Slope of observed versus predicted held-out reads: 1 if the bias is "
            "as large as predicted, above 1 if it is larger",
            "min": 0,
            "max": 2,
            "format": "{:,.2f}",
            "scale": "RdBu",
            "hidden": True,
        },
        "effective_sample_size": {
            "title": "Effective size",
            "description": "Effective sample size of the weighted reads, % of the reads; "
            "100% if all weights are equal",
            "scale": "RdYlGn",
            "hidden": True,
            **_PERCENT,
        },
        "clipped": {
            "title": "Capped",
            "description": "Reads whose weight was reduced to the cap, %",
            "min": 0,
            "suffix": "%",
            "format": "{:,.2f}",
            "scale": "OrRd",
            "hidden": True,
        },
        "model": {
            "title": "Bias model",
            "description": "Bias model used for this sample",
            "scale": False,
            "hidden": True,
        },
        "prior_share": {
            "title": "Prior",
            "description": "Contribution of the prior from other samples (--bias-prior) to this "
            "sample's model, %",
            "scale": "Oranges",
            "hidden": True,
            **_PERCENT,
        },
        "unique_starts": {
            "title": "Read starts",
            "description": "Distinct read starts that a model can be trained on "
            "(of the end that has fewer)",
            "min": 0,
            "format": "{:,.0f}",
            "scale": "Blues",
            "hidden": True,
        },
    }
