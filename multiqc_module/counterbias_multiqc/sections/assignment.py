"""How many fragments were assigned to a feature, and why the others were not."""

from __future__ import annotations

from multiqc.plots import bargraph

from counterbias_multiqc.view import View

_CATEGORIES = {
    "assigned": {"name": "Assigned", "color": "#2b7bba"},
    "no_feature": {"name": "No feature", "color": "#f0a030"},
    "ambiguous": {"name": "Ambiguous", "color": "#c76fb0"},
    "too_low_quality": {"name": "Too low quality", "color": "#8d99a6"},
    "not_unique": {"name": "Alignment not unique", "color": "#7cc4e8"},
    "not_aligned": {"name": "Not aligned", "color": "#c0392b"},
}
_HELP = """
The categories are those of htseq-count. **Assigned**: counted for a feature. **No feature**:
overlaps no feature. **Ambiguous**: overlaps several features. **Too low quality**: mapping
quality below `-a`. **Alignment not unique**: more than one reported alignment. **Not aligned**: no
alignment.

*Good*: most fragments are assigned, and samples of the same experiment look alike.

*Bad*: a large share of **no feature**. If the strandedness looks wrong, too, the `-s` setting is
the cause; if contigs are missing, the annotation and the alignments are from different assemblies
(`--bias-contig-alias` translates contig names). A large share of **alignment not unique** is
typical of total RNA with ribosomal reads.
"""
_CHECKS = ("assigned", "strand", "contigs")


def add(view: View) -> None:
    """Add the bar plot of assignment categories."""
    counts = {
        name: dict(report.counts)
        for name, report in view.reports.items()
        if sum(report.counts.values()) > 0
    }
    if not counts:
        return
    unit = _unit(view, list(counts))
    plot = bargraph.plot(
        counts,
        _CATEGORIES,
        {
            "id": view.plot_id("assignment_plot"),
            "title": "Counterbias: Assignment",
            "ylab": unit,
            "cpswitch_counts_label": "Counts",
            "cpswitch_percent_label": "Percentages",
        },
    )
    view.add_section(
        "Assignment",
        "assignment",
        plot,
        description=f"{unit} by assignment category, as in htseq-count.",
        helptext=_HELP,
        statuses=view.statuses(*_CHECKS),
        alerts=view.alerts(*_CHECKS),
    )


def _unit(view: View, names: list[str]) -> str:
    """Return what is counted."""
    paired = {view.reports[name].paired for name in names} - {None}
    if paired == {True}:
        unit = "Read pairs"
    elif paired == {False}:
        unit = "Reads"
    else:
        unit = "Reads or read pairs"
    # A fragment may then count for several features, in full or in part.
    several = any(view.reports[name].nonunique in ("all", "fraction") for name in names)
    return f"{unit} (counts summed over features)" if several else unit
