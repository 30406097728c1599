"""Train the networks of several models on a GPU, side by side, by :mod:`counterbias_torch`.

They learn from the same rows as on the processor, in fewer and larger steps and in single
precision. So their parameters are others, as with another seed, and gains the same within the
spread of seeds (``benchmarks/gpu.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from counterbias import Resources
from counterbias_backends.cnn.distillation import (
    BATCH,
    Fitted,
    Lesson,
    Planned,
    make_lesson,
)
from counterbias_backends.cnn.distillation import LEARNING_RATE as DISTIL_RATE
from counterbias_backends.cnn.network import ConvolutionalNetwork
from counterbias_backends.cnn.options import Options
from counterbias_backends.cnn.parameters import Networks, Shape, initial_parameters
from counterbias_backends.cnn.rows import Data, Rows
from counterbias_backends.cnn.training import (
    STAGES,
    NetworksPlan,
    Trained,
    batch_sizes,
    mean_curves,
    reported,
)
from counterbias_backends.progress import Steps
from counterbias_torch import rows as torch_rows
from counterbias_torch.data import Form
from counterbias_torch.devices import choose_device, device_name
from counterbias_torch.fitting import Pupil, Schooling, train_pupils
from counterbias_torch.fitting import Trained as TrainedNetwork
from counterbias_torch.lessons import rounded
from counterbias_torch.reporting import remarks_of
from counterbias_torch.stack import LETTERS
from counterbias_torch.trainer import Job, Plan

#: Batches are this many times as large as on the processor, steps this part of theirs, and the
#: learning rate this many times theirs. Weight decay grows so that it shrinks weights as much.
BATCHES, STEPS, RATES = 4, 1 / 4, 2.0
#: The same for the network that is distilled.
DISTIL_BATCHES, DISTIL_STEPS, DISTIL_RATES = 4, 0.4, 1.5


class Session:
    """One run on a device.

    Args:
        device: where networks are trained.
        steps: counts their steps.

    Attributes:
        remarks: what the user should know, one line each.
    """

    def __init__(self, device: torch.device, steps: Steps) -> None:
        self.device, self._steps = device, steps
        self.remarks: set[str] = set()

    def train(self, shape: Shape, pupils: Sequence[Pupil]) -> list[TrainedNetwork]:
        """Train networks of one shape."""
        schooling = Schooling(
            LETTERS,
            Form(shape.width, slides=True),
            self.device,
            threads=1,
            advance=self._steps.advance,
            decayed=_decayed,
        )
        trained = train_pupils(pupils, schooling)
        self.remarks.update(remarks_of(trained))
        return trained


def fit_all(
    planned: Sequence[Planned], resources: Resources, device: torch.device | None = None
) -> list[Fitted]:
    """Fit models of one shape and options, by default on the GPU."""
    if not planned:
        return []
    steps = Steps(resources, "training cnn", 0)
    session = Session(choose_device("cuda") if device is None else device, steps)
    try:
        members = _train_members([one.networks for one in planned], session)
        fitted = _distil_all(planned, members, session, resources.threads)
    finally:
        steps.finish()
    found: dict[str, object] = {"remarks": sorted(session.remarks)} if session.remarks else {}
    return [Fitted(one.members, one.scoring, {**one.details, **found}) for one in fitted]


def _train_members(plans: Sequence[NetworksPlan], session: Session) -> list[Trained]:
    """Train the networks of all models."""
    first, rows = plans[0], _RowsOf()
    pupils = [_member(plan, member, rows) for plan in plans for member, _ in enumerate(plan.seeds)]
    trained = session.train(first.shape, pupils)
    results, members = [], len(first.seeds)
    for number, plan in enumerate(plans):
        own = trained[number * members : (number + 1) * members]
        flat = np.stack([_flat(one, plan.shape) for one in own])
        curves = mean_curves([_curves(plan, member, one) for member, one in enumerate(own)])
        taken = plan.trained(flat, curves, device_name(session.device))
        taken.details.update(steps=own[0].plan.total)
        results.append(taken)
    return results


def _member(plan: NetworksPlan, member: int, rows: _RowsOf) -> Pupil:
    """Return one of a model's networks, with its first parameters and what it learns from."""
    rng, options = np.random.default_rng(plan.seeds[member]), plan.plan.options
    start = ConvolutionalNetwork(initial_parameters(plan.shape, rng), plan.shape)
    checks = () if plan.held_out is None else rows.parts(plan.held_out, None)
    parts = rows.parts(plan.subset(member), options)
    decay = plan.plan.decay if options.decay >= 0 else rounded(plan.plan.decay)
    return Pupil(
        start,
        Job(parts, checks, int(rng.integers(0, 2**62))),
        Plan(
            STAGES,
            round(rounded(max(1.0, STEPS * plan.plan.steps / STAGES))),
            tuple(BATCHES * size for _, size in batch_sizes(plan.subset(member), options)),
            RATES * options.learning_rate,
            decay / (STEPS * RATES),
            early_stopping=False,
        ),
    )


def _distil_all(
    planned: Sequence[Planned], members: Sequence[Trained], session: Session, threads: int
) -> list[Fitted]:
    """Fit one network to the mean of several, for all models; or let these score themselves."""
    student = planned[0].student
    if student is None:
        return [Fitted(one, one.networks, {**one.details, "distilled": False}) for one in members]
    lessons = [
        make_lesson(one, student, plan.rng, threads)
        for one, plan in zip(members, planned, strict=True)
    ]
    steps = DISTIL_STEPS * planned[0].networks.plan.options.distil_steps
    plan = Plan(
        STAGES,
        math.ceil(steps / STAGES),
        (DISTIL_BATCHES * BATCH,),
        DISTIL_RATES * DISTIL_RATE,
        early_stopping=False,
    )
    pupils = [
        Pupil(ConvolutionalNetwork(lesson.start, student), _distilling(lesson, one.rng), plan)
        for lesson, one in zip(lessons, planned, strict=True)
    ]
    trained = session.train(student, pupils)
    return [
        _fitted(one, lesson, _flat(network, student), threads)
        for one, lesson, network in zip(members, lessons, trained, strict=True)
    ]


def _distilling(lesson: Lesson, rng: np.random.Generator) -> Job:
    rows = torch_rows.Part.of_all(_as_torch(lesson.rows))
    return Job((rows,), (), int(rng.integers(0, 2**62)))


def _fitted(members: Trained, lesson: Lesson, flat: NDArray[np.float64], threads: int) -> Fitted:
    details = {**members.details, "distilled": True, **lesson.compare(flat, threads)}
    return Fitted(members, Networks(flat[None], lesson.shape), details)


def _decayed(module: nn.Module) -> frozenset[str]:
    return frozenset({"first_weight", "second_weight"})


def _flat(one: TrainedNetwork, shape: Shape) -> NDArray[np.float64]:
    """Return the parameters of a network as trained, float64 (size,)."""
    state = {name: value.cpu().numpy()[None] for name, value in one.course.state.items()}
    flat: NDArray[np.float64] = shape.join(state)[0].astype(np.float64)
    return flat


def _curves(plan: NetworksPlan, member: int, one: TrainedNetwork) -> dict[str, list[float]]:
    """Return the curves of a network as they are on the processor."""
    curves: dict[str, list[float]] = {}
    learnt = [rows for rows, _ in batch_sizes(plan.subset(member), plan.plan.options)]
    held_out = [] if plan.held_out is None else plan.held_out.parts
    for part, rows, losses in (
        ("training", learnt, one.course.training),
        ("validation", held_out, one.course.validation),
    ):
        for stage in losses:
            for one_rows, loss in zip(rows, stage, strict=True):
                name, value = reported(one_rows, loss)
                curves.setdefault(f"{part}_{name}", []).append(value)
    return curves


class _RowsOf:
    """Rows as :mod:`counterbias_torch` takes them, the same ones for all who share them."""

    def __init__(self) -> None:
        self._known: dict[int, torch_rows.Rows] = {}

    def parts(self, data: Data, options: Options | None) -> tuple[torch_rows.Part, ...]:
        """Return what a network learns from; with no options, everything."""
        if options is None:
            return tuple(self._part(rows, np.arange(len(rows))) for rows in data.parts)
        return tuple(self._part(rows, rows.chosen) for rows, _ in batch_sizes(data, options))

    def _part(self, rows: Rows, chosen: NDArray[np.int64]) -> torch_rows.Part:
        # Rows of networks that leave out folds are other objects with the same arrays.
        key = id(rows.sequence)
        if key not in self._known:
            self._known[key] = _as_torch(rows)
        return torch_rows.Part(self._known[key], chosen)


def _as_torch(rows: Rows) -> torch_rows.Rows:
    if rows.squares:
        loss = torch_rows.SQUARES
    else:
        loss = torch_rows.SOFTMAX if rows.counts.shape[1] > 1 else torch_rows.LOGISTIC
    return torch_rows.Rows(
        rows.sequence,
        rows.counts.astype(np.float32),
        rows.weights.astype(np.float32),
        loss,
        overlapping=rows.counts.shape[1] > 1 and not rows.sets,
    )
