"""The model of reads that teach nothing: it favours no place, and says why there is no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.model import BiasModel
from counterbias.records import FitReport, TrainingSet, Window


class NoModel(BiasModel):
    """Stand for a model where nothing could be learnt: every log bias is 0, so that reads weigh 1.

    Args:
        window, options: what the model would have had.
        reason: why there is none, one line.
    """

    def __init__(self, window: Window, options: Any, reason: str) -> None:
        super().__init__(window, options)
        self.reason = reason

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Raise RuntimeError: there is nothing to fit."""
        raise RuntimeError(f"there is no model: {self.reason}")

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Give zeros: uint8 (n, width) → float64 (n,), nats."""
        return np.zeros(len(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Give zeros: uint8 (n + width - 1,) → float64 (n,), nats."""
        return np.zeros(len(sequence) - self.window.width + 1)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give no arrays."""
        return {}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take no arrays. Raises InputError where there are any."""
        if arrays:
            raise InputError(f"array '{min(arrays)}' belongs to no model")
