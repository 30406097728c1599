"""Base composition around read starts, before and after weighting."""

from __future__ import annotations

from collections.abc import Iterator

from counterbias_multiqc import plots
from counterbias_multiqc.colours import INTENSITY
from counterbias_multiqc.plots import ZERO_LINE, Line
from counterbias_multiqc.records import BASES, ReadEnd
from counterbias_multiqc.view import View

#: Up to this many samples, the composition of the background is drawn, too.
_MAX_SAMPLES_WITH_BACKGROUND = 5
_MAX_LINES_IN_LEGEND = 30
#: What is drawn of each sample and how.
_DASHES = {"before": "dash", "after": "solid", "background": "dot"}
_LINES_HELP = """
Position 0 is the first base of the read; negative positions are genomic bases upstream of it.
Dashed lines are read starts as sequenced, solid lines the same starts weighted by 1/bias, in parts
of the genome that the model was not trained on. Dotted lines (only with few samples) are the
background: positions near the read starts. For stranded paired-end libraries, the tabs *read 2*
show the other end.

*Good*: solid lines are flat or follow the dotted lines. Dashed lines that swing over the first
dozen bases are what random hexamer priming does to nearly every library. This alone is no problem.

*Bad*: solid lines that swing as much as the dashed lines. Either the model was not used, or its
window does not cover the bias: see the next section.
"""
_HEAT_MAP_HELP = """
With many samples, a heat map replaces the lines. It shows how far the base composition is from that
of the background at each position, before and after weighting: half the sum of the absolute
differences over the four bases, in percentage points. *Good*: white after weighting.
"""


def add(view: View) -> None:
    """Add the section."""
    if view.uses_heat_maps:
        plot, helptext = _heat_map(view), _HEAT_MAP_HELP
        description = (
            "How far the base composition around read starts is from that of the background, "
            "**before** (left half) and **after** (right half) weighting."
        )
    else:
        plot, helptext = _line_plot(view), _LINES_HELP
        description = (
            "Percentage of each base around read starts, **before** (dashed) and **after** (solid) "
            "weighting, on held-out parts of the genome. Samples whose model is not used have "
            f"dashed lines only.{view.note_on_few_starts()}"
        )
    view.add_section(
        "Base composition",
        "composition",
        plot,
        description=description,
        helptext=helptext,
        statuses=view.statuses("removed"),
        alerts=view.alerts("removed", "starts"),
    )


def _line_plot(view: View) -> object:
    ends = list(view.ends())
    tabs, labels = [], []
    for suffix in ("", ", read 2"):
        of_this_end = [(name, end) for name, end, its_suffix in ends if its_suffix == suffix]
        if not any(end.composition for _, end in of_this_end):
            continue
        for base in BASES:
            lines = (line for name, end in of_this_end for line in _lines(view, name, end, base))
            tabs.append(dict(lines))
            labels.append({"name": f"{base}{suffix}", "ylab": f"{base} at read starts (%){suffix}"})
    colours = {f"{name}, {part}": view.colours[name] for name in view.reports for part in _DASHES}
    return plots.line_plot(
        tabs,
        {
            "id": view.plot_id("composition_plot"),
            "title": "Counterbias: Base composition around read starts",
            "xlab": "Position relative to the first base of the read (nt)",
            "ylab": "Reads with this base (%)",
            "data_labels": labels,
            "tt_label": "<b>%{x:+d} nt</b>: %{y:.1f}%",
            "x_lines": [ZERO_LINE],
            "x_decimals": False,
            "showlegend": len(colours) <= _MAX_LINES_IN_LEGEND,
        },
        colours=colours,
        dashes={
            f"{name}, {part}": dash
            for name in view.reports
            for part, dash in _DASHES.items()
            if dash != "solid"
        },
    )


def _lines(view: View, name: str, end: ReadEnd, base: str) -> Iterator[tuple[str, Line]]:
    """Iterate over the lines of one end: name → percentage of the base by offset."""
    for part in _DASHES:
        if part not in end.composition:
            continue
        if part == "after" and end.applied is False:
            continue
        if part == "background" and len(view.reports) > _MAX_SAMPLES_WITH_BACKGROUND:
            continue
        shares = end.composition[part][base]
        percentages = [None if share is None else 100.0 * share for share in shares]
        yield f"{name}, {part}", dict(zip(end.offsets, percentages, strict=True))


def _heat_map(view: View) -> object:
    """Draw samples × offsets, before and after side by side."""
    ends = [(name, end) for name, end, suffix in view.ends() if not suffix]
    offsets = sorted({offset for _, end in ends for offset in end.offsets})
    parts = ("before", "after")
    rows: dict[str, list[float | None]] = {}
    for name, end in ends:
        if "background" in end.composition:
            deviations = [_deviation(end, part) for part in parts]
            rows[name] = [values.get(offset) for values in deviations for offset in offsets]
    return plots.heat_map(
        rows,
        [f"{part} {offset}" for part in parts for offset in plots.offset_names(offsets)],
        {
            "id": view.plot_id("deviation_heatmap"),
            "title": "Counterbias: Deviation of base composition from the background",
            "xlab": "Position relative to the first base of the read, before and after weighting",
            "ylab": "Sample",
            "zlab": "Deviation (percentage points)",
            "min": 0,
            "colstops": INTENSITY,
            "angled_xticks": True,
        },
    )


def _deviation(end: ReadEnd, part: str) -> dict[int, float]:
    """Map offsets to half the sum of absolute differences from the background, in % points."""
    if part not in end.composition:
        return {}
    shares, background = end.composition[part], end.composition["background"]
    deviations: dict[int, float] = {}
    for position, offset in enumerate(end.offsets):
        pairs = [(shares[base][position], background[base][position]) for base in BASES]
        differences = [
            abs(share - expected)
            for share, expected in pairs
            if share is not None and expected is not None
        ]
        if len(differences) == len(BASES):
            deviations[offset] = round(50.0 * sum(differences), 2)
    return deviations
