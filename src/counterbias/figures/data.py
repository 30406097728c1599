"""What the figures of one sample are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One model in one sample.

    Args:
        name: what the model is called in the figures.
        used: whether a count would use it.
        gain, gain_error: gain_cap5 and its standard error; NaN where there are none.
        seconds: training time.
        offsets: offsets of the window from the read start.
        composition: end class → ``before``, ``after``, ``background`` → base → share per offset.
        expression: ``raw``, ``weighted``, ``corrected`` → FPKM per feature.
        truth: the estimates that were compared with the truth, as ``expression``; empty without a truth.
        difference: ``weighted``, ``corrected`` → measure → (value, low, high) of the paired difference to raw; empty without a truth.
        points: ``predicted``, ``observed``, ``error`` → log2 of held-out reads over an even spread, per bin; empty where there are none.
    """

    name: str
    used: bool
    gain: float
    gain_error: float
    seconds: float
    offsets: Sequence[int]
    composition: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]
    expression: Mapping[str, NDArray[np.float64]]
    truth: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    difference: Mapping[str, Mapping[str, tuple[float, float, float]]] = field(default_factory=dict)
    points: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SampleFigures:
    """One sample. Args: name; counts: raw counts per feature; models; truth: true values per feature, or None; truth_label: its column."""

    name: str
    counts: NDArray[np.float64]
    models: Sequence[ModelFigures]
    truth: NDArray[np.float64] | None = None
    truth_label: str = ""
