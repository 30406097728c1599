"""What the figures of a comparison are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: A value and the ends of its interval; NaN where unknown.
Span = tuple[float, float, float]


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
        agreement: ``raw``, ``corrected`` → ``pearson``, ``rmse`` → value; empty without a truth.
        features: number of features compared with the truth.
        difference: measure → ``weighted``, ``corrected`` → the paired difference from raw; empty
            without a truth.
        points: ``predicted``, ``observed``, ``error`` → log2 of held-out reads over an even spread,
            per bin; may be empty.
        halves: ``raw``, ``weighted``, ``corrected`` and, with ``_minus_raw`` appended, the paired
            differences of the last two → half consistency, ± standard error; may be empty.
        replicates: the same of replicate_rmse; empty without replicates.
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
    agreement: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    features: int = 0
    difference: Mapping[str, Mapping[str, Span]] = field(default_factory=dict)
    points: Mapping[str, Sequence[float]] = field(default_factory=dict)
    halves: Mapping[str, Span] = field(default_factory=dict)
    replicates: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SampleFigures:
    """One sample and its models.

    Args:
        name: the sample's name.
        counts: raw counts per feature.
        models: the models compared.
        truth: true values per feature, or None.
        truth_label: their column in the truth table.
        starts: distinct read starts that models learn from.
    """

    name: str
    counts: NDArray[np.float64]
    models: Sequence[ModelFigures]
    truth: NDArray[np.float64] | None = None
    truth_label: str = ""
    starts: int = 0

    def model(self, name: str) -> ModelFigures | None:
        """Return the model of this name, or None if there are no results of it."""
        return next((one for one in self.models if one.name == name), None)


def names_of(samples: Sequence[SampleFigures]) -> list[str]:
    """Return the names of all models of these samples, in order."""
    return list(dict.fromkeys(one.name for sample in samples for one in sample.models))
