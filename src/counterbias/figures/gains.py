"""Held-out gain: what it costs, and how it grows with the reads there are to learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from counterbias.figures.data import ModelFigures, SampleFigures, names_of
from counterbias.figures.layout import INK, Key, Page, Sheet, few_ticks, logarithmic, mark_of

#: Training times below this, and unknown ones, are drawn here, seconds.
SHORTEST = 0.005
#: The size of the only panel, inches.
WIDTH, HEIGHT = 4.9, 3.1


def gain_cost(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw held-out gain against training time."""
    measured = _measured(samples)
    if not measured:
        return []
    names, several = _models_measured(measured), len(measured) > 1
    common = [one for one in measured if all(_gain_of(one, name) is not None for name in names)]

    def draw(panel: Any, row: int, column: int) -> bool:
        for number, name in enumerate(names):
            found = [model for one in measured if (model := _gain_of(one, name)) is not None]
            if several:
                style = {"linestyle": "", "markersize": 4, "alpha": 0.45, "markeredgewidth": 0}
                panel.plot(
                    [_seconds(one) for one in found],
                    [one.gain for one in found],
                    **mark_of(number) | style,
                )
            shared = [model for one in common if (model := _gain_of(one, name)) is not None]
            if shared:
                _mean(panel, shared, mark_of(number))
        return _finish(panel)

    means = f"mean ± SE over the {len(common)} samples in which all were measured"
    how = means if several else "± SE over folds"
    return _sheet(
        measured,
        "What a model gains and what it costs",
        f"Gain on blocks that a model did not learn from, and the time of the fit; {how}"
        + ("; small: single samples." if several else "."),
        draw,
        "training time, seconds",
    )


def _mean(panel: Any, models: Sequence[ModelFigures], mark: dict[str, Any]) -> None:
    """Draw the mean over samples with its standard error; of one sample that over folds."""
    gains = np.array([one.gain for one in models])
    error = models[0].gain_error
    if len(gains) > 1:
        error = float(gains.std(ddof=1) / math.sqrt(len(gains)))
    seconds = float(np.exp(np.mean(np.log([_seconds(one) for one in models]))))
    style = {"markersize": 6.5, "elinewidth": 1.2, "capsize": 2.5, "alpha": 0.75}
    panel.errorbar(
        seconds, gains.mean(), yerr=error if math.isfinite(error) else 0.0, **mark | style
    )


def gain_depth(samples: Sequence[SampleFigures]) -> list[Page]:
    """Draw held-out gain against the number of distinct read starts, if samples differ in it."""
    measured = [one for one in _measured(samples) if one.starts > 0]
    if len(measured) < 2:
        return []
    measured.sort(key=lambda one: (one.starts, one.name))
    names = _models_measured(measured)

    def draw(panel: Any, row: int, column: int) -> bool:
        for number, name in enumerate(names):
            found = [
                (one.starts, model.gain, model.gain_error)
                for one in measured
                if (model := _gain_of(one, name)) is not None
            ]
            starts, gains, errors = np.array(found, np.float64).T
            style = {"linestyle": "", "markersize": 5, "elinewidth": 1.0, "capsize": 2}
            panel.errorbar(starts, gains, yerr=np.nan_to_num(errors), **mark_of(number) | style)
        return _finish(panel)

    return _sheet(
        measured,
        "Held-out gain against depth",
        "A point per sample and model, ± SE over folds. Samples differ in more than their depth: "
        "only what rises in all of them speaks for more reads.",
        draw,
        "distinct read starts to learn from",
    )


def _measured(samples: Sequence[SampleFigures]) -> list[SampleFigures]:
    return [one for one in samples if any(math.isfinite(model.gain) for model in one.models)]


def _models_measured(samples: Sequence[SampleFigures]) -> list[str]:
    """Return the models that were measured in a sample, in the order of their colours."""
    return [
        name
        for name in names_of(samples)
        if any(_gain_of(one, name) is not None for one in samples)
    ]


def _gain_of(sample: SampleFigures, name: str) -> ModelFigures | None:
    """Return a model that was measured in a sample, or None."""
    model = sample.model(name)
    return None if model is None or not math.isfinite(model.gain) else model


def _seconds(model: ModelFigures) -> float:
    return max(model.seconds, SHORTEST) if math.isfinite(model.seconds) else SHORTEST


def _finish(panel: Any) -> bool:
    panel.set_xscale("log")
    left, right = panel.get_xlim()
    if right < 10 * left:
        middle = math.sqrt(left * right)
        panel.set_xlim(middle / 3.3, middle * 3.3)
    logarithmic(panel.xaxis)
    few_ticks(panel.yaxis, 6)
    panel.axhline(0, color=INK, linewidth=0.8)
    return True


def _sheet(
    samples: Sequence[SampleFigures],
    title: str,
    explanation: str,
    draw: Callable[[Any, int, int], bool],
    x: str,
) -> list[Page]:
    """Lay out one panel whose legend names the models."""
    names = _models_measured(samples)
    unused = {
        name
        for name in names
        if not any(model.used for one in samples if (model := one.model(name)) is not None)
    }
    keys: list[Key] = [
        (f"{name} (not used)" if name in unused else name, mark_of(number) | {"linestyle": ""})
        for number, name in enumerate(names)
    ]
    return Sheet(
        title,
        explanation,
        [samples[0].name if len(samples) == 1 else ""],
        [""],
        draw,
        x,
        "held-out gain, bits per read",
        keys,
        width=WIDTH,
        height=HEIGHT,
    ).pages()
