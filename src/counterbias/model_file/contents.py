"""What a model file holds: fitted models with their calibration, and where they come from."""

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

#: End labels that a file may hold, in this order.
POOLED, PER_END = ("both",), ("read1", "read2")


@dataclass(frozen=True)
class EndModel:
    """One fitted model, its calibration, and what it learnt from.

    Calibrated log_bias = ``slope × model.log_bias(contexts) + offset``, nats.

    Args:
        label: ``both`` (reads 1 and 2 pooled, or single-end), ``read1`` or ``read2``.
        model: the fitted model; a :class:`~counterbias.no_model.NoModel` where nothing could be learnt.
        offset, slope: calibration on windows that judges did not see; both 0 where the model gains nothing there: every weight is then 1.
        starts: unique read starts that it learnt from.
        held_out_gain: gain in telling held-out read starts from their surroundings, bits per start; None where not measured.
        length_slope: the slope for effective lengths in the sample that it has learnt from; None: at least 1, as usual.
    """

    label: str
    model: BiasModel
    offset: float = 0.0
    slope: float = 1.0
    starts: int = 0
    held_out_gain: float | None = None
    length_slope: float | None = None

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Give the calibrated log_bias of windows: uint8 (n, width) → float64 (n,)."""
        return self.calibrated(self.model.log_bias(contexts))

    def calibrated(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn what the model gives, float64 (n,), into calibrated log_bias; NaN stays NaN."""
        return bounded(self.slope * scores + self.offset)


@dataclass(frozen=True)
class Training:
    """Say where a model comes from.

    Args:
        samples: names of the samples it learnt from, as UTF-8 can hold them (:func:`counterbias.files.readable`).
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
        """Tell whether the model has learnt from a sample of this name."""
        return readable(sample) in self.samples


@dataclass(frozen=True)
class Prior:
    """Say what the models of a file were blended with.

    Args:
        backend, distribution, version: as in :class:`ModelFile`.
        training: where it came from.
    """

    backend: str
    distribution: str
    version: str
    training: Training


@dataclass(frozen=True)
class ModelFile:
    """All that a model file holds.

    Args:
        backend: name of the backend.
        distribution, version: the distribution that brought it, and its version; empty where registered by hand.
        window: the window of all its models.
        ends: one model labelled ``both``, or two, ``read1`` and ``read2``.
        training: where it comes from.
        cap: largest exp(-log_bias) before scaling, in the sample of the run that wrote the file; infinity without a cap.
        factor: what the weights of that sample were scaled by, so that they sum to the number of its fragments.
        prior: where the other part of the models comes from, if they are blends; ``backend`` is then that of the sample's own part.
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
        """The options of the backend, an instance of its ``Options``."""
        return self.ends[0].model.options

    @property
    def no_model(self) -> str:
        """Why the file holds no model at all, one line; empty where it holds one."""
        reasons = [end.model.reason for end in self.ends if isinstance(end.model, NoModel)]
        return "; ".join(dict.fromkeys(reasons)) if len(reasons) == len(self.ends) else ""

    def weights(self, log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn calibrated log_bias, nats, into read weights as the run that wrote the file did: float64 (n,) → float64 (n,)."""
        return np.asarray(
            np.minimum(np.exp(-bounded(log_bias)), self.cap) * self.factor, dtype=np.float64
        )

    def end(self, read: int) -> EndModel:
        """Give the model of read 1 (``read=0``, also single reads) or read 2 (``read=1``)."""
        return self.ends[0] if len(self.ends) == 1 else self.ends[read]
