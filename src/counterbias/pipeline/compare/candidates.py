"""The models of a comparison: from what users write to what can be fitted.

A *label* is a backend, with options of its own where wanted (``gru:objective=ratio+hidden=20``; a tuple's parts are joined by ``/``, as in
``ensemble:members=vlmm/pwm``), or a model file. The command and the accuracy benchmark read labels here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.model import BiasModel
from counterbias.model_file import is_model_file
from counterbias.pipeline.bias.choice import ModelChoice, choose_model
from counterbias.plugins import Manager, missing_modules
from counterbias.records import FitReport, TrainingSet, Window


class ModelFault(Exception):
    """A model did what no model may: NaN, or numbers of another shape than it was asked for."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to be compared with others.

    Args:
        label: what the user wrote.
        window: its window.
        choice: what is to be fitted; None where it cannot be.
        reason: why it cannot be; empty where it can.
    """

    label: str
    window: Window
    choice: ModelChoice | None = field(repr=False)
    reason: str = ""


def parse_label(label: str) -> tuple[str, tuple[str, ...]]:
    """Take a label apart: backend, and ``key=value`` texts as :func:`~counterbias.model.parse_options` takes them."""
    name, _, own = label.partition(":")
    return name, tuple(pair.replace("/", ",") for pair in own.split("+") if pair)


def parse_extra(texts: Sequence[str], *, option: str = "--option") -> dict[str, list[str]]:
    """Read ``MODEL:key=value`` texts: model → its ``key=value`` texts. Raises InputError."""
    found: dict[str, list[str]] = {}
    for text in texts:
        model, colon, pair = text.partition(":")
        if not colon:
            raise InputError(f"{option} {text}: give MODEL:key=value")
        found.setdefault(model, []).append(pair)
    return found


def find_candidates(
    labels: Sequence[str],
    windows: Sequence[Window],
    manager: Manager,
    *,
    extra: Mapping[str, Sequence[str]] | None = None,
) -> list[Candidate]:
    """Find the models of labels, in every window.

    Args:
        labels: what the user wrote; empty takes every installed backend.
        windows: windows; a model file comes in its own one only.
        manager: plug-ins.
        extra: backend → ``key=value`` texts that go before those of the label.

    Raises:
        InputError: there is no such backend, option or file. A backend whose packages are missing is no error: its candidate says so.
    """
    found: list[Candidate] = []
    for label in list(dict.fromkeys(labels)) or list(manager.backends):
        if is_model_file(label):
            choice = choose_model(label, manager)
            nothing = "" if choice.fitted is None else choice.fitted.no_model
            reason = f"there is no model in this file: {nothing}" if nothing else ""
            found.append(Candidate(label, choice.window, None if nothing else choice, reason))
            continue
        name, own = parse_label(label)
        missing = missing_modules(manager.registration(name).backend)
        for window in windows:
            if missing:
                found.append(Candidate(label, window, None, f"training needs {', '.join(missing)}"))
            else:
                options = (*(extra or {}).get(name, ()), *own)
                choice = choose_model(name, manager, window=window, model_options=options)
                found.append(Candidate(label, window, choice))
    return found


def guarded(choice: ModelChoice, *, number: int = 0) -> ModelChoice:
    """Give the choice with a model class that checks what it returns, and that stands for a model file's model without fitting anything.

    ``number`` is the read (0 or 1) whose model of the file is meant. The guard adds nothing to what a model computes.
    """
    own = choice.model
    fitted = None if choice.fitted is None else choice.fitted.end(number).model

    def log_bias(self: BiasModel, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = own.log_bias(self, contexts) if fitted is None else fitted.log_bias(contexts)
        return checked(found, len(contexts))

    def along(self: BiasModel, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = own.along(self, sequence) if fitted is None else fitted.along(sequence)
        return checked(found, len(sequence) - self.window.width + 1, what="along")

    def fit(self: BiasModel, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        if fitted is not None:
            return FitReport(0.0, 0)
        report = own.fit(self, sample, rng)
        if not isinstance(report, FitReport):
            raise ModelFault(f"fit() gave {type(report).__name__}, not a FitReport")
        return report

    names: dict[str, Any] = {"log_bias": log_bias, "along": along, "fit": fit}
    if fitted is not None:
        names["cross_fit"] = BiasModel.cross_fit
        # A blend is made of two models, not of a window and options.
        names |= {"__init__": BiasModel.__init__, "to_arrays": lambda self: fitted.to_arrays()}
    names |= {"__module__": own.__module__, "__qualname__": own.__qualname__}
    return replace(choice, model=type(own.__name__, (own,), names), fitted=None)


def checked(found: Any, windows: int, *, what: str = "log_bias") -> NDArray[np.float64]:
    """Insist on one finite number per window of what a model's method ``what`` gave. Raises ModelFault."""
    if not isinstance(found, np.ndarray) or found.shape != (windows,):
        shape = (
            f"shape {found.shape}" if isinstance(found, np.ndarray) else f"a {type(found).__name__}"
        )
        raise ModelFault(
            f"{what}() gave {shape} for {windows} windows, expected shape ({windows},)"
        )
    if found.dtype.kind != "f":
        raise ModelFault(f"{what}() gave numbers of type {found.dtype}, expected float64")
    wrong = int((~np.isfinite(found)).sum())
    if wrong:
        raise ModelFault(f"{what}() gave NaN or infinity for {wrong} of {windows} windows")
    return found
