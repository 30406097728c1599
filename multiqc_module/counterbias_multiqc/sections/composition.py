"""Base composition around read starts, and its divergence from the background, before and after weighting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterbias_multiqc import checks, draw
from counterbias_multiqc.draw import Line, View
from counterbias_multiqc.parser import LETTERS, End

#: Up to this many samples the composition of the background is drawn, too.
_BACKGROUNDS = 5
_LABELS = {"both": "", "read1": "", "read2": ", read 2"}
_COMPOSITION_HELP = """
Position 0 is the read's first base; negative positions are genome bases before it. Dashed lines are read starts as they were
sequenced, solid lines the same starts weighted by 1/bias, in parts of the genome that the model did not see. Dotted lines (few
samples only) are the surroundings of the reads. For a stranded library of pairs, the tabs *read 2* show the other end.

*Good*: solid lines are flat, or follow the dotted ones. Dashed lines that swing over the first dozen bases are what random
hexamer priming does to nearly every library: that alone is no fault.

*Bad*: solid lines that swing as much as the dashed ones. Then the model was not used, or the window does not hold the bias: see
the next section.
"""
_DIVERGENCE_HELP = """
The divergence between the base composition of read starts and that of their surroundings, per position, in bits (symmetrised
Kullback-Leibler). The first tab looks far to both sides; the second shows the model's window, dashed before and solid after
weighting, in parts of the genome that the model did not see.

*Good*: before weighting, a hump between about −3 and +12; after it, a line near zero. A sample without priming bias is flat from
the start.

*Bad*: a hump that ends **before** 0: the reads were trimmed at their 5′ ends, and the window must reach further back (the alert
names the option). A hump that stays after weighting: the model needs a wider window or more reads, or another model; `counterbias
compare` tells which.
"""
_HEAT_HELP = """
With many samples, lines give way to a heat map: how far base composition is from that of the surroundings, per position, before
weighting and after it (half the sum of absolute differences over the four bases, % points). *Good*: white after weighting.
"""


def add(view: View) -> None:
    """Add both sections."""
    if view.many:
        _add_deviation(view)
    else:
        _add_composition(view)
    _add_divergence(view)


def _ends(view: View) -> list[tuple[str, End, str]]:
    """Give (sample, end, suffix of its tabs) for all ends; in line plots, without the samples that show nothing but noise."""
    reports = view.reports if view.many else checks.drawable(view.reports, view.limits)[0]
    return [
        (name, end, _LABELS.get(end.label, ""))
        for name, report in reports.items()
        for end in report.ends
    ]


def _left_out(view: View) -> str:
    """Say what is not drawn."""
    number = checks.drawable(view.reports, view.limits)[1]
    if not number:
        return ""
    which, are = ("1 sample", "is") if number == 1 else (f"{number} samples", "are")
    return f" {which} with fewer than {view.limits['starts_warn']:,.0f} distinct read starts {are} not drawn."


def _add_composition(view: View) -> None:
    ends = _ends(view)
    suffixes = [
        suffix
        for suffix in ("", ", read 2")
        if any(found == suffix and end.composition for _, end, found in ends)
    ]
    tabs, labels = [], []
    for suffix in suffixes:
        for letter in LETTERS:
            tab: dict[str, Line] = {}
            for name, end, found in ends:
                if found == suffix:
                    tab.update(
                        _shares(name, end, letter, background=len(view.reports) <= _BACKGROUNDS)
                    )
            tabs.append(tab)
            labels.append(
                {"name": f"{letter}{suffix}", "ylab": f"{letter} at read starts (%){suffix}"}
            )
    colour = {
        f"{name}, {part}": view.colours[name]
        for name in view.reports
        for part in ("before", "after", "background")
    }
    style = {"before": "dash", "background": "dot"}
    dash = {f"{name}, {part}": how for name in view.reports for part, how in style.items()}
    plot = draw.lines(
        tabs,
        {
            "id": view.id("composition_plot"),
            "title": "Counterbias: Base composition around read starts",
            "xlab": "Position from the read's first base (nt)",
            "ylab": "Share of the base (%)",
            "data_labels": labels,
            "tt_label": "<b>%{x:+d} nt</b>: %{y:.1f}%",
            "x_lines": [_start_line()],
            "x_decimals": False,
            "showlegend": len(colour) <= 30,
        },
        colour=colour,
        dash=dash,
    )
    view.section(
        "Base composition",
        "composition",
        description="Share of each base around read starts, **before** (dashed) and **after** (solid) weighting, on held-out parts of "
        f"the genome; samples whose model is not used have a dashed line only.{_left_out(view)}",
        helptext=_COMPOSITION_HELP,
        plot=plot,
        statuses=view.statuses("removed"),
        alerts=view.alerts("removed", "starts"),
    )


def _start_line() -> dict[str, Any]:
    return {"value": 0, "color": "#999999", "width": 1, "dash": "dot"}


def _shares(name: str, end: End, letter: str, *, background: bool) -> dict[str, Line]:
    parts = (
        "before",
        *(("after",) if end.applied is not False else ()),
        *(("background",) if background else ()),
    )
    return {
        f"{name}, {part}": dict(
            zip(end.offsets, draw.percent(end.composition[part][letter]), strict=True)
        )
        for part in parts
        if part in end.composition
    }


def _add_deviation(view: View) -> None:
    """Heat map of samples × offsets, before and after side by side."""
    offsets = sorted(
        {offset for _, end, suffix in _ends(view) if not suffix for offset in end.offsets}
    )
    rows: dict[str, list[float | None]] = {}
    for name, end, suffix in _ends(view):
        if not suffix and "background" in end.composition:
            parts = [_deviation(end, part) for part in ("before", "after")]
            rows[name] = [part.get(offset) for part in parts for offset in offsets]
    names = [
        f"{part} {offset}" for part in ("before", "after") for offset in draw.offset_names(offsets)
    ]
    plot = draw.heat(
        rows,
        names,
        {
            "id": view.id("deviation_heatmap"),
            "title": "Counterbias: Deviation of base composition",
            "xlab": "Position from the read's first base, before and after weighting",
            "ylab": "Sample",
            "zlab": "Deviation (% points)",
            "min": 0,
            "colstops": draw.RISING,
            "angled_xticks": True,
        },
    )
    view.section(
        "Base composition",
        "composition",
        description="How far base composition around read starts is from that of the surroundings, **before** (left half) and **after** "
        "(right half) weighting.",
        helptext=_HEAT_HELP,
        plot=plot,
        statuses=view.statuses("removed"),
        alerts=view.alerts("removed", "starts"),
    )


def _deviation(end: End, part: str) -> dict[int, float]:
    """Give half the summed absolute difference from the background per offset, % points."""
    found: dict[int, float] = {}
    if part not in end.composition:
        return found
    for place, offset in enumerate(end.offsets):
        pairs = [
            (end.composition[part][letter][place], end.composition["background"][letter][place])
            for letter in LETTERS
        ]
        known = [
            abs(first - second)
            for first, second in pairs
            if first is not None and second is not None
        ]
        if len(known) == len(LETTERS):
            found[offset] = round(50.0 * sum(known), 2)
    return found


def _add_divergence(view: View) -> None:
    plot = _divergence_heat(view) if view.many else _divergence_lines(view)
    view.section(
        "Where the bias lies",
        "divergence",
        description="Divergence between read starts and their surroundings per position: a library that was trimmed at its 5′ ends shows "
        f"its hump before position 0.{'' if view.many else _left_out(view)}",
        helptext=_DIVERGENCE_HELP,
        plot=plot,
        statuses=view.statuses("trimmed"),
        alerts=view.alerts("trimmed"),
    )


def _divergence_lines(view: View) -> Any:
    wide: dict[str, Line] = {}
    near: dict[str, Line] = {}
    colour, dash = {}, {}
    for name, end, suffix in _ends(view):
        title = f"{name}{suffix}"
        colour.update(
            dict.fromkeys((title, f"{title}, before", f"{title}, after"), view.colours[name])
        )
        dash[f"{title}, before"] = "dash"
        if suffix:
            dash[title] = "dot"
        if end.signature.profile:
            wide[title] = _line(end.signature.offsets, end.signature.profile)
        if end.divergence.before:
            near[f"{title}, before"] = _line(end.offsets, end.divergence.before)
            if end.applied is not False:
                near[f"{title}, after"] = _line(end.offsets, end.divergence.after)
    return draw.lines(
        [wide, near],
        {
            "id": view.id("divergence_plot"),
            "title": "Counterbias: Where the bias lies",
            "xlab": "Position from the read's first base (nt)",
            "ylab": "Divergence (bits)",
            "data_labels": [
                {"name": "Far around the start", "ylab": "Divergence before weighting (bits)"},
                {"name": "Before and after", "ylab": "Divergence, held-out (bits)"},
            ],
            "ymin": 0,
            "tt_label": "<b>%{x:+d} nt</b>: %{y:.4f} bits",
            "x_lines": [_start_line()],
            "x_decimals": False,
            "showlegend": len(view.reports) <= 15,
        },
        colour=colour,
        dash=dash,
    )


def _line(offsets: Sequence[int], values: Sequence[float | None]) -> Line:
    """Make a line; estimates below zero, which noise can give, are drawn at zero."""
    return {
        offset: None if value is None else max(value, 0.0)
        for offset, value in zip(offsets, values, strict=True)
    }


def _divergence_heat(view: View) -> Any:
    profiles = {}
    for name, end, suffix in _ends(view):
        if not suffix:
            signature = end.signature
            before = _line(end.offsets, end.divergence.before) if end.divergence.before else {}
            profiles[name] = (
                _line(signature.offsets, signature.profile) if signature.profile else before
            )
    offsets = sorted({int(offset) for profile in profiles.values() for offset in profile})
    rows = {
        name: [profile.get(offset) for offset in offsets]
        for name, profile in profiles.items()
        if profile
    }
    return draw.heat(
        rows,
        draw.offset_names(offsets),
        {
            "id": view.id("divergence_heatmap"),
            "title": "Counterbias: Where the bias lies",
            "xlab": "Position from the read's first base",
            "ylab": "Sample",
            "zlab": "Divergence before weighting (bits)",
            "min": 0,
            "colstops": draw.RISING,
            "tt_decimals": 4,
            "angled_xticks": True,
        },
    )
