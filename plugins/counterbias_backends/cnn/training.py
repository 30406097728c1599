"""Train the networks: which windows and tiles, how many steps, what loss.

In: a training set. Out: the parameters of every network and how training went. Each network has a seed of its own and is
trained on its own, in double precision, so that neither threads nor device change the result by more than rounding.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from counterbias import FoldedSample, InputError, Resources, Tiles, TrainingSet
from counterbias_backends.adam import adam_step
from counterbias_backends.cnn.gradients import add_layers, add_rows, add_scores, fill_tables
from counterbias_backends.cnn.parameters import Shape, word_codes
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
#: A tile with μ fragments per place weighs 1 / (1 + DISPERSION · μ).
DISPERSION = 1.0


@dataclass(frozen=True)
class Rows:
    """Rows of windows: tiles, sets of a read start with its background, or single windows; see :mod:`.gradients`.

    Args:
        sequence: uint8, (n, length + width − 1) where windows overlap, otherwise (n, length · width).
        codes: uint16 (n, (length − 1) · stride + places), its words.
        counts: float64 (n, length); 1 at a read start, 0 in the background.
        weights: float64 (n,).
        mass: what the loss is divided by: mean of weight (windows) or of weight · reads (tiles, sets) per row.
        squares: whether ``counts`` are scores of windows, to be learnt by least squares.
        stride: words from one window of a row to the next.
        sets: whether a row's windows are a read start and its background, instead of consecutive positions.
        members: int64 (n, windows), where windows do not overlap: which ones of the sample they are, the read starts coming first.
        chosen: int64, the rows that are learnt from.
    """

    sequence: NDArray[np.uint8]
    codes: NDArray[np.uint16]
    counts: NDArray[np.float64]
    weights: NDArray[np.float64]
    mass: float
    squares: bool = False
    stride: int = 1
    sets: bool = False
    members: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 1), np.int64))
    chosen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.codes)

    def within(self, mask: NDArray[np.bool_]) -> Rows:
        """Give the same rows, of which some are learnt from."""
        chosen = np.flatnonzero(mask)
        weights = self.weights[chosen]
        # Single windows weigh 1 on average.
        mass = weights * self.counts[chosen].sum(axis=1) if self.counts.shape[1] > 1 else weights
        return replace(self, chosen=chosen, mass=float(mass.mean()) if len(chosen) else 1.0)


@dataclass(frozen=True)
class Data:
    """What a network learns from, or is judged by: windows, singly or in sets, and tiles where there are any."""

    windows: Rows
    tiles: Rows | None

    def within(self, windows: NDArray[np.bool_], tiles: NDArray[np.bool_]) -> Data:
        """Give the same data, of which some rows are learnt from; without any of them there are no tiles."""
        return Data(self.windows.within(windows), None if self.tiles is None or not tiles.any() else self.tiles.within(tiles))


@dataclass(frozen=True)
class Trained:
    """All networks after training. Args: flat: float64 (networks, size); sample: what they learnt from; curves, details: for the report."""

    flat: NDArray[np.float64]
    sample: TrainingSet
    curves: dict[str, list[float]]
    details: dict[str, object]


class Gradient(Protocol):
    """Give the loss of some rows and add its gradient; ``order[first:last]`` are the rows, ``scale`` multiplies the loss."""

    def __call__(
        self, flat: NDArray[np.float64], parts: list[tuple[Rows, NDArray[np.int64], int, int, float]], gradient: NDArray[np.float64]
    ) -> list[float]:
        """Give the loss of each part; an empty ``gradient`` is not wanted."""
        ...


class CompiledGradient:
    """The compiled code, with its tables of work."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        size = shape.places * 4**shape.kmer * shape.units
        self._words = np.zeros(4**shape.kmer * shape.channels)
        self._tables, self._errors = aligned(np.zeros(size)), aligned(np.zeros(size))

    def __call__(
        self, flat: NDArray[np.float64], parts: list[tuple[Rows, NDArray[np.int64], int, int, float]], gradient: NDArray[np.float64]
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

    def add_scores(self, flat: NDArray[np.float64], codes: NDArray[np.uint16], out: NDArray[np.float64]) -> None:
        """Add a network's scores of windows, given by their words, uint16 (n, places), to ``out``, float64 (n,)."""
        shape = self.shape
        fill_tables(flat, shape.kmer, shape.channels, shape.places, shape.units, self._words, self._tables)
        add_scores(codes, shape.places, shape.units, self._tables, flat, shape.head, out)


def train(
    sample: TrainingSet, shape: Shape, options: Options, rng: np.random.Generator, resources: Resources, folded: FoldedSample | None = None
) -> Trained:
    """Train ``options.members`` networks. Raises InputError where there are no windows, or the device is not there.

    With ``folded``, which holds ``sample`` dealt to folds, each network leaves a fold out: the first one the first fold, and so on, over and
    over.
    """
    for kind, number in (("read starts", len(sample.foreground)), ("background windows", len(sample.background))):
        if not number:
            raise InputError(f"no {kind} to train a network with", remedy="use more reads")
    everything = sample
    judge = sample.validation
    if judge is not None and options.learn_validation and len(judge.foreground) and len(judge.background):
        everything, judge = _joined(sample, judge), None
    tiles, kept = (None, np.zeros(0, np.int64)) if options.objective == "windows" else _chosen_tiles(everything.tiles, options, rng)
    data = Data(window_rows(everything, shape), None if tiles is None else tile_rows(tiles, shape, options.cap))
    check = None
    if judge is not None and len(judge.foreground) and len(judge.background):
        given = judge.tiles if tiles is not None else None
        check = Data(window_rows(judge, shape), None if given is None or not len(given.counts) else tile_rows(given, shape, options.cap))
    every = [data] if folded is None else [data.within(*_unseen(folded, fold, data.windows, kept)) for fold in range(folded.folds)]
    if any(not len(part.windows.chosen) for part in every):
        raise ValueError("a fold holds every window")
    steps = _steps(every[0], options)
    decay = options.decay if options.decay >= 0 else min(max(1e4 / len(everything.foreground), LEAST_DECAY), MOST_DECAY)
    seeds = rng.integers(0, 2**62, size=options.members)
    stop = threading.Event()
    maker, device = _gradient_maker(shape, resources.device)
    told = Steps(resources, "training cnn", steps * options.members)

    def job(member: int) -> tuple[NDArray[np.float64], dict[str, list[float]]]:
        part = every[member % len(every)]
        return train_network(maker(), shape, part, check, options, steps, decay, int(seeds[member]), stop, told.advance)

    with ThreadPoolExecutor(min(resources.threads, options.members)) as pool:
        try:
            futures = [pool.submit(job, member) for member in range(options.members)]
            found = [future.result() for future in futures]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            told.finish()
    curves = {name: [float(np.mean(values)) for values in zip(*(one[1][name] for one in found), strict=True)] for name in found[0][1]}
    details: dict[str, object] = {
        "networks": options.members,
        "steps": steps,
        "weight_decay": decay,
        "device": device,
        "starts": len(everything.foreground),
        "background": len(everything.background),
        "tiles": 0 if data.tiles is None else len(data.tiles),
        "tile_reads": 0.0 if data.tiles is None else float(data.tiles.counts.sum()),
        "validation_learnt": everything is not sample or folded is not None,
    }
    return Trained(np.stack([one[0] for one in found]), everything, curves, details)


def _unseen(
    folded: FoldedSample, fold: int, windows: Rows, kept: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which rows of windows and of the tiles that were ``kept`` a network may learn from that is not to see a fold."""
    front, back, tiles = folded.learnable(fold)
    alone = np.concatenate([front, back])
    return alone[windows.members].all(axis=1), tiles[kept] if len(tiles) else np.zeros(len(kept), bool)


def train_network(
    evaluate: Gradient, shape: Shape, data: Data, check: Data | None, options: Options, steps: int, decay: float, seed: int,
    stop: threading.Event, advance: Callable[[], None] = lambda: None,
) -> tuple[NDArray[np.float64], dict[str, list[float]]]:  # fmt: skip
    """Train one network: its parameters, float64 (size,), and its curves.

    Args:
        evaluate: loss and gradient.
        data: to learn from; ``check``: to report on, or None.
        steps: of the optimiser; the learning rate rises at first and then falls to 0 along half a cosine.
        decay: weight decay of the weights of the first two layers.
        seed: of the first parameters and the order of windows and tiles.
        stop: when set, training ends at once with RuntimeError: nobody wants the result any more.
        advance: told of each step.
    """
    rng = np.random.default_rng(seed)
    flat = aligned(initial_parameters(shape, rng))
    gradient, first, second = (aligned(np.zeros_like(flat)) for _ in range(3))
    decays = np.zeros_like(flat)
    for name in ("first_weight", "second_weight"):
        shape.split(decays)[name][...] = decay
    draws = [Draw(rows, size, rng) for rows, size in _batches(data, options)]
    curves: dict[str, list[float]] = {}
    sums, begun = [0.0] * len(draws), 0
    for step in range(1, steps + 1):
        if stop.is_set():
            raise RuntimeError("training was stopped")
        losses = evaluate(flat, [draw.next() for draw in draws], gradient)
        sums = [sum(pair) for pair in zip(sums, losses, strict=True)]
        adam_step(flat, gradient, first, second, step, options.learning_rate * schedule(step / steps), decays)
        advance()
        if step * STAGES // steps > (step - 1) * STAGES // steps:
            for draw, loss in zip(draws, sums, strict=True):
                name, value = _shown(draw.rows, loss / (step - begun))
                curves.setdefault(f"training_{name}", []).append(value)
            sums, begun = [0.0] * len(draws), step
            for name, value in [] if check is None else _judged(evaluate, flat, check):
                curves.setdefault(f"validation_{name}", []).append(value)
    return flat, curves


class Draw:
    """Rows in random order, a batch at a time, over and over."""

    def __init__(self, rows: Rows, size: int, rng: np.random.Generator) -> None:
        self.rows, self._size, self._rng = rows, min(size, len(rows.chosen)), rng
        self._order, self._at = np.zeros(0, np.int64), 0

    def next(self) -> tuple[Rows, NDArray[np.int64], int, int, float]:
        """Give the next batch, for :class:`Gradient`."""
        if self._at + self._size > len(self._order):
            self._order, self._at = self._rng.permutation(self.rows.chosen), 0
        self._at += self._size
        return self.rows, self._order, self._at - self._size, self._at, 1 / (self._size * self.rows.mass)


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


def schedule(progress: float) -> float:
    """Give the learning rate as a fraction of its highest: it rises, and falls along half a cosine."""
    return min(1.0, progress / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))


def _batches(data: Data, options: Options) -> list[tuple[Rows, int]]:
    windows = math.ceil(options.batch_windows / data.windows.counts.shape[1])
    if data.tiles is None:
        return [(data.windows, 4 * windows)]
    if options.objective == "tiles":
        return [(data.tiles, options.batch_tiles)]
    return [(data.tiles, options.batch_tiles), (data.windows, windows)]


def _steps(data: Data, options: Options) -> int:
    rows, size = _batches(data, options)[0]
    return min(max(options.epochs * math.ceil(len(rows.chosen) / size), options.min_steps), options.max_steps)


def _shown(rows: Rows, loss: float) -> tuple[str, float]:
    """Name a loss and give it as it is reported: bits gained per read over all places of its row being alike, or nats per window."""
    length = rows.counts.shape[1]
    if length == 1:
        return "log_loss", loss
    return "start_gain" if rows.sets else "gain", (math.log(length) - loss) / math.log(2)


def _judged(evaluate: Gradient, flat: NDArray[np.float64], check: Data) -> list[tuple[str, float]]:
    given = [rows for rows in (check.tiles, check.windows) if rows is not None]
    parts = [(rows, np.arange(len(rows)), 0, len(rows), 1 / (len(rows) * rows.mass)) for rows in given]
    losses = evaluate(flat, parts, flat[:0])
    return [_shown(rows, loss) for rows, loss in zip(given, losses, strict=True)]


def window_rows(sample: TrainingSet, shape: Shape) -> Rows:
    """Give sets where it is known which windows belong together, else single windows; the two sides weigh the same in all."""
    sets = None if sample.origin is None else _sets(sample, sample.origin, shape)
    if sets is not None:
        return sets
    sequence = np.concatenate([sample.foreground, sample.background]).astype(np.uint8, copy=False)
    weights = np.concatenate(
        [side / side.sum() for side in (sample.foreground_weight, sample.background_weight)]
    ) * (len(sequence) / 2)  # fmt: skip
    counts = np.zeros((len(sequence), 1))
    counts[: len(sample.foreground)] = 1
    every = np.arange(len(sequence))
    return Rows(sequence, checked_codes(sequence, shape), counts, weights, 1.0, members=every[:, None], chosen=every)


def _sets(sample: TrainingSet, origin: NDArray[np.int64], shape: Shape) -> Rows | None:
    """Give each read start with the background windows drawn near it; None where no start has any.

    Sets are of one size, the most frequent one: starts with less background (at the edge of a block or contig) are left out, and of more
    the first windows are taken. Background lies the denser the more reads start near by, which a single window cannot tell from its own
    bias; within a set it is the same for all. Raises ValueError where ``origin`` does not fit the windows.
    """
    if len(origin) != len(sample.background) or (len(origin) and not 0 <= origin.min() <= origin.max() < len(sample.foreground)):
        raise ValueError("origin does not name a foreground window for each background window")
    own = np.bincount(origin, minlength=len(sample.foreground))
    sizes = np.bincount(own[own > 0])
    if not len(sizes):
        return None
    size = int(sizes.argmax())
    starts = np.flatnonzero(own >= size)
    order = np.argsort(origin, kind="stable")
    first = np.searchsorted(origin[order], starts)
    rivals = order[first[:, None] + np.arange(size)]  # (n, size)
    windows = np.concatenate([sample.foreground[starts, None], sample.background[rivals]], axis=1)  # (n, 1 + size, width)
    codes = checked_codes(windows.reshape(-1, shape.width), shape).reshape(len(starts), -1)
    counts = np.zeros((len(starts), 1 + size))
    counts[:, 0] = 1
    weights = sample.foreground_weight[starts]
    return Rows(
        windows.reshape(len(starts), -1),
        codes,
        counts,
        weights,
        float(weights.mean()),
        stride=shape.places,
        sets=True,
        members=np.concatenate([starts[:, None], len(sample.foreground) + rivals], axis=1),
        chosen=np.arange(len(starts)),
    )


def tile_rows(tiles: Tiles, shape: Shape, cap: float) -> Rows:
    """Give tiles as rows. A tile weighs the less the more fragments begin in it, as a neighbourhood does in the core's sampling."""
    counts = tiles.counts.astype(np.float64) if not cap else np.minimum(tiles.counts, cap, dtype=np.float64)
    weights = 1.0 / (1.0 + DISPERSION * counts.mean(axis=1))
    mass = float((weights * counts.sum(axis=1)).mean())
    return Rows(tiles.sequence, checked_codes(tiles.sequence, shape), counts, weights, mass, chosen=np.arange(len(counts)))


def checked_codes(sequence: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint16]:
    """Number the words of sequences. Raises ValueError where they hold something else than bases."""
    # The compiled code uses words as addresses.
    if sequence.size and sequence.max() > 3:
        raise ValueError("windows hold a value that is not 0, 1, 2 or 3")
    return word_codes(sequence, shape.kmer)


def _chosen_tiles(tiles: Tiles | None, options: Options, rng: np.random.Generator) -> tuple[Tiles | None, NDArray[np.int64]]:
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
        origin=None if one.origin is None or two.origin is None else np.concatenate([one.origin, two.origin + len(one.foreground)]),
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
