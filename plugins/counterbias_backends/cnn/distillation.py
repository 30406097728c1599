"""Distil the mean of several networks into one small network, which scores for all of them.

In: the training set and the fitted networks' mean score. Out: the parameters of one network whose scores come close to it. Scores of the
networks are to be had for any window and hold no noise, so a network of half their width learns their mean from windows of the
sample's own sequence in a few seconds (Buciluă et al. 2006; Hinton et al. 2015).
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from counterbias import Resources, TrainingSet
from counterbias_backends.cnn.parameters import Shape
from counterbias_backends.cnn.rows import Draw, Rows, checked_codes
from counterbias_backends.cnn.training import (
    STAGES,
    CompiledGradient,
    State,
    initial_parameters,
    schedule,
)
from counterbias_backends.progress import Steps

if TYPE_CHECKING:
    from counterbias_backends.cnn.model import Options

#: Windows drawn from the positions of tiles, besides those of the read starts and the background.
DRAWN = 400_000
#: Windows on which the distilled network is only compared, drawn like the others.
COMPARED = 10_000
#: Windows per step, and the highest learning rate of Adam.
BATCH, LEARNING_RATE = 512, 1.5e-2
#: A window weighs exp(EMPHASIS · (score − mean score)), the difference bounded by MOST: reads lie where scores are high.
EMPHASIS, MOST = 0.5, 4.0


def distil(
    flat: NDArray[np.float64], member: Shape, shape: Shape, sample: TrainingSet, options: Options, rng: np.random.Generator,
    resources: Resources,
) -> tuple[NDArray[np.float64], dict[str, float]]:  # fmt: skip
    """Fit one network to the mean score of several.

    Args:
        flat: float64 (networks, size), the several.
        member: the shape of each of them; ``shape``: of the network to be fitted.
        sample: gives the windows on which they are to agree; what they are labelled with does not matter.

    Returns the parameters, float64 (1, size), and for the report the root mean square ``distilled_difference`` of the two on windows drawn
    anew, and the standard deviation ``distilled_spread`` of the mean score there, nats.
    """
    sequence, compared = _windows(sample, DRAWN, rng), _windows(sample, COMPARED, rng)[-COMPARED:]
    threads = resources.threads
    fitted = _fit(
        _mean_scores(flat, member, sequence, threads),
        sequence,
        shape,
        options.distil_steps,
        rng,
        resources,
    )[None]
    wanted, found = (
        _mean_scores(flat, member, compared, threads),
        _mean_scores(fitted, shape, compared, threads),
    )
    return fitted, {
        "distilled_difference": math.sqrt(float(((found - wanted) ** 2).mean())),
        "distilled_spread": float(wanted.std()),
    }


def _mean_scores(
    flat: NDArray[np.float64], shape: Shape, sequence: NDArray[np.uint8], threads: int
) -> NDArray[np.float64]:
    """Give the mean score of networks for windows, float64 (n,).

    The same whatever the threads. In double precision: fitting makes a difference of 1e-6 in these scores, as single precision has, grow
    to hundredths.
    """
    scores = np.zeros(len(sequence))

    def add(rows: slice) -> None:
        codes, work = checked_codes(sequence[rows], shape), CompiledGradient(shape)
        for one in flat:
            work.add_scores(one, codes, scores[rows])

    size = -(-len(sequence) // threads)
    with ThreadPoolExecutor(threads) as pool:
        deque(
            pool.map(add, (slice(first, first + size) for first in range(0, len(sequence), size))),
            maxlen=0,
        )
    return scores / len(flat)


def _windows(sample: TrainingSet, drawn: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Give the windows of a sample and so many at random positions of its tiles (no more than there are), uint8 (n, width)."""
    parts = [sample.foreground, sample.background]
    if sample.tiles is not None and len(sample.tiles.sequence):
        views = np.lib.stride_tricks.sliding_window_view(
            sample.tiles.sequence, sample.window.width, axis=1
        )
        number = min(drawn, views.shape[0] * views.shape[1])
        parts.append(
            views[rng.integers(0, views.shape[0], number), rng.integers(0, views.shape[1], number)]
        )
    return np.concatenate(parts).astype(np.uint8, copy=False)


def _fit(
    scores: NDArray[np.float64],
    sequence: NDArray[np.uint8],
    shape: Shape,
    steps: int,
    rng: np.random.Generator,
    resources: Resources,
) -> NDArray[np.float64]:
    """Fit a network to scores of windows by weighted least squares: its parameters, float64 (size,)."""
    weights = np.exp(EMPHASIS * np.clip(scores - scores.mean(), -MOST, MOST))
    mass, every, order = (
        float(weights.mean()),
        np.arange(len(weights)),
        rng.permutation(len(weights)),
    )
    sequence, mixed = sequence[order], scores[order, None]
    rows = Rows(
        sequence,
        checked_codes(sequence, shape),
        mixed,
        weights[order],
        mass,
        squares=True,
        chosen=every,
        mixed=True,
    )
    state = State.of(initial_parameters(shape, rng))
    shape.split(state.flat)["readout_bias"][...] = scores.mean()
    evaluate = CompiledGradient(shape)  # not on a GPU: steps this small gain nothing there
    draw = Draw(rows, BATCH, rng)
    told = Steps(resources, "distilling cnn", steps)
    try:
        at_once = -(-steps // STAGES)
        for first in range(0, steps, at_once):
            last = min(first + at_once, steps)
            evaluate.descend(
                state, [draw], LEARNING_RATE * schedule(np.arange(first + 1, last + 1) / steps)
            )
            told.advance(last - first)
    finally:
        told.finish()
    return state.flat
