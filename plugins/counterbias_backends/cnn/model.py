"""The bias model ``cnn``: small convolutional networks that tell read starts from nearby positions.

In: windows and tiles. Out: the networks' mean score, or that of one network fitted to it:
ln P(window | read start) − ln P(window | nearby), up to a constant.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import BiasModel, CrossFit, FitReport, FoldedSample, TrainingSet, Window
from counterbias_backends.arrays import take_weights
from counterbias_backends.cnn.options import Options
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.gpu import require_gpu

if TYPE_CHECKING:
    from counterbias_backends.cnn.scoring import Scorer
    from counterbias_backends.cnn.training import Trained


class ConvolutionalModel(BiasModel):
    """Score windows by the mean of several networks, or by one network distilled from them.

    Attributes:
        shape: of each network that scores.
        networks: number of networks that score.
    """

    Options = Options
    needs_tiles = True
    compares_nearby = True
    uses_gpu = True

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        chosen = self.options
        kmer = min(chosen.kmer, window.width)
        self._member_shape = Shape(window.width, kmer, chosen.channels, chosen.units)
        self._distils = chosen.distil and chosen.members > 1
        if self._distils:
            self.shape = Shape(window.width, kmer, chosen.distil_channels, chosen.distil_units)
        else:
            self.shape = self._member_shape
        self.networks = 1 if self._distils else chosen.members
        self._flat: NDArray[np.float32] | None = None  # (networks, size)
        self._scorer: Scorer | None = None

    def check_resources(self) -> None:
        """Raise InputError where a GPU is requested and there is none."""
        if self.resources.device == "cuda":
            require_gpu()

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Train all networks, and distil them into one unless the options say otherwise."""
        from counterbias_backends.cnn.training import train

        began = time.perf_counter()
        trained = train(sample, self._member_shape, self.options, rng, self.resources)
        return self._finish(trained, rng, began)

    def cross_fit(self, sample: FoldedSample, rng: np.random.Generator) -> CrossFit:
        """Train each network without one fold, on which it is then evaluated.

        Together, the networks have seen everything. Where they cannot be shared out equally among
        the folds, or one would have nothing left to learn from, the model is fitted anew for each
        fold.
        """
        from counterbias_backends.cnn.training import NothingLeftError, train

        if self.options.members % sample.folds or not self.options.learn_validation:
            return super().cross_fit(sample, rng)
        began = time.perf_counter()
        try:
            trained = train(
                sample.everything, self._member_shape, self.options, rng, self.resources, sample
            )
        except NothingLeftError:
            return super().cross_fit(sample, rng)
        flat = trained.networks.flat
        unseen = tuple(
            self._model_of(flat[fold :: sample.folds].astype(np.float32))
            for fold in range(sample.folds)
        )
        return CrossFit(self._finish(trained, rng, began), unseen)

    def _model_of(self, flat: NDArray[np.float32]) -> ConvolutionalModel:
        """Return a model of some of the networks, (networks, size)."""
        model = type(self)(self.window, replace(self.options, members=len(flat), distil=False))
        model._set(flat)
        return model

    def _finish(self, trained: Trained, rng: np.random.Generator, began: float) -> FitReport:
        """Distil the networks, unless they score themselves, and report."""
        networks, details = trained.networks, {**trained.details, "distilled": self._distils}
        if self._distils:
            from counterbias_backends.cnn.distillation import distil

            networks, difference = distil(
                networks,
                self.shape,
                trained.sample,
                self.options.distil_steps,
                rng,
                self.resources,
            )
            details.update(difference)
        self._set(networks.flat.astype(np.float32))
        return FitReport(
            seconds=time.perf_counter() - began,
            parameters=int(networks.flat.size),
            curves=trained.curves,
            details=details,
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats. Raises RuntimeError before fit."""
        return self._fitted().log_bias(self.as_contexts(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), nats.

        The scores are those of :meth:`log_bias`, bit for bit.
        """
        return self._fitted().along(sequence)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the parameters by name, float32; the first axis is that of the networks."""
        if self._flat is None:
            raise RuntimeError("cnn: to_arrays was called before fit")
        return {name: values.copy() for name, values in self.shape.split(self._flat).items()}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned.

        Also accepts all networks where one distilled network is expected: model files from before
        distillation have no option that says so. Raises InputError where the arrays do not fit the
        window and the options.
        """
        if self._distils and np.shape(arrays.get("second_weight", ()))[:1] == (
            self.options.members,
        ):
            self.shape, self.networks = self._member_shape, self.options.members
        taken = take_weights(
            arrays, {name: (self.networks, *shape) for name, shape in self.shape.arrays.items()}
        )
        self._set(self.shape.join(taken))

    def _set(self, flat: NDArray[np.float32]) -> None:
        from counterbias_backends.cnn.scoring import Scorer

        self._flat, self._scorer = flat, Scorer(flat, self.shape)

    def _fitted(self) -> Scorer:
        if self._scorer is None:
            raise RuntimeError("cnn: log_bias was called before fit")
        return self._scorer
