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

import numpy as np
from numpy.typing import NDArray

from counterbias import Resources, TrainingSet
from counterbias_backends.adam import Adam
from counterbias_backends.cnn.loss import CompiledLoss
from counterbias_backends.cnn.parameters import Networks, Shape, initial_parameters
from counterbias_backends.cnn.rows import Batches, Rows, checked_codes
from counterbias_backends.cnn.training import STAGES, schedule
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


def distil(
    teachers: Networks,
    shape: Shape,
    sample: TrainingSet,
    steps: int,
    rng: np.random.Generator,
    resources: Resources,
) -> tuple[Networks, dict[str, float]]:
    """Fit one network to the mean score of several.

    Args:
        teachers: the several.
        shape: of the network to be fitted.
        sample: holds the windows on which they are to agree; their labels do not matter.
        steps: of the optimiser.

    Returns the fitted network and details for the report: the root mean square
    ``distilled_difference`` between the two scores on newly drawn windows, and the standard
    deviation ``distilled_spread`` of the mean score there, in nats.
    """
    sequence, compared = _windows(sample, DRAWN, rng), _windows(sample, COMPARED, rng)[-COMPARED:]
    scores = _mean_scores(teachers, sequence, resources.threads)
    student = Networks(_fit(scores, sequence, shape, steps, rng, resources)[None], shape)
    wanted, found = (
        _mean_scores(networks, compared, resources.threads) for networks in (teachers, student)
    )
    return student, {
        "distilled_difference": math.sqrt(float(((found - wanted) ** 2).mean())),
        "distilled_spread": float(wanted.std()),
    }


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


def _fit(
    scores: NDArray[np.float64],
    sequence: NDArray[np.uint8],
    shape: Shape,
    steps: int,
    rng: np.random.Generator,
    resources: Resources,
) -> NDArray[np.float64]:
    """Fit a network to windows' scores by weighted least squares; return its float64 (size,)."""
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
    network = Adam.of(aligned(initial_parameters(shape, rng)))
    shape.split(network.flat)["readout_bias"][...] = scores.mean()
    loss = CompiledLoss(shape)  # not on a GPU, which would gain nothing in steps this small
    batches = Batches(rows, BATCH, rng)
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
