"""A bias model made of a torch network: fitting, scoring and saving for whoever brings a module.

In: a module that maps windows to a score, or to outputs per base. Out: a full bias model.
"""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
from counterbias_torch.checks import check_network, check_state
from counterbias_torch.cross_fitting import Fit, cross_fit_all, only, plan_each
from counterbias_torch.data import AT_ONCE, Form
from counterbias_torch.devices import (
    choose_device,
    device_name,
    halved_to_fit,
    one_thread,
    precise,
)
from counterbias_torch.fitting import Pupil, Trained, seeded
from counterbias_torch.lessons import Lesson, make_lesson, make_plan
from counterbias_torch.losses import log_probabilities, scores_of
from counterbias_torch.options import CONDITIONAL, LANGUAGE, OBJECTIVES, TrainingOptions
from counterbias_torch.reporting import report_of
from counterbias_torch.session import Session
from counterbias_torch.stack import INPUTS, LETTERS, as_input
from counterbias_torch.trainer import Job

#: The networks of a model: one, or one of each side.
ROLES = {LANGUAGE: ("foreground", "background")}


class NetworkModel(BiasModel):
    """A torch network as a bias model. Subclasses implement :meth:`network`.

    Class attributes say what the network does:

    * :attr:`objective`: ``conditional`` (where among the positions of a tile, and among a read
      start and the background drawn near it, do reads start?), ``classification`` (is this window
      a read start?), or ``language`` (which base follows those before it? Two networks, one for
      read starts, one for the background, whose log ratio is the log bias).
    * :attr:`takes`: ``letters``, float (n, 4, length), one-hot; or ``codes``, int64 (n, length),
      0-3 = A, C, G, T.
    * :attr:`slides`: whether the network takes longer sequences too and returns one score per
      window of them, (n, length − width + 1): convolutions without padding do.

    The network returns a score per window, (n,) or (n, 1), in nats up to a constant; or outputs per
    base, (n, width, 4). These are log odds of A, C, G, T at every place, which for ``language`` may
    depend on the bases before it only; for other objectives those of the window's own bases are
    summed.
    """

    Options: ClassVar[type[Any]] = TrainingOptions
    uses_gpu: ClassVar[bool] = True
    needs_tiles: ClassVar[bool] = True
    compares_nearby: ClassVar[bool] = True
    judging_folds: ClassVar[int] = 2
    objective: ClassVar[str] = CONDITIONAL
    takes: ClassVar[str] = LETTERS
    slides: ClassVar[bool] = False

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name, value, known in (
            ("objective", cls.objective, OBJECTIVES),
            ("takes", cls.takes, INPUTS),
        ):
            if value not in known:
                raise ValueError(
                    f"{cls.__name__}.{name} is '{value}', expected {' or '.join(known)}"
                )
        # Without the decorator, a class has the options and defaults of the one it derives from.
        decorated = "__dataclass_fields__" in getattr(cls.Options, "__dict__", ())
        if not (decorated and issubclass(cls.Options, TrainingOptions)):
            raise ValueError(
                f"{cls.__name__}.Options must be TrainingOptions, or derive from it with "
                "@dataclass(frozen=True)"
            )
        if cls.slides and cls.objective == LANGUAGE:
            raise ValueError(
                f"{cls.__name__}.slides is of no use where the objective is {LANGUAGE}"
            )
        cls.needs_tiles = cls.compares_nearby = cls.objective == CONDITIONAL

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        self._modules: tuple[nn.Module, ...] = ()
        self._device = torch.device("cpu")

    @abstractmethod
    def network(self) -> nn.Module:
        """Return an untrained network for windows of ``self.window.width`` bases.

        torch's generator is seeded when it is called.
        """

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the networks; empty where there is only one."""
        return ROLES.get(self.objective, ("",))

    def check_resources(self) -> None:
        """Raise InputError where a GPU is requested and there is none."""
        choose_device(self.resources.device)

    def trains_together(self) -> bool:
        """Whether several fits gain from being made at once: on a GPU."""
        return bool(choose_device(self.resources.device).type != "cpu")

    # -- fitting -----------------------------------------------------------------------------------

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Train the network, with early stopping on the validation part.

        Where there is none, or a small one, a tenth of the rows takes its place.

        Raises:
            InputError: there are no windows, or the device is missing.
            ValueError: the network returns anything but what this class describes.
        """
        return only(fit_all([Fit(self, sample, rng)]))

    def cross_fit(self, sample: FoldedSample, rng: np.random.Generator) -> CrossFit:
        """Fit the model, and one without each fold, all networks at a time."""
        return only(self.cross_fit_together([CrossFitting(self, sample, rng)]))

    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        """Make several cross-fits with all networks at a time; see ``BiasModel``."""
        return cross_fit_all(fits, fit_all)

    # -- scoring -----------------------------------------------------------------------------------

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score windows: uint8 (n, width) → float64 (n,), nats. Raises RuntimeError before fit."""
        modules, contexts = self._fitted(), self.as_contexts(contexts)

        def score(block: int) -> NDArray[np.float64]:
            parts = [
                self._evaluate(modules, contexts[first : first + block])
                for first in range(0, len(contexts), block)
            ]
            return np.concatenate([np.zeros(0), *parts])

        return halved_to_fit(score, AT_ONCE[self._device.type])

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), nats.

        A network that slides takes the sequence as it is.
        """
        modules, flank = self._fitted(), self.window.width - 1
        if not self.slides or len(sequence) <= flank:
            return super().along(sequence)
        bases = np.require(sequence, np.uint8, ("C", "W"))

        def score(block: int) -> NDArray[np.float64]:
            parts = [
                self._evaluate(modules, bases[None, first : first + block + flank]).ravel()
                for first in range(0, len(bases) - flank, block)
            ]
            return np.concatenate(parts)

        return halved_to_fit(score, AT_ONCE[self._device.type])

    def _evaluate(
        self, modules: tuple[nn.Module, ...], codes: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        """Score windows, (n, width), or the windows of one sequence, (1, length)."""
        with precise(self._device), torch.inference_mode():
            given = torch.from_numpy(codes).to(self._device)
            outputs = [module(as_input(given, self.takes)) for module in modules]
            if self.objective == LANGUAGE:
                front, back = (log_probabilities(one, given) for one in outputs)
                scores = front - back
            elif codes.shape[1] > self.window.width:
                scores = outputs[0][0]
            else:
                scores = scores_of(outputs[0], given)
            return np.asarray(scores.double().cpu().numpy())

    def _fitted(self) -> tuple[nn.Module, ...]:
        if not self._modules:
            raise RuntimeError(f"{type(self).__name__}: log_bias was called before fit")
        return self._modules

    # -- saving ------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the networks' parameters and buffers, in the order of their ``state_dict``.

        Integers are not saved: they are what :meth:`network` makes them.
        """
        state = _state_of(self.roles, self._fitted())
        return {name: value.cpu().numpy().copy() for name, value in state.items()}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned.

        Raises InputError where the arrays do not fit the network of window and options.
        """
        with seeded(0):
            modules = [_untrained(self) for _ in self.roles]
        state = _state_of(self.roles, modules)
        taken = take_weights(arrays, {name: tuple(value.shape) for name, value in state.items()})
        with torch.no_grad():
            for name, value in state.items():
                value.copy_(torch.from_numpy(taken[name]))
        self._set(modules, choose_device("cpu"))

    def _adopt(
        self,
        lesson: Lesson,
        trained: Sequence[tuple[nn.Module, Trained]],
        device: torch.device,
        seconds: float,
    ) -> FitReport:
        """Take the networks as trained, and report."""
        for module, one in trained:
            module.load_state_dict(one.course.state)
            check_state(module)
        self._set([module for module, _ in trained], device)
        own = sum(parameter.numel() for module, _ in trained for parameter in module.parameters())
        return report_of(
            lesson,
            [one for _, one in trained],
            self.roles,
            FitReport(
                seconds,
                own,
                details={
                    "objective": self.objective,
                    "precision": self.options.precision,
                    "device": device_name(device),
                },
            ),
        )

    def _set(self, modules: Sequence[nn.Module], device: torch.device) -> None:
        for module in modules:
            module.to(device).train(False).requires_grad_(False)
        self._modules, self._device = tuple(modules), device


def _state_of(roles: Sequence[str], modules: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return parameters and buffers by name; integers stay what :meth:`network` makes them."""
    return {
        _array_name(number, role, name): value
        for role, module in zip(roles, modules, strict=True)
        for number, (name, value) in enumerate(module.state_dict().items())
        if value.is_floating_point()
    }


def _array_name(number: int, role: str, name: str) -> str:
    """Return a name that a model file can hold: of 64 plain characters at most, without dots."""
    tail = re.sub("[^A-Za-z0-9_]", "-", name)[-40:]
    return f"{role}-{number}-{tail}" if role else f"{number}-{tail}"


def fit_all(fits: Sequence[Fit[NetworkModel]]) -> list[FitReport | InputError]:
    """Fit models of one class, window and options; a refusal takes the place of a report."""
    began, first = time.perf_counter(), fits[0].model
    lessons = plan_each(_lesson, fits)
    pupils = [
        _pupil(one.model, job)
        for one, lesson in zip(fits, lessons, strict=True)
        if isinstance(lesson, Lesson)
        for job in lesson.jobs
    ]
    if pupils:
        check_network(
            pupils[0].module, first.takes, first.slides, first.window.width, first.objective
        )
    device = choose_device(first.resources.device)
    trained = iter(_train(first, device, pupils))
    seconds = (time.perf_counter() - began) / len(fits)
    return [
        lesson
        if isinstance(lesson, InputError)
        else one.model._adopt(lesson, [next(trained) for _ in lesson.jobs], device, seconds)
        for one, lesson in zip(fits, lessons, strict=True)
    ]


def _lesson(one: Fit[NetworkModel]) -> Lesson:
    model = one.model
    return make_lesson(one.sample, model.objective, model.options, model.slides, one.rng)


def _pupil(model: NetworkModel, job: Job) -> Pupil:
    with seeded(job.seed), one_thread():
        return Pupil(_untrained(model), job, make_plan(job, model.options))


def _untrained(model: NetworkModel) -> nn.Module:
    """Return a network of the model's own, even if ``network`` returns the same one every time."""
    return deepcopy(model.network())


def _train(
    model: NetworkModel, device: torch.device, pupils: Sequence[Pupil]
) -> list[tuple[nn.Module, Trained]]:
    """Train networks of one architecture; return each with how it was trained."""
    if not pupils:
        return []
    session = Session(device, model.resources)
    schooling = session.schooling(model.takes, Form(model.window.width, model.slides))
    (trained,) = session.train(f"training {type(model).__name__}", [(pupils, schooling)])
    return [(pupil.module, one) for pupil, one in zip(pupils, trained, strict=True)]
