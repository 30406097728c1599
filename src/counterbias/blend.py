"""A sample's own model blended with one that was fitted before, to other samples.

Read starts of different libraries are chosen by much the same chemistry, so that a model of another sample knows most of what a small
sample cannot tell. The blend's log bias is a weighted sum of both (a log-linear pool, Genest & Zidek 1986); the two shares are found on
held-out windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.model import BiasModel
from counterbias.records import FitReport, TrainingSet


class Blend(BiasModel):
    """Score windows by ``own_share`` × own + ``prior_share`` × prior; both must be fitted, and have one window.

    Args:
        own: the sample's own model, whose options the blend has.
        prior: the model of other samples.
        own_share, prior_share: what their log biases are multiplied by.
    """

    def __init__(
        self, own: BiasModel, prior: BiasModel, own_share: float, prior_share: float
    ) -> None:
        if own.window != prior.window:
            raise ValueError(f"windows differ: {own.window} and {prior.window}")
        super().__init__(own.window, own.options)
        self.own, self.prior = own, prior
        self.own_share, self.prior_share = own_share, prior_share

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Raise RuntimeError: both models come fitted."""
        raise RuntimeError("a blend is made of models that are fitted already")

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats."""
        return np.asarray(
            self.own_share * self.own.log_bias(contexts)
            + self.prior_share * self.prior.log_bias(contexts)
        )

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score consecutive windows: uint8 (n + width - 1,) → float64 (n,), nats."""
        return np.asarray(
            self.own_share * self.own.along(sequence)
            + self.prior_share * self.prior.along(sequence)
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the own model's arrays; those of the prior are saved beside them (:mod:`counterbias.model_file`)."""
        return self.own.to_arrays()

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raise RuntimeError: what is read from a file is two models."""
        raise RuntimeError("a blend is made of models that are fitted already")
