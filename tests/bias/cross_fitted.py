"""Samples split into folds, models for tests of cross-fitting, and what those have seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterbias import (
    BiasModel,
    FitReport,
    TrainingSet,
    Window,
)
from counterbias.sampling import FoldedWindows
from tests.helpers.folded_samples import Written, folded, make_sites

WINDOW = Window(10, 10)


#: A `cnn` that trains in a moment.
QUICK = (
    "units=16",
    "channels=4",
    "min_steps=40",
    "max_steps=40",
    "batch_tiles=8",
    "distil_steps=60",
    "distil_channels=4",
)


#: One that can learn a strong bias.
ABLE = ("units=16", "channels=8", "min_steps=250", "max_steps=250", "distil_steps=300")


class Spy(BiasModel):
    """Record the bases of all windows, validation included; score each as 1."""

    written = Written(WINDOW)
    needs_tiles = True

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        self.seen = self.written.of(sample)
        if sample.validation is not None:
            self.seen |= self.written.of(sample.validation)
        return FitReport(0.0, 0)

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        assert not self.seen & self.written.bases(contexts)
        return np.ones(len(contexts))

    def to_arrays(self) -> dict[str, Any]:
        return {}

    def from_arrays(self, arrays: Any) -> None:
        pass


def sample_of(number: int, *, reads: int = 2500) -> FoldedWindows:
    return folded(make_sites(7, reads, False), WINDOW, "local", number)[1]
