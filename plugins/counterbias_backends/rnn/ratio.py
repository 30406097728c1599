"""Train one network to tell read starts from places near by: ``objective=ratio``.

In: a training set. Out: the parameters of one network with an output layer per position, and its curves. The loss is the sum of
two: of stretches of 32 neighbouring positions, −Σ reads · ln softmax (the reads of a tile weigh the less the more there are), and of
windows, the logistic one. Every step adds the gradients of two halves in one order, whether they were calculated at the same time or not,
so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from counterbias import InputError, Resources, Tiles, TrainingSet
from counterbias_backends.adam import adam_step
from counterbias_backends.progress import Steps
from counterbias_backends.rnn.lanes import LANES
from counterbias_backends.rnn.loss import gradient_maker
from counterbias_backends.rnn.network import initial_parameters
from counterbias_backends.rnn.parameters import Parameters
from counterbias_backends.rnn.position import LOGISTIC, SOFTMAX

if TYPE_CHECKING:
    from counterbias_backends.rnn.model import Options

#: A tile with μ fragments per place weighs 1 / (1 + DISPERSION · μ); stretches and windows per step; stretches kept at most; points of the
#: curves.
DISPERSION, BATCH_STRETCHES, BATCH_WINDOWS, MAX_STRETCHES, STAGES = 1.0, 8, 128, 60_000, 20
#: Passes over the stretches, and bounds of the optimiser's steps.
EPOCHS, LEAST_STEPS, MOST_STEPS = 8, 800, 3000
#: Learning rate at its highest; fraction of steps in which it rises.
LEARNING_RATE, WARM_UP = 1e-2, 0.05


@dataclass(frozen=True)
class Part:
    """Windows of one loss. Args: contexts: uint8 (n, width); targets, weights: float32 (n,); group: windows drawn together; mode: loss."""

    contexts: NDArray[np.uint8]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    group: int
    mode: int

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.contexts) // self.group


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

    Raises InputError where there are no windows, or the device is not there.
    """
    sets = [sample] + ([sample.validation] if sample.validation is not None else [])
    foreground = np.concatenate([one.foreground for one in sets])
    background = np.concatenate([one.background for one in sets])
    for kind, windows in (("read starts", foreground), ("background windows", background)):
        if not len(windows):
            raise InputError(
                f"no {kind} to train a network with", remedy="use --bias-model pwm or more reads"
            )
    sides = [
        _side(
            windows, np.concatenate([getattr(one, name) for one in sets]), options.max_windows, rng
        )
        for windows, name in ((foreground, "foreground_weight"), (background, "background_weight"))
    ]
    parts = [_windows(*sides)]
    stretches = [
        _stretches(one.tiles, sample.window.width) for one in sets if one.tiles is not None
    ]
    if sum(len(targets) for _, targets in stretches):
        parts.insert(0, _stretch_part(stretches, rng))
    flat, curves, steps, decay = _train(
        cell, parts, len(foreground), options, int(rng.integers(0, 2**62)), resources
    )
    details: dict[str, object] = {
        "cell": cell,
        "hidden": options.hidden,
        "objective": "ratio",
        "steps": steps,
        "weight_decay": decay,
        "windows": len(parts[-1].contexts),
        "stretches": parts[0].groups if len(parts) == 2 else 0,
    }
    return TrainedRatio(
        Parameters(cell, options.hidden, flat, sample.window.width), curves, details
    )


def _train(
    cell: str, parts: list[Part], starts: int, options: Options, seed: int, resources: Resources
) -> tuple[NDArray[np.float32], dict[str, list[float]], int, float]:
    width = parts[0].contexts.shape[1]
    parameters = initial_parameters(cell, options.hidden, width, seed, width)
    flat = parameters.flat
    halves = np.zeros((2, len(flat)), np.float32)
    gradient, mean, square = (np.zeros_like(flat) for _ in range(3))
    decay = min(max(3e3 / starts, 0.03), 2.0)
    decays = np.full_like(flat, decay)
    sizes = [BATCH_STRETCHES, BATCH_WINDOWS] if len(parts) == 2 else [4 * BATCH_WINDOWS]
    sizes = [min(size, part.groups) for size, part in zip(sizes, parts, strict=True)]
    steps = min(max(EPOCHS * math.ceil(parts[0].groups / sizes[0]), LEAST_STEPS), MOST_STEPS)
    generator = np.random.default_rng(seed)
    orders = [np.zeros(0, np.int64)] * len(parts)
    at = [0] * len(parts)
    names = ["training_gain", "training_log_loss"][-len(parts) :]
    curves: dict[str, list[float]] = {name: [] for name in names}
    sums, begun = np.zeros(len(parts)), 0
    maker = gradient_maker(resources.device)
    loss_of = {part.mode: maker(cell, options.hidden, width, part.mode) for part in parts}
    told = Steps(resources, f"training {cell}", steps)

    def half(number: int, chosen: list[NDArray[np.int64]]) -> list[float]:
        gradient = halves[number]
        gradient[:] = 0
        losses = []
        for part, rows in zip(parts, chosen, strict=True):
            middle = (len(rows) // LANES + 1) // 2 * LANES
            first, last = (
                (0, min(middle, len(rows))) if number == 0 else (min(middle, len(rows)), len(rows))
            )
            scale = 1 / (len(rows) // part.group)
            loss = loss_of[part.mode](
                part.contexts, part.targets, part.weights, rows, first, last, scale, flat, gradient
            )
            losses.append(loss)
        return losses

    with ThreadPoolExecutor(1) as pool:
        for step in range(1, steps + 1):
            chosen = []
            for i, (part, size) in enumerate(zip(parts, sizes, strict=True)):
                if at[i] + size > len(orders[i]):
                    orders[i], at[i] = generator.permutation(part.groups), 0
                groups = orders[i][at[i] : at[i] + size]
                at[i] += size
                chosen.append((groups[:, None] * part.group + np.arange(part.group)).ravel())
            if resources.threads > 1:
                other = pool.submit(half, 1, chosen)
                losses = [half(0, chosen), other.result()]
            else:
                losses = [half(0, chosen), half(1, chosen)]
            sums += np.sum(losses, axis=0)
            np.add(halves[0], halves[1], out=gradient)
            progress = step / steps
            rate = (
                LEARNING_RATE
                * min(1.0, progress / WARM_UP)
                * 0.5
                * (1 + math.cos(math.pi * progress))
            )
            adam_step(flat, gradient, mean, square, step, rate, decays)
            told.advance()
            if step * STAGES // steps > (step - 1) * STAGES // steps:
                means = sums / (step - begun)
                sums, begun = np.zeros(len(parts)), step
                for name, loss in zip(names, means.tolist(), strict=True):
                    curves[name].append(
                        (math.log(LANES) - loss) / math.log(2) if name == "training_gain" else loss
                    )
    told.finish()
    return flat.copy(), curves, steps, decay


def _side(
    windows: NDArray[np.uint8], weights: NDArray[np.float64], most: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    if len(windows) > most:
        rows = np.sort(rng.choice(len(windows), most, replace=False))
        return windows[rows], weights[rows]
    return windows, weights


def _windows(
    foreground: tuple[NDArray[np.uint8], NDArray[np.float64]],
    background: tuple[NDArray[np.uint8], NDArray[np.float64]],
) -> Part:
    """Give both sides' windows; both sides weigh the same in all, and a window 1 on average."""
    contexts = np.ascontiguousarray(np.concatenate([foreground[0], background[0]]), np.uint8)
    weights = (
        np.concatenate([side[1] / side[1].sum() for side in (foreground, background)])
        * len(contexts)
        / 2
    )
    targets = np.concatenate([np.ones(len(foreground[0])), np.zeros(len(background[0]))])
    return Part(contexts, targets.astype(np.float32), weights.astype(np.float32), 1, LOGISTIC)


def _stretches(tiles: Tiles | None, width: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut tiles into stretches of 32 positions with reads: sequences, uint8 (n, 32 + width − 1), and counts, (n, 32).

    Those of a tile with μ fragments per place are multiplied by 1 / (1 + DISPERSION · μ).
    """
    if tiles is None or tiles.counts.shape[1] < LANES:
        return np.zeros((0, LANES + width - 1), np.uint8), np.zeros((0, LANES))
    sequences, counts = [], []
    weights = 1.0 / (1.0 + DISPERSION * tiles.counts.mean(axis=1, keepdims=True, dtype=np.float64))
    for first in range(0, tiles.counts.shape[1] - LANES + 1, LANES):
        part = weights * tiles.counts[:, first : first + LANES]
        kept = part.sum(axis=1) > 0
        sequences.append(tiles.sequence[kept, first : first + LANES + width - 1])
        counts.append(part[kept])
    return np.concatenate(sequences), np.concatenate(counts)


def _stretch_part(
    stretches: list[tuple[NDArray[np.uint8], NDArray[np.float64]]], rng: np.random.Generator
) -> Part:
    """Make the stretches' windows; a read weighs so that a stretch's reads are 1 on average."""
    sequence, counts = (np.concatenate(arrays) for arrays in zip(*stretches, strict=True))
    if len(counts) > MAX_STRETCHES:
        rows = np.sort(rng.choice(len(counts), MAX_STRETCHES, replace=False))
        sequence, counts = sequence[rows], counts[rows]
    width = sequence.shape[1] - LANES + 1
    contexts = np.ascontiguousarray(sliding_window_view(sequence, width, axis=1)).reshape(-1, width)
    weights = np.full(counts.size, len(counts) / counts.sum(), np.float32)
    return Part(contexts, counts.ravel().astype(np.float32), weights, LANES, SOFTMAX)
