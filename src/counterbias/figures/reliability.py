"""Held-out reads observed against predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from counterbias.figures.data import ModelFigures, SampleFigures, names_of
from counterbias.figures.layout import CORRECTED, RAW, Page, Sheet, note

#: How the diagonal is drawn.
DIAGONAL: dict[str, Any] = {"color": RAW, "linewidth": 0.9, "linestyle": (0, (4, 2))}


def reliability(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw held-out reads observed against predicted, on log2 axes.

    On the diagonal, a correction has the right size.
    """
    rows = [one for one in samples if one.models]
    if not any(_has_points(model) for one in rows for model in one.models):
        return []
    names = names_of(rows)
    reach = max(
        math.ceil(max(np.nanmax(np.abs(model.points[name])) for name in ("predicted", "observed")))
        for sample in rows
        for model in sample.models
        if _has_points(model)
    )

    def draw(panel: Any, row: int, column: int) -> bool:
        model = rows[row].model(names[column])
        if model is None:
            return False
        panel.plot([-reach, reach], [-reach, reach], **DIAGONAL)
        if _has_points(model):
            error = np.nan_to_num(np.array(model.points["error"]))
            style = {"fmt": "o-", "markersize": 3, "color": CORRECTED, "elinewidth": 1.0}
            panel.errorbar(model.points["predicted"], model.points["observed"], yerr=error, **style)
        _powers_of_two(panel, max(1, reach))
        if not model.used:
            note(panel, "not used")
        return True

    return Sheet(
        "Held-out reads, observed against predicted",
        "Places are binned by the reads that a model predicts there, as multiples of an even "
        "spread. Steeper than the diagonal: the correction is too small; flatter: too large.",
        [one.name for one in rows],
        names,
        draw,
        "predicted",
        "observed",
        [
            ("bins of places, mean over folds ± SE", {"color": CORRECTED, "marker": "o"}),
            ("right size", DIAGONAL),
        ],
        width=1.5,
        height=1.5,
    ).pages()


def _has_points(model: ModelFigures) -> bool:
    return len(model.points.get("predicted", ())) > 1


def _powers_of_two(panel: Any, reach: int) -> None:
    """Mark both axes, which hold log2, with the numbers themselves: 1/4, 1, 4."""
    step = max(1, math.ceil(reach / 2))
    marks = [one for one in range(-reach, reach + 1) if one % step == 0]
    shown = [f"{2**one}" if one >= 0 else f"1/{2**-one}" for one in marks]
    panel.set_xticks(marks, shown)
    panel.set_yticks(marks, shown)
    panel.set_xlim(-reach * 1.08, reach * 1.08)
    panel.set_ylim(-reach * 1.08, reach * 1.08)
