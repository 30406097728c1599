"""The figures one by one.

Each function takes matplotlib's ``Figure`` and a sample, and returns a figure, or None if there is
no data for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.figures.data import ModelFigures, SampleFigures

#: Colours that people with colour blindness can tell apart (Okabe and Ito).
BASES = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
WEIGHTED, CORRECTED, RAW = "#E69F00", "#0072B2", "#8a8a8a"
#: Panels per row, and their size in inches.
ACROSS, WIDTH, HEIGHT = 4, 2.7, 2.25
#: Points beyond which a cloud is drawn as pixels.
MANY = 400
#: Raw fragments that a feature needs to be in a histogram of fold changes.
FEWEST = 10

Floats = NDArray[np.float64]


def _grid(
    figure: Any,
    sample: SampleFigures,
    models: Sequence[ModelFigures],
    title: str,
    *,
    height: float = HEIGHT,
) -> tuple[Any, list[Any]]:
    """Lay out one panel per model, with a title above and room for a legend below."""
    across = min(ACROSS, len(models))
    down = math.ceil(len(models) / across)
    page = figure(figsize=(max(WIDTH * across, 5.2), height * down + 0.95), layout="constrained")
    page.suptitle(f"{sample.name}: {title}", x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    panels = page.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for empty in panels.flat[len(models) :]:
        empty.set_axis_off()
    for number, panel in enumerate(panels.flat[: len(models)]):
        panel.set_title(_shown(models[number]), fontsize=8.5)
        # In the last row, and above empty panels, the axis has numbers.
        panel.tick_params(labelbottom=number + across >= len(models))
    return page, list(panels.flat[: len(models)])


def _shown(model: ModelFigures) -> str:
    return model.name if model.used else f"{model.name} (not used)"


def _name_below(panels: Sequence[Any], text: str) -> None:
    """Label the horizontal axis of each panel without another below it."""
    for panel in panels[-ACROSS:]:
        panel.set_xlabel(text, fontsize=8)


def _legend(page: Any, panel: Any, columns: int = 6) -> None:
    """Put one legend below all panels."""
    handles, labels = panel.get_legend_handles_labels()
    page.legend(handles, labels, loc="outside lower center", ncols=columns)


def _logarithmic(axis: Any) -> None:
    """Write the numbers of a logarithmic axis as plain text.

    Math markup is off, since names may contain any character.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: object = None) -> str:
    """Write 0.001, 10, 1000, and 10000 and more as 10k, 1M."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * factor or (letter == "M" and value >= factor):
            return f"{value / factor:g}{letter}"
    return f"{value:g}"


def composition(figure: Any, sample: SampleFigures) -> Any:
    """Shares of the bases around read starts.

    Dashed before weighting, solid after, dotted for the background.
    """
    models = [model for model in sample.models if model.composition]
    if not models:
        return None
    page, panels = _grid(
        figure, sample, models, "bases around held-out read starts, before and after weighting"
    )
    for model, panel in zip(models, panels, strict=True):
        found = next(iter(model.composition.values()))
        for base, colour in BASES.items():
            panel.plot(
                model.offsets, found["background"][base], color=colour, linewidth=0.8, linestyle=":"
            )
            panel.plot(
                model.offsets,
                found["before"][base],
                color=colour,
                linewidth=1.0,
                linestyle=(0, (4, 2)),
                alpha=0.75,
            )
            panel.plot(model.offsets, found["after"][base], color=colour, linewidth=1.6, label=base)
        panel.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    for style, name in (((0, (4, 2)), "before"), ("-", "after"), (":", "background")):
        panels[0].plot([], [], color="#333333", linestyle=style, linewidth=1.2, label=name)
    _name_below(panels, "offset from the read's first base")
    page.supylabel("share", fontsize=8.5)
    _legend(page, panels[0], 7)
    return page


def fold_change(figure: Any, sample: SampleFigures) -> Any:
    """Histograms of log2 fold changes of expression by weighting and by correction."""
    models = [model for model in sample.models if model.expression]
    if not models:
        return None
    page, panels = _grid(
        figure, sample, models, f"log2 fold change against raw, features with ≥ {FEWEST} fragments"
    )
    changes = [
        {
            name: _log_ratio(model.expression[name], model.expression["raw"], sample.counts)
            for name in ("weighted", "corrected")
        }
        for model in models
    ]
    every = np.concatenate([values for one in changes for values in one.values()])
    reach = float(np.clip(np.quantile(np.abs(every), 0.99), 0.25, 4.0)) if len(every) else 1.0
    edges = np.linspace(-reach, reach, 42)
    for one, panel in zip(changes, panels, strict=True):
        for name, colour in (("weighted", WEIGHTED), ("corrected", CORRECTED)):
            values = np.clip(one[name], -reach, reach)
            panel.hist(
                values, bins=edges, histtype="stepfilled", alpha=0.30, color=colour, linewidth=0
            )
            panel.hist(values, bins=edges, histtype="step", color=colour, linewidth=1.2, label=name)
        panel.axvline(0, color="#333333", linewidth=0.8)
    _name_below(panels, "log2 fold change")
    page.supylabel("features", fontsize=8.5)
    _legend(page, panels[0])
    return page


def _log_ratio(after: Floats, before: Floats, counts: Floats) -> Floats:
    rows = (counts >= FEWEST) & (after > 0) & (before > 0)
    return np.asarray(np.log2(after[rows] / before[rows]))


def before_after(figure: Any, sample: SampleFigures) -> Any:
    """Expression before against after, on logarithmic axes."""
    models = [
        model for model in sample.models if model.expression and (model.expression["raw"] > 0).any()
    ]
    if not models:
        return None
    page, panels = _grid(figure, sample, models, "expression before and after, FPKM", height=2.5)
    for model, panel in zip(models, panels, strict=True):
        raw = model.expression["raw"]
        for name, colour in (("weighted", WEIGHTED), ("corrected", CORRECTED)):
            _cloud(panel, raw, model.expression[name], colour, name)
        _diagonal(panel, raw[raw > 0])
    _name_below(panels, "raw")
    page.supylabel("after", fontsize=8.5)
    _legend(page, panels[0])
    return page


def _cloud(panel: Any, x: Floats, y: Floats, colour: str, label: str) -> None:
    """Draw points on logarithmic axes; many of them as pixels, so that files stay small."""
    rows = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    many = int(rows.sum()) > MANY
    panel.scatter(
        x[rows],
        y[rows],
        s=5 if many else 11,
        color=colour,
        alpha=0.35 if many else 0.65,
        linewidths=0,
        label=label,
        rasterized=many,
    )
    panel.set_xscale("log")
    panel.set_yscale("log")
    for axis in (panel.xaxis, panel.yaxis):
        _logarithmic(axis)


def _diagonal(panel: Any, values: Floats) -> None:
    if len(values):
        ends = [float(values.min()), float(values.max())]
        panel.plot(ends, ends, color="#333333", linewidth=0.8, zorder=1)


def gain_cost(figure: Any, sample: SampleFigures) -> Any:
    """Held-out gain against training time."""
    models = [model for model in sample.models if math.isfinite(model.gain)]
    if not models:
        return None
    page = figure(figsize=(6.4, 4.2), layout="constrained")
    page.suptitle(
        f"{sample.name}: what a model gains and what it costs",
        x=0.01,
        ha="left",
        fontsize=10.5,
        fontweight="bold",
    )
    panel = page.subplots()
    seconds = [
        max(model.seconds, 0.005) if math.isfinite(model.seconds) else 0.005 for model in models
    ]
    for model, x in zip(models, seconds, strict=True):
        colour = CORRECTED if model.used else RAW
        error = model.gain_error if math.isfinite(model.gain_error) else 0.0
        panel.errorbar(
            x,
            model.gain,
            yerr=error,
            fmt="o",
            markersize=6,
            color=colour,
            ecolor=colour,
            elinewidth=1.1,
            capsize=2.5,
        )
    panel.set_xscale("log")
    _logarithmic(panel.xaxis)
    panel.axhline(0, color="#333333", linewidth=0.8)
    panel.set_xlim(min(seconds) / 2, max(max(seconds) * 8, min(seconds) * 100))
    _label(panel, models, seconds)
    panel.set_xlabel("training time, seconds")
    panel.set_ylabel("held-out gain, bits per read (± SE over folds)")
    return page


def _label(panel: Any, models: Sequence[ModelFigures], seconds: Sequence[float]) -> None:
    """Write names to the right of the points, moved up or down so that nothing overlaps."""
    (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
    gains = [model.gain for model in models]
    at = [
        (math.log(x / left) / math.log(right / left), (y - low) / (high - low))
        for x, y in zip(seconds, gains, strict=True)
    ]
    taken = [(x - 0.01, x + 0.01, y) for x, y in at]
    line = {"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    for number in sorted(range(len(models)), key=lambda number: -models[number].gain):
        text, (x, y) = _shown(models[number]), at[number]
        begin, end = x + 0.025, x + 0.025 + 0.0135 * len(text)
        shifts = sorted((step * 0.02 for step in range(-15, 16)), key=abs)
        shift = next(
            (
                one
                for one in shifts
                if not any(begin < b and a < end and abs(y + one - h) < 0.042 for a, b, h in taken)
            ),
            0.0,
        )
        taken.append((begin, end, y + shift))
        panel.annotate(
            text,
            (seconds[number], models[number].gain),
            xytext=(begin, y + shift),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color="#222222",
            arrowprops=line if shift else None,
        )


def reliability(figure: Any, sample: SampleFigures) -> Any:
    """Held-out reads observed against predicted, on log2 axes.

    On the diagonal, a correction has the right size.
    """
    models = [model for model in sample.models if len(model.points.get("predicted", ())) > 1]
    if not models:
        return None
    title = "held-out reads, observed against predicted (× an even spread)"
    page, panels = _grid(figure, sample, models, title, height=2.5)
    values = [
        np.array([model.points[name] for name in ("predicted", "observed")]) for model in models
    ]
    reach = math.ceil(max(float(np.nanmax(np.abs(both))) for both in values))
    for model, (predicted, observed), panel in zip(models, values, panels, strict=True):
        panel.plot(
            [-reach, reach],
            [-reach, reach],
            color=RAW,
            linewidth=0.9,
            linestyle=(0, (4, 2)),
            label="right size",
        )
        error = np.nan_to_num(np.array(model.points["error"]))
        style = {
            "fmt": "o-",
            "markersize": 3.5,
            "color": CORRECTED,
            "elinewidth": 1.0,
            "label": "bins of places, ± SE",
        }
        panel.errorbar(predicted, observed, yerr=error, **style)
        _powers_of_two(panel, reach)
    _name_below(panels, "predicted")
    page.supylabel("observed", fontsize=8.5)
    _legend(page, panels[0])
    return page


def _powers_of_two(panel: Any, reach: int) -> None:
    """Mark both axes, which hold log2, with the numbers themselves: ¼, 1, 4."""
    step = max(1, math.ceil(reach / 3))
    marks = [one for one in range(-reach, reach + 1) if one % step == 0]
    shown = [f"{2**one}" if one >= 0 else f"1/{2**-one}" for one in marks]
    panel.set_xticks(marks, shown)
    panel.set_yticks(marks, shown)


def truth(figure: Any, sample: SampleFigures) -> Any:
    """Estimates against the truth, on logarithmic axes, without their constant factor."""
    models = [model for model in sample.models if model.truth]
    if not models or sample.truth is None:
        return None
    page, panels = _grid(
        figure, sample, models, f"expression against the truth ({sample.truth_label})", height=2.5
    )
    for model, panel in zip(models, panels, strict=True):
        target = sample.truth
        for name, colour in (("raw", RAW), ("corrected", CORRECTED)):
            _cloud(panel, target, _scaled(model.truth[name], target), colour, name)
        rows = np.isfinite(target) & (target > 0) & (model.truth["raw"] > 0)
        _diagonal(panel, target[rows])
    _name_below(panels, "truth")
    page.supylabel("estimate, scaled to the truth", fontsize=8.5)
    _legend(page, panels[0])
    return page


def _scaled(values: Floats, target: Floats) -> Floats:
    """Bring an estimate to the scale of the truth: equal means of logs."""
    rows = np.isfinite(target) & (target > 0) & (values > 0)
    if not rows.any():
        return values
    return np.asarray(values * 2 ** float(np.mean(np.log2(target[rows]) - np.log2(values[rows]))))


def truth_difference(figure: Any, sample: SampleFigures) -> Any:
    """Paired differences to raw with their intervals: what lies across zero is noise."""
    models = [
        model
        for model in sample.models
        if model.difference and math.isfinite(model.difference["corrected"]["rmse"][0])
    ]
    if not models:
        return None
    page = figure(figsize=(7.2, 1.7 + 0.42 * len(models)), layout="constrained")
    page.suptitle(
        f"{sample.name}: nearer to the truth than raw?",
        x=0.01,
        ha="left",
        fontsize=10.5,
        fontweight="bold",
    )
    left, right = page.subplots(1, 2, sharey=True)
    for panel, measure, text in (
        (left, "rmse", "RMSE log2: difference to raw\n(below 0 is better)"),
        (right, "pearson", "log-Pearson: difference to raw\n(above 0 is better)"),
    ):
        for shift, (name, colour) in (
            (-0.13, ("weighted", WEIGHTED)),
            (0.13, ("corrected", CORRECTED)),
        ):
            found = np.array([model.difference[name][measure] for model in models])
            rows = np.arange(len(models)) + shift
            spans = np.abs(found[:, [1, 2]].T - found[:, 0])
            panel.errorbar(
                found[:, 0],
                rows,
                xerr=spans,
                fmt="o",
                markersize=4.5,
                color=colour,
                elinewidth=1.2,
                capsize=2,
                label=name,
            )
        panel.axvline(0, color="#333333", linewidth=0.8)
        panel.set_xlabel(text)
        panel.grid(visible=False, axis="y")
    left.set_yticks(range(len(models)), [_shown(model) for model in models])
    left.invert_yaxis()
    _legend(page, right)
    return page
