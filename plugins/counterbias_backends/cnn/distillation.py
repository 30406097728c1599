"""Distil the mean of several networks into one small network, which scores for all of them.

In: the training set and the fitted networks. Out: the parameters of one network with scores close
to their mean. Scores of the networks are available for any window and without noise, so a network
of half their width learns their mean from windows of the sample's own sequence within seconds
(Buciluă et al. 2006; Hinton et al. 2015).
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias import Resources, TrainingSet
from counterbias_backends.adam import Adam
from counterbias_backends.cnn.loss import CompiledLoss
from counterbias_backends.cnn.parameters import Networks, Shape, initial_parameters
from counterbias_backends.cnn.rows import Batches, Rows, checked_codes
from counterbias_backends.cnn.training import STAGES, NetworksPlan, Trained, schedule, train
from counterbias_backends.lanes import aligned
from counterbias_backends.progress import Steps

#: Windows drawn from the positions of tiles, in addition to all read starts and background windows.
DRAWN = 400_000
#: Windows on which the distilled network is only compared with the others, drawn likewise.
COMPARED = 10_000
#: Windows per step, and the highest learning rate of Adam.
BATCH, LEARNING_RATE = 512, 1.5e-2
#: A window weighs exp(EMPHASIS · (score − mean score)), with the difference kept within ± MOST:
#: reads start where scores are high.
EMPHASIS, MOST = 0.5, 4.0


@dataclass(frozen=True)
class Planned:
    """A model to be fitted: several networks, and perhaps one that is to score for them.

    Args:
        networks: the several.
        student: the shape of the one; None where they score themselves.
        rng: for everything that is still random.
    """

    networks: NetworksPlan
    student: Shape | None
    rng: np.random.Generator


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Args:
        members: the several networks, and how they were trained.
        scoring: those that score: themselves, or one network distilled from them.
        details: for the report.
    """

    members: Trained
    scoring: Networks
    details: dict[str, object]


def fit(planned: Planned, resources: Resources) -> Fitted:
    """Fit a model on the processor."""
    members = train(planned.networks, resources)
    details = {**members.details, "distilled": planned.student is not None}
    if planned.student is None:
        return Fitted(members, members.networks, details)
    lesson = make_lesson(members, planned.student, planned.rng, resources.threads)
    steps = planned.networks.plan.options.distil_steps
    flat = distil(lesson, steps, planned.rng, resources)
    details.update(lesson.compare(flat, resources.threads))
    return Fitted(members, Networks(flat[None], planned.student), details)


@dataclass(frozen=True)
class Lesson:
    """What a network that is to score like several others learns from.

    Args:
        teachers: the several.
        shape: of the network to be fitted.
        rows: windows with their mean score, to be learnt by least squares.
        start: the parameters that training starts from, float64 (size,).
        compared: further windows, uint8 (n, width).
    """

    teachers: Networks
    shape: Shape
    rows: Rows
    start: NDArray[np.float64]
    compared: NDArray[np.uint8]

    def compare(self, flat: NDArray[np.float64], threads: int) -> dict[str, float]:
        """Compare the fitted network with the others on windows that it has not learnt from.

        Returns details for the report: the root mean square ``distilled_difference`` between the
        two scores, and the standard deviation ``distilled_spread`` of the mean score, in nats.
        """
        wanted, found = (
            _mean_scores(networks, self.compared, threads)
            for networks in (self.teachers, Networks(flat[None], self.shape))
        )
        return {
            "distilled_difference": math.sqrt(float(((found - wanted) ** 2).mean())),
            "distilled_spread": float(wanted.std()),
        }


def make_lesson(members: Trained, shape: Shape, rng: np.random.Generator, threads: int) -> Lesson:
    """Draw the windows on which networks are to agree, and score them.

    They are those of the training set and more of its tiles; their labels do not matter. A window
    weighs more the higher its score.
    """
    teachers, sample = members.networks, members.sample
    sequence, compared = _windows(sample, DRAWN, rng), _windows(sample, COMPARED, rng)[-COMPARED:]
    scores = _mean_scores(teachers, sequence, threads)
    weights = np.exp(EMPHASIS * np.clip(scores - scores.mean(), -MOST, MOST))
    mass, order = float(weights.mean()), rng.permutation(len(weights))
    sequence = sequence[order]
    rows = Rows(
        sequence,
        checked_codes(sequence, shape),
        scores[order, None],
        weights[order],
        mass,
        squares=True,
        chosen=np.arange(len(weights)),
        mixed=True,
    )
    start = aligned(initial_parameters(shape, rng))
    shape.split(start)["readout_bias"][...] = scores.mean()
    return Lesson(teachers, shape, rows, start, compared)


def distil(
    lesson: Lesson, steps: int, rng: np.random.Generator, resources: Resources
) -> NDArray[np.float64]:
    """Fit one network to the mean score of several; return its parameters, float64 (size,)."""
    network = Adam.of(lesson.start)
    loss, batches = CompiledLoss(lesson.shape), Batches(lesson.rows, BATCH, rng)
    progress = Steps(resources, "distilling cnn", steps)
    try:
        at_once = -(-steps // STAGES)
        for first in range(0, steps, at_once):
            last = min(first + at_once, steps)
            rates = LEARNING_RATE * schedule(np.arange(first + 1, last + 1) / steps)
            loss.descend(network, [batches], rates)
            progress.advance(last - first)
    finally:
        progress.finish()
    return network.flat


def _mean_scores(
    networks: Networks, sequence: NDArray[np.uint8], threads: int
) -> NDArray[np.float64]:
    """Return the networks' mean score of windows, float64 (n,), whatever the number of threads.

    Calculated in double precision: fitting makes differences of 1e-6 between these scores, as
    single precision has, grow to hundredths.
    """
    scores = np.zeros(len(sequence))

    def add(rows: slice) -> None:
        codes, loss = checked_codes(sequence[rows], networks.shape), CompiledLoss(networks.shape)
        for flat in networks.flat:
            loss.add_scores(flat, codes, scores[rows])

    size = -(-len(sequence) // threads)
    parts = (slice(first, first + size) for first in range(0, len(sequence), size))
    with ThreadPoolExecutor(threads) as pool:
        deque(pool.map(add, parts), maxlen=0)
    return scores / len(networks.flat)


def _windows(sample: TrainingSet, drawn: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return all windows of a sample and ``drawn`` at random positions of its tiles.

    No more are drawn than tiles have positions. uint8 (n, width).
    """
    parts = [sample.foreground, sample.background]
    if sample.tiles is not None and len(sample.tiles.sequence):
        views = np.lib.stride_tricks.sliding_window_view(
            sample.tiles.sequence, sample.window.width, axis=1
        )
        number = min(drawn, views.shape[0] * views.shape[1])
        tiles, positions = (rng.integers(0, size, number) for size in views.shape[:2])
        parts.append(views[tiles, positions])
    return np.concatenate(parts).astype(np.uint8, copy=False)
