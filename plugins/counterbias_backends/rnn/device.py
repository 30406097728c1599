"""Train the networks of several models on a GPU, side by side, by :mod:`counterbias_torch`.

They learn from the same windows as on the processor, in fewer and larger steps: a GPU takes about
as long for a step of a thousand windows as for one of 64. So their parameters are others, as with
another seed.
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

from counterbias import FitReport, InputError
from counterbias_backends.rnn.lanes import LANES
from counterbias_backends.rnn.network import CharacterNetwork, PositionNetwork
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import Parameters, initial_parameters
from counterbias_backends.rnn.position import SOFTMAX as STRETCHES
from counterbias_backends.rnn.ratio import (
    LEARNING_RATE,
    STAGES,
    RatioPlan,
    TrainedRatio,
    plan_ratio,
    trained_ratio,
)
from counterbias_backends.rnn.ratio import Part as RatioPart
from counterbias_backends.rnn.stack import RecurrentStack
from counterbias_backends.rnn.training import (
    Job,
    PairPlan,
    TrainedNetwork,
    TrainedPair,
    best_pair,
    plan_pair,
)
from counterbias_backends.rnn.windows import Windows
from counterbias_torch.cross_fitting import Fit, accepted, plan_each, with_refusals
from counterbias_torch.data import Form
from counterbias_torch.fitting import Pupil, Schooling, Trained
from counterbias_torch.lessons import rounded
from counterbias_torch.rows import BASES, LOGISTIC, SOFTMAX, Part, Rows
from counterbias_torch.session import Session
from counterbias_torch.stack import CODES
from counterbias_torch.trainer import Job as TorchJob
from counterbias_torch.trainer import Plan

#: Batches of language models are this many times as large as on the processor, the least number of
#: steps is this part of theirs, and the learning rate this many times theirs.
BATCHES, LEAST_STEPS, RATES = 16, 1 / 8, 4.0
#: The same for the networks of ``objective=ratio``, of which all steps are fewer.
#: Weight decay grows so that it shrinks weights as much.
RATIO_BATCHES, RATIO_STEPS, RATIO_RATES = 8, 1 / 4, 2.0


def fit_all(
    fits: Sequence[Fit[Any]], device: torch.device | None = None
) -> list[FitReport | InputError]:
    """Fit models of :mod:`.model`, of one class, window and options, or return why they refuse.

    ``device`` is by default the one that their resources ask for.
    """
    began, first = time.perf_counter(), fits[0].model
    session = Session.on(device, first.resources)
    fit = _fit_ratios if first.options.objective == "ratio" else _fit_pairs
    reports = fit(fits, session)
    seconds = (time.perf_counter() - began) / len(fits)
    return [
        found
        if isinstance(found, InputError)
        else replace(found, seconds=seconds, details={**found.details, **session.details()})
        for found in reports
    ]


def _fit_pairs(fits: Sequence[Fit[Any]], session: Session) -> list[FitReport | InputError]:
    cell, options = fits[0].model.cell, fits[0].model.options
    plans = plan_each(lambda one: plan_pair(cell, one.sample, options, one.rng), fits)
    trained = with_refusals(plans, train_pairs(accepted(plans), options, session))
    return [
        found if isinstance(found, InputError) else one.model.take_pair(found, 0.0)
        for one, found in zip(fits, trained, strict=True)
    ]


def _fit_ratios(fits: Sequence[Fit[Any]], session: Session) -> list[FitReport | InputError]:
    cell, options = fits[0].model.cell, fits[0].model.options

    def plan(one: Fit[Any]) -> tuple[RatioPlan, int]:
        return plan_ratio(cell, one.sample, options, one.rng), int(one.rng.integers(0, 2**62))

    plans = plan_each(plan, fits)
    trained = with_refusals(plans, train_ratios(accepted(plans), session))
    return [
        found if isinstance(found, InputError) else one.model.take_ratio(found, 0.0)
        for one, found in zip(fits, trained, strict=True)
    ]


def train_pairs(plans: Sequence[PairPlan], options: Options, session: Session) -> list[TrainedPair]:
    """Train the networks of several models, those of each size side by side."""
    jobs = [job for plan in plans for job in plan.jobs]
    if not jobs:
        return []
    width = jobs[0].part.training.width
    places = width if options.position_head else 0
    schooling = _schooling(width, session)
    sizes = {
        hidden: [number for number, job in enumerate(jobs) if job.hidden == hidden]
        for hidden in dict.fromkeys(job.hidden for job in jobs)
    }
    found = session.train(
        f"training {jobs[0].cell}",
        [
            ([_language_pupil(jobs[number], places, options) for number in numbers], schooling)
            for numbers in sizes.values()
        ],
    )
    networks: dict[int, TrainedNetwork] = {}
    for numbers, trained in zip(sizes.values(), found, strict=True):
        for number, one in zip(numbers, trained, strict=True):
            networks[number] = _language_network(jobs[number], places, one)
    in_order = iter(networks[number] for number in range(len(jobs)))
    return [best_pair(plan, [next(in_order) for _ in plan.jobs]) for plan in plans]


def _language_pupil(job: Job, places: int, options: Options) -> Pupil:
    rng = np.random.default_rng(job.seed)
    start = initial_parameters(job.cell, job.hidden, job.part.training.width, places, rng)
    parts, checks = (
        (_language_part(windows),) for windows in (job.part.training, job.part.validation)
    )
    torch_job = TorchJob(parts, checks, int(rng.integers(0, 2**62)))
    return Pupil(_module(start), torch_job, _language_plan(len(job.part.training), options))


def _language_part(windows: Windows) -> Part:
    targets = np.ones((len(windows), 1), np.float32)  # not looked at
    return Part.of_all(Rows(windows.contexts, targets, windows.weights, BASES))


def _language_plan(windows: int, options: Options) -> Plan:
    """Plan the training of a network that learns from this many windows."""
    windows = round(rounded(windows))
    batch = min(BATCHES * options.batch, windows)
    batches = math.ceil(windows / batch)
    least = LEAST_STEPS * options.min_steps / options.epochs
    return Plan(
        epochs=options.epochs,
        steps=batches * max(1, math.ceil(least / batches)),
        batches=(batch,),
        learning_rate=RATES * options.learning_rate,
        patience=options.patience,
    )


def _language_network(job: Job, places: int, one: Trained) -> TrainedNetwork:
    """Return a network as it is reported on the processor."""
    windows_per_epoch = one.plan.steps * one.plan.batches[0]
    return TrainedNetwork(
        Parameters.from_arrays(job.cell, job.hidden, _named_arrays(one), places),
        max(1, windows_per_epoch // len(job.part.training)),
        [math.exp(losses[0]) for losses in one.course.training],
        [math.exp(losses[0]) for losses in one.course.validation],
    )


def train_ratios(plans: Sequence[tuple[RatioPlan, int]], session: Session) -> list[TrainedRatio]:
    """Train the networks of several models, each with the seed of the order of its rows."""
    if not plans:
        return []
    pupils = [
        Pupil(
            _module(planned.parameters),
            TorchJob(tuple(_ratio_part(part) for part in planned.parts), (), seed),
            Plan(
                STAGES,
                round(rounded(max(1.0, RATIO_STEPS * planned.plan.steps / STAGES))),
                tuple(RATIO_BATCHES * size for size in planned.plan.sizes),
                RATIO_RATES * LEARNING_RATE,
                rounded(planned.plan.decay) / (RATIO_STEPS * RATIO_RATES),
            ),
        )
        for planned, seed in plans
    ]
    every = [planned for planned, _ in plans]
    start = every[0].parameters
    schooling = replace(_schooling(start.places, session), decayed=_all_parameters)
    (found,) = session.train(f"training {start.cell}", [(pupils, schooling)])
    return [_ratio_network(planned, one) for planned, one in zip(every, found, strict=True)]


def _ratio_part(part: RatioPart) -> Part:
    """Return stretches or windows as rows; the windows of a stretch overlap."""
    windows = part.windows
    contexts = windows.contexts.reshape(part.groups, part.group, -1)
    targets = windows.targets.reshape(part.groups, part.group)
    weights = np.ascontiguousarray(windows.weights.reshape(part.groups, part.group)[:, 0])
    if part.mode != STRETCHES:
        return Part.of_all(Rows(contexts[:, 0], targets, weights, LOGISTIC))
    sequence = np.concatenate([contexts[:, 0], contexts[:, 1:, -1]], axis=1)
    return Part.of_all(Rows(sequence, targets, weights, SOFTMAX, overlapping=True))


def _ratio_network(planned: RatioPlan, one: Trained) -> TrainedRatio:
    """Return a network as it is reported on the processor, with what its training really was."""
    start = planned.parameters
    curves = {}
    for part, losses in zip(planned.parts, zip(*one.course.training, strict=True), strict=True):
        gain = part.mode == STRETCHES
        curves["training_gain" if gain else "training_log_loss"] = [
            (math.log(LANES) - loss) / math.log(2) if gain else loss for loss in losses
        ]
    decay = one.plan.decay * RATIO_STEPS * RATIO_RATES
    taken = replace(planned.plan, steps=one.plan.total, decay=decay)
    return trained_ratio(
        replace(planned, plan=taken),
        Parameters.from_arrays(start.cell, start.hidden, _named_arrays(one), start.places),
        curves,
    )


def _module(start: Parameters) -> nn.Module:
    """Return a network with its first parameters; what it is for is decided by the loss."""
    if start.places:
        return PositionNetwork.from_parameters(start, ratio=False)
    return CharacterNetwork.from_parameters(start)


def _schooling(width: int, session: Session) -> Schooling:
    schooling = session.schooling(CODES, Form(width, slides=False))
    return replace(schooling, make_stack=lambda modules, trial: RecurrentStack(modules))


def _named_arrays(one: Trained) -> dict[str, NDArray[np.float32]]:
    """Return the parameters by the names of arrays: ``cell.weight_hh_l0`` is ``weight_hh``."""
    return {
        name.removeprefix("cell.").removesuffix("_l0").replace(".", "_"): values
        for name, values in one.arrays().items()
    }


def _all_parameters(module: nn.Module) -> frozenset[str]:
    return frozenset(name for name, _ in module.named_parameters())
