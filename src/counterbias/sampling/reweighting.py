"""Rid the background of the bias of its neighbourhood.

Background is drawn near the starts, so that a neighbourhood holds background in proportion to its starts: its abundance times its mean
bias. A model of two densities, one of starts and one of background, then learns b relative to the mean b of the neighbourhood, and places
(genes) whose mean bias is high keep part of it. What Salmon and Cufflinks take as background is in proportion to abundance alone. So each
background window's weight is divided by a power of the mean bias around it, as a position weight matrix has it, whatever model is fitted
afterwards.

The power is one half. Models of two densities take what overlaps of neighbouring windows tell for independent, and so overstate what varies
slowly along the genome; with the whole mean the correction of genes would be a tenth too large (``docs/method.md``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import Positions, Window
from counterbias.sampling.start_weights import LOCAL_REACH
from counterbias.sampling.starts import DrawnPositions

#: Power of the mean bias by which weights are divided.
POWER = 0.5
#: Bases between the places whose bias is averaged.
STEP = 10
#: The mean bias of a neighbourhood is taken to be at least this part of the average one, so that no window's weight runs away.
LEAST_MEAN = 0.05
#: Bases to either side of a position that can be cut.
WIDEST = 127
#: Background windows whose neighbourhoods are looked at at a time.
ROWS = 8192

#: Cuts windows of a given size at positions: uint8 (n, width), and which of them are whole and without N.
Cut = Callable[[Positions, Window], tuple[NDArray[np.uint8], NDArray[np.bool_]]]


def reweight_background(
    sample: DrawnPositions,
    foreground: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    background: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    window: Window,
    cut: Cut,
) -> DrawnPositions:
    """Divide the weight of every background window by a power of the mean bias around it; the total of the weights stays.

    Args:
        sample: positions; ``foreground`` and ``background``: their windows, and which of them are valid.
        window: the window. cut: gives windows that reach farther.
    """
    rows = np.flatnonzero(background[1])
    weight = sample.background.weight.copy()
    total = weight[rows].sum()
    if not total > 0 or not foreground[1].any():
        return sample
    sides = ((foreground, sample.foreground.weight), (background, sample.background.weight))
    logs = [_log_composition(contexts[valid], own[valid]) for (contexts, valid), own in sides]
    mean = local_mean(logs[0] - logs[1], sample.background.take(rows), window, cut)
    mean /= (mean * weight[rows]).sum() / total
    weight[rows] /= np.maximum(mean, LEAST_MEAN) ** POWER
    weight[rows] *= total / weight[rows].sum()
    return replace(sample, background=replace(sample.background, weight=weight))


def local_mean(
    log_bias: NDArray[np.float64], positions: Positions, window: Window, cut: Cut
) -> NDArray[np.float64]:
    """Average the bias over every tenth place within 100 bases of each position, on its strand, float64 (n,).

    ``log_bias``, float64 (width, 4), is added up over a window. Windows as wide as can be cut reach less far. 1 where an N is within reach,
    or the end of the contig.
    """
    wide = Window(
        min(window.upstream + LOCAL_REACH, WIDEST), min(window.downstream + LOCAL_REACH, WIDEST)
    )
    out = np.ones(len(positions))
    for first in range(0, len(positions), ROWS):
        contexts, valid = cut(positions.take(slice(first, first + ROWS)), wide)
        _average(contexts, valid, log_bias, STEP, out[first : first + ROWS])
    return out


def _log_composition(
    contexts: NDArray[np.uint8], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give ln P(base) per column, float64 (width, 4), one window added per base."""
    counts = np.stack([np.bincount(column, weight, minlength=4)[:4] for column in contexts.T]) + 1.0
    return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)))


@njit(cache=True, nogil=True)
def _average(contexts, valid, log_bias, step, out):  # type: ignore[no-untyped-def]
    """Average exp(sum of log_bias over the window) over every ``step``-th window of each valid row."""
    width = len(log_bias)
    for row in range(len(out)):
        if not valid[row]:
            continue
        total, number = 0.0, 0
        for first in range(0, contexts.shape[1] - width + 1, step):
            score = 0.0
            for column in range(width):
                score += log_bias[column, contexts[row, first + column]]
            total += math.exp(score)
            number += 1
        out[row] = total / number
