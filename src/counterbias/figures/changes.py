"""Paired differences from raw, sample by sample: what lies across zero is noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterbias.figures.data import ModelFigures, SampleFigures, Span, names_of
from counterbias.figures.layout import ESTIMATES, INK, RAW, SMALL, Key, Page, Sheet, few_ticks
from counterbias.figures.lettering import fit_names, width_of

#: Inches: a model's row, a panel, the names of models.
ROW, WIDTH, NAME = 0.24, 2.6, 1.7
#: How far weighted and corrected values are moved up and down from a model's row.
SHIFTS = (-0.16, 0.16)
#: How the value without correction is drawn.
RAW_LINE: dict[str, Any] = {"color": RAW, "linewidth": 1.2, "linestyle": (0, (4, 2))}


@dataclass(frozen=True)
class _Column:
    """One column of panels.

    Args:
        heading: what is shown, and which side is better.
        take: model → ``weighted``, ``corrected`` (``raw``) → value and its interval; may be empty.
        difference: whether these are differences from raw.
    """

    heading: str
    take: Callable[[ModelFigures], Mapping[str, Span]]
    difference: bool = True


def truth_difference(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw by how much correction brings estimates nearer to the truth."""
    return _pages(
        samples,
        "Nearer to the truth than raw?",
        "Paired differences to raw estimates, with 95% intervals over resampled features: what "
        "lies across zero is noise.",
        [
            _Column("RMSE log2, minus raw's; below 0 is better", _difference("rmse")),
            _Column("log-Pearson, minus raw's; above 0 is better", _difference("pearson")),
        ],
    )


def _difference(measure: str) -> Callable[[ModelFigures], Mapping[str, Span]]:
    return lambda model: model.difference.get(measure, {})


def evenness(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw how evenly reads lie along exons, without, by weights and by effective lengths."""
    return _pages(
        samples,
        "Do reads lie more evenly along exons?",
        "RMS log2 ratio of the read densities of alternating 50-base blocks in held-out exons "
        "(half_*). Right: paired differences to raw, ± SE over folds.",
        [
            _Column("half consistency, log2; lower is better", lambda model: model.halves, False),
            _Column("minus raw's; below 0 is better", lambda model: _minus_raw(model.halves)),
        ],
    )


def replicates(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw how near samples of one group are to each other."""
    return _pages(
        samples,
        "Nearer to the other samples of its group?",
        "RMS log2 ratio of FPKM to the other samples of the group (replicate_rmse_*). Right: "
        "paired differences to raw, ± SE over resampled features. Replicates of one library share "
        "their bias.",
        [
            _Column("RMS log2 ratio; lower is better", lambda model: model.replicates, False),
            _Column("minus raw's; below 0 is better", lambda model: _minus_raw(model.replicates)),
        ],
    )


def _minus_raw(spans: Mapping[str, Span]) -> Mapping[str, Span]:
    return {name: spans[f"{name}_minus_raw"] for name in ESTIMATES if f"{name}_minus_raw" in spans}


def _is_known(model: ModelFigures | None, column: _Column) -> bool:
    return model is not None and any(math.isfinite(one[0]) for one in column.take(model).values())


def _pages(
    samples: Sequence[SampleFigures], title: str, explanation: str, columns: Sequence[_Column]
) -> list[Page]:
    """Lay out a row per sample, with a line per model in each panel."""
    rows = [one for one in samples if any(_is_known(model, columns[-1]) for model in one.models)]
    if not rows:
        return []
    names = [
        name
        for name in names_of(rows)
        if any(_is_known(one.model(name), columns[-1]) for one in rows)
    ]
    labels = fit_names(names, NAME, SMALL, lines=1)
    limits = [_limits(rows, column) for column in columns]

    def draw(panel: Any, row: int, column: int) -> bool:
        models = [rows[row].model(name) for name in names]
        panel.set_xlim(*limits[column])
        few_ticks(panel.xaxis)
        panel.set_yticks(range(len(names)), labels)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.grid(visible=False, axis="y")
        _draw(panel, models, columns[column])
        return True

    keys: list[Key] = [
        (name, {"color": colour, "marker": "o"}) for name, colour in ESTIMATES.items()
    ]
    return Sheet(
        title,
        explanation,
        [one.name for one in rows],
        [column.heading for column in columns],
        draw,
        keys=keys if all(one.difference for one in columns) else [*keys, ("raw", RAW_LINE)],
        width=WIDTH,
        height=max(0.5, ROW * len(names)),
        ticks=max(width_of(label, SMALL) for label in labels) + 0.1,
    ).pages()


def _draw(panel: Any, models: Sequence[ModelFigures | None], column: _Column) -> None:
    """Draw the values of every model in one sample."""
    if column.difference:
        panel.axvline(0, color=INK, linewidth=0.8)
    for number, model in enumerate(models):
        if model is None:
            continue
        spans = column.take(model)
        if not column.difference and "raw" in spans:
            panel.plot([spans["raw"][0]] * 2, [number - 0.5, number + 0.5], **RAW_LINE)
        for shift, (name, colour) in zip(SHIFTS, ESTIMATES.items(), strict=True):
            value, low, high = spans.get(name, (math.nan,) * 3)
            style = {"fmt": "o", "markersize": 4, "elinewidth": 1.1, "capsize": 1.8}
            bar = [[value - low], [high - value]] if math.isfinite(low + high) else None
            panel.errorbar(value, number + shift, xerr=bar, color=colour, **style)


def _limits(samples: Sequence[SampleFigures], column: _Column) -> tuple[float, float]:
    """Return the ends of a column's axis, which all its panels share."""
    found = [
        end
        for sample in samples
        for model in sample.models
        for name, span in column.take(model).items()
        if name in ("raw", *ESTIMATES)
        for end in span
        if math.isfinite(end)
    ]
    found += [0.0] if column.difference else []
    low, high = float(np.min(found)), float(np.max(found))
    spare = 0.06 * (high - low) or 0.05
    return low - spare, high + spare
