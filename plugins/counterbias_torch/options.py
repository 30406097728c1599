"""The options of every network: how it is trained. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from counterbias import InputError

#: What a network is trained for; see :class:`~counterbias_torch.model.NetworkModel`.
OBJECTIVES = CONDITIONAL, CLASSIFICATION, LANGUAGE = ("conditional", "classification", "language")
#: Numbers that the network calculates with while it is trained.
PRECISIONS = SINGLE, BFLOAT16 = ("single", "bfloat16")


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained. Subclasses add the options of its architecture.

    Args:
        epochs: highest number of passes over the data.
        patience: training stops after this many epochs without a lower validation loss.
        batch: rows per step: tiles where the network learns from tiles, otherwise windows; 0: sized
            to the data.
        learning_rate: highest learning rate of AdamW.
        weight_decay: of AdamW, for parameters of two axes or more; below 0: 10,000 / read starts,
            between 0.1 and 5.
        max_windows: read starts (and as many background windows); where there are more, this many
            are drawn.
        max_tiles: where there are more tiles, this many are drawn.
        precision: ``single``, or ``bfloat16`` for mixed precision. Parameters are always single.

    Raises:
        InputError: a number is out of range, or the precision unknown.
    """

    epochs: int = 12
    patience: int = 4
    batch: int = 0
    learning_rate: float = 4e-3
    weight_decay: float = -1.0
    max_windows: int = 100_000
    max_tiles: int = 50_000
    precision: str = SINGLE

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "max_windows", "max_tiles"):
            if getattr(self, name) < 1:
                self._refuse(name, "must be at least 1")
        if self.batch < 0:
            self._refuse("batch", "must not be below 0")
        if not 0 < self.learning_rate < math.inf:
            self._refuse("learning_rate", "must be above 0")
        if not math.isfinite(self.weight_decay):
            self._refuse("weight_decay", "must be a number")
        if self.precision not in PRECISIONS:
            self._refuse("precision", f"must be one of {', '.join(PRECISIONS)}")

    def _refuse(self, name: str, problem: str) -> None:
        raise InputError(f"--bias-option {name}={getattr(self, name)}: {problem}")
