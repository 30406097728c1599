"""Bases around read starts: one panel before any weighting, one after it per model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from counterbias.figures.data import SampleFigures, names_of
from counterbias.figures.layout import BASES, INK, Key, Page, Sheet, few_ticks, note

#: How the shares of starts and of the background are drawn.
STARTS: dict[str, Any] = {"linewidth": 1.4, "linestyle": "-"}
BACKGROUND: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (1, 1.5))}
#: Smaller shares, which few windows have, would make a divergence infinite.
SMALLEST_SHARE = 1e-4

#: Base → share per offset.
Shares = Mapping[str, Sequence[float]]


class _Column(NamedTuple):
    """A column of panels.

    Args:
        part: ``before`` or ``after`` weighting.
        models: the model, or all models with the window of this column, any of which shows what is
            raw.
        heading: what stands above it.
    """

    part: str
    models: Sequence[str]
    heading: str


class _Row(NamedTuple):
    sample: SampleFigures
    end: str


def composition(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw the shares of the bases around held-out read starts."""
    drawn = [one for one in samples if any(model.composition for model in one.models)]
    if not drawn:
        return []
    rows = [_Row(sample, end) for sample in drawn for end in _ends(sample)]
    columns = _columns(drawn)
    shown = [
        share
        for sample in drawn
        for model in sample.models
        for parts in model.composition.values()
        for shares in parts.values()
        for values in shares.values()
        for share in values
        if math.isfinite(share)
    ]
    top = max(shown, default=1.0) * 1.3
    # One scale for all windows: only the lowest panels have numbers.
    offsets = [one for sample in drawn for model in sample.models for one in model.offsets]

    def draw(panel: Any, row: int, column: int) -> bool:
        panel.set_xlim(min(offsets, default=0) - 1, max(offsets, default=0) + 1)
        panel.set_ylim(min(shown, default=0.0) * 0.85, top)
        return _draw(panel, rows[row], columns[column])

    keys: list[Key] = [(base, {"color": colour} | STARTS) for base, colour in BASES.items()]
    return Sheet(
        "Bases around held-out read starts, raw and after weighting by each model",
        "Shares of the bases at read starts (solid) and around them (dotted): the nearer, the less "
        "bias is left. KL: divergence of the lines, bits, mean over the window.",
        [_label(row, rows) for row in rows],
        [column.heading for column in columns],
        draw,
        "offset from the read's first base",
        "share",
        [*keys, ("background", {"color": INK} | BACKGROUND)],
        width=1.5,
        height=1.25,
    ).pages()


def _ends(sample: SampleFigures) -> list[str]:
    return list(dict.fromkeys(end for model in sample.models for end in model.composition))


def _label(row: _Row, rows: Sequence[_Row]) -> str:
    """Name the sample, and the read end where there are several."""
    several = sum(other.sample is row.sample for other in rows) > 1
    return f"{row.sample.name} ({row.end})" if several else row.sample.name


def _columns(samples: Sequence[SampleFigures]) -> list[_Column]:
    """Put what is raw before the models of each window."""
    windows: dict[tuple[int, ...], list[str]] = {}
    for name in names_of(samples):
        model = next(found for one in samples if (found := one.model(name)) is not None)
        windows.setdefault(tuple(model.offsets), []).append(name)
    columns = []
    for offsets, names in windows.items():
        window = f"[{-offsets[0]},{offsets[-1]}]" if len(windows) > 1 and offsets else ""
        columns.append(_Column("before", names, f"raw{window}"))
        columns += [_Column("after", [name], name) for name in names]
    return columns


def _draw(panel: Any, row: _Row, column: _Column) -> bool:
    models = [row.sample.model(name) for name in column.models]
    model = next((one for one in models if one is not None and row.end in one.composition), None)
    if model is None:
        return False
    found = model.composition[row.end]
    for base, colour in BASES.items():
        panel.plot(model.offsets, found["background"][base], color=colour, **BACKGROUND)
        panel.plot(model.offsets, found[column.part][base], color=colour, **STARTS)
    panel.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    few_ticks(panel.xaxis)
    few_ticks(panel.yaxis)
    lines = [f"KL {divergence(found[column.part], found['background']):.4f}"]
    lines += ["not used"] if column.part == "after" and not model.used else []
    note(panel, ", ".join(lines))
    return True


def divergence(starts: Shares, background: Shares) -> float:
    """Return ½ KL(p‖q) + ½ KL(q‖p) of two compositions, bits, mean over offsets.

    Args:
        starts, background: base → share per offset.
    """
    p, q = (
        np.maximum([shares[base] for base in BASES], SMALLEST_SHARE)
        for shares in (starts, background)
    )
    return float(((p - q) * np.log2(p / q)).sum(axis=0).mean() / 2)
