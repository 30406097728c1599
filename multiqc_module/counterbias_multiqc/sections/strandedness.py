"""On which strand read 1 lies, and whether that fits the -s that was counted with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from multiqc.plots import bargraph, violin

from counterbias_multiqc.emphasis import worst_first
from counterbias_multiqc.records import QualityReport
from counterbias_multiqc.text import escape, escape_html
from counterbias_multiqc.view import View

_CHECK = "strand"
_CATEGORIES = {
    "sense": {"name": "On the strand of the gene", "color": "#0072b2"},
    "antisense": {"name": "On the other strand", "color": "#e69f00"},
}
_HELP = """
The reads of a library lie on the strand of their gene, on the other strand, or on either, depending
on how the library was made. htseq-count and Counterbias are told which with `-s`:

* Read 1 on the strand of the gene in about 50%: not stranded, `-s no`.
* In nearly 100%: stranded, forward, `-s yes`.
* In nearly 0%: stranded, reverse (dUTP, TruSeq Stranded), `-s reverse`.

Only reads that lie on one gene are looked at, whichever strand they are on.

**Good**: samples of one experiment look alike, and the `-s` in use is the one of this list.

**Bad, and what to do**: with the opposite `-s`, nearly all reads are lost or counted for the wrong
genes; with `-s no` for a stranded library, reads of overlapping genes are. Count again with the
`-s` named beside the sample. A share in between (such as 80%) is a stranded library with genomic
DNA in it or one whose protocol worked in part: `-s no` loses least.
"""


def add(view: View) -> None:
    """Add the section, if strands were looked at."""
    measured = {
        name: report
        for name, report in view.reports.items()
        if (report.sense or 0) + (report.antisense or 0) > 0
    }
    if not measured:
        return
    names = worst_first(view, measured, _CHECK)
    view.add_section(
        "Strandedness",
        "strandedness",
        (_violin if view.uses_heat_maps else _bars)(view, {name: measured[name] for name in names}),
        description="On which strand read 1 lies (of single-end data: the read). "
        + _note_on_settings(measured.values()),
        helptext=_HELP,
        statuses=view.statuses(_CHECK),
        alerts=view.alerts(_CHECK),
        docs="strandedness",
    )


def _note_on_settings(reports: Iterable[QualityReport]) -> str:
    """Return a sentence on the ``-s`` in use."""
    uses = Counter(report.stranded for report in reports if report.stranded)
    named = [f"<code>-s {escape(setting)}</code>" for setting, _ in uses.most_common()]
    if len(named) == 1:
        return f"Counted with {named[0]}."
    numbers = [f"{name} ({number})" for name, number in zip(named, uses.values(), strict=True)]
    return f"Counted with (samples): {', '.join(numbers)}." if numbers else ""


def _bars(view: View, reports: Mapping[str, QualityReport]) -> object:
    """Draw bars; a sample whose setting does not fit says so in its name."""
    concerning = view.concerning(_CHECK)
    bars = {}
    for name, report in reports.items():
        used, fitting = (
            escape_html(text or "?") for text in (report.stranded, report.strand_verdict)
        )
        note = f" (-s {used}; fits -s {fitting})" if name in concerning else ""
        bars[f"{name}{note}"] = {"sense": report.sense or 0, "antisense": report.antisense or 0}
    return bargraph.plot(
        bars,
        _CATEGORIES,
        {
            "id": view.plot_id("strandedness_plot"),
            "title": "Counterbias: Strand of read 1",
            "ylab": "Fragments",
            "sort_samples": False,
            "series_label": False,
            "cpswitch_counts_label": "Counts",
            "cpswitch_percent_label": "Percentages",
            "cpswitch_c_active": False,
        },
    )


def _violin(view: View, reports: Mapping[str, QualityReport]) -> object:
    """Draw a point per sample."""
    rows: dict[Any, Any] = {
        name: {
            "sense": 100.0 * (report.sense or 0) / ((report.sense or 0) + (report.antisense or 0))
        }
        for name, report in reports.items()
    }
    headers: dict[Any, Any] = {
        "sense": {
            "title": "Read 1 on the strand of the gene",
            "description": "% of the fragments on one gene",
            "suffix": "%",
            "min": 0,
            "max": 100,
            "format": "{:,.1f}",
            "scale": "Blues",
        }
    }
    return violin.plot(
        rows,
        headers,
        {
            "id": view.plot_id("strandedness_violin"),
            "title": "Counterbias: Strand of read 1",
            "namespace": "Strandedness",
            "save_file": False,
        },
    )
