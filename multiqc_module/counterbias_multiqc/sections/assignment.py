"""What became of the fragments, in htseq-count's classes."""

from __future__ import annotations

from multiqc.plots import bargraph

from counterbias_multiqc.draw import View

_CATEGORIES = {
    "assigned": {"name": "Assigned", "color": "#2b7bba"},
    "no_feature": {"name": "No feature", "color": "#f0a030"},
    "ambiguous": {"name": "Ambiguous", "color": "#c76fb0"},
    "too_low_quality": {"name": "Too low quality", "color": "#8d99a6"},
    "not_unique": {"name": "Alignment not unique", "color": "#7cc4e8"},
    "not_aligned": {"name": "Not aligned", "color": "#c0392b"},
}
_HELP = """
The classes are htseq-count's. **Assigned** fragments count for a feature; **no feature**: they overlap none; **ambiguous**: they
overlap several; **too low quality**: mapping quality below `-a`; **alignment not unique**: more than one reported alignment;
**not aligned**. The counts/percentages buttons change the axis.

*Good*: most fragments are assigned, and samples of one experiment look alike.

*Bad*: much **no feature** together with doubtful strandedness means that `-s` is wrong; with contigs that do not match, that
annotation and alignments are of different assemblies (`--bias-contig-alias` maps names). Much **not unique** is typical of total
RNA with ribosomal reads.
"""


def add(view: View) -> None:
    """Add the bar plot of assignment classes."""
    data = {
        name: dict(report.counts)
        for name, report in view.reports.items()
        if sum(report.counts.values()) > 0
    }
    if not data:
        return
    paired = {view.reports[name].paired for name in data} - {None}
    unit = (
        "Read pairs"
        if paired == {True}
        else "Reads"
        if paired == {False}
        else "Reads or read pairs"
    )
    if any(view.reports[name].nonunique in ("all", "fraction") for name in data):
        unit += ", each feature's share counted"
    plot = bargraph.plot(
        data,
        _CATEGORIES,
        {
            "id": view.id("assignment_plot"),
            "title": "Counterbias: Assignment",
            "ylab": unit,
            "cpswitch_counts_label": "Counts",
            "cpswitch_percent_label": "Percentages",
        },
    )
    view.section(
        "Assignment",
        "assignment",
        description=f"{unit} by what became of them, in htseq-count's classes.",
        helptext=_HELP,
        plot=plot,
        statuses=view.statuses("assigned", "strand", "contigs"),
        alerts=view.alerts("assigned", "strand", "contigs"),
    )
