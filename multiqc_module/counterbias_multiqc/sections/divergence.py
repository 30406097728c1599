"""Where the bias lies: divergence between read starts and background, by position."""

from __future__ import annotations

from collections.abc import Sequence

from counterbias_multiqc import plots
from counterbias_multiqc.colours import INTENSITY
from counterbias_multiqc.plots import MAX_SAMPLES_IN_LEGEND, ZERO_LINE, Line
from counterbias_multiqc.view import View

_HELP = """
The divergence between the base composition of read starts and that of the background, by position,
in bits (symmetrised Kullback-Leibler divergence). The first tab covers a wide range to both sides;
the second covers the model's window, dashed before and solid after weighting, in parts of the
genome that the model was not trained on.

*Good*: before weighting, a hump between about −3 and +12; after weighting, a line near zero. The
line of a sample without priming bias is flat from the outset.

*Bad*: a hump that ends **before** position 0: the reads were trimmed at their 5′ ends, and the
window must reach further upstream (the alert names the option). A hump that remains after
weighting: the model needs a wider window or more reads, or another model is needed; `counterbias
compare` shows which.
"""


def add(view: View) -> None:
    """Add the section."""
    note = "" if view.uses_heat_maps else view.note_on_few_starts()
    view.add_section(
        "Where the bias lies",
        "divergence",
        _heat_map(view) if view.uses_heat_maps else _line_plot(view),
        description="Divergence between read starts and background, by position. In libraries "
        f"whose reads were trimmed at their 5′ ends, the hump lies before position 0.{note}",
        helptext=_HELP,
        statuses=view.statuses("trimmed"),
        alerts=view.alerts("trimmed"),
    )


def _line_plot(view: View) -> object:
    wide: dict[str, Line] = {}
    near: dict[str, Line] = {}
    colours: dict[str, str] = {}
    dashes: dict[str, str] = {}
    for name, end, suffix in view.ends():
        title = f"{name}{suffix}"
        before, after = f"{title}, before", f"{title}, after"
        colours.update(dict.fromkeys((title, before, after), view.colours[name]))
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
            "showlegend": len(view.reports) <= MAX_SAMPLES_IN_LEGEND,
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
    for name, end, suffix in view.ends():
        if suffix:
            continue
        if end.signature.profile:
            profiles[name] = _line(end.signature.offsets, end.signature.profile)
        elif end.divergence.before:
            profiles[name] = _line(end.offsets, end.divergence.before)
    offsets = sorted({int(offset) for profile in profiles.values() for offset in profile})
    return plots.heat_map(
        {name: [profile.get(offset) for offset in offsets] for name, profile in profiles.items()},
        plots.offset_names(offsets),
        {
            "id": view.plot_id("divergence_heatmap"),
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
