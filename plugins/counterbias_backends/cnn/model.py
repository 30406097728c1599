"""The bias model ``cnn``: a few small convolutional networks trained to tell read starts from places near by.

Comes in: windows and tiles. Goes out: the networks' mean score, or that of one network fitted to it:
ln P(window | read start) − ln P(window | near by), up to a constant.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import (
    BiasModel,
    CrossFit,
    FitReport,
    FoldedSample,
    InputError,
    TrainingSet,
    Window,
)
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.gpu import require_gpu
from counterbias_backends.taking import take_weights

if TYPE_CHECKING:
    from counterbias_backends.cnn.scoring import Scorer
    from counterbias_backends.cnn.training import Trained

OBJECTIVES = ("both", "tiles", "windows")
SIZES = ("channels", "units", "distil_channels", "distil_units")


@dataclass(frozen=True)
class Options:
    """Options of ``cnn``.

    Args:
        members: networks whose scores are averaged; with a multiple of five, each leaves out one of the five folds by which the model is
            judged, otherwise models for that are fitted besides.
        kmer: bases that the first layer sees at a time.
        channels: outputs of the first layer at each place.
        units: outputs of the second layer, a multiple of 16.
        objective: ``tiles`` (where in a stretch of the genome reads start), ``windows`` (read start or near by) or ``both``; without
            tiles in the sample always ``windows``.
        cap: fragments of one position that count, at most, in tiles; 0 for no limit.
        decay: weight decay; below 0: 10,000 / read starts, between 0.1 and 5.
        learning_rate: of Adam at its highest.
        epochs: passes over the tiles (the windows, where there are none), within ``min_steps`` and ``max_steps``.
        min_steps, max_steps: bounds of the optimiser's steps.
        batch_tiles, batch_windows: per step; without tiles four times ``batch_windows``.
        max_tiles: of more tiles, so many are drawn.
        distil: where there are several networks, fit one to their mean, which then scores alone.
        distil_units, distil_channels: ``units`` and ``channels`` of that one.
        distil_steps: of the optimiser, to fit it.
        learn_validation: learn from the validation part too; there is no early stopping that it would be needed for. If not, curves tell
            how the networks do there.
    """

    members: int = 5
    kmer: int = 3
    channels: int = 16
    units: int = 32
    objective: str = "both"
    cap: float = 0.0
    decay: float = -1.0
    learning_rate: float = 8e-3
    epochs: int = 13
    min_steps: int = 1200
    max_steps: int = 2000
    batch_tiles: int = 16
    batch_windows: int = 384
    max_tiles: int = 50_000
    learn_validation: bool = True
    distil: bool = True
    distil_units: int = 16
    distil_channels: int = 24
    distil_steps: int = 7500

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"--bias-option objective={self.objective}: must be one of {', '.join(OBJECTIVES)}"
            )
        for name, most in (("members", 32), ("kmer", 6), *((one, 256) for one in SIZES)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(
                    f"--bias-option {name}={getattr(self, name)}: must be from 1 to {most}"
                )
        for name in ("units", "distil_units"):
            if getattr(self, name) % 16:
                raise InputError(
                    f"--bias-option {name}={getattr(self, name)}: must be a multiple of 16"
                )
        for name in (
            "epochs",
            "min_steps",
            "max_steps",
            "batch_tiles",
            "batch_windows",
            "max_tiles",
            "distil_steps",
        ):
            if getattr(self, name) < 1:
                raise InputError(f"--bias-option {name}={getattr(self, name)}: must be at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"--bias-option learning_rate={self.learning_rate}: must be above 0")
        if not 0 <= self.cap < float("inf"):
            raise InputError(f"--bias-option cap={self.cap}: must not be below 0")
        if not self.decay < float("inf"):
            raise InputError(f"--bias-option decay={self.decay}: must be a number")


class ConvolutionalModel(BiasModel):
    """Score windows by the mean of several networks, or by one network distilled from them.

    Attributes:
        shape: of each network that scores. networks: how many score.
    """

    Options = Options
    needs_tiles = True
    compares_nearby = True

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        chosen = self.options
        kmer = min(chosen.kmer, window.width)
        self._member = Shape(window.width, kmer, chosen.channels, chosen.units)
        self._distils = chosen.distil and chosen.members > 1
        self.shape = (
            Shape(window.width, kmer, chosen.distil_channels, chosen.distil_units)
            if self._distils
            else self._member
        )
        self.networks = 1 if self._distils else chosen.members
        self._flat: NDArray[np.float32] | None = None  # (networks, size)
        self._scorer: Scorer | None = None

    def check_resources(self) -> None:
        """Raise InputError where a GPU is asked for and there is none."""
        if self.resources.device == "cuda":
            require_gpu()

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Train all networks, and the one that stands for them."""
        from counterbias_backends.cnn.training import train

        began = time.perf_counter()
        return self._finish(
            train(sample, self._member, self.options, rng, self.resources), rng, began
        )

    def cross_fit(self, sample: FoldedSample, rng: np.random.Generator) -> CrossFit:
        """Train each network without one fold, which it then judges; together they have seen everything.

        Where the networks cannot be shared out among the folds, or a network would be left without anything to learn from, the model is
        fitted anew for each fold.
        """
        from counterbias_backends.cnn.training import NothingLeftError, train

        if self.options.members % sample.folds or not self.options.learn_validation:
            return super().cross_fit(sample, rng)
        began = time.perf_counter()
        try:
            trained = train(
                sample.everything, self._member, self.options, rng, self.resources, sample
            )
        except NothingLeftError:
            return super().cross_fit(sample, rng)
        judges = tuple(
            self._judge(trained.flat[fold :: sample.folds]) for fold in range(sample.folds)
        )
        return CrossFit(self._finish(trained, rng, began), judges)

    def _judge(self, flat: NDArray[np.float64]) -> ConvolutionalModel:
        """Give a model of some of the networks."""
        judge = type(self)(self.window, replace(self.options, members=len(flat), distil=False))
        judge._set(flat.astype(np.float32))
        return judge

    def _finish(self, trained: Trained, rng: np.random.Generator, began: float) -> FitReport:
        """Fit the network that stands for all, and report."""
        flat, details = trained.flat, {**trained.details, "distilled": self._distils}
        if self._distils:
            from counterbias_backends.cnn.distillation import distil

            flat, told = distil(
                flat, self._member, self.shape, trained.sample, self.options, rng, self.resources
            )
            details.update(told)
        self._set(flat.astype(np.float32))
        return FitReport(
            seconds=time.perf_counter() - began,
            parameters=int(flat.size),
            curves=trained.curves,
            details=details,
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats. Raises RuntimeError before fit."""
        return self._ready().log_bias(self.as_contexts(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), to the bit what :meth:`log_bias` gives."""
        return self._ready().along(sequence)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the parameters by name, float32, the networks along the first axis."""
        if self._flat is None:
            raise RuntimeError("cnn: to_arrays was called before fit")
        return {name: values.copy() for name, values in self.shape.split(self._flat).items()}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what :meth:`to_arrays` gave; raises InputError where it does not fit window and options.

        All networks are taken too where one was to stand for them: model files from before distilling have no option that says so.
        """
        if self._distils and np.shape(arrays.get("second_weight", ()))[:1] == (
            self.options.members,
        ):
            self.shape, self.networks = self._member, self.options.members
        taken = take_weights(
            arrays, {name: (self.networks, *shape) for name, shape in self.shape.arrays.items()}
        )
        self._set(self.shape.join(taken))

    def _set(self, flat: NDArray[np.float32]) -> None:
        from counterbias_backends.cnn.scoring import Scorer

        self._flat, self._scorer = flat, Scorer(flat, self.shape)

    def _ready(self) -> Scorer:
        if self._scorer is None:
            raise RuntimeError("cnn: log_bias was called before fit")
        return self._scorer
