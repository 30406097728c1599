"""``ensemble``: the mean log bias of several backends.

In: windows with weights. Out: the plain mean of the members' log biases. Different models err in
different ways, so their mean is often better than each of them. Members are found by name, as users
find them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from counterbias import (
    Backend,
    BiasModel,
    FitReport,
    InputError,
    TrainingSet,
    Window,
    hookimpl,
    load_plugins,
    parse_options,
)

NAME = "ensemble"


@dataclass(frozen=True)
class Options:
    """Options of ``ensemble``.

    Args:
        members: names of backends, separated by commas. Options of a member follow its name after
            a colon, separated by semicolons, as in ``vlmm:layout=salmon;pseudocount=2,pwm``; in
            their values, a slash replaces a comma.
    """

    members: tuple[str, ...] = ("vlmm", "bayesnet")

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(str(member) for member in self.members))
        if not self.members:
            raise InputError("--bias-option members=: an ensemble needs at least one member")
        for member in self.members:
            if member.partition(":")[0] == NAME:
                raise InputError(
                    f"--bias-option members={member}: an ensemble cannot hold an ensemble"
                )


class Ensemble(BiasModel):
    """Score windows by the mean of several models.

    Raises InputError where a member is unknown or refuses the window.
    """

    Options = Options
    #: A member may need tiles, or use a GPU; the members are known too late to ask.
    needs_tiles: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        manager = load_plugins()
        self._members: list[tuple[str, BiasModel]] = []
        for member in self.options.members:
            name, _, settings = member.partition(":")
            model = manager.load(name)
            pairs = [pair.replace("/", ",") for pair in settings.split(";") if pair]
            self._members.append((name, model(window, parse_options(model, pairs))))
        self._fitted = False

    def check_resources(self) -> None:
        """Raise InputError where a member does, or lacks a package that its training needs."""
        manager = load_plugins()
        for name, model in self._members:
            manager.require(name)
            model.resources = self.resources
            model.check_resources()

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Fit each member, with an independent random generator.

        Raises InputError where a package is missing that a member's training needs.
        """
        began = time.perf_counter()
        manager = load_plugins()
        for name, _ in self._members:
            manager.require(name)
        curves: dict[str, Any] = {}
        perplexity: dict[str, float] = {}
        details: dict[str, object] = {}
        parameters = 0
        generators = rng.spawn(len(self._members))
        for number, (name, model) in enumerate(self._members):
            model.resources = self.resources
            report = model.fit(sample, generators[number])
            label = _label(number, name)
            curves.update({f"{label}_{key}": value for key, value in report.curves.items()})
            perplexity.update({f"{label}_{key}": value for key, value in report.perplexity.items()})
            details[label] = {
                "seconds": report.seconds,
                "parameters": report.parameters,
                **report.details,
            }
            parameters += report.parameters
        self._fitted = True
        return FitReport(time.perf_counter() - began, parameters, curves, perplexity, details)

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the mean of the members' log biases: uint8 (n, width) → float64 (n,), nats."""
        if not self._fitted:
            raise RuntimeError("ensemble: log_bias was called before fit")
        contexts = self.as_contexts(contexts)
        total = np.zeros(len(contexts))
        for _, model in self._members:
            total += model.log_bias(contexts)
        return total / len(self._members)

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), nats."""
        if not self._fitted:
            raise RuntimeError("ensemble: along was called before fit")
        if len(sequence) < self.window.width:
            raise ValueError(
                f"a sequence of {len(sequence)} bases holds no window of {self.window.width}"
            )
        total = np.zeros(len(sequence) - self.window.width + 1)
        for _, model in self._members:
            total += model.along(sequence)
        return total / len(self._members)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the members' arrays; names begin with the member's number and name."""
        if not self._fitted:
            raise RuntimeError("ensemble: to_arrays was called before fit")
        return {
            f"{_label(number, name)}_{key}": array
            for number, (name, model) in enumerate(self._members)
            for key, array in model.to_arrays().items()
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned.

        Raises InputError where a member refuses its part, or an array belongs to none.
        """
        left = dict(arrays)
        for number, (name, model) in enumerate(self._members):
            prefix = f"{_label(number, name)}_"
            keys = [key for key in sorted(left) if key.startswith(prefix)]
            model.from_arrays({key.removeprefix(prefix): left.pop(key) for key in keys})
        if left:
            raise InputError(f"array '{min(left)}' of the model is unknown")
        self._fitted = True


def _label(number: int, name: str) -> str:
    """Return a unique name of a member, as there may be several of one backend."""
    return f"{number + 1}-{name}"


def _load() -> type[BiasModel]:
    return Ensemble


@hookimpl
def counterbias_backends() -> list[Backend]:
    """Offer ``ensemble``."""
    return [Backend(NAME, "mean log bias of several backends", _load)]
