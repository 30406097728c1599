"""Train character networks: which windows, how long, which hidden size.

In: a training set. Out: the parameters of the foreground and the background network and how training went. Each network is
trained on its own, with a seed of its own, so that the number of threads does not change it. torch draws the first parameters
and the order of windows; the gradient comes from compiled code or from a GPU (:mod:`.loss`). No global setting of torch is touched.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from counterbias import InputError, Resources, TrainingSet
from counterbias_backends.adam import adam_step
from counterbias_backends.progress import Steps
from counterbias_backends.rnn.loss import CompiledGradient, Maker, gradient_maker
from counterbias_backends.rnn.network import initial_parameters
from counterbias_backends.rnn.parameters import Parameters
from counterbias_backends.rnn.position import PROBABILITY

if TYPE_CHECKING:
    from counterbias_backends.rnn.model import Options

#: A validation part with fewer windows is replaced by a tenth of the training windows.
MIN_VALIDATION = 200


@dataclass(frozen=True)
class Windows:
    """Windows of one kind. Args: contexts: uint8 (n, width); weights: float32 (n,), mean 1."""

    contexts: NDArray[np.uint8]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, contexts: NDArray[np.uint8], weights: NDArray[np.float64]) -> Windows:
        """Scale weights to a mean of 1, so that they change which windows matter and not the size of steps."""
        scaled = (weights / weights.mean()).astype(np.float32)
        return cls(np.ascontiguousarray(contexts, dtype=np.uint8), scaled)

    def __len__(self) -> int:
        return len(self.contexts)


@dataclass(frozen=True)
class TrainedNetwork:
    """One network after training.

    Args:
        parameters: those of the epoch with the lowest validation loss.
        passes: passes over the windows per epoch.
        training_perplexity: per epoch, weighted mean per base over the epoch, while parameters changed.
        validation_perplexity: per epoch, weighted mean per base after it.
    """

    parameters: Parameters
    passes: int
    training_perplexity: list[float]
    validation_perplexity: list[float]

    @property
    def best_perplexity(self) -> float:
        """The lowest validation perplexity per base: that of :attr:`parameters`."""
        return min(self.validation_perplexity)

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, that :attr:`parameters` come from."""
        return 1 + self.validation_perplexity.index(self.best_perplexity)


@dataclass(frozen=True)
class TrainedPair:
    """The foreground and the background network, and details for the report."""

    networks: tuple[TrainedNetwork, TrainedNetwork]
    details: dict[str, object]


def train_pair(
    cell: str, sample: TrainingSet, options: Options, rng: np.random.Generator, resources: Resources
) -> TrainedPair:
    """Train a foreground and a background network for each candidate size; keep the size with the lowest validation loss.

    Raises InputError where there are no windows, or the device is not there. Source: Zhang et al. 2017, with early stopping.
    """
    parts, validation_source = _split(sample, options.max_windows, rng)
    sizes = tuple(dict.fromkeys(options.candidates)) or (options.hidden,)
    seeds = rng.integers(0, 2**62, size=(len(sizes), 2))
    stop = threading.Event()
    maker = gradient_maker(resources.device)
    told = Steps(
        resources,
        f"training {cell}",
        len(sizes) * sum(_schedule(training, options)[1] for training, _ in parts),
    )

    def job(index: int) -> TrainedNetwork:
        size, role = divmod(index, 2)
        training, validation = parts[role]
        return train_network(
            cell,
            sizes[size],
            training,
            validation,
            options,
            int(seeds[size, role]),
            stop,
            maker=maker,
            advance=told.advance,
        )

    with ThreadPoolExecutor(min(resources.threads, 2 * len(sizes))) as pool:
        try:
            # Background networks have more windows: they go first, so that threads finish together.
            order = sorted(
                range(2 * len(sizes)),
                key=lambda index: -sizes[index // 2] * len(parts[index % 2][0]),
            )
            futures = {index: pool.submit(job, index) for index in order}
            trained = [futures[index].result() for index in range(2 * len(sizes))]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            told.finish()
    pairs = [(trained[2 * number], trained[2 * number + 1]) for number in range(len(sizes))]
    # The mean of both networks' loss per base; the first of equals.
    losses = [sum(math.log(network.best_perplexity) for network in pair) / 2 for pair in pairs]
    best = losses.index(min(losses))
    foreground, background = pairs[best]
    details: dict[str, object] = {
        "cell": cell,
        "hidden": sizes[best],
        "candidates": {str(size): loss for size, loss in zip(sizes, losses, strict=True)},
        "validation": validation_source,
        "foreground_epochs": len(foreground.validation_perplexity),
        "foreground_best_epoch": foreground.best_epoch,
        "background_epochs": len(background.validation_perplexity),
        "background_best_epoch": background.best_epoch,
        "foreground_passes_per_epoch": foreground.passes,
        "background_passes_per_epoch": background.passes,
        "foreground_windows": len(parts[0][0]),
        "background_windows": len(parts[1][0]),
        "foreground_validation_windows": len(parts[0][1]),
        "background_validation_windows": len(parts[1][1]),
    }
    return TrainedPair((foreground, background), details)


def _split(
    sample: TrainingSet, max_windows: int, rng: np.random.Generator
) -> tuple[tuple[tuple[Windows, Windows], tuple[Windows, Windows]], str]:
    """Give training and validation windows of foreground and background, and where validation comes from."""
    both = (
        (sample.foreground, sample.foreground_weight),
        (sample.background, sample.background_weight),
    )
    for kind, (contexts, _) in zip(("read starts", "background windows"), both, strict=True):
        if len(contexts) < 2:
            raise InputError(
                f"{len(contexts)} {kind} are too few to train a network",
                remedy="use --bias-model pwm or more reads",
            )
    held_out = sample.validation
    apart = (
        held_out is not None
        and min(len(held_out.foreground), len(held_out.background)) >= MIN_VALIDATION
    )
    parts = []
    for role, (contexts, weights) in enumerate(both):
        order = rng.permutation(len(contexts))
        if apart and held_out is not None:
            given = (held_out.foreground, held_out.foreground_weight) if role == 0 else (
                held_out.background, held_out.background_weight)  # fmt: skip
            rows = np.sort(order[:max_windows])
            parts.append((Windows.of(contexts[rows], weights[rows]), Windows.of(*given)))
        else:
            order = order[:max_windows]
            tenth = max(1, len(order) // 10)
            chosen, left = np.sort(order[:tenth]), np.sort(order[tenth:])
            parts.append(
                (
                    Windows.of(contexts[left], weights[left]),
                    Windows.of(contexts[chosen], weights[chosen]),
                )
            )
    return (parts[0], parts[1]), "genomic blocks apart" if apart else "a tenth of the windows"


def train_network(
    cell: str,
    hidden: int,
    training: Windows,
    validation: Windows,
    options: Options,
    seed: int,
    stop: threading.Event,
    *,
    maker: Maker = CompiledGradient,
    advance: Callable[[int], None] = lambda steps: None,
) -> TrainedNetwork:
    """Train one network until ``options.patience`` epochs bring no lower validation loss, and keep the best parameters.

    Args:
        cell: ``gru`` or ``lstm``.
        hidden: units.
        training, validation: windows.
        options: epochs, min_steps, patience, batch, learning_rate.
        seed: of the first parameters and the order of windows.
        stop: when set, training ends at once with RuntimeError: nobody wants the result any more.
        maker: what gives loss and gradient.
        advance: told of steps done, or saved by stopping early.
    """
    places = training.contexts.shape[1] if options.head == "position" else 0
    parameters = initial_parameters(cell, hidden, training.contexts.shape[1], seed, places)
    generator = torch.Generator().manual_seed(seed)
    gradient, mean, square, decay = (np.zeros_like(parameters.flat) for _ in range(4))
    loss_of = maker(cell, hidden, places, PROBABILITY)

    def evaluate(
        windows: Windows,
        order: NDArray[np.int64],
        first: int,
        last: int,
        scale: float,
        wanted: NDArray[np.float32],
    ) -> float:
        # Probabilities need no targets.
        return loss_of(
            windows.contexts,
            windows.weights,
            windows.weights,
            order,
            first,
            last,
            scale,
            parameters.flat,
            wanted,
        )

    passes, steps = _schedule(training, options)
    best, best_loss, waited, step = parameters.flat.copy(), math.inf, 0, 0
    curves: tuple[list[float], list[float]] = ([], [])
    everything = np.arange(len(validation))
    for _ in range(options.epochs):
        loss = 0.0
        for _ in range(passes):
            order = torch.randperm(len(training), generator=generator).numpy()
            for first in range(0, len(training), options.batch):
                if stop.is_set():
                    raise RuntimeError("training was stopped")
                last = min(first + options.batch, len(training))
                bases = (last - first) * training.contexts.shape[1]
                loss += bases * evaluate(training, order, first, last, 1 / bases, gradient)
                rate = _learning_rate(options.learning_rate, step / steps)
                step += 1
                adam_step(parameters.flat, gradient, mean, square, step, rate, decay)
                advance(1)
        curves[0].append(math.exp(loss / passes / training.contexts.size))
        held_out = (
            evaluate(validation, everything, 0, len(validation), 1.0, gradient[:0])
            / validation.contexts.size
        )
        curves[1].append(math.exp(held_out))
        if held_out < best_loss:
            best, best_loss, waited = parameters.flat.copy(), held_out, 0
        else:
            waited += 1
            if waited >= options.patience:
                break
    advance(steps - step)
    return TrainedNetwork(Parameters(cell, hidden, best, places), passes, *curves)


def _schedule(training: Windows, options: Options) -> tuple[int, int]:
    """Give the passes over the windows per epoch, and the steps of all epochs."""
    batches = math.ceil(len(training) / options.batch)
    passes = max(1, math.ceil(options.min_steps / (options.epochs * batches)))
    return passes, passes * options.epochs * batches


def _learning_rate(first: float, progress: float) -> float:
    """Let the learning rate fall along half a cosine, while ``progress`` goes from 0 to 1: late steps average out noise."""
    return first * 0.5 * (1 + math.cos(math.pi * progress))
