"""The options of ``gru`` and ``lstm``: names, defaults and limits."""

from __future__ import annotations

from dataclasses import dataclass

from counterbias import InputError

#: The paper's limit of hidden units.
MAX_HIDDEN = 20
OBJECTIVES, HEADS = ("language", "ratio"), ("shared", "position")


@dataclass(frozen=True)
class Options:
    """Options of ``gru`` and ``lstm``.

    Args:
        objective: ``language``: two networks that predict each base from those before it;
            ``ratio``: one network trained to tell read starts from nearby positions, always with
            an output layer per position.
        head: ``shared``: one output layer; ``position``: one per position in the window, to which
            the previous base adds.
        hidden: hidden units, 1 to 20.
        candidates: numbers of hidden units to choose from by validation loss, as in ``5,10,20``;
            where there are none, ``hidden`` is used.
        epochs: highest number of epochs. An epoch is one pass over the windows, or several where
            ``min_steps`` requires them.
        min_steps: least number of optimiser steps in all epochs: small samples need more passes.
        patience: training stops after this many epochs without a better validation loss.
        batch: windows per step of the optimiser.
        learning_rate: of Adam at the first step; it falls to 0 along half a cosine until the last
            epoch.
        max_windows: windows per network; where there are more, this many are drawn.
    """

    objective: str = "language"
    head: str = "shared"
    hidden: int = 10
    candidates: tuple[int, ...] = ()
    epochs: int = 20
    min_steps: int = 10_000
    patience: int = 6
    batch: int = 64
    learning_rate: float = 1e-2
    max_windows: int = 100_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", tuple(self.candidates))
        for name, known in (("objective", OBJECTIVES), ("head", HEADS)):
            if getattr(self, name) not in known:
                self._refuse(name, f"must be one of {', '.join(known)}")
        if self.objective == "ratio" and self.candidates:
            raise InputError(
                "--bias-option candidates: only objective=language chooses between sizes",
                remedy="use hidden=N",
            )
        for name, values in (("hidden", (self.hidden,)), ("candidates", self.candidates)):
            if not all(1 <= value <= MAX_HIDDEN for value in values):
                shown = ",".join(str(value) for value in values)
                raise InputError(f"--bias-option {name}={shown}: must be from 1 to {MAX_HIDDEN}")
        for name in ("epochs", "patience", "batch", "max_windows"):
            if getattr(self, name) < 1:
                self._refuse(name, "must be at least 1")
        if self.min_steps < 0:
            self._refuse("min_steps", "must not be below 0")
        if not 0 < self.learning_rate < float("inf"):
            self._refuse("learning_rate", "must be above 0")

    @property
    def position_head(self) -> bool:
        """Whether there is an output layer per position."""
        return self.objective == "ratio" or self.head == "position"

    def _refuse(self, name: str, problem: str) -> None:
        raise InputError(f"--bias-option {name}={getattr(self, name)}: {problem}")
