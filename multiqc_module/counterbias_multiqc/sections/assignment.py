"""How many fragments were assigned to a feature, and why the others were not."""

from __future__ import annotations

from multiqc.plots import bargraph

from counterbias_multiqc.emphasis import worst_first
from counterbias_multiqc.view import View

_CATEGORIES = {
    "assigned": {"name": "Assigned", "color": "#0072b2"},
    "no_feature": {"name": "No feature", "color": "#e69f00"},
    "ambiguous": {"name": "Ambiguous", "color": "#cc79a7"},
    "too_low_quality": {"name": "Too low quality", "color": "#999999"},
    "not_unique": {"name": "Alignment not unique", "color": "#8ccbf0"},
    "not_aligned": {"name": "Not aligned", "color": "#a0522d"},
}
_HELP = """
What became of each read, or of each pair of reads, in the classes of htseq-count.

* **Assigned**: counted for a gene (or another feature of the annotation).
* **No feature**: lies on no gene.
* **Ambiguous**: lies on several genes, so that it is counted for none of them.
* **Too low quality**: its mapping quality is below the limit (`-a`).
* **Alignment not unique**: it aligns to several places of the genome equally well.
* **Not aligned**: it aligns nowhere.

**Good**: most are assigned, and samples of one experiment look alike.

**Bad, and what to do**: much *no feature*. If the section *Strandedness* has a warning, count again
with the `-s` that it names. If the table of samples that need a look speaks of contigs, use the
annotation of the genome that the reads were aligned to, or translate names with
`--bias-contig-alias`. Otherwise look for genomic DNA or unannotated transcripts. Much *alignment
not unique* is typical of total RNA with ribosomal reads.
"""
_CHECKS = ("assigned", "contigs")


def add(view: View) -> None:
    """Add the bar plot of assignment categories."""
    counted = [name for name, report in view.reports.items() if sum(report.counts.values()) > 0]
    names = worst_first(view, counted, *_CHECKS)
    counts = {name: dict(view.reports[name].counts) for name in names}
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
            "sort_samples": False,
            "series_label": False,
            "cpswitch_counts_label": "Counts",
            "cpswitch_percent_label": "Percentages",
        },
    )
    view.add_section(
        "Assignment",
        "assignment",
        plot,
        description=f"{unit}: how many were counted for a gene, and why the others were not.",
        docs="assignment",
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
