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
        name: the model's name in the figures.
        used: whether a count would use it.
        gain, gain_error: gain_cap5 and its standard error; NaN if unknown.
        seconds: training time.
        offsets: offsets of the window from the read start.
        composition: read end → ``before``, ``after``, ``background`` → base → share per offset.
        expression: ``raw``, ``weighted``, ``corrected`` → FPKM per feature.
        truth: the estimates compared with the truth, as ``expression``; empty without a truth.
        difference: ``weighted``, ``corrected`` → measure → (value, low, high) of the paired
            difference from raw; empty without a truth.
        points: ``predicted``, ``observed``, ``error`` → log2 of held-out reads over an even spread,
            per bin; may be empty.
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
    """One sample and its models.

    Args:
        name: the sample's name.
        counts: raw counts per feature.
        models: the models compared.
        truth: true values per feature, or None.
        truth_label: their column in the truth table.
    """

    name: str
    counts: NDArray[np.float64]
    models: Sequence[ModelFigures]
    truth: NDArray[np.float64] | None = None
    truth_label: str = ""
