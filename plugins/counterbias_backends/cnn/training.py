"""Train the networks: which windows and tiles, how many steps, what loss.

In: a training set. Out: the parameters of every network and how training went. Each network has a seed of its own and is
trained on its own, in double precision, so that neither threads nor device change the result by more than rounding.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from counterbias import FoldedSample, InputError, Resources, Tiles, TrainingSet
from counterbias_backends.adam import adam_step
from counterbias_backends.cnn.gradients import (
    add_layers,
    add_rows,
    add_scores,
    descend,
    fill_tables,
)
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.cnn.rows import Data, Draw, Rows, shuffled, tile_rows, window_rows
from counterbias_backends.gpu import require_gpu
from counterbias_backends.lanes import aligned
from counterbias_backends.progress import Steps

if TYPE_CHECKING:
    from counterbias_backends.cnn.model import Options

#: Points of the curves in the report.
STAGES = 20
#: Fraction of the steps in which the learning rate rises.
WARM_UP = 0.05
#: Bounds of the weight decay that ``decay`` divided by the number of starts gives.
LEAST_DECAY, MOST_DECAY = 0.1, 5.0


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Args:
        steps: of the optimiser; the learning rate rises at first and then falls to 0 along half a cosine.
        decay: weight decay of the weights of the first two layers.
    """

    steps: int
    decay: float


@dataclass(frozen=True)
class Trained:
    """All networks after training. Args: flat: float64 (networks, size); sample: what they learnt from; curves, details: for the report."""

    flat: NDArray[np.float64]
    sample: TrainingSet
    curves: dict[str, list[float]]
    details: dict[str, object]


#: Rows, an order of them, from where to where in it, and what multiplies their loss.
Part = tuple[Rows, NDArray[np.int64], int, int, float]


@dataclass
class State:
    """A network's parameters and those of its optimiser, float64 (size,) each. Args: step: steps taken; decays: weight decay."""

    flat: NDArray[np.float64]
    decays: NDArray[np.float64]
    gradient: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    step: int = 0

    @classmethod
    def of(cls, flat: NDArray[np.float64]) -> State:
        """Begin with these parameters, without weight decay."""
        return cls(aligned(flat), *(aligned(np.zeros_like(flat)) for _ in range(4)))


class NothingLeftError(ValueError):
    """A network that leaves a fold out would have nothing to learn from."""


class Gradient(Protocol):
    """Give the loss of some rows and add its gradient; ``order[first:last]`` are the rows, ``scale`` multiplies the loss."""

    def __call__(
        self, flat: NDArray[np.float64], parts: list[Part], gradient: NDArray[np.float64]
    ) -> list[float]:
        """Give the loss of each part; an empty ``gradient`` is not wanted."""
        ...

    def descend(
        self, state: State, draws: Sequence[Draw], rates: NDArray[np.float64]
    ) -> list[float]:
        """Take a step for each learning rate, with a batch of every draw (one or two); give the sum of the losses of each."""
        ...


def descend_singly(
    evaluate: Gradient, state: State, draws: Sequence[Draw], rates: NDArray[np.float64]
) -> list[float]:
    """Take the steps of :meth:`Gradient.descend` one by one."""
    orders = [draw.take(len(rates)) for draw in draws]
    sums = [0.0] * len(draws)
    for number, rate in enumerate(rates.tolist()):
        parts = [
            (draw.rows, order, number * draw.size, (number + 1) * draw.size, draw.scale)
            for draw, order in zip(draws, orders, strict=True)
        ]
        losses = evaluate(state.flat, parts, state.gradient)
        sums = [sum(pair) for pair in zip(sums, losses, strict=True)]
        state.step += 1
        adam_step(
            state.flat, state.gradient, state.first, state.second, state.step, rate, state.decays
        )
    return sums


class CompiledGradient:
    """The compiled code, with its tables of work."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        size = shape.places * 4**shape.kmer * shape.units
        self._words = np.zeros(4**shape.kmer * shape.channels)
        self._tables, self._errors = aligned(np.zeros(size)), aligned(np.zeros(size))

    def descend(
        self, state: State, draws: Sequence[Draw], rates: NDArray[np.float64]
    ) -> list[float]:
        """Take all steps without coming back to Python."""
        shape, losses = self.shape, np.zeros(2)
        one, two = draws[0], draws[1] if len(draws) > 1 else None
        more = (two or one).rows
        descend(
            state.flat, state.gradient, state.first, state.second, state.decays, state.step, rates,
            shape.kmer, shape.channels, shape.places, shape.units, shape.head, self._words, self._tables, self._errors, losses,
            one.rows.codes, one.rows.counts, one.rows.weights, one.rows.squares, one.rows.stride, one.take(len(rates)), one.size, one.scale,
            more.codes, more.counts, more.weights, more.stride, np.zeros(0, np.int64) if two is None else two.take(len(rates)),
            0 if two is None else two.size, 0.0 if two is None else two.scale,
        )  # fmt: skip
        state.step += len(rates)
        return losses[: len(draws)].tolist()

    def __call__(
        self, flat: NDArray[np.float64], parts: list[Part], gradient: NDArray[np.float64]
    ) -> list[float]:
        """Give the loss of each part and add the gradient of their sum."""
        shape = self.shape
        sizes = (shape.kmer, shape.channels, shape.places, shape.units)
        errors = self._errors if len(gradient) else self._errors[:0]
        fill_tables(flat, *sizes, self._words, self._tables)
        losses = [
            float(
                add_rows(
                    rows.codes, rows.counts, rows.weights, rows.squares, rows.stride, order, first, last, scale, shape.places, shape.units,
                    self._tables, flat, shape.head, errors, gradient,
                )
            )
            for rows, order, first, last, scale in parts
        ]  # fmt: skip
        if len(gradient):
            add_layers(flat, *sizes, self._words, self._errors, gradient)
        return losses

    def add_scores(
        self, flat: NDArray[np.float64], codes: NDArray[np.uint16], out: NDArray[np.float64]
    ) -> None:
        """Add a network's scores of windows, given by their words, uint16 (n, places), to ``out``, float64 (n,)."""
        shape = self.shape
        fill_tables(
            flat, shape.kmer, shape.channels, shape.places, shape.units, self._words, self._tables
        )
        add_scores(codes, shape.places, shape.units, self._tables, flat, shape.head, out)


def train(
    sample: TrainingSet,
    shape: Shape,
    options: Options,
    rng: np.random.Generator,
    resources: Resources,
    folded: FoldedSample | None = None,
) -> Trained:
    """Train ``options.members`` networks. Raises InputError where there are no windows, or the device is not there.

    With ``folded``, which holds ``sample`` split into folds, each network leaves a fold out: the first one the first fold, and so on, over
    and over.
    """
    for kind, number in (
        ("read starts", len(sample.foreground)),
        ("background windows", len(sample.background)),
    ):
        if not number:
            raise InputError(f"no {kind} to train a network with", remedy="use more reads")
    everything = sample
    judge = sample.validation
    if (
        judge is not None
        and options.learn_validation
        and len(judge.foreground)
        and len(judge.background)
    ):
        everything, judge = _joined(sample, judge), None
    tiles, kept = (
        (None, np.zeros(0, np.int64))
        if options.objective == "windows"
        else _chosen_tiles(everything.tiles, options, rng)
    )
    data = Data(
        shuffled(window_rows(everything, shape), rng),
        None if tiles is None else tile_rows(tiles, shape, options.cap),
    )
    check = None
    if judge is not None and len(judge.foreground) and len(judge.background):
        given = judge.tiles if tiles is not None else None
        check = Data(
            window_rows(judge, shape),
            None
            if given is None or not len(given.counts)
            else tile_rows(given, shape, options.cap),
        )
    every = (
        [data]
        if folded is None
        else [
            data.within(*_unseen(folded, fold, data.windows, kept)) for fold in range(folded.folds)
        ]
    )
    if any(not len(part.windows.chosen) for part in every):
        raise NothingLeftError("a fold holds every window")
    plan = Plan(max(_steps(part, options) for part in every), options.decay)
    if options.decay < 0:
        plan = replace(
            plan, decay=min(max(1e4 / len(everything.foreground), LEAST_DECAY), MOST_DECAY)
        )
    seeds = rng.integers(0, 2**62, size=options.members)
    maker, device = _gradient_maker(shape, resources.device)
    networks = [
        Network(maker(), shape, every[member % len(every)], check, options, plan, int(seed))
        for member, seed in enumerate(seeds)
    ]
    told = Steps(resources, "training cnn", plan.steps * options.members)
    try:
        train_networks(networks, resources.threads, threading.Event(), told.advance)
    finally:
        told.finish()
    # A network whose folds hold no tiles has no curve of theirs.
    told_by = {
        name: [one.curves[name] for one in networks if name in one.curves]
        for one in networks
        for name in one.curves
    }
    curves = {
        name: [float(np.mean(values)) for values in zip(*own, strict=True)]
        for name, own in told_by.items()
    }
    details: dict[str, object] = {
        "networks": options.members,
        "steps": plan.steps,
        "weight_decay": plan.decay,
        "device": device,
        "starts": len(everything.foreground),
        "background": len(everything.background),
        "tiles": 0 if data.tiles is None else len(data.tiles),
        "tile_reads": 0.0 if data.tiles is None else float(data.tiles.counts.sum()),
        "validation_learnt": everything is not sample or folded is not None,
    }
    return Trained(np.stack([one.flat for one in networks]), everything, curves, details)


def _unseen(
    folded: FoldedSample, fold: int, windows: Rows, kept: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which rows of windows and of the tiles that were ``kept`` a network may learn from that is not to see a fold."""
    front, back, tiles = folded.learnable(fold)
    alone = np.concatenate([front, back])
    return alone[windows.members].all(axis=1), tiles[kept] if len(tiles) else np.zeros(
        len(kept), bool
    )


class Network:
    """One network in training, a stage at a time.

    Args:
        evaluate: loss and gradient.
        shape: the network's.
        data: to learn from; ``check``: to report on, or None.
        options: of the backend.
        plan: steps and weight decay.
        seed: of the first parameters and the order of windows and tiles.
    """

    def __init__(
        self,
        evaluate: Gradient,
        shape: Shape,
        data: Data,
        check: Data | None,
        options: Options,
        plan: Plan,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(seed)
        self._evaluate, self._check, self._plan, self._rate = (
            evaluate,
            check,
            plan,
            options.learning_rate,
        )
        self._state = State.of(initial_parameters(shape, rng))
        for name in ("first_weight", "second_weight"):
            shape.split(self._state.decays)[name][...] = plan.decay
        self._draws = [Draw(rows, size, rng) for rows, size in _batches(data, options)]
        self.curves: dict[str, list[float]] = {}

    @property
    def flat(self) -> NDArray[np.float64]:
        """The parameters, float64 (size,)."""
        return self._state.flat

    @property
    def done(self) -> bool:
        """Whether all steps are taken."""
        return self._state.step == self._plan.steps

    def advance(self, stop: threading.Event, told: Callable[[int], None]) -> None:
        """Take the steps of a stage, and note the losses. Raises RuntimeError when ``stop`` is set: nobody wants the result any more."""
        if stop.is_set():
            raise RuntimeError("training was stopped")
        begun, steps = self._state.step, self._plan.steps
        last = min(steps, -(-(begun * STAGES // steps + 1) * steps // STAGES))
        sums = self._evaluate.descend(
            self._state, self._draws, self._rate * schedule(np.arange(begun + 1, last + 1) / steps)
        )
        told(last - begun)
        for draw, loss in zip(self._draws, sums, strict=True):
            name, value = _shown(draw.rows, loss / (last - begun))
            self.curves.setdefault(f"training_{name}", []).append(value)
        for name, value in (
            [] if self._check is None else _judged(self._evaluate, self.flat, self._check)
        ):
            self.curves.setdefault(f"validation_{name}", []).append(value)


def train_networks(
    networks: Sequence[Network],
    threads: int,
    stop: threading.Event,
    told: Callable[[int], None] = lambda steps: None,
) -> None:
    """Train networks on several threads, a stage of each in turn, so that threads end together. Each is the same whatever the threads."""
    waiting, lock = deque(networks), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                network = waiting.popleft()
            network.advance(stop, told)
            if not network.done:
                with lock:
                    waiting.append(network)

    with ThreadPoolExecutor(min(threads, len(networks))) as pool:
        try:
            for future in [pool.submit(work) for _ in range(min(threads, len(networks)))]:
                future.result()
        except BaseException:
            stop.set()
            raise


def initial_parameters(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw parameters: Gaussian, with a variance that keeps that of the layers (He et al. 2015); a small readout; biases 0."""
    flat = np.zeros(shape.size)
    named = shape.split(flat)
    for name, variance in (
        ("first_weight", 2 / shape.kmer),
        ("second_weight", 2 / (shape.places * shape.channels)),
        ("readout_weight", 0.09 / shape.units),
    ):
        named[name][...] = rng.normal(0.0, math.sqrt(variance), named[name].shape)
    return flat


def schedule(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the learning rate as a fraction of its highest: it rises, and falls along half a cosine."""
    return np.asarray(np.minimum(1.0, progress / WARM_UP) * 0.5 * (1 + np.cos(math.pi * progress)))


def _batches(data: Data, options: Options) -> list[tuple[Rows, int]]:
    windows = math.ceil(options.batch_windows / data.windows.counts.shape[1])
    if data.tiles is None:
        return [(data.windows, 4 * windows)]
    if options.objective == "tiles":
        return [(data.tiles, options.batch_tiles)]
    return [(data.tiles, options.batch_tiles), (data.windows, windows)]


def _steps(data: Data, options: Options) -> int:
    rows, size = _batches(data, options)[0]
    return min(
        max(options.epochs * math.ceil(len(rows.chosen) / size), options.min_steps),
        options.max_steps,
    )


def _shown(rows: Rows, loss: float) -> tuple[str, float]:
    """Name a loss and give it as it is reported: bits gained per read over all places of its row being alike, or nats per window."""
    length = rows.counts.shape[1]
    if length == 1:
        return "log_loss", loss
    return "start_gain" if rows.sets else "gain", (math.log(length) - loss) / math.log(2)


def _judged(evaluate: Gradient, flat: NDArray[np.float64], check: Data) -> list[tuple[str, float]]:
    given = [rows for rows in (check.tiles, check.windows) if rows is not None]
    parts = [
        (rows, np.arange(len(rows)), 0, len(rows), 1 / (len(rows) * rows.mass)) for rows in given
    ]
    losses = evaluate(flat, parts, flat[:0])
    return [_shown(rows, loss) for rows, loss in zip(given, losses, strict=True)]


def _chosen_tiles(
    tiles: Tiles | None, options: Options, rng: np.random.Generator
) -> tuple[Tiles | None, NDArray[np.int64]]:
    """Leave out tiles without reads, and draw ``max_tiles`` of more; None where none are left or they have one position. And their rows."""
    if tiles is None or tiles.counts.ndim != 2 or tiles.counts.shape[1] < 2:
        return None, np.zeros(0, np.int64)
    rows = np.flatnonzero(tiles.counts.sum(axis=1) > 0)
    if len(rows) > options.max_tiles:
        rows = np.sort(rng.choice(rows, options.max_tiles, replace=False))
    return (Tiles(tiles.sequence[rows], tiles.counts[rows]) if len(rows) else None), rows


def _joined(one: TrainingSet, two: TrainingSet) -> TrainingSet:
    """Join a training and a validation part."""
    tiles = one.tiles
    if one.tiles is not None and two.tiles is not None:
        tiles = Tiles(
            np.concatenate([one.tiles.sequence, two.tiles.sequence]), np.concatenate([one.tiles.counts, two.tiles.counts])
        )  # fmt: skip
    return TrainingSet(
        one.window,
        np.concatenate([one.foreground, two.foreground]),
        np.concatenate([one.foreground_weight, two.foreground_weight]),
        np.concatenate([one.background, two.background]),
        np.concatenate([one.background_weight, two.background_weight]),
        tiles,
        origin=None
        if one.origin is None or two.origin is None
        else np.concatenate([one.origin, two.origin + len(one.foreground)]),
    )


def _gradient_maker(shape: Shape, device: str) -> tuple[Callable[[], Gradient], str]:
    """Give what makes a network's gradient, and the device's name.

    ``auto`` is the processor: a few seconds of compiled code that never waits for a GPU of which each step would use little.
    """
    if device != "cuda":
        return lambda: CompiledGradient(shape), "cpu"
    where = require_gpu()
    from counterbias_backends.cnn.device import TorchGradient

    return lambda: TorchGradient(shape, where), where
