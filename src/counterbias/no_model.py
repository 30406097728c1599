"""The model of a sample from which none could be learnt: it scores every window 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.model import BiasModel
from counterbias.records import FitReport, TrainingSet, Window


class NoModel(BiasModel):
    """A placeholder where no model could be learnt: every log bias is 0, so every read weighs 1.

    Args:
        window, options: those that the model would have had.
        reason: why there is no model, one line.
    """

    def __init__(self, window: Window, options: Any, reason: str) -> None:
        super().__init__(window, options)
        self.reason = reason

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Raise RuntimeError: this model cannot be fitted."""
        raise RuntimeError(f"there is no model: {self.reason}")

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return zeros: uint8 (n, width) → float64 (n,), nats."""
        return np.zeros(len(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return zeros: uint8 (n + width - 1,) → float64 (n,), nats."""
        return np.zeros(len(sequence) - self.window.width + 1)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return no arrays."""
        return {}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raise InputError if there are any arrays."""
        if arrays:
            raise InputError(f"array '{min(arrays)}' belongs to no model")
