"""A sample's own model blended with a prior: a model fitted to other samples.

Read starts of different libraries are selected by much the same chemistry, so a model of other
samples knows most of what a small sample cannot show. The blend's log bias is a weighted sum of the
two (a log-linear pool, Genest & Zidek 1986); both shares are fitted on held-out windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.model import BiasModel
from counterbias.records import FitReport, TrainingSet


class Blend(BiasModel):
    """A model whose log bias is ``own_share`` × own + ``prior_share`` × prior.

    Args:
        own: the sample's own model, fitted; its options are the blend's.
        prior: the model of other samples, fitted, with the same window.
        own_share, prior_share: factors of their log biases.

    Raises:
        ValueError: the windows differ.
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
        """Raise RuntimeError: a blend is made of fitted models."""
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
        """Return the own model's arrays; :mod:`counterbias.model_file` saves the prior's too."""
        return self.own.to_arrays()

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raise RuntimeError: a model file holds two models, from which the blend is made."""
        raise RuntimeError("a blend is made of models that are fitted already")
