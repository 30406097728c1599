"""Where the bias lies: divergence between read starts and background, by position."""

from __future__ import annotations

from collections.abc import Sequence

from counterbias_multiqc import plots
from counterbias_multiqc.colours import INTENSITY
from counterbias_multiqc.emphasis import Emphasis, by_checks, worst_first
from counterbias_multiqc.plots import ZERO_LINE, Line
from counterbias_multiqc.view import View

_CHECKS = ("trimmed", "removed")
_HELP = """
How far the bases at each position are from those near the reads: the divergence, in bits
(symmetrised Kullback-Leibler). 0 is no difference. Position 0 is the first base of the read;
negative positions are bases of the genome before it. The first view covers 40 bases on both sides,
before weighting; the second covers the window that the bias model looks at, dashed before and solid
after weighting, each place scored by a model that had not seen it. Read 2 has a line or a row of
its own in stranded pairs.

**Good**: a hump between about −3 and +12 before weighting, a line near zero after it. A line that
is flat from the outset is a library without such a bias.

**Bad, and what to do**: a hump that ends **before** position 0. The 5′ ends of the reads were
trimmed, so that the bias lies in bases that are no longer part of the read: count again with the
`--bias-window` that the warning names, if it names one. A hump that remains after weighting: let
`counterbias compare` find a wider window or a better model.
"""


def add(view: View) -> None:
    """Add the section."""
    if view.uses_heat_maps:
        plot, notes = _heat_map(view), " Samples that need a look come first."
    else:
        names = [name for name, _, _ in view.ends()]
        emphasis = by_checks(view, names, *_CHECKS)
        plot = _line_plot(view, emphasis)
        notes = f"{view.note_on_models(names)}{emphasis.note}{view.note_on_few_starts()}"
    view.add_section(
        "Where the bias lies",
        "divergence",
        plot,
        description="How far read starts are from their surroundings, by position. In libraries "
        f"whose reads were trimmed at their 5′ ends, the hump lies before position 0.{notes}",
        helptext=_HELP,
        statuses=view.statuses("trimmed"),
        alerts=view.alerts("trimmed"),
        docs="where-the-bias-lies",
    )


def _line_plot(view: View, emphasis: Emphasis) -> object:
    wide: dict[str, Line] = {}
    near: dict[str, Line] = {}
    colours: dict[str, str] = {}
    dashes: dict[str, str] = {}
    places = {name: place for place, name in enumerate(emphasis.colours)}
    for name, end, suffix in sorted(view.ends(), key=lambda entry: places[entry[0]]):
        title = f"{name}{suffix}"
        before, after = f"{title}, before", f"{title}, {view.after(name)}"
        colours.update(dict.fromkeys((title, before, after), emphasis.colours[name]))
        dashes[before] = "dash"
        if suffix:
            dashes[title] = "dot"
        if end.signature.profile:
            wide[title] = _line(end.signature.offsets, end.signature.profile)
        if end.divergence.before:
            near[before] = _line(end.offsets, end.divergence.before)
            if end.applied is not False:
                near[after] = _line(end.offsets, end.divergence.after)
    return plots.line_plot(
        [wide, near],
        {
            "id": view.plot_id("divergence_plot"),
            "title": "Counterbias: Where the bias lies",
            "xlab": "Position relative to the first base of the read (nt)",
            "ylab": "Divergence (bits)",
            "data_labels": [
                {"name": "Wide range", "ylab": "Divergence before weighting (bits)"},
                {"name": "Before and after", "ylab": "Divergence, held-out (bits)"},
            ],
            "ymin": 0,
            "tt_label": "<b>%{x:+d} nt</b>: %{y:.4f} bits",
            "x_lines": [ZERO_LINE],
            "x_decimals": False,
            "showlegend": True,
        },
        colours=colours,
        dashes=dashes,
    )


def _line(offsets: Sequence[int], divergences: Sequence[float | None]) -> Line:
    """Make a line. Noise can make estimates negative; these are drawn at zero."""
    return {
        offset: None if divergence is None else max(divergence, 0.0)
        for offset, divergence in zip(offsets, divergences, strict=True)
    }


def _heat_map(view: View) -> object:
    profiles: dict[str, Line] = {}
    ends = list(view.ends())
    places = worst_first(view, (name for name, _, _ in ends), *_CHECKS)
    for name, end, suffix in sorted(ends, key=lambda entry: places.index(entry[0])):
        if end.signature.profile:
            profiles[f"{name}{suffix}"] = _line(end.signature.offsets, end.signature.profile)
        elif end.divergence.before:
            profiles[f"{name}{suffix}"] = _line(end.offsets, end.divergence.before)
    offsets = sorted({int(offset) for profile in profiles.values() for offset in profile})
    return plots.heat_map(
        {name: [profile.get(offset) for offset in offsets] for name, profile in profiles.items()},
        plots.offset_names(offsets),
        {
            "id": view.plot_id("divergence_heatmap"),
            "series_label": "rows",
            "title": "Counterbias: Where the bias lies",
            "xlab": "Position relative to the first base of the read",
            "ylab": "Sample",
            "zlab": "Divergence before weighting (bits)",
            "min": 0,
            "colstops": INTENSITY,
            "tt_decimals": 4,
            "angled_xticks": True,
        },
    )
