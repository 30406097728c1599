"""The bias models ``gru`` and ``lstm``: two character networks, one of read starts and one of windows nearby,
or one network that tells them apart.

Comes in: windows with weights. Goes out: ln p_f(window) − ln p_b(window), or the one network's score.
Fitting needs torch, scoring does not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from counterbias import BiasModel, FitReport, InputError, TrainingSet, Window
from counterbias_backends.gpu import require_gpu
from counterbias_backends.rnn.parameters import Parameters, shapes
from counterbias_backends.taking import take_weights

if TYPE_CHECKING:
    from counterbias_backends.rnn.position_scoring import PositionScorer
    from counterbias_backends.rnn.scoring import Scorer

#: The paper's limit of hidden units.
MAX_HIDDEN = 20
ROLES = ("foreground", "background")
OBJECTIVES, HEADS = ("language", "ratio"), ("shared", "position")


@dataclass(frozen=True)
class Options:
    """Options of ``gru`` and ``lstm``.

    Args:
        objective: ``language``: two networks that predict each base from those before it; ``ratio``: one network trained to tell read
            starts from places near by, always with an output layer per position.
        head: ``shared``: one output layer; ``position``: one per position in the window, and what the base before adds.
        hidden: hidden units, 1 to 20.
        candidates: hidden units to choose between by validation loss, as in ``5,10,20``; none: ``hidden`` is used.
        epochs: at most so many; an epoch is one pass over the windows, and several where ``min_steps`` asks for it.
        min_steps: steps of the optimiser in all epochs, at least: small samples need more passes.
        patience: epochs without a better validation loss after which training stops.
        batch: windows per step of the optimiser.
        learning_rate: of Adam at the first step; it falls to 0 along half a cosine until the last epoch.
        max_windows: windows per network; of more, so many are drawn.
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
                raise InputError(
                    f"--bias-option {name}={getattr(self, name)}: must be one of {', '.join(known)}"
                )
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
                raise InputError(f"--bias-option {name}={getattr(self, name)}: must be at least 1")
        if self.min_steps < 0:
            raise InputError(f"--bias-option min_steps={self.min_steps}: must not be below 0")
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"--bias-option learning_rate={self.learning_rate}: must be above 0")


class CharacterModel(BiasModel):
    """Score windows by two character networks. Subclasses name the :attr:`cell`."""

    Options = Options
    needs_tiles = True
    judging_folds = 2
    cell: ClassVar[str]

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        self._networks: tuple[Parameters, ...] | None = None
        self._scorer: Scorer | PositionScorer | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the networks."""
        return ("ratio",) if self.options.objective == "ratio" else ROLES

    @property
    def places(self) -> int:
        """Output layers, 0 for one that all positions share."""
        return (
            self.window.width
            if self.options.objective == "ratio" or self.options.head == "position"
            else 0
        )

    def check_resources(self) -> None:
        """Raise InputError where a GPU is asked for and there is none."""
        if self.resources.device == "cuda":
            require_gpu()

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Train both networks, for every candidate, and keep the hidden size with the lowest validation loss; or one. Needs torch."""
        began = time.perf_counter()
        if self.options.objective == "ratio":
            from counterbias_backends.rnn.ratio import train_ratio

            one = train_ratio(self.cell, sample, self.options, rng, self.resources)
            self._set((one.parameters,))
            return FitReport(
                time.perf_counter() - began,
                len(one.parameters.flat),
                curves=one.curves,
                details=one.details,
            )
        from counterbias_backends.rnn.training import train_pair

        trained = train_pair(self.cell, sample, self.options, rng, self.resources)
        foreground, background = trained.networks
        self._set((foreground.parameters, background.parameters))
        curves = {}
        for role, network in zip(ROLES, trained.networks, strict=True):
            curves[f"{role}_training_perplexity"] = network.training_perplexity
            curves[f"{role}_validation_perplexity"] = network.validation_perplexity
        return FitReport(
            seconds=time.perf_counter() - began,
            parameters=len(foreground.parameters.flat) + len(background.parameters.flat),
            curves=curves,
            perplexity={
                role: network.best_perplexity
                for role, network in zip(ROLES, trained.networks, strict=True)
            },
            details=trained.details,
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows, ln p_f − ln p_b: uint8 (n, width) → float64 (n,), nats. Raises RuntimeError before fit."""
        if self._scorer is None:
            raise RuntimeError(f"{self.cell}: log_bias was called before fit")
        return self._scorer.log_bias(self.as_contexts(contexts))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the hidden size, the window's width, and each network's parameters as torch names and orders them, float32."""
        if self._networks is None:
            raise RuntimeError(f"{self.cell}: to_arrays was called before fit")
        arrays: dict[str, NDArray[Any]] = {
            "hidden": np.array([self._networks[0].hidden], dtype=np.int64),
            "width": np.array([self.window.width], dtype=np.int64),
        }
        for role, network in zip(self.roles, self._networks, strict=True):
            arrays.update(
                {f"{role}_{name}": values.copy() for name, values in network.arrays().items()}
            )
        return arrays

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what :meth:`to_arrays` gave; raises InputError where it does not fit the window or itself."""
        numbers: dict[str, tuple[int, ...]] = {"hidden": (1,), "width": (1,)}
        given = take_weights({name: arrays[name] for name in numbers if name in arrays}, numbers)
        hidden, width = (float(given[name][0]) for name in numbers)
        if not (hidden.is_integer() and 1 <= hidden <= MAX_HIDDEN):
            raise InputError(
                f"array 'hidden' of the model is {hidden:g}, expected a whole number from 1 to {MAX_HIDDEN}"
            )
        if width != self.window.width:
            raise InputError(
                f"the model is for windows of {width:g} bases, not of {self.window.width}"
            )
        parts = shapes(self.cell, int(hidden), self.places)
        wanted = {f"{role}_{name}": shape for role in self.roles for name, shape in parts.items()}
        taken = take_weights(arrays, {**numbers, **wanted})
        networks = [
            Parameters.from_arrays(
                self.cell,
                int(hidden),
                {name: taken[f"{role}_{name}"] for name in parts},
                self.places,
            )
            for role in self.roles
        ]
        self._set(tuple(networks))

    def _set(self, networks: tuple[Parameters, ...]) -> None:
        from counterbias_backends.rnn.position_scoring import PositionScorer
        from counterbias_backends.rnn.scoring import Scorer

        self._networks = networks
        self._scorer = (
            PositionScorer(networks)
            if self.places
            else Scorer((networks[0], networks[1]), self.window.width)
        )


class GRUModel(CharacterModel):
    """Gated recurrent units: the paper's best network."""

    cell = "gru"


class LSTMModel(CharacterModel):
    """Long short-term memory."""

    cell = "lstm"
