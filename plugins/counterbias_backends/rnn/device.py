"""Train the networks of several models on a GPU, side by side, by :mod:`counterbias_torch`.

They learn from the same windows as on the processor, in fewer and larger steps: a GPU takes about
as long for a step of a thousand windows as for one of 64. So their parameters are others, as with
another seed, and gains the same within the spread of seeds (``benchmarks/gpu.py``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from counterbias import FitReport, InputError, TrainingSet
from counterbias_backends.progress import Steps
from counterbias_backends.rnn.lanes import LANES
from counterbias_backends.rnn.network import CharacterNetwork, PositionNetwork
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import Parameters, initial_parameters
from counterbias_backends.rnn.position import SOFTMAX as STRETCHES
from counterbias_backends.rnn.ratio import (
    LEARNING_RATE,
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
from counterbias_torch.cross_fitting import Fit
from counterbias_torch.data import Form
from counterbias_torch.devices import choose_device, device_name
from counterbias_torch.fitting import Pupil, Schooling, Trained, train_pupils
from counterbias_torch.lessons import rounded
from counterbias_torch.reporting import remarks_of
from counterbias_torch.rows import BASES, LOGISTIC, SOFTMAX, Part, Rows
from counterbias_torch.stack import CODES
from counterbias_torch.trainer import Job as TorchJob
from counterbias_torch.trainer import Plan

#: Batches of language models are this many times as large as on the processor, the least number of
#: steps is this part of theirs, and the learning rate this many times theirs.
BATCHES, LEAST_STEPS, RATES = 16, 1 / 8, 4.0
#: The same for the networks of ``objective=ratio``, of which all steps are fewer.
RATIO_BATCHES, RATIO_STEPS, RATIO_RATES = 8, 1 / 4, 2.0
#: Points of the curves of ``objective=ratio`` in the report.
STAGES = 20


@dataclass
class Run:
    """One run on a device.

    Args:
        device: where networks are trained.
        advance: called with numbers of steps taken.
        remarks: what the user should know, one line each.
    """

    device: torch.device
    advance: Callable[[int], None] = lambda steps: None
    remarks: set[str] = field(default_factory=set)

    def train(self, pupils: Sequence[Pupil], schooling: Schooling) -> list[Trained]:
        """Train networks."""
        trained = train_pupils(pupils, schooling)
        self.remarks.update(remarks_of(trained))
        return trained


def fit_one(model: Any, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
    """Fit one model on a GPU. Raises InputError as its fit on the processor does."""
    (found,) = fit_all([Fit(model, sample, rng)])
    if isinstance(found, InputError):
        raise found
    return found


def fit_all(
    fits: Sequence[Fit[Any]], device: torch.device | None = None
) -> list[FitReport | InputError]:
    """Fit models of one class, window and options, by default on the GPU."""
    began, first = time.perf_counter(), fits[0].model
    ratio = first.options.objective == "ratio"
    plans = [_planned(one, ratio) for one in fits]
    progress = Steps(first.resources, f"training {first.cell}", 0)
    run = Run(choose_device("cuda") if device is None else device, progress.advance)
    try:
        trained = iter(_train(plans, fits, run))
    finally:
        progress.finish()
    seconds = (time.perf_counter() - began) / len(fits)
    results: list[FitReport | InputError] = []
    for one, plan in zip(fits, plans, strict=True):
        if isinstance(plan, InputError):
            results.append(plan)
            continue
        take = one.model.take_ratio if ratio else one.model.take_pair
        report = take(next(trained), seconds)
        found: dict[str, object] = {"device": device_name(run.device)}
        if run.remarks:
            found["remarks"] = sorted(run.remarks)
        results.append(replace(report, details={**report.details, **found}))
    return results


def _train(
    plans: Sequence[PairPlan | RatioPlan | InputError], fits: Sequence[Fit[Any]], run: Run
) -> Sequence[TrainedPair | TrainedRatio]:
    """Train the networks of all models that are not refused."""
    pairs = [plan for plan in plans if isinstance(plan, PairPlan)]
    if pairs:
        return train_pairs(pairs, fits[0].model.options, run)
    ratios = [
        (plan, int(one.rng.integers(0, 2**62)))
        for plan, one in zip(plans, fits, strict=True)
        if isinstance(plan, RatioPlan)
    ]
    return (
        train_ratios([plan for plan, _ in ratios], [seed for _, seed in ratios], run)
        if ratios
        else []
    )


def _planned(one: Fit[Any], ratio: bool) -> PairPlan | RatioPlan | InputError:
    """Plan a model's networks, or return why there are too few windows."""
    plan = plan_ratio if ratio else plan_pair
    try:
        return plan(one.model.cell, one.sample, one.model.options, one.rng)
    except InputError as refusal:
        return refusal


def train_pairs(plans: Sequence[PairPlan], options: Options, run: Run) -> list[TrainedPair]:
    """Train the networks of several models."""
    jobs = [job for plan in plans for job in plan.jobs]
    trained: dict[int, TrainedNetwork] = {}
    for hidden in dict.fromkeys(job.hidden for job in jobs):
        rows = [row for row, job in enumerate(jobs) if job.hidden == hidden]
        found = _train_language([jobs[row] for row in rows], options, run)
        trained.update(zip(rows, found, strict=True))
    networks = iter(trained[row] for row in range(len(jobs)))
    return [best_pair(plan, [next(networks) for _ in plan.jobs]) for plan in plans]


def _train_language(jobs: Sequence[Job], options: Options, run: Run) -> list[TrainedNetwork]:
    """Train networks of one size."""
    cell, hidden, width = jobs[0].cell, jobs[0].hidden, jobs[0].part.training.width
    places = width if options.position_head else 0
    rngs = [np.random.default_rng(job.seed) for job in jobs]
    starts = [initial_parameters(cell, hidden, width, places, rng) for rng in rngs]
    pupils = [
        _pupil(
            start,
            TorchJob(
                (_language_part(job.part.training),),
                (_language_part(job.part.validation),),
                int(rng.integers(0, 2**62)),
            ),
            _language_plan(len(job.part.training), options),
        )
        for job, rng, start in zip(jobs, rngs, starts, strict=True)
    ]

    found = run.train(pupils, _schooling(width, run))
    return [
        TrainedNetwork(
            _parameters(start, one),
            max(1, one.plan.steps * one.plan.batches[0] // len(job.part.training)),
            [math.exp(losses[0]) for losses in one.course.training],
            [math.exp(losses[0]) for losses in one.course.validation],
        )
        for job, one, start in zip(jobs, found, starts, strict=True)
    ]


def _language_plan(windows: int, options: Options) -> Plan:
    """Plan the training of a language model that learns from this many windows."""
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


def train_ratios(plans: Sequence[RatioPlan], seeds: Sequence[int], run: Run) -> list[TrainedRatio]:
    """Train the networks of several models; ``seeds`` are those of the order of rows."""
    pupils = [
        _pupil(
            planned.parameters,
            TorchJob(tuple(_ratio_part(part) for part in planned.parts), (), seed),
            Plan(
                STAGES,
                round(rounded(max(1.0, RATIO_STEPS * planned.plan.steps / STAGES))),
                tuple(RATIO_BATCHES * size for size in planned.plan.sizes),
                RATIO_RATES * LEARNING_RATE,
                rounded(planned.plan.decay),
                patience=STAGES,
            ),
        )
        for planned, seed in zip(plans, seeds, strict=True)
    ]
    schooling = _schooling(plans[0].parameters.places, run)
    found = run.train(pupils, replace(schooling, decayed=_every))
    return [
        trained_ratio(
            _as_trained(planned, one), _parameters(planned.parameters, one), _curves(planned, one)
        )
        for planned, one in zip(plans, found, strict=True)
    ]


def _as_trained(planned: RatioPlan, one: Trained) -> RatioPlan:
    """Return the plan with the steps and the weight decay of the training."""
    plan = replace(planned.plan, steps=one.plan.total, decay=one.plan.decay)
    return replace(planned, plan=plan)


def _curves(planned: RatioPlan, one: Trained) -> dict[str, list[float]]:
    """Return the curves as they are on the processor."""
    curves = {}
    for part, losses in zip(planned.parts, zip(*one.course.training, strict=True), strict=True):
        gain = part.mode == STRETCHES
        curves["training_gain" if gain else "training_log_loss"] = [
            (math.log(LANES) - loss) / math.log(2) if gain else loss for loss in losses
        ]
    return curves


def _every(module: nn.Module) -> frozenset[str]:
    return frozenset(name for name, _ in module.named_parameters())


def _pupil(start: Parameters, job: TorchJob, plan: Plan) -> Pupil:
    """Return a network with its first parameters."""
    if start.places:
        return Pupil(PositionNetwork.from_parameters(start, ratio=False), job, plan)
    return Pupil(CharacterNetwork.from_parameters(start), job, plan)


def _parameters(start: Parameters, one: Trained) -> Parameters:
    """Return the parameters of a network as trained."""
    state = {name: value.cpu().numpy() for name, value in one.course.state.items()}
    named = {_array_name(name): value for name, value in state.items()}
    return Parameters.from_arrays(start.cell, start.hidden, named, start.places)


def _array_name(name: str) -> str:
    """Return the name of an array: ``cell.weight_hh_l0`` is ``weight_hh``."""
    return name.removeprefix("cell.").removesuffix("_l0").replace(".", "_")


def _schooling(width: int, run: Run) -> Schooling:
    return Schooling(
        CODES,
        Form(width, slides=False),
        run.device,
        threads=1,
        advance=run.advance,
        make_stack=lambda modules, trial: RecurrentStack(modules),
    )


def _language_part(windows: Windows) -> Part:
    ones = np.ones((len(windows), 1), np.float32)
    return Part.of_all(Rows(windows.contexts, ones, windows.weights, BASES))


def _ratio_part(part: RatioPart) -> Part:
    """Return stretches or windows as rows; the windows of a stretch overlap."""
    windows = part.windows
    contexts = windows.contexts.reshape(part.groups, part.group, -1)
    targets = windows.targets.reshape(part.groups, part.group)
    weights: NDArray[np.float32] = windows.weights.reshape(part.groups, part.group)[:, 0]
    if part.mode == STRETCHES:
        sequence = np.concatenate([contexts[:, 0], contexts[:, 1:, -1]], axis=1)
        rows = Rows(sequence, targets, np.ascontiguousarray(weights), SOFTMAX, overlapping=True)
    else:
        rows = Rows(contexts[:, 0], targets, weights, LOGISTIC)
    return Part.of_all(rows)
