"""Columns of the general statistics, and the checks of all samples at a glance."""

from __future__ import annotations

from typing import Any

from multiqc import config

from counterbias_multiqc import checks, draw
from counterbias_multiqc.draw import View
from counterbias_multiqc.samples import mean
from counterbias_multiqc.text import escape

#: Most samples in the heat map of checks.
_MOST = 100
_HELP = """
Each row is a sample, each column a question. **Green**: nothing to do. **Amber**: look at it. **Red**: something is wrong, or the
correction did not do its work. White: the file does not say.

* **Assigned**: were enough fragments assigned to a feature?
* **Strandedness**: was `-s` what the reads say?
* **Contigs**: do the alignments have the contigs that the annotation names?
* **Read starts**: are there enough distinct ones to learn a model from? Red, with the reason, where there is no model at all.
* **5′ ends**: does the bias lie where reads start? It does not where reads were trimmed at their 5′ ends.
* **Bias removed**: did weighting remove the bias in parts of the genome that the model was not trained on? A sample without a
  bias is green.
* **Size**: does the correction have the right size: do held-out places get as many more reads as the model says?
* **Weights**: were few of them clipped, and are they even enough to count with?

Thresholds may be set under `counterbias:` in MultiQC's configuration.
"""


def add_general_statistics(view: View) -> None:
    """Add the columns of the general statistics table."""
    rows = {name: row(view, name) for name in view.reports}
    headers = view.module.get_general_stats_headers(all_headers=_headers())
    if headers and any(rows.values()):
        view.module.general_stats_addcols(rows, headers)


def add_checks(view: View) -> None:
    """Add the section with all checks."""
    value = {"pass": 1.0, "warn": 0.5, "fail": 0.0}
    names = [
        name
        for name in checks.TITLES
        if any(name in findings for findings in view.checked.values())
    ]
    shown, note = _shown(view)
    rows = {
        sample: [
            value[view.checked[sample][name].level] if name in view.checked[sample] else None
            for name in names
        ]
        for sample in shown
    }
    plot = draw.heat(
        rows,
        [checks.TITLES[name] for name in names],
        {
            "id": view.id("checks_heatmap"),
            "title": "Counterbias: Checks",
            "xlab": "Check",
            "ylab": "Sample",
            "zlab": "Pass 1, look 0.5, fail 0",
            "min": 0,
            "max": 1,
            "colstops": [[0, draw.BAD], [0.5, draw.DOUBTFUL], [1, draw.GOOD]],
            "legend": False,
            "cluster_rows": False,
            "display_values": False,
            "tt_decimals": 1,
        },
    )
    look = sum(checks.worst(findings) != "pass" for findings in view.checked.values())
    counted = "1 sample was" if len(view.checked) == 1 else f"{len(view.checked)} samples were"
    view.section(
        "Checks",
        "checks",
        description=f"{counted} checked; {look or 'none'} of them {'need' if look != 1 else 'needs'} a look. The sections below say "
        f"why.{note}",
        helptext=_HELP,
        plot=plot,
        statuses=view.statuses(),
    )


def _shown(view: View) -> tuple[list[str], str]:
    """Give the samples to show: all of them, or of many those that need a look, the worst first; and what to say of it."""
    names = list(view.checked)
    worst = {name: checks.worst(view.checked[name]) for name in names}
    if not view.many:
        return names, ""
    look = sorted(
        (name for name in names if worst[name] != "pass"), key=lambda name: worst[name] != "fail"
    )
    if not look:
        return names[:_MOST], f" The first {_MOST} are shown." if len(names) > _MOST else ""
    note = f" Only these are shown{f', the first {_MOST} of them' if len(look) > _MOST else ''}."
    return look[:_MOST], note


def row(view: View, name: str) -> dict[Any, Any]:
    """Give one sample's values for the general statistics and the data file."""
    report = view.reports[name]
    starts = [end.starts for end in report.ends if end.starts is not None]
    priors = [
        end.prior_share
        for end in report.ends
        if end.prior_share is not None and end.applied is not False
    ]
    unlearnt = bool(report.ends) and all(end.no_model for end in report.ends)
    effective, clipped = (
        report.weights.get("effective_sample_size"),
        report.weights.get("capped_share"),
    )
    found = {
        "percent_assigned": checks.percent_assigned(report),
        "bias_removed": checks.bias_removed(report),
        "assigned": report.counts.get("assigned"),
        "gain": mean(end.gain for end in report.ends),
        "reliability_slope": mean(end.reliability.slope for end in report.ends),
        "effective_sample_size": None if effective is None else 100.0 * effective,
        "clipped": None if clipped is None else 100.0 * clipped,
        "model": "none" if unlearnt else escape(report.backend) if report.backend else None,
        "prior_share": 100.0 * sum(priors) / len(priors) if priors else None,
        "unique_starts": min(starts) if starts else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _headers() -> dict[Any, Any]:
    return {
        "percent_assigned": {
            "title": "Assigned",
            "description": "Fragments assigned to a feature, % of all",
            "min": 0,
            "max": 100,
            "suffix": "%",
            "scale": "RdYlGn",
        },
        "bias_removed": {
            "title": "Bias removed",
            "description": "How much weighting lowers the divergence between read starts and their surroundings, held-out",
            "min": 0,
            "max": 100,
            "suffix": "%",
            "scale": "Purples",
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
            "description": "Bits per held-out read start that the model gains over its background",
            "format": "{:,.3f}",
            "scale": "Greens",
            "hidden": True,
        },
        "reliability_slope": {
            "title": "Slope",
            "description": "Held-out reads observed against predicted: 1 where the bias has the right size, above 1 where it is larger",
            "min": 0,
            "max": 2,
            "format": "{:,.2f}",
            "scale": "RdBu",
            "hidden": True,
        },
        "effective_sample_size": {
            "title": "Effective size",
            "description": "Effective sample size of the weights, % of the reads; 100 % where all weights are equal",
            "min": 0,
            "max": 100,
            "suffix": "%",
            "scale": "RdYlGn",
            "hidden": True,
        },
        "clipped": {
            "title": "Clipped",
            "description": "Reads whose weight was cut to the cap",
            "min": 0,
            "suffix": "%",
            "format": "{:,.2f}",
            "scale": "OrRd",
            "hidden": True,
        },
        "model": {
            "title": "Bias model",
            "description": "The bias model of this sample",
            "scale": False,
            "hidden": True,
        },
        "prior_share": {
            "title": "Prior",
            "description": "Share of the model of other samples in this sample's model (--bias-prior)",
            "min": 0,
            "max": 100,
            "suffix": "%",
            "scale": "Oranges",
            "hidden": True,
        },
        "unique_starts": {
            "title": "Read starts",
            "description": "Distinct read starts that a model can be learnt from (the poorer end's)",
            "min": 0,
            "format": "{:,.0f}",
            "scale": "Blues",
            "hidden": True,
        },
    }
