"""The bias models ``gru`` and ``lstm``: character networks of windows at read starts and nearby.

There are two networks, one of each, or with ``objective=ratio`` a single one that tells them apart.
In: windows with weights. Out: ln p_f(window) − ln p_b(window), or the single network's score.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from counterbias import (
    BiasModel,
    CrossFit,
    CrossFitting,
    FitReport,
    InputError,
    TrainingSet,
    Window,
)
from counterbias_backends.arrays import take_weights
from counterbias_backends.gpu import require_gpu
from counterbias_backends.rnn.options import MAX_HIDDEN, Options
from counterbias_backends.rnn.parameters import Parameters, shapes

if TYPE_CHECKING:
    from counterbias_backends.rnn.position_scoring import PositionScorer
    from counterbias_backends.rnn.ratio import TrainedRatio
    from counterbias_backends.rnn.scoring import Scorer
    from counterbias_backends.rnn.training import TrainedPair

#: The two networks of ``objective=language``.
ROLES = ("foreground", "background")


class CharacterModel(BiasModel):
    """Score windows by character networks. Subclasses name the :attr:`cell`."""

    Options = Options
    needs_tiles = True
    judging_folds = 2
    uses_gpu = True
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
        """Number of output layers, 0 for one that all positions share."""
        return self.window.width if self.options.position_head else 0

    def check_resources(self) -> None:
        """Raise InputError where a GPU is requested and there is none."""
        if self.resources.device == "cuda":
            require_gpu()

    def trains_together(self) -> bool:
        """Whether several fits gain from being made at once: on a GPU.

        ``auto`` is the processor, on which compiled code trains these small networks in seconds.
        """
        return bool(self.resources.device == "cuda")

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Train the networks; on a GPU, by torch."""
        if self.trains_together():
            self.check_resources()
            from counterbias_backends.rnn.device import fit_one

            return fit_one(self, sample, rng)
        began = time.perf_counter()
        if self.options.objective == "ratio":
            from counterbias_backends.rnn.ratio import train_ratio

            ratio = train_ratio(self.cell, sample, self.options, rng, self.resources)
            return self.take_ratio(ratio, time.perf_counter() - began)
        from counterbias_backends.rnn.training import train_pair

        pair = train_pair(self.cell, sample, self.options, rng, self.resources)
        return self.take_pair(pair, time.perf_counter() - began)

    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        """Make several cross-fits; on a GPU, with all networks at a time."""
        if not fits[0].model.trains_together():
            return super().cross_fit_together(fits)
        fits[0].model.check_resources()
        from counterbias_backends.rnn.device import fit_all
        from counterbias_torch.cross_fitting import cross_fit_all

        return cross_fit_all(fits, fit_all)

    def take_pair(self, trained: TrainedPair, seconds: float) -> FitReport:
        """Take a pair of networks as trained, of the best size, and report."""
        self._set(tuple(network.parameters for network in trained.networks))
        curves, perplexity = {}, {}
        for role, network in zip(ROLES, trained.networks, strict=True):
            curves[f"{role}_training_perplexity"] = network.training_perplexity
            curves[f"{role}_validation_perplexity"] = network.validation_perplexity
            perplexity[role] = network.best_perplexity
        return FitReport(
            seconds=seconds,
            parameters=sum(len(network.parameters.flat) for network in trained.networks),
            curves=curves,
            perplexity=perplexity,
            details=trained.details,
        )

    def take_ratio(self, trained: TrainedRatio, seconds: float) -> FitReport:
        """Take the one network that tells read starts from nearby positions, and report."""
        self._set((trained.parameters,))
        return FitReport(
            seconds=seconds,
            parameters=len(trained.parameters.flat),
            curves=trained.curves,
            details=trained.details,
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats. Raises RuntimeError before fit."""
        if self._scorer is None:
            raise RuntimeError(f"{self.cell}: log_bias was called before fit")
        return self._scorer.log_bias(self.as_contexts(contexts))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the hidden size, the window's width, and each network's parameters.

        Parameters are float32, named and ordered as in torch.
        """
        if self._networks is None:
            raise RuntimeError(f"{self.cell}: to_arrays was called before fit")
        arrays: dict[str, NDArray[Any]] = {
            "hidden": np.array([self._networks[0].hidden], dtype=np.int64),
            "width": np.array([self.window.width], dtype=np.int64),
        }
        for role, network in zip(self.roles, self._networks, strict=True):
            for name, values in network.arrays().items():
                arrays[f"{role}_{name}"] = values.copy()
        return arrays

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned.

        Raises InputError where the arrays do not fit the window or each other.
        """
        numbers: dict[str, tuple[int, ...]] = {"hidden": (1,), "width": (1,)}
        given = take_weights({name: arrays[name] for name in numbers if name in arrays}, numbers)
        hidden, width = (float(given[name][0]) for name in numbers)
        if not (hidden.is_integer() and 1 <= hidden <= MAX_HIDDEN):
            raise InputError(
                f"array 'hidden' of the model is {hidden:g}, "
                f"expected a whole number from 1 to {MAX_HIDDEN}"
            )
        if width != self.window.width:
            raise InputError(
                f"the model is for windows of {width:g} bases, not of {self.window.width}"
            )
        size, places = int(hidden), self.places
        parts = shapes(self.cell, size, places)
        wanted = {f"{role}_{name}": shape for role in self.roles for name, shape in parts.items()}
        taken = take_weights(arrays, {**numbers, **wanted})
        networks = []
        for role in self.roles:
            named = {name: taken[f"{role}_{name}"] for name in parts}
            networks.append(Parameters.from_arrays(self.cell, size, named, places))
        self._set(tuple(networks))

    def _set(self, networks: tuple[Parameters, ...]) -> None:
        from counterbias_backends.rnn.position_scoring import PositionScorer
        from counterbias_backends.rnn.scoring import Scorer

        self._networks = networks
        if self.places:
            self._scorer = PositionScorer(networks)
        else:
            self._scorer = Scorer((networks[0], networks[1]), self.window.width)


class GRUModel(CharacterModel):
    """Gated recurrent units, the paper's best network."""

    cell = "gru"


class LSTMModel(CharacterModel):
    """Long short-term memory."""

    cell = "lstm"
