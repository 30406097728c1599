"""Train the networks of several models on a GPU, side by side, by :mod:`counterbias_torch`.

They learn from the same rows as on the processor, in fewer and larger steps and in single
precision. So their parameters are others, as with another seed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from counterbias import CrossFit, CrossFitting, FitReport, InputError, Resources
from counterbias_backends.cnn.distillation import (
    BATCH,
    LEARNING_RATE,
    Fitted,
    Lesson,
    Planned,
    make_lesson,
)
from counterbias_backends.cnn.network import ConvolutionalNetwork
from counterbias_backends.cnn.parameters import Networks, Shape, initial_parameters
from counterbias_backends.cnn.rows import Rows
from counterbias_backends.cnn.training import (
    STAGES,
    NetworksPlan,
    Trained,
    batch_sizes,
    mean_curves,
    reported,
)
from counterbias_torch import cross_fitting
from counterbias_torch import rows as torch_rows
from counterbias_torch.cross_fitting import Fit, accepted, plan_each, with_refusals
from counterbias_torch.data import Form
from counterbias_torch.devices import device_name
from counterbias_torch.fitting import Pupil
from counterbias_torch.fitting import Trained as TrainedNetwork
from counterbias_torch.lessons import rounded
from counterbias_torch.session import Session
from counterbias_torch.stack import LETTERS
from counterbias_torch.trainer import Job, Plan

#: Batches are this many times as large as on the processor, steps this part of theirs, and the
#: learning rate this many times theirs. Weight decay grows so that it shrinks weights as much.
BATCHES, STEPS, RATES = 4, 1 / 2, 2.0
#: The same for the network that is distilled, whose learning rate is the same.
DISTIL_BATCHES, DISTIL_STEPS = 4, 0.6


def fit_all(
    fits: Sequence[Fit[Any]], device: torch.device | None = None
) -> list[FitReport | InputError]:
    """Fit models of :mod:`.model`, of one window and options, or return why they refuse.

    ``device`` is by default the one that their resources ask for.
    """
    began = time.perf_counter()
    plans = plan_each(lambda one: one.model.plan(one.sample, one.rng), fits)
    fitted = with_refusals(plans, _fit(accepted(plans), fits[0].model.resources, device))
    seconds = (time.perf_counter() - began) / len(fits)
    return [
        found if isinstance(found, InputError) else one.model.take(found, seconds)
        for one, found in zip(fits, fitted, strict=True)
    ]


def cross_fit_all(
    fits: Sequence[CrossFitting], device: torch.device | None = None
) -> list[CrossFit | InputError]:
    """Make several cross-fits; implements ``BiasModel.cross_fit_together``.

    Networks leave out one fold each, or where that is not possible, models are fitted anew.
    """
    plans = plan_each(_plan_folded, fits)
    began, folded = time.perf_counter(), [plan for plan in accepted(plans) if plan is not None]
    fitted = iter(_fit(folded, fits[0].model.resources, device))
    seconds = (time.perf_counter() - began) / max(1, len(folded))
    anew = [one for one, plan in zip(fits, plans, strict=True) if plan is None]
    refitted = iter(_cross_fit_anew(anew, device))
    results: list[CrossFit | InputError] = []
    for one, plan in zip(fits, plans, strict=True):
        if isinstance(plan, InputError):
            results.append(plan)
        elif plan is None:
            results.append(next(refitted))
        else:
            model: Any = one.model
            results.append(model.take_folded(next(fitted), one.sample, seconds))
    return results


def _plan_folded(one: CrossFitting) -> Planned | None:
    model: Any = one.model
    planned: Planned | None = model.plan_folded(one.sample, one.rng)
    return planned


def _cross_fit_anew(
    fits: Sequence[CrossFitting], device: torch.device | None
) -> list[CrossFit | InputError]:
    """Fit models to whole samples, and one for each fold, all at once."""
    if not fits:
        return []
    every: list[CrossFit | InputError] = cross_fitting.cross_fit_all(
        fits, lambda wanted: fit_all(wanted, device)
    )
    return every


def _fit(
    planned: Sequence[Planned], resources: Resources, device: torch.device | None
) -> list[Fitted]:
    """Fit models of one shape and options."""
    if not planned:
        return []
    session = Session.on(device, resources)
    members = _train_members([one.networks for one in planned], session)
    fitted = _distil_all(planned, members, session)
    return [replace(one, details={**one.details, **session.details()}) for one in fitted]


def _train_members(plans: Sequence[NetworksPlan], session: Session) -> list[Trained]:
    """Train the networks of all models."""
    rows = _SharedRows()
    pupils = [_member(plan, member, rows) for plan in plans for member in range(len(plan.seeds))]
    trained = iter(_train("training cnn", pupils, plans[0].shape, session))
    return [_members(plan, [next(trained) for _ in plan.seeds], session) for plan in plans]


def _member(plan: NetworksPlan, member: int, rows: _SharedRows) -> Pupil:
    """Return one of a model's networks, with its first parameters and what it learns from."""
    rng, options = np.random.default_rng(plan.seeds[member]), plan.plan.options
    start = ConvolutionalNetwork(initial_parameters(plan.shape, rng), plan.shape)
    learnt = batch_sizes(plan.subset(member), options)
    held_out = [] if plan.held_out is None else plan.held_out.parts
    job = Job(
        tuple(rows.part(one, one.chosen) for one, _ in learnt),
        tuple(rows.part(one, np.arange(len(one))) for one in held_out),
        int(rng.integers(0, 2**62)),
    )
    decay = plan.plan.decay if options.decay >= 0 else rounded(plan.plan.decay)
    return Pupil(
        start,
        job,
        Plan(
            STAGES,
            round(rounded(max(1.0, STEPS * plan.plan.steps / STAGES))),
            tuple(BATCHES * size for _, size in learnt),
            RATES * options.learning_rate,
            decay / (STEPS * RATES),
            early_stopping=False,
        ),
    )


def _members(
    plan: NetworksPlan,
    trained: Sequence[TrainedNetwork],
    session: Session,
) -> Trained:
    """Return a model's networks as they are reported on the processor."""
    flat = np.stack([_flat(one, plan.shape) for one in trained])
    curves = mean_curves([_curves(plan, member, one) for member, one in enumerate(trained)])
    found = plan.trained(flat, curves, device_name(session.device))
    taken = trained[0].plan
    decay = taken.decay * STEPS * RATES
    return replace(found, details={**found.details, "steps": taken.total, "weight_decay": decay})


def _distil_all(
    planned: Sequence[Planned], members: Sequence[Trained], session: Session
) -> list[Fitted]:
    """Fit one network to the mean of several, for all models; or let these score themselves."""
    student, threads = planned[0].student, session.resources.threads
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
        LEARNING_RATE,
        early_stopping=False,
    )
    pupils = [
        Pupil(ConvolutionalNetwork(lesson.start, student), _distilling(lesson, one.rng), plan)
        for lesson, one in zip(lessons, planned, strict=True)
    ]
    trained = _train("distilling cnn", pupils, student, session)
    return [
        _distilled(one, lesson, _flat(network, student), threads)
        for one, lesson, network in zip(members, lessons, trained, strict=True)
    ]


def _distilling(lesson: Lesson, rng: np.random.Generator) -> Job:
    """Return what the network learns that scores for others: their mean score."""
    rows = torch_rows.Part.of_all(_as_torch(lesson.rows))
    return Job((rows,), (), int(rng.integers(0, 2**62)))


def _distilled(members: Trained, lesson: Lesson, flat: NDArray[np.float64], threads: int) -> Fitted:
    details = {**members.details, "distilled": True, **lesson.compare(flat, threads)}
    return Fitted(members, Networks(flat[None], lesson.shape), details)


def _train(
    stage: str, pupils: Sequence[Pupil], shape: Shape, session: Session
) -> list[TrainedNetwork]:
    """Train networks of one shape."""
    schooling = session.schooling(LETTERS, Form(shape.width, slides=True))
    (trained,) = session.train(stage, [(pupils, replace(schooling, decayed=_decayed))])
    return trained


def _decayed(module: nn.Module) -> frozenset[str]:
    """Return the parameters with weight decay: as on the processor, not the readout's."""
    return frozenset({"first_weight", "second_weight"})


def _flat(one: TrainedNetwork, shape: Shape) -> NDArray[np.float64]:
    """Return the parameters of a network as trained, float64 (size,)."""
    named = {name: values[None] for name, values in one.arrays().items()}
    flat: NDArray[np.float64] = shape.join(named)[0].astype(np.float64)
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


class _SharedRows:
    """Rows as :mod:`counterbias_torch` takes them, the same ones for all who share them."""

    def __init__(self) -> None:
        self._known: dict[int, torch_rows.Rows] = {}

    def part(self, rows: Rows, chosen: NDArray[np.int64]) -> torch_rows.Part:
        """Return some of the rows."""
        # Rows of networks that leave out folds are other objects with the same arrays.
        key = id(rows.sequence)
        if key not in self._known:
            self._known[key] = _as_torch(rows)
        return torch_rows.Part(self._known[key], chosen)


def _as_torch(rows: Rows) -> torch_rows.Rows:
    several = rows.counts.shape[1] > 1
    if rows.squares:
        loss = torch_rows.SQUARES
    else:
        loss = torch_rows.SOFTMAX if several else torch_rows.LOGISTIC
    return torch_rows.Rows(
        rows.sequence,
        rows.counts.astype(np.float32),
        rows.weights.astype(np.float32),
        loss,
        overlapping=several and not rows.sets,
    )
