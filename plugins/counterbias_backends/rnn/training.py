"""Train character networks as language models: which windows, how long, which number of units.

In: a training set. Out: the parameters of the foreground and the background network and how their
training went. Each network is trained independently, with its own seed, so that the number of
threads does not change it. The gradient comes from compiled code, or by way of torch from a GPU.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from counterbias import InputError, Resources, TrainingSet
from counterbias_backends.adam import Adam
from counterbias_backends.progress import Steps
from counterbias_backends.rnn.loss import CompiledLoss
from counterbias_backends.rnn.options import Options
from counterbias_backends.rnn.parameters import Parameters, initial_parameters
from counterbias_backends.rnn.position import PROBABILITY
from counterbias_backends.rnn.windows import Batch, Windows

#: A validation part with fewer windows is replaced by a tenth of the training windows.
MIN_VALIDATION = 200


@dataclass(frozen=True)
class Part:
    """The windows of one network: to learn from, and to decide when to stop."""

    training: Windows
    validation: Windows


@dataclass(frozen=True)
class Job:
    """One network to be trained.

    Args:
        cell: ``gru`` or ``lstm``.
        hidden: number of hidden units.
        part: its windows.
        seed: of the first parameters and of the order of windows.
    """

    cell: str
    hidden: int
    part: Part
    seed: int

    @property
    def cost(self) -> int:
        """About how long training takes, in arbitrary units."""
        return self.hidden * len(self.part.training)


@dataclass(frozen=True)
class TrainedNetwork:
    """One network after training.

    Args:
        parameters: those of the epoch with the lowest validation loss.
        passes: passes over the windows per epoch.
        training_perplexity: per epoch, weighted mean per base during the epoch, while the
            parameters changed.
        validation_perplexity: per epoch, weighted mean per base after it.
    """

    parameters: Parameters
    passes: int
    training_perplexity: list[float]
    validation_perplexity: list[float]

    @property
    def best_perplexity(self) -> float:
        """The lowest validation perplexity per base, that of :attr:`parameters`."""
        return min(self.validation_perplexity)

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, that :attr:`parameters` come from."""
        return 1 + self.validation_perplexity.index(self.best_perplexity)


@dataclass(frozen=True)
class PairPlan:
    """The networks of one model, to be trained: two of each candidate size.

    Args:
        jobs: foreground and background network of one size after the other.
        sizes: the candidates.
        validation: where the windows for validation come from.
    """

    jobs: tuple[Job, ...]
    sizes: tuple[int, ...]
    validation: str


@dataclass(frozen=True)
class TrainedPair:
    """The foreground and the background network, and details for the report."""

    networks: tuple[TrainedNetwork, TrainedNetwork]
    details: dict[str, object]


def train_pair(
    cell: str, sample: TrainingSet, options: Options, rng: np.random.Generator, resources: Resources
) -> TrainedPair:
    """Train a foreground and a background network of each candidate size; keep the best size.

    Source: Zhang et al. 2017, with early stopping. Raises InputError as :func:`plan_pair` does.
    """
    plan = plan_pair(cell, sample, options, rng)
    return best_pair(plan, _train_all(plan.jobs, options, resources))


def plan_pair(
    cell: str, sample: TrainingSet, options: Options, rng: np.random.Generator
) -> PairPlan:
    """Plan the networks of a model. Raises InputError where there are too few windows."""
    parts, validation_source = _split(sample, options.max_windows, rng)
    sizes = tuple(dict.fromkeys(options.candidates)) or (options.hidden,)
    seeds = rng.integers(0, 2**62, size=(len(sizes), 2))
    jobs = tuple(
        Job(cell, size, part, int(seed))
        for size, row in zip(sizes, seeds, strict=True)
        for part, seed in zip(parts, row, strict=True)
    )
    return PairPlan(jobs, sizes, validation_source)


def best_pair(plan: PairPlan, trained: Sequence[TrainedNetwork]) -> TrainedPair:
    """Return the pair of the size with the lowest mean validation loss.

    ``trained`` are the networks of the plan's jobs, in their order.
    """
    sizes, parts = plan.sizes, [job.part for job in plan.jobs[:2]]
    pairs = list(zip(trained[::2], trained[1::2], strict=True))
    # The mean loss per base of both networks; the first of equals is kept.
    losses = [sum(math.log(network.best_perplexity) for network in pair) / 2 for pair in pairs]
    best = losses.index(min(losses))
    foreground, background = pairs[best]
    details: dict[str, object] = {
        "cell": plan.jobs[0].cell,
        "hidden": sizes[best],
        "candidates": {str(size): loss for size, loss in zip(sizes, losses, strict=True)},
        "validation": plan.validation,
        "foreground_epochs": len(foreground.validation_perplexity),
        "foreground_best_epoch": foreground.best_epoch,
        "background_epochs": len(background.validation_perplexity),
        "background_best_epoch": background.best_epoch,
        "foreground_passes_per_epoch": foreground.passes,
        "background_passes_per_epoch": background.passes,
        "foreground_windows": len(parts[0].training),
        "background_windows": len(parts[1].training),
        "foreground_validation_windows": len(parts[0].validation),
        "background_validation_windows": len(parts[1].validation),
    }
    return TrainedPair((foreground, background), details)


def _split(
    sample: TrainingSet, max_windows: int, rng: np.random.Generator
) -> tuple[tuple[Part, Part], str]:
    """Return the windows of both networks, and where those for validation come from."""
    sides = (
        (sample.foreground, sample.foreground_weight),
        (sample.background, sample.background_weight),
    )
    for name, (contexts, _) in zip(("read starts", "background windows"), sides, strict=True):
        if len(contexts) < 2:
            raise InputError(
                f"{len(contexts)} {name} are too few to train a network",
                remedy="use --bias-model pwm or more reads",
            )
    held_out = sample.validation
    if held_out is None or min(len(held_out.foreground), len(held_out.background)) < MIN_VALIDATION:
        validation, source = None, "a tenth of the windows"
    else:
        validation, source = (
            (
                Windows.of(held_out.foreground, held_out.foreground_weight),
                Windows.of(held_out.background, held_out.background_weight),
            ),
            "separate genomic blocks",
        )
    parts = []
    for role, (contexts, weights) in enumerate(sides):
        order = rng.permutation(len(contexts))[:max_windows]
        tenth = 0 if validation else max(1, len(order) // 10)
        chosen, rest = np.sort(order[:tenth]), np.sort(order[tenth:])
        parts.append(
            Part(
                Windows.of(contexts[rest], weights[rest]),
                validation[role] if validation else Windows.of(contexts[chosen], weights[chosen]),
            )
        )
    return (parts[0], parts[1]), source


def _train_all(jobs: Sequence[Job], options: Options, resources: Resources) -> list[TrainedNetwork]:
    """Train networks on several threads; they are returned in the order of the jobs."""
    stop = threading.Event()
    steps = sum(_schedule(job.part.training, options)[1] for job in jobs)
    progress = Steps(resources, f"training {jobs[0].cell}", steps)
    with ThreadPoolExecutor(min(resources.threads, len(jobs))) as pool:
        try:
            # The costliest networks go first, so that all threads end at about the same time.
            futures = {
                index: pool.submit(train_network, jobs[index], options, stop, progress.advance)
                for index in sorted(range(len(jobs)), key=lambda index: -jobs[index].cost)
            }
            return [futures[index].result() for index in range(len(jobs))]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            progress.finish()


def train_network(
    job: Job,
    options: Options,
    stop: threading.Event,
    callback: Callable[[int], None] = lambda steps: None,
) -> TrainedNetwork:
    """Train one network, and keep the parameters with the lowest validation loss.

    Training ends when ``options.patience`` epochs in a row brought no lower loss.

    Args:
        job: the network and its windows.
        options: the backend's.
        stop: when set, training ends at once with RuntimeError: nobody wants the result any more.
        callback: called with numbers of steps that were taken, or saved by stopping early.
    """
    training, validation = job.part.training, job.part.validation
    width = training.contexts.shape[1]
    places = width if options.position_head else 0
    rng = np.random.default_rng(job.seed)
    parameters = initial_parameters(job.cell, job.hidden, width, places, rng)
    loss = CompiledLoss(job.cell, job.hidden, places, PROBABILITY)
    network = Adam.of(parameters.flat)
    passes, steps = _schedule(training, options)
    best, best_loss, waited = network.flat.copy(), math.inf, 0
    training_curve: list[float] = []
    validation_curve: list[float] = []
    for _ in range(options.epochs):
        total = 0.0
        for batch in _batches(training, options.batch, passes, rng):
            if stop.is_set():
                raise RuntimeError("training was stopped")
            total += batch.bases * loss(network.flat, batch, network.gradient)
            network.step(_learning_rate(options.learning_rate, network.taken / steps))
            callback(1)
        training_curve.append(math.exp(total / passes / training.contexts.size))
        held_out = loss(network.flat, Batch.of_all(validation), network.gradient[:0])
        held_out /= validation.contexts.size
        validation_curve.append(math.exp(held_out))
        if held_out < best_loss:
            best, best_loss, waited = network.flat.copy(), held_out, 0
        else:
            waited += 1
            if waited >= options.patience:
                break
    callback(steps - network.taken)
    return TrainedNetwork(
        Parameters(job.cell, job.hidden, best, places), passes, training_curve, validation_curve
    )


def _batches(windows: Windows, size: int, passes: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the batches of an epoch, each pass in a new order; losses are means per base."""
    for _ in range(passes):
        order = rng.permutation(len(windows))
        for first in range(0, len(windows), size):
            last = min(first + size, len(windows))
            yield Batch(windows, order, first, last, 1 / ((last - first) * windows.width))


def _schedule(training: Windows, options: Options) -> tuple[int, int]:
    """Return the passes over the windows per epoch, and the steps of all epochs."""
    batches = math.ceil(len(training) / options.batch)
    passes = max(1, math.ceil(options.min_steps / (options.epochs * batches)))
    return passes, passes * options.epochs * batches


def _learning_rate(first: float, progress: float) -> float:
    """Return a learning rate that falls along half a cosine while ``progress`` goes from 0 to 1.

    So late steps average out noise.
    """
    return first * 0.5 * (1 + math.cos(math.pi * progress))
