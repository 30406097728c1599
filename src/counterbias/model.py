"""The interface of a bias model: ``BiasModel``, to be subclassed, and ``Backend``, to be registered.

A backend sees windows and returns numbers. Sampling, N, strands, pairs, clipping, calibration and files are the core's.
"""

from __future__ import annotations

import dataclasses
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.messages import ProgressCallback
from counterbias.options import DEVICES, Device
from counterbias.records import FitReport, FoldedSample, TrainingSet, Window

#: Windows that :meth:`BiasModel.along` cuts at a time.
ALONG = 8192


@dataclass(frozen=True)
class NoOptions:
    """Options of a backend that has none."""


@dataclass(frozen=True)
class Resources:
    """What a model may use while it is fitted. None of it may change the model by more than rounding.

    Args:
        threads: threads, at least 1. The fitted model must be the same to the byte whatever their number.
        device: ``cpu``; ``cuda``, a GPU, which only networks use, and which they ask for by InputError where there is none; ``auto``: a GPU
            where there is one and the model gains by it.
        progress: to be told of progress, or None.
    """

    threads: int = 1
    device: Device = "cpu"
    progress: ProgressCallback | None = None

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, not {self.threads}")
        if self.device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}, not '{self.device}'")


@dataclass(frozen=True)
class CrossFit:
    """What :meth:`BiasModel.cross_fit` gives besides the fitted model itself.

    Args:
        report: of the fit.
        judges: for each fold a model that did not see it; None where nothing else was there to learn from.
    """

    report: FitReport
    judges: tuple[BiasModel | None, ...]


class BiasModel(ABC):
    """Model the bias of one end class (read 1, read 2 or both pooled) in one window.

    Subclasses set :attr:`Options` to a frozen dataclass whose fields all have defaults (bool, int, float, str or tuples of
    these); users set them with ``--bias-option key=value``.
    """

    Options: ClassVar[type[Any]] = NoOptions
    #: Declared by models for which a reversed and complemented sample gives the reversed and complemented model.
    strand_symmetric: ClassVar[bool] = False
    #: Declared by models whose ``fit`` reads :attr:`TrainingSet.tiles`.
    needs_tiles: ClassVar[bool] = False
    #: Declared by models whose ``fit`` compares each read start only with its own background windows (:attr:`TrainingSet.origin`) and with
    #: places of one tile. For all others the weights of the background are rid of the bias around it before they are fitted.
    compares_nearby: ClassVar[bool] = False
    #: Folds by which :meth:`cross_fit` has the model judged, 2 to 5: so many times, by default, it is fitted besides.
    judging_folds: ClassVar[int] = 5
    #: What :meth:`fit` may use; whoever fits a model may set it before. Models are free to ignore it.
    resources: Resources = Resources()

    def __init__(self, window: Window, options: Any = None) -> None:
        self.window = window
        self.options = self.Options() if options is None else options

    def check_resources(self) -> None:  # noqa: B027 (most models have nothing to check)
        """Raise InputError where :meth:`fit` could not use :attr:`resources`. Called before anything is counted."""

    @abstractmethod
    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Learn from a sample. All randomness comes from ``rng``: same sample and seed, same model.

        Raise InputError for a sample that holds too little to learn from: it then gets no model, and the user is told why.
        """

    def cross_fit(self, sample: FoldedSample, rng: np.random.Generator) -> CrossFit:
        """Learn from a whole sample, and give for each of its folds a model that did not see it.

        By default the model is fitted to all, and then one like it for every fold without that fold. A model that consists of several, each
        of which may leave a fold out, can do it at less cost.
        """
        report = self.fit(sample.without(None), rng)
        judges: list[BiasModel | None] = []
        for fold in range(sample.folds):
            training = sample.without(fold)
            judge = None
            if len(training.foreground) and len(training.background):
                judge = type(self)(self.window, self.options)
                judge.resources = self.resources
                try:
                    judge.fit(training, rng)
                except InputError:  # without the fold there are too few
                    judge = None
            judges.append(judge)
        return CrossFit(report, tuple(judges))

    @abstractmethod
    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,).

        In nats: ln P(context | read start) − ln P(context | background), up to a constant, always finite. Raises RuntimeError
        before :meth:`fit`. Must be safe to call from several threads at once.
        """

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows at consecutive positions: uint8 (n + width - 1,), 0-3 → float64 (n,), nats.

        Number ``i`` is what :meth:`log_bias` gives for ``sequence[i : i + width]``. Effective lengths take most of a run's scores this
        way, so a model whose neighbouring windows share work should say how; by default windows are cut and handed to ``log_bias``.
        Raises ValueError where the sequence is shorter than a window. Must be safe to call from several threads at once.
        """
        windows = sliding_window_view(sequence, self.window.width)
        scores = np.empty(len(windows))
        for first in range(0, len(windows), ALONG):
            part = windows[first : first + ALONG]
            scores[first : first + len(part)] = self.log_bias(np.ascontiguousarray(part))
        return scores

    def as_contexts(self, contexts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give contexts as C-contiguous uint8 (n, width) for compiled code; raises ValueError where they do not fit."""
        if contexts.ndim != 2 or contexts.shape[1] != self.window.width:
            raise ValueError(
                f"contexts of shape {contexts.shape} do not fit a window of {self.window.width} bases"
            )
        return np.require(contexts, np.uint8, ("C", "W"))

    @abstractmethod
    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all that :meth:`from_arrays` needs, as plain numeric arrays."""

    @abstractmethod
    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the state that :meth:`to_arrays` gave.

        Raises InputError where an array is missing, unknown or of a shape that does not fit the window and options
        (:func:`take_arrays` does).
        """


#: Calibrated log biases go no further from 0 than this, nats: e to the 300 is as good as infinite, and its square is still a number.
MOST_LOG_BIAS = 300.0


def bounded(log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep log biases within ± :data:`MOST_LOG_BIAS`, nats, so that weights, their squares and their sums are finite; NaN stays NaN."""
    return np.asarray(np.clip(log_bias, -MOST_LOG_BIAS, MOST_LOG_BIAS))


def take_arrays(
    arrays: Mapping[str, NDArray[Any]],
    shapes: Mapping[str, tuple[int | None, ...]],
    *,
    largest: float = math.inf,
) -> dict[str, NDArray[np.float64]]:
    """Check the arrays of a model file against the shapes expected and copy them to float64.

    Args:
        arrays: what :meth:`BiasModel.from_arrays` was given.
        shapes: name → shape; None stands for any length.
        largest: what no value may go beyond, on either side of 0: sums and products of numbers that are finite need not be.

    Raises:
        InputError: an array is missing, unknown, of another shape, or holds a value that is not finite or too large.
    """
    unlike = sorted(set(arrays) ^ set(shapes))
    if unlike:
        state = "unknown" if unlike[0] in arrays else "missing"
        raise InputError(f"array '{unlike[0]}' of the model is {state}")
    taken = {}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.ndim != len(shape) or any(
            wanted not in (None, given) for wanted, given in zip(shape, array.shape, strict=True)
        ):
            raise InputError(
                f"array '{name}' of the model has shape {array.shape}, expected {tuple(shape)}"
            )
        taken[name] = np.array(array, dtype=np.float64, order="C")
        if not np.isfinite(taken[name]).all():
            raise InputError(f"array '{name}' of the model holds a value that is not finite")
        if (np.abs(taken[name]) > largest).any():
            raise InputError(f"array '{name}' of the model holds a value beyond {largest:g}")
    return taken


@dataclass(frozen=True)
class Backend:
    """Name a kind of bias model and say how to load it, without loading it.

    Args:
        name: what users write after ``--bias-model``: lower case letters, digits, ``_`` and ``-``.
        summary: one line for ``counterbias models``.
        load: imports and returns the :class:`BiasModel` subclass. It must work without the packages of ``extra``, unless they are
            needed for scoring as well.
        extra: the extra that training needs, as in ``rnn`` (``pip install 'counterbias[rnn]'``).
        requires: modules that training imports, as in ``("torch",)``; checked without importing them.
    """

    name: str
    summary: str
    load: Callable[[], type[BiasModel]]
    extra: str = ""
    requires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise ValueError(
                f"'{self.name}' cannot name a backend: use lower case letters, digits, '_' and '-'"
            )


def parse_options(model: type[BiasModel], pairs: list[str]) -> Any:
    """Turn ``key=value`` texts into an instance of ``model.Options``. Raises InputError, naming the known keys."""
    fields = {field.name: field for field in dataclasses.fields(model.Options)}
    hints = _hints(model.Options)
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or key not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise InputError(
                f"--bias-option {pair}: no such option of this model", remedy=f"it has: {known}"
            )
        values[key] = _convert(pair, text, fields[key].default, hints.get(key))
    return model.Options(**values)


def _hints(options: type[Any]) -> dict[str, Any]:
    """Give the annotations of options; none where they name what only a type checker sees."""
    try:
        return get_type_hints(options)
    except NameError:
        return {}


def _convert(pair: str, text: str, default: Any, hint: Any) -> object:
    """Read a text as the type of the option's default, a tuple's parts as the type that its annotation names."""
    kind: type[Any] = type(default)
    try:
        if isinstance(default, tuple):
            kind = _part_type(default, hint)
            return tuple(_scalar(kind, part) for part in text.split(",") if part)
        return _scalar(kind, text)
    except (KeyError, ValueError):
        what = (
            f"a list of {kind.__name__}, as in a,b"
            if isinstance(default, tuple)
            else f"of type {kind.__name__}"
        )
        raise InputError(f"--bias-option {pair}: the value is not {what}") from None


def _part_type(default: tuple[Any, ...], hint: Any) -> type[Any]:
    """Give the type of a tuple's parts: that of ``tuple[int, ...]``, or else of the first one."""
    named = get_args(hint) if get_origin(hint) is tuple else ()
    if named and named[0] in (bool, int, float, str):
        return named[0]  # type: ignore[no-any-return]
    return type(default[0]) if default else str


def _scalar(kind: type[Any], text: str) -> object:
    """Read a text as a value of a type. Raises KeyError or ValueError where it is none."""
    if kind is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
            text.lower()
        ]
    return kind(text)
