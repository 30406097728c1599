"""Train one network to tell read starts from nearby positions: ``objective=ratio``.

In: a training set. Out: the parameters of one network with an output layer per position, and its
curves. The loss is the sum of two: for stretches of 32 neighbouring positions,
−Σ reads · ln softmax (the reads of a tile weigh less the more there are); for windows, the logistic
loss. Every step adds the gradients of two halves of its batches in a fixed order, whether or not
they were calculated at the same time, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from counterbias import InputError, Resources, Tiles, TrainingSet
from counterbias_backends.adam import Adam
from counterbias_backends.progress import Steps
from counterbias_backends.rnn.lanes import LANES
from counterbias_backends.rnn.loss import CompiledLoss
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import Parameters, initial_parameters
from counterbias_backends.rnn.position import LOGISTIC, SOFTMAX
from counterbias_backends.rnn.windows import Batch, Windows

#: Stretches and windows per step.
BATCH_STRETCHES, BATCH_WINDOWS = 8, 128
#: Where there are more stretches, this many are drawn.
MAX_STRETCHES = 60_000
#: Passes over the stretches, and limits of the number of optimiser steps.
EPOCHS, LEAST_STEPS, MOST_STEPS = 8, 800, 3000
#: Highest learning rate, and fraction of the steps in which it rises.
LEARNING_RATE, WARM_UP = 1e-2, 0.05
#: Weight decay times read starts, and limits of the weight decay.
DECAY, LEAST_DECAY, MOST_DECAY = 3e3, 0.03, 2.0
#: Points of the curves in the report.
STAGES = 20

#: Windows of one side, uint8 (n, width), and their weights, float64 (n,).
Side = tuple[NDArray[np.uint8], NDArray[np.float64]]


@dataclass(frozen=True)
class Part:
    """Windows of one loss.

    Args:
        windows: with targets.
        group: number of consecutive windows that are drawn together.
        mode: the loss, LOGISTIC or SOFTMAX.
    """

    windows: Windows
    group: int
    mode: int

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.windows) // self.group


@dataclass(frozen=True)
class Plan:
    """How the network is trained.

    Args:
        sizes: groups per batch, of each part.
        steps: of the optimiser.
        decay: weight decay.
    """

    sizes: tuple[int, ...]
    steps: int
    decay: float

    @classmethod
    def of(cls, parts: list[Part], starts: int) -> Plan:
        """Plan training on stretches and windows, or on windows alone."""
        wanted = [BATCH_STRETCHES, BATCH_WINDOWS] if len(parts) == 2 else [4 * BATCH_WINDOWS]
        sizes = tuple(min(size, part.groups) for size, part in zip(wanted, parts, strict=True))
        passes = EPOCHS * math.ceil(parts[0].groups / sizes[0])
        return cls(
            sizes,
            min(max(passes, LEAST_STEPS), MOST_STEPS),
            min(max(DECAY / starts, LEAST_DECAY), MOST_DECAY),
        )


@dataclass(frozen=True)
class RatioPlan:
    """The network of one model, to be trained.

    Args:
        parameters: those that training starts from.
        parts: what it learns from: stretches, where there are any, and windows.
        plan: how.
    """

    parameters: Parameters
    parts: list[Part]
    plan: Plan


@dataclass(frozen=True)
class TrainedRatio:
    """A network and how its training went."""

    parameters: Parameters
    curves: dict[str, list[float]]
    details: dict[str, object]


def train_ratio(
    cell: str, sample: TrainingSet, options: Options, rng: np.random.Generator, resources: Resources
) -> TrainedRatio:
    """Train one network on the training and the validation part.

    Raises InputError where there are no windows.
    """
    planned = plan_ratio(cell, sample, options, rng)
    curves = _train(planned, rng, resources)
    return trained_ratio(planned, planned.parameters, curves)


def plan_ratio(
    cell: str, sample: TrainingSet, options: Options, rng: np.random.Generator
) -> RatioPlan:
    """Plan the network of a model. Raises InputError where there are no windows."""
    sets = [sample] + ([sample.validation] if sample.validation is not None else [])
    foreground = np.concatenate([one.foreground for one in sets])
    foreground_weight = np.concatenate([one.foreground_weight for one in sets])
    background = np.concatenate([one.background for one in sets])
    background_weight = np.concatenate([one.background_weight for one in sets])
    for name, windows in (("read starts", foreground), ("background windows", background)):
        if not len(windows):
            raise InputError(
                f"no {name} to train a network with", remedy="use --bias-model pwm or more reads"
            )
    width = sample.window.width
    parts = [
        _windows(
            _at_most(options.max_windows, foreground, foreground_weight, rng),
            _at_most(options.max_windows, background, background_weight, rng),
        )
    ]
    stretches = [_stretches(one.tiles, width) for one in sets if one.tiles is not None]
    if sum(len(counts) for _, counts in stretches):
        parts.insert(0, _stretch_windows(stretches, rng))
    return RatioPlan(
        initial_parameters(cell, options.hidden, width, width, rng),
        parts,
        Plan.of(parts, len(foreground)),
    )


def trained_ratio(
    planned: RatioPlan, parameters: Parameters, curves: dict[str, list[float]]
) -> TrainedRatio:
    """Return a trained network, with details for the report."""
    details: dict[str, object] = {
        "cell": parameters.cell,
        "hidden": parameters.hidden,
        "objective": "ratio",
        "steps": planned.plan.steps,
        "weight_decay": planned.plan.decay,
        "windows": len(planned.parts[-1].windows),
        "stretches": planned.parts[0].groups if len(planned.parts) == 2 else 0,
    }
    return TrainedRatio(parameters, curves, details)


def _train(
    planned: RatioPlan, rng: np.random.Generator, resources: Resources
) -> dict[str, list[float]]:
    """Train a network in place, and return its curves."""
    parameters, parts, plan = planned.parameters, planned.parts, planned.plan
    network = Adam.of(parameters.flat)
    network.decays[:] = plan.decay
    losses = [
        CompiledLoss(parameters.cell, parameters.hidden, parameters.places, part.mode)
        for part in parts
    ]
    streams = [_Stream(part, size, rng) for part, size in zip(parts, plan.sizes, strict=True)]
    gradients = np.zeros((2, len(network.flat)), np.float32)
    curves = _Curves(["training_gain", "training_log_loss"][-len(parts) :], plan.steps)
    progress = Steps(resources, f"training {parameters.cell}", plan.steps)

    def losses_of(half: int, batches: list[tuple[Batch, Batch]]) -> list[float]:
        gradients[half] = 0
        return [
            loss(network.flat, halves[half], gradients[half])
            for loss, halves in zip(losses, batches, strict=True)
        ]

    with ThreadPoolExecutor(1) as pool:
        for step in range(1, plan.steps + 1):
            batches = [_halved(stream.take()) for stream in streams]
            if resources.threads > 1:
                second = pool.submit(losses_of, 1, batches)
                both = [losses_of(0, batches), second.result()]
            else:
                both = [losses_of(0, batches), losses_of(1, batches)]
            np.add(gradients[0], gradients[1], out=network.gradient)
            network.step(_learning_rate(step / plan.steps))
            curves.add(step, np.sum(both, axis=0))
            progress.advance()
    progress.finish()
    return curves.values


class _Stream:
    """An endless stream of batches of a part, in random order."""

    def __init__(self, part: Part, size: int, rng: np.random.Generator) -> None:
        self._part, self._size, self._rng = part, size, rng
        self._order, self._next = np.zeros(0, np.int64), 0

    def take(self) -> Batch:
        """Return the next batch; its loss is the mean per group."""
        if self._next + self._size > len(self._order):
            self._order, self._next = self._rng.permutation(self._part.groups), 0
        groups = self._order[self._next : self._next + self._size]
        self._next += self._size
        rows = (groups[:, None] * self._part.group + np.arange(self._part.group)).ravel()
        return Batch(self._part.windows, rows, 0, len(rows), 1 / len(groups))


def _halved(batch: Batch) -> tuple[Batch, Batch]:
    """Split a batch in two, so that stretches stay whole."""
    middle = min((batch.last // LANES + 1) // 2 * LANES, batch.last)
    return replace(batch, last=middle), replace(batch, first=middle)


class _Curves:
    """The curves of the losses: name → mean loss in each stage."""

    def __init__(self, names: list[str], steps: int) -> None:
        self.values: dict[str, list[float]] = {name: [] for name in names}
        self._steps, self._sums, self._before = steps, np.zeros(len(names)), 0

    def add(self, step: int, losses: NDArray[np.float64]) -> None:
        """Take the losses of a step, and add a point to each curve where a stage ends.

        The loss of stretches is reported as what is gained over all positions being alike, in bits
        per read.
        """
        self._sums += losses
        if step * STAGES // self._steps > (step - 1) * STAGES // self._steps:
            means = self._sums / (step - self._before)
            self._sums, self._before = np.zeros(len(means)), step
            for name, loss in zip(self.values, means.tolist(), strict=True):
                gain = name == "training_gain"
                self.values[name].append((math.log(LANES) - loss) / math.log(2) if gain else loss)


def _learning_rate(progress: float) -> float:
    """Return a learning rate that rises, then falls to 0 along half a cosine."""
    return LEARNING_RATE * min(1.0, progress / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))


def _at_most(
    most: int,
    windows: NDArray[np.uint8],
    weights: NDArray[np.float64],
    rng: np.random.Generator,
) -> Side:
    """Return windows and weights; where there are more than ``most``, that many are drawn."""
    if len(windows) > most:
        rows = np.sort(rng.choice(len(windows), most, replace=False))
        return windows[rows], weights[rows]
    return windows, weights


def _windows(foreground: Side, background: Side) -> Part:
    """Return both sides' windows; each side has half of the weight, and the mean weight is 1."""
    contexts = np.ascontiguousarray(np.concatenate([foreground[0], background[0]]), np.uint8)
    shares = [weights / weights.sum() for _, weights in (foreground, background)]
    weights = np.concatenate(shares) * len(contexts) / 2
    targets = np.concatenate([np.ones(len(foreground[0])), np.zeros(len(background[0]))])
    windows = Windows(contexts, weights.astype(np.float32), targets.astype(np.float32))
    return Part(windows, 1, LOGISTIC)


def _stretches(tiles: Tiles, width: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut tiles into stretches of 32 positions, and keep those with reads.

    Returns sequences, uint8 (n, 32 + width − 1), and counts, float64 (n, 32): those of a tile times
    its weight.
    """
    if tiles.counts.shape[1] < LANES:
        return np.zeros((0, LANES + width - 1), np.uint8), np.zeros((0, LANES))
    sequences, counts = [], []
    weights = tiles.weights()[:, None]
    for first in range(0, tiles.counts.shape[1] - LANES + 1, LANES):
        part = weights * tiles.counts[:, first : first + LANES]
        kept = part.sum(axis=1) > 0
        sequences.append(tiles.sequence[kept, first : first + LANES + width - 1])
        counts.append(part[kept])
    return np.concatenate(sequences), np.concatenate(counts)


def _stretch_windows(
    stretches: list[tuple[NDArray[np.uint8], NDArray[np.float64]]], rng: np.random.Generator
) -> Part:
    """Return the windows of stretches; weights make the reads of a stretch 1 on average."""
    sequence, counts = (np.concatenate(arrays) for arrays in zip(*stretches, strict=True))
    if len(counts) > MAX_STRETCHES:
        rows = np.sort(rng.choice(len(counts), MAX_STRETCHES, replace=False))
        sequence, counts = sequence[rows], counts[rows]
    width = sequence.shape[1] - LANES + 1
    contexts = np.ascontiguousarray(sliding_window_view(sequence, width, axis=1)).reshape(-1, width)
    weights = np.full(counts.size, len(counts) / counts.sum(), np.float32)
    windows = Windows(contexts, weights, counts.ravel().astype(np.float32))
    return Part(windows, LANES, SOFTMAX)
