"""The bias model ``cnn``: the mean of a few small convolutional networks trained to tell read starts from places near by.

Comes in: windows and tiles. Goes out: the networks' mean score, ln P(window | read start) − ln P(window | near by) up to a constant.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import BiasModel, FitReport, InputError, TrainingSet, Window, take_arrays
from counterbias_backends.cnn.parameters import Shape

if TYPE_CHECKING:
    from counterbias_backends.cnn.scoring import Scorer

OBJECTIVES = ("both", "tiles", "windows")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Options:
    """Options of ``cnn``.

    Args:
        members: networks whose scores are averaged.
        kmer: bases that the first layer sees at a time.
        channels: outputs of the first layer at each place.
        units: outputs of the second layer, a multiple of 16.
        objective: ``tiles`` (where in a stretch of the genome reads start), ``windows`` (read start or near by) or ``both``; without
            tiles in the sample always ``windows``.
        cap: reads of one position that count, at most, in tiles.
        decay: weight decay; below 0: 10,000 / read starts, between 0.1 and 5.
        learning_rate: of Adam at its highest.
        epochs: passes over the tiles (the windows, where there are none), within ``min_steps`` and ``max_steps``.
        min_steps, max_steps: bounds of the optimiser's steps.
        batch_tiles, batch_windows: per step; without tiles four times ``batch_windows``.
        max_tiles: of more tiles, so many are drawn.
        learn_validation: learn from the validation part too; there is no early stopping that it would be needed for. If not, curves tell
            how the networks do there.
        threads: networks trained at the same time; the result does not depend on it.
        device: ``cpu``, ``cuda`` or ``auto``, which is the processor.
    """

    members: int = 3
    kmer: int = 3
    channels: int = 16
    units: int = 32
    objective: str = "both"
    cap: float = 5.0
    decay: float = -1.0
    learning_rate: float = 6e-3
    epochs: int = 20
    min_steps: int = 900
    max_steps: int = 2000
    batch_tiles: int = 32
    batch_windows: int = 256
    max_tiles: int = 50_000
    learn_validation: bool = True
    threads: int = 2
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, known in (("objective", OBJECTIVES), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise InputError(f"--bias-option {name}={getattr(self, name)}: must be one of {', '.join(known)}")
        for name, most in (("members", 32), ("kmer", 6), ("channels", 256), ("units", 256)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"--bias-option {name}={getattr(self, name)}: must be from 1 to {most}")
        if self.units % 16:
            raise InputError(f"--bias-option units={self.units}: must be a multiple of 16")
        for name in ("epochs", "min_steps", "max_steps", "batch_tiles", "batch_windows", "max_tiles", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"--bias-option {name}={getattr(self, name)}: must be at least 1")
        for name in ("cap", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"--bias-option {name}={getattr(self, name)}: must be above 0")
        if not self.decay < float("inf"):
            raise InputError(f"--bias-option decay={self.decay}: must be a number")


class ConvolutionalModel(BiasModel):
    """Score windows by the mean of several networks."""

    Options = Options
    needs_tiles = True

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        chosen = self.options
        self.shape = Shape(window.width, min(chosen.kmer, window.width), chosen.channels, chosen.units)
        self._flat: NDArray[np.float32] | None = None  # (networks, size)
        self._scorer: Scorer | None = None

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Train all networks."""
        from counterbias_backends.cnn.training import train

        began = time.perf_counter()
        trained = train(sample, self.shape, self.options, rng)
        self._set(trained.flat)
        return FitReport(
            seconds=time.perf_counter() - began,
            parameters=int(trained.flat.size),
            curves=trained.curves,
            details=trained.details,
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats. Raises RuntimeError before fit."""
        if self._scorer is None:
            raise RuntimeError("cnn: log_bias was called before fit")
        return self._scorer.log_bias(self.as_contexts(contexts))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the parameters by name, float32, the networks along the first axis."""
        if self._flat is None:
            raise RuntimeError("cnn: to_arrays was called before fit")
        return {name: values.copy() for name, values in self.shape.split(self._flat).items()}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what :meth:`to_arrays` gave; raises InputError where it does not fit window and options."""
        taken = take_arrays(arrays, {name: (self.options.members, *shape) for name, shape in self.shape.arrays.items()})
        self._set(self.shape.join(taken))

    def _set(self, flat: NDArray[np.float32]) -> None:
        from counterbias_backends.cnn.scoring import Scorer

        self._flat, self._scorer = flat, Scorer(flat, self.shape)
