"""The options of ``cnn``: names, defaults and limits."""

from __future__ import annotations

from dataclasses import dataclass

from counterbias import InputError
from counterbias_backends.cnn.parameters import LANES

OBJECTIVES = ("both", "tiles", "windows")
#: Option → its highest value; the lowest is 1.
LIMITS = {
    "members": 32,
    "kmer": 6,
    "channels": 256,
    "units": 256,
    "distil_channels": 256,
    "distil_units": 256,
}
#: Options that must be multiples of the units that are calculated side by side.
MULTIPLES = ("units", "distil_units")
#: Options that must be at least 1.
NUMBERS = (
    "epochs",
    "min_steps",
    "max_steps",
    "batch_tiles",
    "batch_windows",
    "max_tiles",
    "distil_steps",
)


@dataclass(frozen=True)
class Options:
    """Options of ``cnn``.

    Args:
        members: number of networks whose scores are averaged. With a multiple of five, each leaves
            out one of the five folds on which the model is evaluated; otherwise, further models
            are fitted for that.
        kmer: bases that the first layer sees at a time.
        channels: outputs of the first layer at each place.
        units: outputs of the second layer, a multiple of 16.
        objective: ``tiles`` (where in a stretch of the genome reads start), ``windows`` (read start
            or nearby position) or ``both``; always ``windows`` where the sample has no tiles.
        cap: highest number of fragments counted at one position of a tile; 0 for no limit.
        decay: weight decay; below 0: 10,000 / read starts, between 0.1 and 5.
        learning_rate: highest learning rate of Adam.
        epochs: passes over the tiles (over the windows where there are none), within ``min_steps``
            and ``max_steps``.
        min_steps, max_steps: limits of the number of optimiser steps.
        batch_tiles, batch_windows: per step; four times ``batch_windows`` without tiles.
        max_tiles: where there are more tiles, this many are drawn.
        distil: fit one network to the mean of several, and let it alone score.
        distil_units, distil_channels: ``units`` and ``channels`` of the distilled network.
        distil_steps: optimiser steps for fitting the distilled network.
        learn_validation: learn from the validation part too, as there is no early stopping that
            would need it. Otherwise, the curves show how the networks do on it.
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
            self._refuse("objective", f"must be one of {', '.join(OBJECTIVES)}")
        for name, most in LIMITS.items():
            if not 1 <= getattr(self, name) <= most:
                self._refuse(name, f"must be from 1 to {most}")
        for name in MULTIPLES:
            if getattr(self, name) % LANES:
                self._refuse(name, f"must be a multiple of {LANES}")
        for name in NUMBERS:
            if getattr(self, name) < 1:
                self._refuse(name, "must be at least 1")
        if not 0 < self.learning_rate < float("inf"):
            self._refuse("learning_rate", "must be above 0")
        if not 0 <= self.cap < float("inf"):
            self._refuse("cap", "must not be below 0")
        if not self.decay < float("inf"):
            self._refuse("decay", "must be a number")

    def _refuse(self, name: str, problem: str) -> None:
        raise InputError(f"--bias-option {name}={getattr(self, name)}: {problem}")
