"""The interface of bias models: ``BiasModel``, to be subclassed, ``Backend``, to be registered.

A backend sees windows and returns numbers. Sampling, Ns, strands, pairs, clipping, calibration and
files are the core's. Windows are called *contexts* where they are arrays: uint8 (n, width), with
0-3 = A, C, G, T, read 5'→3' on the read's strand.
"""

from __future__ import annotations

import dataclasses
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.messages import ProgressCallback
from counterbias.options import DEVICES, Device
from counterbias.records import FitReport, FoldedSample, TrainingSet, Window

#: Windows that :meth:`BiasModel.along` scores at a time.
ALONG = 8192


@dataclass(frozen=True)
class NoOptions:
    """The options of a backend that has none."""


@dataclass(frozen=True)
class Resources:
    """What a model may use while it is fitted.

    The defaults are the least: the commands set what ``--bias-threads`` and ``--bias-device`` ask
    for.

    Args:
        threads: threads, at least 1. The fitted model must not depend on their number, to the byte.
        device: ``cpu``; ``cuda``, a GPU, for models with :attr:`BiasModel.uses_gpu` (where there is
            none, their :meth:`~BiasModel.check_resources` raises InputError); or ``auto``, a GPU
            where there is one and the model benefits from it. It may change the model by no more
            than rounding.
        progress: called with a stage, the steps done, and the steps in all (0: not known); or None.

    Raises:
        ValueError: ``threads`` is below 1, or ``device`` is not one of these.
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
    """What :meth:`BiasModel.cross_fit` returns in addition to fitting the model itself.

    Args:
        report: the report of the fit.
        judges: for each fold a model fitted without it, by which the fold's windows are scored;
            None where too little else is left to learn from.
    """

    report: FitReport
    judges: tuple[BiasModel | None, ...]


@dataclass(frozen=True)
class CrossFitting:
    """One of the fits that :meth:`BiasModel.cross_fit_together` is asked for.

    Args:
        model: the model to be fitted, with its window, options and resources.
        sample, rng: the arguments of its :meth:`~BiasModel.cross_fit`.
    """

    model: BiasModel
    sample: FoldedSample
    rng: np.random.Generator


class BiasModel(ABC):
    """A model of the bias of one read end (read 1, read 2, or both pooled) in one window.

    A subclass implements :meth:`fit`, :meth:`log_bias`, :meth:`to_arrays` and :meth:`from_arrays`.
    It may set :attr:`Options` to a frozen dataclass whose fields all have defaults of type bool,
    int, float, str, or tuple of these; users set them with ``--bias-option key=value``.

    Args:
        window: the window of the contexts.
        options: an instance of :attr:`Options`; None for the defaults.
    """

    #: The dataclass of the model's options.
    Options: ClassVar[type[Any]] = NoOptions
    #: Whether a reversed and complemented sample gives the reversed and complemented model. The
    #: conformance suite tests models that declare it.
    strand_symmetric: ClassVar[bool] = False
    #: Whether :meth:`fit` reads :attr:`TrainingSet.tiles`; otherwise none may be drawn.
    needs_tiles: ClassVar[bool] = False
    #: Whether :meth:`fit` compares each read start only with its own background windows
    #: (:attr:`TrainingSet.origin`) and with positions of the same tile. For other models, the
    #: background weights are first corrected for the bias of the reads around them.
    compares_nearby: ClassVar[bool] = False
    #: Whether :meth:`fit` can train on a GPU, where :attr:`resources` ask for one. For other models
    #: ``--bias-device cuda`` gives a warning.
    uses_gpu: ClassVar[bool] = False
    #: Folds of :meth:`cross_fit`, 2 to 5: by default the model is fitted that many times more.
    judging_folds: ClassVar[int] = 5
    #: What :meth:`fit` may use; set before it is called. Models are free to ignore it.
    resources: Resources = Resources()

    def __init__(self, window: Window, options: Any = None) -> None:
        self.window = window
        self.options = self.Options() if options is None else options

    def check_resources(self) -> None:  # noqa: B027 (most models have nothing to check)
        """Raise InputError if :meth:`fit` cannot use :attr:`resources`; called before counting."""

    @abstractmethod
    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Fit the model to a sample.

        All randomness must come from ``rng``: the same sample and seed give the same model. The
        sample's arrays must not be changed.

        Args:
            sample: what to learn from.
            rng: the source of all random numbers.

        Returns:
            A report of the fit, for the quality report.

        Raises:
            InputError: the sample holds too little to learn from. It then gets no model, and the
                message is shown to the user.
        """

    def cross_fit(self, sample: FoldedSample, rng: np.random.Generator) -> CrossFit:
        """Fit the model to a whole sample, and for each fold a model that does not see it.

        By default the model is fitted to all folds, then a new one for each fold to the others. A
        model that is an ensemble can override this at less cost, by leaving each fold out of some
        of its members.

        Args:
            sample: the sample, split into folds.
            rng: as for :meth:`fit`.

        Raises:
            InputError: as for :meth:`fit`.
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
                except InputError:  # too few starts are left without the fold
                    judge = None
            judges.append(judge)
        return CrossFit(report, tuple(judges))

    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        """Fit several models of this class, with the same window, options and resources.

        ``counterbias count`` asks for both read ends at once, ``counterbias compare`` for many
        trials where :meth:`trains_together` is true. By default :meth:`cross_fit` is called for one
        after the other; override this where fitting them side by side takes less time. Each model
        must be what it would be without the others, but for rounding.

        Args:
            fits: what to fit, at least one.

        Returns:
            What :meth:`cross_fit` returns for each of them, in the same order; for a sample that
            holds too little to learn from, the InputError.
        """
        results: list[CrossFit | InputError] = []
        for fit in fits:
            try:
                results.append(fit.model.cross_fit(fit.sample, fit.rng))
            except InputError as refusal:
                results.append(refusal)
        return results

    def trains_together(self) -> bool:
        """Whether several fits of this model, with its resources, are best asked for at once.

        ``counterbias compare`` then draws the windows of many trials, within limits of memory, and
        passes all of them to :meth:`cross_fit_together`. It fits other models one at a time in each
        of its threads. ``counterbias train`` passes the pooled samples of both read ends.
        """
        return False

    @abstractmethod
    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score contexts: uint8 (n, width) → float64 (n,), nats.

        The log bias is ln P(context | read start) − ln P(context | background), up to a constant.
        It must be finite for every context, and must not depend on the other rows. The method must
        be safe to call from several threads at once.

        Raises:
            RuntimeError: the model is not fitted.
        """

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows along a sequence: uint8 (n + width - 1,) → float64 (n,), nats.

        Score ``i`` is that of :meth:`log_bias` for ``sequence[i : i + width]``. Most scores of a
        run are computed here, for effective lengths, so override this where neighbouring windows
        can share work; by default windows are cut out and passed to :meth:`log_bias`. The method
        must be safe to call from several threads at once.

        Raises:
            ValueError: the sequence is shorter than a window.
            RuntimeError: the model is not fitted.
        """
        windows = sliding_window_view(sequence, self.window.width)
        scores = np.empty(len(windows))
        for first in range(0, len(windows), ALONG):
            part = windows[first : first + ALONG]
            scores[first : first + len(part)] = self.log_bias(np.ascontiguousarray(part))
        return scores

    def as_contexts(self, contexts: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return contexts as C-contiguous uint8 (n, width), for compiled code.

        Raises:
            ValueError: they are of another shape.
        """
        if contexts.ndim != 2 or contexts.shape[1] != self.window.width:
            raise ValueError(
                f"contexts of shape {contexts.shape} do not fit a window of "
                f"{self.window.width} bases"
            )
        return np.require(contexts, np.uint8, ("C", "W"))

    @abstractmethod
    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted state as named arrays of plain numbers, for :meth:`from_arrays`."""

    @abstractmethod
    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the fitted state from what :meth:`to_arrays` returned.

        The arrays come from a file and must be checked, as :func:`take_arrays` does.

        Raises:
            InputError: an array is missing, unknown, or of a shape that does not fit window and
                options.
        """


#: Largest absolute value of a calibrated log bias, nats: the square of exp(300) is still finite.
MOST_LOG_BIAS = 300.0


def bounded(log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip log biases, nats, to ± :data:`MOST_LOG_BIAS`; NaN stays NaN.

    Weights, their squares and their sums are then finite.
    """
    return np.asarray(np.clip(log_bias, -MOST_LOG_BIAS, MOST_LOG_BIAS))


def take_arrays(
    arrays: Mapping[str, NDArray[Any]],
    shapes: Mapping[str, tuple[int | None, ...]],
    *,
    largest: float = math.inf,
) -> dict[str, NDArray[np.float64]]:
    """Check the arrays of a model file against the expected shapes and copy them to float64.

    Args:
        arrays: the argument of :meth:`BiasModel.from_arrays`.
        shapes: name → shape, in which None stands for any length.
        largest: largest absolute value that is accepted; sums and products of finite numbers need
            not be finite.

    Returns:
        Name → C-contiguous float64 copy.

    Raises:
        InputError: an array is missing, unknown, of another shape, or holds a value that is not
            finite or too large.
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
    """A bias model that a plug-in offers, with its name and a function that loads it.

    Args:
        name: what users write after ``--bias-model``: lower-case letters, digits, ``_`` and ``-``,
            beginning with a letter or digit.
        summary: one line for ``counterbias models``.
        load: imports and returns the :class:`BiasModel` subclass. It must work without the packages
            of ``extra``, unless scoring needs them too.
        extra: the extra of the plug-in's distribution that training needs, as ``deep`` in
            ``pip install 'your-distribution[deep]'``; empty for none.
        requires: modules that training imports, as in ``("torch",)``; they are looked for without
            being imported.

    Raises:
        ValueError: the name holds other characters.
    """

    name: str
    summary: str
    load: Callable[[], type[BiasModel]]
    extra: str = ""
    requires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise ValueError(
                f"'{self.name}' cannot name a backend: use lower-case letters, digits, '_' and '-'"
            )


def parse_options(model: type[BiasModel], pairs: list[str]) -> Any:
    """Parse options given as ``key=value``.

    Args:
        model: the class whose ``Options`` are meant.
        pairs: the texts; the parts of a tuple are separated by commas.

    Returns:
        An instance of ``model.Options``; options that are not given have their defaults.

    Raises:
        InputError: an option is unknown (the message lists those that exist), or its value is not
            of the type of the option's default.
    """
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
    """Return the annotations of options; none where they refer to type-checking-only imports."""
    try:
        return get_type_hints(options)
    except NameError:
        return {}


def _convert(pair: str, text: str, default: Any, hint: Any) -> object:
    """Convert a text to the type of the option's default; a tuple's parts to that of its hint."""
    value_type: type[Any] = type(default)
    try:
        if isinstance(default, tuple):
            value_type = _part_type(default, hint)
            return tuple(_scalar(value_type, part) for part in text.split(",") if part)
        return _scalar(value_type, text)
    except (KeyError, ValueError):
        expected = (
            f"a list of {value_type.__name__}, as in a,b"
            if isinstance(default, tuple)
            else f"of type {value_type.__name__}"
        )
        raise InputError(f"--bias-option {pair}: the value is not {expected}") from None


def _part_type(default: tuple[Any, ...], hint: Any) -> type[Any]:
    """Return the type of a tuple's parts: that of ``tuple[int, ...]``, else of the first one."""
    named = get_args(hint) if get_origin(hint) is tuple else ()
    if named and named[0] in (bool, int, float, str):
        return named[0]  # type: ignore[no-any-return]
    return type(default[0]) if default else str


def _scalar(value_type: type[Any], text: str) -> object:
    """Convert a text to a value of a type. Raises KeyError or ValueError where that fails."""
    if value_type is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
            text.lower()
        ]
    return value_type(text)
