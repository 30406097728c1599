"""The bias model ``cnn``: small convolutional networks that tell read starts from nearby positions.

In: windows and tiles. Out: the networks' mean score, or that of one network fitted to it:
ln P(window | read start) − ln P(window | nearby), up to a constant.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import (
    BiasModel,
    CrossFit,
    CrossFitting,
    FitReport,
    FoldedSample,
    InputError,
    TrainingSet,
    Window,
)
from counterbias_backends.arrays import take_weights
from counterbias_backends.cnn.options import Options
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.gpu import require_gpu

if TYPE_CHECKING:
    from counterbias_backends.cnn.distillation import Fitted, Planned
    from counterbias_backends.cnn.scoring import Scorer


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

    def trains_together(self) -> bool:
        """Whether several fits gain from being made at once: on a GPU.

        ``auto`` is the processor, on which compiled code trains these small networks in seconds.
        """
        return bool(self.resources.device == "cuda")

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Train all networks, and distil them into one unless the options say otherwise."""
        began = time.perf_counter()
        planned = self._plan(sample, rng)
        if self.trains_together():
            self.check_resources()
            from counterbias_backends.cnn.device import fit_all

            (fitted,) = fit_all([planned], self.resources)
        else:
            from counterbias_backends.cnn.distillation import fit

            fitted = fit(planned, self.resources)
        return self._take(fitted, time.perf_counter() - began)

    def cross_fit(self, sample: FoldedSample, rng: np.random.Generator) -> CrossFit:
        """Train each network without one fold, on which it is then evaluated.

        Together, the networks have seen everything. Where they cannot be shared out equally among
        the folds, or one would have nothing left to learn from, the model is fitted anew for each
        fold.
        """
        if self.trains_together():
            (found,) = self.cross_fit_together([CrossFitting(self, sample, rng)])
            if isinstance(found, InputError):
                raise found
            return found
        from counterbias_backends.cnn.distillation import fit

        began = time.perf_counter()
        planned = self._plan_folded(sample, rng)
        if planned is None:
            return super().cross_fit(sample, rng)
        fitted = fit(planned, self.resources)
        return self._take_folded(fitted, sample, time.perf_counter() - began)

    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        """Make several cross-fits; on a GPU, with all networks at a time."""
        if not fits[0].model.trains_together():
            return super().cross_fit_together(fits)
        fits[0].model.check_resources()
        from counterbias_backends.cnn.device import fit_all

        began = time.perf_counter()
        results: dict[int, CrossFit | InputError] = {}
        planned: dict[int, Planned] = {}
        for number, one in enumerate(fits):
            model = one.model
            assert isinstance(model, ConvolutionalModel)
            try:
                found = model._plan_folded(one.sample, one.rng)
                if found is None:
                    results[number] = BiasModel.cross_fit(model, one.sample, one.rng)
                else:
                    planned[number] = found
            except InputError as refusal:
                results[number] = refusal
        fitted = fit_all(list(planned.values()), fits[0].model.resources)
        seconds = (time.perf_counter() - began) / len(fits)
        for number, one_fitted in zip(planned, fitted, strict=True):
            model = fits[number].model
            assert isinstance(model, ConvolutionalModel)
            results[number] = model._take_folded(one_fitted, fits[number].sample, seconds)
        return [results[number] for number in range(len(fits))]

    def _plan(
        self, sample: TrainingSet, rng: np.random.Generator, folded: FoldedSample | None = None
    ) -> Planned:
        from counterbias_backends.cnn.distillation import Planned
        from counterbias_backends.cnn.training import plan_networks

        networks = plan_networks(sample, self._member_shape, self.options, rng, folded)
        return Planned(networks, self.shape if self._distils else None, rng)

    def _plan_folded(self, sample: FoldedSample, rng: np.random.Generator) -> Planned | None:
        """Plan networks that leave out one fold each; None where that is not possible."""
        from counterbias_backends.cnn.training import NothingLeftError

        if self.options.members % sample.folds or not self.options.learn_validation:
            return None
        try:
            return self._plan(sample.everything, rng, sample)
        except NothingLeftError:
            return None

    def _take_folded(self, fitted: Fitted, sample: FoldedSample, seconds: float) -> CrossFit:
        """Take networks that left out one fold each, by which that fold is judged."""
        flat = fitted.members.networks.flat
        unseen = tuple(
            self._model_of(flat[fold :: sample.folds].astype(np.float32))
            for fold in range(sample.folds)
        )
        return CrossFit(self._take(fitted, seconds), unseen)

    def _model_of(self, flat: NDArray[np.float32]) -> ConvolutionalModel:
        """Return a model of some of the networks, (networks, size)."""
        model = type(self)(self.window, replace(self.options, members=len(flat), distil=False))
        model._set(flat)
        return model

    def _take(self, fitted: Fitted, seconds: float) -> FitReport:
        """Take the networks that score, and report."""
        flat = fitted.scoring.flat
        self._set(flat.astype(np.float32))
        return FitReport(
            seconds, int(flat.size), curves=fitted.members.curves, details=fitted.details
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
