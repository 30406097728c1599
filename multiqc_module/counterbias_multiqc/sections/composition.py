"""Base composition around read starts, before and after weighting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from counterbias_multiqc import plots
from counterbias_multiqc.colours import BASE_COLOURS, INTENSITY
from counterbias_multiqc.emphasis import worst_first
from counterbias_multiqc.plots import ZERO_LINE, Line
from counterbias_multiqc.records import BASES, ReadEnd
from counterbias_multiqc.view import View, end_suffix

#: Below a heat map, so many of the samples that need a look have a tab of their own.
_MAX_TABS_BELOW_HEAT_MAP = 8
#: Parts of the data, in the order in which they are drawn: the last one is on top.
_PARTS = ("background", "before", "after")
_DASHES = {"background": "dot", "before": "dash"}
_CHECKS = ("removed", "starts")
_LINES_HELP = """
Each tab is one sample (of stranded pairs: one of its two reads). The four colours are the bases A,
C, G and T. Position 0 is the first base of the read; negative positions are bases of the genome
before it.

* **Dashed, before**: how often each base is found there in reads as they were sequenced.
* **Solid, after**: the same once each read is weighted with the bias model, whose name stands in
  the legend. Each place was scored by a model that had not seen it. Without solid lines, the model
  was not used for this sample.
* **Dotted, background**: how often the base is found near the reads, which is what an unbiased
  library would show.

**Good**: solid lines are flat, or follow the dotted ones. Dashed lines that swing over the first
dozen bases are what random priming does to nearly every library; that alone is no problem.

**Bad, and what to do**: solid lines that swing as much as the dashed ones, or none. The warning
above the plot names the reason. With too few reads, add `--bias-prior FILE` to `counterbias count`,
FILE being a model that `counterbias train` made from other samples; otherwise let `counterbias
compare` find a better model or window.
"""
_HEAT_MAP_HELP = """
Each row is one sample (of stranded pairs: one of its two reads), with the samples that need a look
first; each column is a position, 0 being the first base of the read. The colour says how far the
bases found there are from those near the reads: half the sum of the absolute differences over A, C,
G and T, in percentage points. The left half shows reads as they were sequenced, the right half the
same reads weighted with the bias model, each place scored by a model that had not seen it.

**Good**: colour at the left only. A library without bias is white in both halves.

**Bad, and what to do**: colour that stays at the right. If both halves are the same, the model was
not used; the warning above the plot names the reason. With too few reads, add `--bias-prior FILE`
to `counterbias count`, FILE being a model that `counterbias train` made from other samples;
otherwise let `counterbias compare` find a better model or window.
"""


def add(view: View) -> None:
    """Add a heat map of many samples, and a tab for each of few or for those that need a look."""
    checked = {"statuses": view.statuses("removed"), "alerts": view.alerts(*_CHECKS)}
    if len(view.reports) <= view.thresholds.composition_heatmap_above:
        _add_tabs(view, _in_order(view, view.profiled), checked)
        return
    view.add_section(
        "Base composition",
        "composition",
        _heat_map(view),
        description="How far the bases around read starts are from those near the reads, "
        "**before** (left half) and **after** (right half) weighting, samples that need a look "
        f"first.{view.note_on_models(view.reports)}",
        helptext=_HEAT_MAP_HELP,
        docs="base-composition",
        **checked,
    )
    concerning = view.concerning(*_CHECKS)
    drawn = _in_order(view, view.profiled)
    _add_tabs_below_heat_map(view, [name for name in drawn if name in concerning])


def _in_order(view: View, names: Iterable[str]) -> list[str]:
    """Return samples with those first that need a look, then those whose window misses bias.

    The section on where the bias lies has the alert on the latter.
    """
    return worst_first(view, worst_first(view, names, "trimmed"), *_CHECKS)


def _add_tabs(view: View, names: list[str], checked: dict[str, Any]) -> None:
    plot = _line_plot(view, names)
    if plot is None:
        return
    note_on_tabs = " One tab per sample, those that need a look first." if len(names) > 1 else ""
    view.add_section(
        "Base composition",
        "composition",
        plot,
        description="Bases around read starts, **before** (dashed) and **after** (solid) "
        f"weighting, and near the reads (dotted).{note_on_tabs}{view.note_on_few_starts()}",
        helptext=_LINES_HELP,
        docs="base-composition",
        content_before_plot=_wrap_tabs(view, "composition"),
        **checked,
    )


def _add_tabs_below_heat_map(view: View, names: list[str]) -> None:
    shown = names[:_MAX_TABS_BELOW_HEAT_MAP]
    left = len(names) - len(shown)
    plot = _line_plot(view, shown)
    if plot is None:
        return
    view.add_section(
        "Base composition, sample by sample",
        "composition-tabs",
        plot,
        description="The samples that need a look"
        + (f" (the first {len(shown)}; {left} more are in the heat map above)" if left else "")
        + ": bases around read starts, **before** (dashed) and **after** (solid) weighting, and "
        f"near the reads (dotted).{view.note_on_few_starts()}",
        helptext=_LINES_HELP,
        docs="base-composition",
        content_before_plot=_wrap_tabs(view, "composition-tabs"),
    )


def _wrap_tabs(view: View, key: str) -> str:
    """Let tabs continue in a further line, where MultiQC would let them leave the page."""
    tabs = f"#mqc-section-wrapper-{view.module.anchor}-{key} .dataset-switch-group"
    return f"<style>{tabs} {{ flex-wrap: wrap; }} {tabs} > * {{ flex: 0 0 auto; }}</style>"


def _line_plot(view: View, names: list[str]) -> object:
    """Draw a tab per sample and read end."""
    plot_id = view.plot_id("composition_plot")
    profiles = {
        f"{name}{end_suffix(end)}": dict(_lines(view, name, end))
        for name in names
        for end in view.reports[name].ends
    }
    tabs = plots.tabs_with_earlier(
        plot_id, {tab: lines for tab, lines in profiles.items() if lines}
    )
    titles = [title for lines in tabs.values() for title in lines]
    return plots.line_plot(
        list(tabs.values()),
        {
            "id": plot_id,
            "title": "Counterbias: Base composition around read starts",
            "xlab": "Position relative to the first base of the read (nt)",
            "ylab": "Reads with this base (%)",
            "data_labels": [{"name": tab, "subtitle": tab} for tab in tabs],
            "tt_label": "<b>%{x:+d} nt</b>: %{y:.1f}%",
            "x_lines": [ZERO_LINE],
            "x_decimals": False,
            "showlegend": True,
        },
        colours=dict(_colours(titles)),
        dashes={f"{base}, {part}": dash for base in BASES for part, dash in _DASHES.items()},
    )


def _colours(titles: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Iterate over lines with their colours; those of reports of older versions keep theirs."""
    for title in titles:
        base, comma, _ = title.partition(", ")
        if comma and base in BASE_COLOURS:
            yield title, BASE_COLOURS[base]


def _lines(view: View, name: str, end: ReadEnd) -> Iterator[tuple[str, Line]]:
    """Iterate over the lines of one end: name → percentage of the base by offset."""
    for part in _PARTS:
        if part not in end.composition or (part == "after" and end.applied is False):
            continue
        for base in BASES:
            shares = end.composition[part][base]
            percentages = [None if share is None else 100.0 * share for share in shares]
            title = f"{base}, {view.after(name) if part == 'after' else part}"
            yield title, dict(zip(end.offsets, percentages, strict=True))


def _heat_map(view: View) -> object:
    """Draw samples × offsets, before and after side by side."""
    ends = [
        (f"{name}{end_suffix(end)}", end)
        for name in _in_order(view, view.reports)
        for end in view.reports[name].ends
        if "background" in end.composition
    ]
    offsets = sorted({offset for _, end in ends for offset in end.offsets})
    rows: dict[str, list[float | None]] = {}
    for title, end in ends:
        # Where the model is not used, all weights are 1: the bias stays as it is.
        after = "before" if end.applied is False else "after"
        deviations = (_deviation(end, "before"), _deviation(end, after))
        rows[title] = [values.get(offset) for values in deviations for offset in offsets]
    return plots.heat_map(
        rows,
        [
            f"{part} {offset}"
            for part in ("before", "after")
            for offset in plots.offset_names(offsets)
        ],
        {
            "id": view.plot_id("deviation_heatmap"),
            "series_label": "rows",
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
