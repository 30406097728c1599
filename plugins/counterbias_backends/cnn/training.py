"""Train the networks: what they learn from, for how many steps, on which device.

In: a training set. Out: the parameters of every network, curves and details for the report. Each
network is trained independently of the others, in double precision and with its own seed, so that
neither threads nor device change the result by more than rounding. :class:`Trainer` is the loop.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias import FoldedSample, InputError, Resources, Tiles, TrainingSet
from counterbias_backends.adam import Adam
from counterbias_backends.cnn.loss import Batch, CompiledLoss
from counterbias_backends.cnn.options import Options
from counterbias_backends.cnn.parameters import Networks, Shape, initial_parameters
from counterbias_backends.cnn.rows import Batches, Data, Rows, shuffled, tile_rows, window_rows
from counterbias_backends.lanes import aligned
from counterbias_backends.progress import Steps

#: Points of the curves in the report.
STAGES = 20
#: Fraction of the steps in which the learning rate rises.
WARM_UP = 0.05
#: Limits of the weight decay that is derived from the number of starts.
LEAST_DECAY, MOST_DECAY = 0.1, 5.0


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Args:
        options: the backend's.
        steps: of the optimiser.
        decay: weight decay of the weights of the first two layers.
    """

    options: Options
    steps: int
    decay: float


@dataclass(frozen=True)
class Trained:
    """All networks after training.

    Args:
        networks: their parameters.
        sample: what they learnt from.
        curves, details: for the report.
    """

    networks: Networks
    sample: TrainingSet
    curves: dict[str, list[float]]
    details: dict[str, object]


@dataclass(frozen=True)
class NetworksPlan:
    """The networks of one model, to be trained.

    Args:
        shape: of each.
        subsets: what they learn from: the first network from the first subset, and so on, starting
            over after the last one.
        plan: how.
        seeds: of the networks.
        held_out: what they are evaluated on, or None.
        sample: what they learn from, as a training set.
        details: for the report.
    """

    shape: Shape
    subsets: list[Data]
    plan: Plan
    seeds: list[int]
    held_out: Data | None
    sample: TrainingSet
    details: dict[str, object]

    def subset(self, member: int) -> Data:
        """Return what a network learns from."""
        return self.subsets[member % len(self.subsets)]

    def trained(
        self, flat: NDArray[np.float64], curves: dict[str, list[float]], device: str
    ) -> Trained:
        """Return the networks as trained, float64 (networks, size)."""
        return Trained(
            Networks(flat, self.shape), self.sample, curves, {**self.details, "device": device}
        )


class NothingLeftError(ValueError):
    """A network that leaves out a fold would have nothing to learn from."""


def train(networks: NetworksPlan, resources: Resources) -> Trained:
    """Train the networks of a model on the processor."""
    plan, members = networks.plan, len(networks.seeds)
    trainers = [
        Trainer(networks.shape, networks.subset(member), plan, seed, networks.held_out)
        for member, seed in enumerate(networks.seeds)
    ]
    progress = Steps(resources, "training cnn", plan.steps * members)
    try:
        train_all(trainers, resources.threads, threading.Event(), progress.advance)
    finally:
        progress.finish()
    flat = np.stack([trainer.flat for trainer in trainers])
    return networks.trained(flat, mean_curves([trainer.curves for trainer in trainers]), "cpu")


def plan_networks(
    sample: TrainingSet,
    shape: Shape,
    options: Options,
    rng: np.random.Generator,
    folded: FoldedSample | None = None,
) -> NetworksPlan:
    """Plan ``options.members`` networks.

    With ``folded``, which holds ``sample`` split into folds, each network leaves out one fold: the
    first network the first fold, and so on, starting over after the last fold.

    Raises:
        InputError: there are no windows.
        NothingLeftError: a fold holds every window.
    """
    for windows, number in (
        ("read starts", len(sample.foreground)),
        ("background windows", len(sample.background)),
    ):
        if not number:
            raise InputError(f"no {windows} to train a network with", remedy="use more reads")
    learnt, held_out = _learnt_and_held_out(sample, options)
    tiles, kept = _chosen_tiles(learnt.tiles, options, rng)
    data = Data(
        shuffled(window_rows(learnt, shape), rng),
        None if tiles is None else tile_rows(tiles, shape, options.cap),
    )
    check = None if held_out is None else _held_out_data(held_out, shape, data, options.cap)
    subsets = [data]
    if folded is not None:
        subsets = [
            data.within(*_learnable_rows(folded, fold, data.windows, kept))
            for fold in range(folded.folds)
        ]
    if any(not len(subset.windows.chosen) for subset in subsets):
        raise NothingLeftError("a fold holds every window")
    plan = Plan(
        options,
        max(_steps(subset, options) for subset in subsets),
        _decay(options, len(learnt.foreground)),
    )
    details: dict[str, object] = {
        "networks": options.members,
        "steps": plan.steps,
        "weight_decay": plan.decay,
        "starts": len(learnt.foreground),
        "background": len(learnt.background),
        "tiles": 0 if data.tiles is None else len(data.tiles),
        "tile_reads": 0.0 if data.tiles is None else float(data.tiles.counts.sum()),
        "validation_learnt": learnt is not sample or folded is not None,
    }
    seeds = rng.integers(0, 2**62, size=options.members).tolist()
    return NetworksPlan(shape, subsets, plan, seeds, check, learnt, details)


class Trainer:
    """Train one network, a stage of its steps at a time.

    Args:
        shape: of the network.
        data: what it learns from.
        plan: how it is trained.
        seed: of its first parameters and of the order of rows.
        held_out: what it is evaluated on after each stage, or None.

    Attributes:
        curves: name → value after each stage.
    """

    def __init__(
        self,
        shape: Shape,
        data: Data,
        plan: Plan,
        seed: int,
        held_out: Data | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        self._loss, self._plan, self._held_out = CompiledLoss(shape), plan, held_out
        self._network = Adam.of(aligned(initial_parameters(shape, rng)))
        decays = shape.split(self._network.decays)
        for name in ("first_weight", "second_weight"):
            decays[name][...] = plan.decay
        self._streams = [Batches(rows, size, rng) for rows, size in batch_sizes(data, plan.options)]
        self.curves: dict[str, list[float]] = {}

    @property
    def flat(self) -> NDArray[np.float64]:
        """The network's parameters, float64 (size,)."""
        return self._network.flat

    @property
    def done(self) -> bool:
        """Whether all steps are taken."""
        return self._network.taken == self._plan.steps

    def advance(self, stop: threading.Event, callback: Callable[[int], None]) -> None:
        """Take the steps of a stage, and add to the curves; the number of steps is called back.

        Raises RuntimeError when ``stop`` is set: nobody wants the result any more.
        """
        if stop.is_set():
            raise RuntimeError("training was stopped")
        before, steps = self._network.taken, self._plan.steps
        after = min(steps, -(-(before * STAGES // steps + 1) * steps // STAGES))
        progress = np.arange(before + 1, after + 1) / steps
        rates = self._plan.options.learning_rate * schedule(progress)
        sums = self._loss.descend(self._network, self._streams, rates)
        callback(after - before)
        for stream, total in zip(self._streams, sums, strict=True):
            self._record("training", stream.rows, total / (after - before))
        if self._held_out is not None:
            parts = self._held_out.parts
            losses = self._loss(self.flat, [Batch.of_all(rows) for rows in parts], self.flat[:0])
            for rows, loss in zip(parts, losses, strict=True):
                self._record("validation", rows, loss)

    def _record(self, part: str, rows: Rows, loss: float) -> None:
        """Add a loss to its curve."""
        name, value = reported(rows, loss)
        self.curves.setdefault(f"{part}_{name}", []).append(value)


def reported(rows: Rows, loss: float) -> tuple[str, float]:
    """Return the name and the value by which a loss is reported.

    That is in nats per window; for tiles and sets in bits per read, as what is gained over all
    windows of a row being alike.
    """
    length = rows.counts.shape[1]
    if length == 1:
        return "log_loss", loss
    return "start_gain" if rows.sets else "gain", (math.log(length) - loss) / math.log(2)


def train_all(
    trainers: Sequence[Trainer],
    threads: int,
    stop: threading.Event,
    callback: Callable[[int], None] = lambda steps: None,
) -> None:
    """Train networks on several threads.

    They advance in turn, a stage each, so that all threads end at about the same time. Each network
    is the same whatever the number of threads.
    """
    waiting, lock = deque(trainers), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                trainer = waiting.popleft()
            trainer.advance(stop, callback)
            if not trainer.done:
                with lock:
                    waiting.append(trainer)

    threads = min(threads, len(trainers))
    with ThreadPoolExecutor(threads) as pool:
        try:
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result()
        except BaseException:
            stop.set()
            raise


def schedule(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the learning rate as a fraction of its highest: a warm-up, then half a cosine."""
    return np.asarray(np.minimum(1.0, progress / WARM_UP) * 0.5 * (1 + np.cos(math.pi * progress)))


def _learnt_and_held_out(
    sample: TrainingSet, options: Options
) -> tuple[TrainingSet, TrainingSet | None]:
    """Return what is learnt from, and what is only evaluated on, if anything."""
    validation = sample.validation
    if validation is None or not len(validation.foreground) or not len(validation.background):
        return sample, None
    if options.learn_validation:
        return sample.joined(), None
    return sample, validation


def _chosen_tiles(
    tiles: Tiles | None, options: Options, rng: np.random.Generator
) -> tuple[Tiles | None, NDArray[np.int64]]:
    """Return the tiles to learn from, and their indices.

    Tiles without reads are left out; where there are more than ``max_tiles``, that many are drawn.
    There are none where the objective is windows only, or tiles have a single position.
    """
    if options.objective == "windows" or (
        tiles is None or tiles.counts.ndim != 2 or tiles.counts.shape[1] < 2
    ):
        return None, np.zeros(0, np.int64)
    rows = np.flatnonzero(tiles.counts.sum(axis=1) > 0)
    if len(rows) > options.max_tiles:
        rows = np.sort(rng.choice(rows, options.max_tiles, replace=False))
    return (Tiles(tiles.sequence[rows], tiles.counts[rows]) if len(rows) else None), rows


def _held_out_data(held_out: TrainingSet, shape: Shape, learnt: Data, cap: float) -> Data:
    """Lay held-out windows out like those that are learnt from, with tiles where these have any."""
    tiles = None if learnt.tiles is None else held_out.tiles
    return Data(
        window_rows(held_out, shape),
        None if tiles is None or not len(tiles.counts) else tile_rows(tiles, shape, cap),
    )


def _learnable_rows(
    folded: FoldedSample, fold: int, windows: Rows, kept: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the rows that a network may learn from which must not see a fold.

    They are of the windows, and of the tiles that were ``kept``.
    """
    foreground, background, tiles = folded.learnable(fold)
    learnable = np.concatenate([foreground, background])[windows.members]
    return np.all(learnable, axis=1), tiles[kept] if len(tiles) else np.zeros(len(kept), np.bool_)


def batch_sizes(data: Data, options: Options) -> list[tuple[Rows, int]]:
    """Return the rows that each step takes a batch of, and the sizes of the batches."""
    windows = math.ceil(options.batch_windows / data.windows.counts.shape[1])
    if data.tiles is None:
        return [(data.windows, 4 * windows)]
    if options.objective == "tiles":
        return [(data.tiles, options.batch_tiles)]
    return [(data.tiles, options.batch_tiles), (data.windows, windows)]


def _steps(data: Data, options: Options) -> int:
    """Return the number of steps: ``epochs`` passes, within the limits."""
    rows, size = batch_sizes(data, options)[0]
    passes = options.epochs * math.ceil(len(rows.chosen) / size)
    return min(max(passes, options.min_steps), options.max_steps)


def _decay(options: Options, starts: int) -> float:
    """Return the weight decay, derived from the number of read starts unless it is an option."""
    if options.decay >= 0:
        return options.decay
    return min(max(1e4 / starts, LEAST_DECAY), MOST_DECAY)


def mean_curves(every: Sequence[Mapping[str, list[float]]]) -> dict[str, list[float]]:
    """Average each curve over the networks that have it; without tiles, a network lacks some."""
    curves = {}
    for name in dict.fromkeys(name for one in every for name in one):
        values = [one[name] for one in every if name in one]
        curves[name] = [float(np.mean(stage)) for stage in zip(*values, strict=True)]
    return curves
