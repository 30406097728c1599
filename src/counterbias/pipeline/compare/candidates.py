"""The models of a comparison: from what users write to what can be fitted.

A *label* is a model file, or a backend, optionally with its own options:
``gru:objective=ratio+hidden=20``. The parts of a tuple are joined by ``/``, as in
``ensemble:members=vlmm/pwm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.model import BiasModel, CrossFit, CrossFitting
from counterbias.model_file import is_model_file
from counterbias.pipeline.bias.choice import ModelChoice, choose_model
from counterbias.plugins import Manager, missing_modules
from counterbias.records import FitReport, TrainingSet, Window
from counterbias.scoring import batch_dependence

#: Windows by which a trial checks that scores do not depend on the other windows.
CHECKED = 300


class ModelFault(Exception):
    """A model returned what no model may: NaN, an array of the wrong shape, or changing scores."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to be compared with others.

    Args:
        label: what the user wrote.
        window: its window.
        choice: what to fit, or None if it cannot be fitted.
        reason: why it cannot be fitted; empty if it can.
    """

    label: str
    window: Window
    choice: ModelChoice | None = field(repr=False)
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.label} {self.window}"


def parse_label(label: str) -> tuple[str, tuple[str, ...]]:
    """Split a label into a backend and its options.

    Options are texts ``key=value``, as :func:`~counterbias.model.parse_options` takes them.
    """
    name, _, options = label.partition(":")
    return name, tuple(pair.replace("/", ",") for pair in options.split("+") if pair)


def find_candidates(
    labels: Sequence[str], windows: Sequence[Window], manager: Manager
) -> list[Candidate]:
    """Find the models of labels, with every window.

    Args:
        labels: what the user wrote; if empty, every installed backend.
        windows: windows; a model file comes with its own one only.
        manager: plug-ins.

    Raises:
        InputError: there is no such backend, option or file. Missing packages of a backend are no
            error: its candidate says so.
    """
    candidates: list[Candidate] = []
    for label in list(dict.fromkeys(labels)) or list(manager.backends):
        if is_model_file(label):
            candidates.append(_from_file(label, manager))
            continue
        name, options = parse_label(label)
        missing = missing_modules(manager.registration(name).backend)
        for window in windows:
            if missing:
                reason = f"training needs {', '.join(missing)}"
                candidates.append(Candidate(label, window, None, reason))
            else:
                choice = choose_model(name, manager, window=window, model_options=options)
                candidates.append(Candidate(label, window, choice))
    return candidates


def _from_file(label: str, manager: Manager) -> Candidate:
    choice = choose_model(label, manager)
    no_model = "" if choice.fitted is None else choice.fitted.no_model
    if no_model:
        reason = f"there is no model in this file: {no_model}"
        return Candidate(label, choice.window, None, reason)
    return Candidate(label, choice.window, choice)


def guarded(choice: ModelChoice, *, number: int = 0) -> ModelChoice:
    """Return the choice with a model class that checks what the original one returns.

    For a model file it is a class whose :meth:`fit` fits nothing: its model is that of the file,
    for read 1 or 2 (``number`` 0 or 1). The guard does not change what a model computes.
    """
    original = choice.model
    fitted = None if choice.fitted is None else choice.fitted.end(number).model

    def log_bias(self: BiasModel, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        values = original.log_bias(self, contexts) if fitted is None else fitted.log_bias(contexts)
        return checked(values, len(contexts))

    def along(self: BiasModel, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        values = original.along(self, sequence) if fitted is None else fitted.along(sequence)
        return checked(values, len(sequence) - self.window.width + 1, method="along")

    def fit(self: BiasModel, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        if fitted is not None:
            return FitReport(0.0, 0)
        return check_report(original.fit(self, sample, rng))

    def cross_fit_together(
        cls: type[BiasModel], fits: Sequence[CrossFitting]
    ) -> list[CrossFit | InputError]:
        found = original.cross_fit_together.__func__(cls, fits)  # type: ignore[attr-defined]
        for one in found if isinstance(found, list) else []:
            if isinstance(one, CrossFit):
                check_report(one.report)
        return found  # type: ignore[no-any-return]

    members: dict[str, Any] = {
        "log_bias": log_bias,
        "along": along,
        "fit": fit,
        "cross_fit_together": classmethod(cross_fit_together),
    }
    if fitted is not None:
        members |= {
            name: vars(BiasModel)[name]
            for name in ("cross_fit", "cross_fit_together", "trains_together")
        }
        # A blend cannot be made from a window and options: it consists of two models.
        members |= {"__init__": BiasModel.__init__, "to_arrays": lambda self: fitted.to_arrays()}
    members |= {"__module__": original.__module__, "__qualname__": original.__qualname__}
    return replace(choice, model=type(original.__name__, (original,), members), fitted=None)


def check_report(report: Any) -> FitReport:
    """Return a model's report of its fit, if it is one of finite numbers.

    Raises:
        ModelFault: it is not.
    """
    if not isinstance(report, FitReport):
        raise ModelFault(f"fit() gave {type(report).__name__}, not a FitReport")
    numbers = {
        "seconds": [report.seconds],
        **{f"the perplexity '{name}'": [value] for name, value in report.perplexity.items()},
        **{f"the curve '{name}'": values for name, values in report.curves.items()},
    }
    for what, values in numbers.items():
        if not np.isfinite(np.asarray(values, np.float64)).all():
            raise ModelFault(f"fit() reported NaN or infinity in {what}")
    return report


def checked(values: Any, windows: int, *, method: str = "log_bias") -> NDArray[np.float64]:
    """Return what a model's method returned, if it is one finite number per window.

    Raises:
        ModelFault: it is not.
    """
    if not isinstance(values, np.ndarray) or values.shape != (windows,):
        shape = (
            f"shape {values.shape}"
            if isinstance(values, np.ndarray)
            else f"a {type(values).__name__}"
        )
        raise ModelFault(
            f"{method}() gave {shape} for {windows} windows, expected shape ({windows},)"
        )
    if values.dtype.kind != "f":
        raise ModelFault(f"{method}() gave numbers of type {values.dtype}, expected float64")
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise ModelFault(f"{method}() gave NaN or infinity for {wrong} of {windows} windows")
    return values


def check_batches(model: BiasModel, contexts: NDArray[np.uint8]) -> None:
    """Check that a model's scores do not depend on the order or number of the windows given.

    Only :data:`CHECKED` of the windows are scored, evenly spread over all.

    Raises:
        ModelFault: they do.
    """
    rows = np.unique(np.linspace(0, len(contexts) - 1, CHECKED).astype(np.int64))
    difference = batch_dependence(model, contexts[rows])
    if difference:
        raise ModelFault(difference)
