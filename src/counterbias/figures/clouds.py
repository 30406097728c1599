"""Clouds of features: what a correction does to expression, and how near it comes to the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.figures.data import ModelFigures, SampleFigures, names_of
from counterbias.figures.layout import (
    CORRECTED,
    ESTIMATES,
    INK,
    MANY,
    RAW,
    Key,
    Page,
    Sheet,
    few_ticks,
    logarithmic,
    note,
)

#: Bins of a running median, each with the same number of features; features that a bin needs.
BINS, IN_BIN = 12, 15
#: What share of the features lies within the axis of log ratios; its smallest and largest reach.
WITHIN, SMALLEST, LARGEST = 0.995, 0.5, 6.0
#: The estimates that are compared with the truth, with their colours.
ESTIMATES_AGAINST_TRUTH = {"raw": RAW, "corrected": CORRECTED}

Floats = NDArray[np.float64]


def ma(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw the log ratio of expression after to before against its mean."""
    rows = [one for one in samples if any(_changes(model) for model in one.models)]
    if not rows:
        return []
    names = names_of(rows)
    found = {
        (row, name): _changes(model)
        for row, sample in enumerate(rows)
        for name in names
        if (model := sample.model(name)) is not None
    }
    reach = _reach([ratio for one in found.values() for _, ratio in one.values()])
    means = np.concatenate([mean for one in found.values() for mean, _ in one.values()])

    def draw(panel: Any, row: int, column: int) -> bool:
        changes = found.get((row, names[column]), {})
        model = rows[row].model(names[column])
        if not changes or model is None:
            return False
        panel.set_xlim(float(means.min()) - 0.5, float(means.max()) + 0.5)
        beyond = _draw_changes(panel, changes, reach)
        features = len(changes["corrected"][0])
        parts = [f"n {features:,}", *([f"{beyond:,} beyond"] if beyond else []), *_unused(model)]
        note(panel, ", ".join(parts))
        return True

    return Sheet(
        "What a correction does to expression, M against A",
        "Each feature with reads: log2 of FPKM after / before (M) against the mean of both log2 "
        "FPKM (A). Lines: running medians. Points beyond the axis lie on its edge.",
        [one.name for one in rows],
        names,
        draw,
        "A: mean log2 FPKM",
        "M: log2 after / raw",
        [*_point_keys(ESTIMATES), ("running median", {"color": INK, "linewidth": 1.5})],
    ).pages()


def _changes(model: ModelFigures) -> dict[str, tuple[Floats, Floats]]:
    """Return A and M of the weighted and the corrected estimate; empty without features."""
    if not model.expression:
        return {}
    raw = model.expression["raw"]
    rows = raw > 0
    for estimate in ESTIMATES:
        rows &= model.expression[estimate] > 0
    if not rows.any():
        return {}
    before = np.log2(raw[rows])
    after = {estimate: np.log2(model.expression[estimate][rows]) for estimate in ESTIMATES}
    return {name: ((before + one) / 2, one - before) for name, one in after.items()}


def _draw_changes(panel: Any, changes: dict[str, tuple[Floats, Floats]], reach: float) -> int:
    """Draw M against A of each estimate; return how many features lie beyond the axis, at most."""
    panel.set_ylim(-reach, reach)
    for (mean, ratio), colour in zip(changes.values(), ESTIMATES.values(), strict=True):
        _cloud(panel, mean, np.clip(ratio, -reach, reach), colour)
        panel.plot(*_running_median(mean, ratio), color="white", linewidth=2.6, zorder=4)
        panel.plot(*_running_median(mean, ratio), color=colour, linewidth=1.5, zorder=5)
    _zero(panel)
    few_ticks(panel.xaxis)
    few_ticks(panel.yaxis)
    return max(int((np.abs(ratio) > reach).sum()) for _, ratio in changes.values())


def _reach(ratios: Sequence[Floats]) -> float:
    """Return how far the axis of log ratios reaches on either side of zero."""
    every = np.abs(np.concatenate(ratios))
    return float(np.clip(np.quantile(every, WITHIN) * 1.15, SMALLEST, LARGEST))


def _running_median(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the medians of x and y in bins with equally many features, in ascending x."""
    order = np.argsort(x, kind="stable")
    bins = np.array_split(order, max(1, min(BINS, len(x) // IN_BIN)))
    middle = [(np.median(x[one]), np.median(y[one])) for one in bins]
    if len(middle) == 1:
        return np.array([x.min(), x.max()]), np.repeat(middle[0][1], 2)
    return np.array([one for one, _ in middle]), np.array([one for _, one in middle])


def truth(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw estimates against the truth, on logarithmic axes, without their constant factor."""
    return _against_truth(
        samples,
        "Expression against the truth",
        "Estimates, brought to the truth's scale, on the diagonal where they are right. "
        "n: features compared; r: correlation of the logs.",
        residuals=False,
    )


def truth_residuals(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw what estimates miss the truth by, against the truth."""
    return _against_truth(
        samples,
        "What estimates miss the truth by",
        "log2 of estimate / truth, without its mean, against the truth; 0 is right. n: features; "
        "RMSE: root mean square of what is drawn, log2. Points beyond the axis lie on its edge.",
        residuals=True,
    )


def _against_truth(
    samples: Sequence[SampleFigures], title: str, explanation: str, *, residuals: bool
) -> list[Page]:
    rows = [
        one
        for one in samples
        if one.truth is not None and any(_compared(one, model).any() for model in one.models)
    ]
    if not rows:
        return []
    names = names_of(rows)
    targets, misses = _extent(rows)
    reach = _reach([misses])

    def draw(panel: Any, row: int, column: int) -> bool:
        sample, model = rows[row], rows[row].model(names[column])
        if model is None or not (chosen := _compared(sample, model)).any():
            return False
        assert sample.truth is not None
        target = sample.truth[chosen]
        for estimate, colour in ESTIMATES_AGAINST_TRUTH.items():
            miss = _miss(model.truth[estimate][chosen], target)
            y = np.clip(miss, -reach, reach) if residuals else target * 2**miss
            _cloud(panel, target, y, colour)
            if residuals:
                lines = _running_median(np.log2(target), miss)
                panel.plot(2 ** lines[0], lines[1], color=colour, linewidth=1.3, zorder=5)
        _finish(panel, targets, reach, residuals=residuals)
        note(panel, _agreement(model, "rmse" if residuals else "pearson"), low=not residuals)
        return True

    labels = ", ".join(dict.fromkeys(one.truth_label for one in rows if one.truth_label))
    return Sheet(
        title,
        explanation,
        [one.name for one in rows],
        names,
        draw,
        f"truth ({labels})" if labels else "truth",
        "log2 estimate / truth" if residuals else "estimate",
        _point_keys(ESTIMATES_AGAINST_TRUTH),
    ).pages()


def _finish(panel: Any, targets: Floats, reach: float, *, residuals: bool) -> None:
    """Set the axes, and draw the line on which estimates are right."""
    ends = (float(targets.min()) / 1.6, float(targets.max()) * 1.6)
    panel.set_xscale("log")
    panel.set_xlim(*ends)
    logarithmic(panel.xaxis)
    if residuals:
        panel.set_ylim(-reach, reach)
        few_ticks(panel.yaxis)
        _zero(panel)
    else:
        panel.set_yscale("log")
        panel.set_ylim(ends[0] * 2**-reach, ends[1] * 2**reach)
        logarithmic(panel.yaxis)
        panel.plot(ends, ends, color=INK, linewidth=0.8, zorder=1)


def _compared(sample: SampleFigures, model: ModelFigures) -> NDArray[np.bool_]:
    """Return the features whose truth and estimates are above zero."""
    if sample.truth is None or not model.truth:
        return np.zeros(0, np.bool_)
    rows = np.isfinite(sample.truth) & (sample.truth > 0)
    for values in model.truth.values():
        rows &= np.isfinite(values) & (values > 0)
    return np.asarray(rows)


def _miss(values: Floats, target: Floats) -> Floats:
    """Return log2 of estimate / truth about its mean: a constant factor does not count."""
    ratio = np.log2(values) - np.log2(target)
    return np.asarray(ratio - ratio.mean())


def _extent(samples: Sequence[SampleFigures]) -> tuple[Floats, Floats]:
    """Return all true values and all misses, for the ends of the axes."""
    targets, misses = [], []
    for sample in samples:
        for model in sample.models:
            if sample.truth is None or not (rows := _compared(sample, model)).any():
                continue
            targets.append(sample.truth[rows])
            misses += [
                _miss(model.truth[name][rows], targets[-1]) for name in ESTIMATES_AGAINST_TRUTH
            ]
    return np.concatenate(targets), np.concatenate(misses)


def _agreement(model: ModelFigures, measure: str) -> str:
    """Write n, and r or RMSE of raw and corrected values."""
    name = {"pearson": "r", "rmse": "RMSE"}[measure]
    lines = [", ".join([f"n {model.features:,}", *_unused(model)])]
    lines += [
        f"{name} {estimate} {model.agreement[estimate][measure]:.3f}"
        for estimate in ESTIMATES_AGAINST_TRUTH
        if np.isfinite(model.agreement.get(estimate, {}).get(measure, np.nan))
    ]
    return "\n".join(lines)


def _unused(model: ModelFigures) -> list[str]:
    return [] if model.used else ["not used"]


def _point_keys(colours: dict[str, str]) -> list[Key]:
    return [
        (name, {"color": colour, "marker": "o", "linestyle": ""})
        for name, colour in colours.items()
    ]


def _zero(panel: Any) -> None:
    panel.axhline(0, color=INK, linewidth=0.8, zorder=3)


def _cloud(panel: Any, x: Floats, y: Floats, colour: str) -> None:
    """Draw points; many of them as pixels, so that files stay small."""
    many = len(x) > MANY
    panel.scatter(
        x,
        y,
        s=4 if many else 8,
        color=colour,
        alpha=0.35 if many else 0.6,
        linewidths=0,
        rasterized=many,
        clip_on=many,
    )
