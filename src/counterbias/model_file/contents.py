"""The contents of a model file: fitted models, their calibration, and their origin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.files import readable
from counterbias.model import BiasModel, bounded
from counterbias.no_model import NoModel
from counterbias.records import Window

#: The labels of the ends in a file, in this order: reads 1 and 2 pooled, or each with its model.
POOLED, PER_END = ("both",), ("read1", "read2")


@dataclass(frozen=True)
class EndModel:
    """The fitted model of one read end, with its calibration.

    The calibrated log bias is ``slope × model.log_bias(contexts) + offset``, nats, within ±
    :data:`~counterbias.model.MOST_LOG_BIAS`.

    Args:
        label: ``both`` (reads 1 and 2 pooled, or single-end), ``read1`` or ``read2``.
        model: the fitted model, or a :class:`~counterbias.no_model.NoModel`.
        offset, slope: the calibration, from held-out windows; both 0 where the model has no gain
            there, so that every weight is 1.
        starts: unique read starts that it learnt from.
        held_out_gain: gain in distinguishing held-out read starts from their surroundings, bits per
            start; None if it was not measured.
        length_slope: the slope for effective lengths in the sample that it learnt from; None for
            the usual one, at least 1.
    """

    label: str
    model: BiasModel
    offset: float = 0.0
    slope: float = 1.0
    starts: int = 0
    held_out_gain: float | None = None
    length_slope: float | None = None

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score contexts: uint8 (n, width) → calibrated log bias, float64 (n,), nats."""
        return self.calibrated(self.model.log_bias(contexts))

    def calibrated(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate scores of the model, float64 (n,), nats; NaN stays NaN."""
        return bounded(self.slope * scores + self.offset)


@dataclass(frozen=True)
class Training:
    """The origin of a model.

    Args:
        samples: names of the samples it learnt from; bytes that are not UTF-8 are escaped
            (:func:`counterbias.files.readable`).
        seed: seed of sampling and fitting.
        scheme: name of the sampling scheme.
        counterbias_version: version that fitted it.
    """

    samples: tuple[str, ...] = ()
    seed: int = 0
    scheme: str = ""
    counterbias_version: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", tuple(readable(name) for name in self.samples))

    def includes(self, sample: str) -> bool:
        """Whether the model has learnt from a sample of this name."""
        return readable(sample) in self.samples


@dataclass(frozen=True)
class Prior:
    """The prior with which the models of a file were blended.

    Args:
        backend, distribution, version: as in :class:`ModelFile`.
        training: the prior's origin.
    """

    backend: str
    distribution: str
    version: str
    training: Training


@dataclass(frozen=True)
class ModelFile:
    """The contents of a model file.

    Args:
        backend: name of the backend; of blends, that of the sample's own models.
        distribution, version: the distribution that provides the backend, and its version; empty
            if it was registered by hand.
        window: the window of all models.
        ends: one model labelled ``both``, or two, ``read1`` and ``read2``.
        training: the models' origin.
        cap: largest exp(−log_bias) before scaling in the sample of the run that wrote the file;
            infinity without a cap.
        factor: by which the weights of that sample were scaled, so that they sum to the number of
            its fragments.
        prior: the prior of the models, if they are blends; otherwise None.

    Raises:
        ValueError: the labels, windows, options or blends do not agree with each other.
    """

    backend: str
    distribution: str
    version: str
    window: Window
    ends: tuple[EndModel, ...]
    training: Training = Training()
    cap: float = math.inf
    factor: float = 1.0
    prior: Prior | None = None

    def __post_init__(self) -> None:
        labels = tuple(end.label for end in self.ends)
        if labels not in (POOLED, PER_END):
            raise ValueError(f"ends are {labels}, expected {POOLED} or {PER_END}")
        for end in self.ends:
            if end.model.window != self.window or end.model.options != self.options:
                raise ValueError("all ends must have the file's window and the same options")
            if not isinstance(end.model, NoModel) and isinstance(end.model, Blend) != (
                self.prior is not None
            ):
                raise ValueError("a file with a prior has blended models, one without has none")
        if self.prior is not None and self.no_model:
            raise ValueError("a file with a prior has blended models")

    @property
    def options(self) -> Any:
        """The options of the models, an instance of their ``Options``."""
        return self.ends[0].model.options

    @property
    def no_model(self) -> str:
        """Why the file holds no model at all, one line; empty if it holds one."""
        reasons = [end.model.reason for end in self.ends if isinstance(end.model, NoModel)]
        return "; ".join(dict.fromkeys(reasons)) if len(reasons) == len(self.ends) else ""

    def weights(self, log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return read weights for calibrated log biases: float64 (n,), nats → float64 (n,).

        They are capped and scaled as in the run that wrote the file.
        """
        return np.asarray(
            np.minimum(np.exp(-bounded(log_bias)), self.cap) * self.factor, dtype=np.float64
        )

    def end(self, read: int) -> EndModel:
        """Return the model of read 1 (``read=0``, also of single reads) or read 2 (``read=1``)."""
        return self.ends[0] if len(self.ends) == 1 else self.ends[read]
