"""Reweight the background so that it does not share the bias of its neighbourhood.

Background is drawn near the starts, so a neighbourhood has background in proportion to its starts,
that is, to its abundance times its mean bias. A model of two densities, one of starts and one of
background, then learns b relative to the mean b of the neighbourhood, and genes whose mean bias is
high keep part of it. The background of Salmon and Cufflinks is in proportion to abundance alone. So
the weight of each background window is divided by a power of the mean bias around it, according to
a position weight matrix, whatever model is fitted afterwards.

The power is one half. Models of two densities treat the overlapping windows of neighbouring places
as independent, and so overstate what varies slowly along the genome; with the full mean, the
correction of genes would be a tenth too large (``docs/explanation/method.md``).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias.records import Positions, Window
from counterbias.sampling.cutting import Cut, CutWindows
from counterbias.sampling.drawing import DrawnPositions
from counterbias.sampling.start_weights import LOCAL_REACH

#: Weights are divided by this power of the mean bias.
POWER = 0.5
#: Bases between the places whose bias is averaged.
STEP = 10
#: Least mean bias of a neighbourhood, over the average one, so that no window's weight explodes.
LEAST_MEAN = 0.05
#: Bases to either side of a position that can be cut.
WIDEST = 127
#: Background windows whose neighbourhoods are cut at a time.
ROWS = 8192


def reweight_background(
    drawn: DrawnPositions,
    foreground: CutWindows,
    background: CutWindows,
    window: Window,
    cut: Cut,
) -> DrawnPositions:
    """Divide the weight of each background window by a power of the mean bias around it.

    The sum of the weights stays the same.

    Args:
        drawn: the positions.
        foreground, background: the windows there.
        window: their window.
        cut: cuts wider windows.
    """
    rows = np.flatnonzero(background[1])
    weight = drawn.background.weight.copy()
    total = weight[rows].sum()
    if not total > 0 or not foreground[1].any():
        return drawn
    sides = ((foreground, drawn.foreground.weight), (background, drawn.background.weight))
    logs = [_log_composition(contexts[valid], own[valid]) for (contexts, valid), own in sides]
    mean = local_mean(logs[0] - logs[1], drawn.background.take(rows), window, cut)
    mean /= (mean * weight[rows]).sum() / total
    weight[rows] /= np.maximum(mean, LEAST_MEAN) ** POWER
    weight[rows] *= total / weight[rows].sum()
    return replace(drawn, background=replace(drawn.background, weight=weight))


def local_mean(
    log_bias: NDArray[np.float64], positions: Positions, window: Window, cut: Cut
) -> NDArray[np.float64]:
    """Average the bias over every tenth place within 100 bases of each position, float64 (n,).

    ``log_bias``, float64 (width, 4), is summed over a window. The reach is shorter for very wide
    windows. 1 where an N or the end of the contig is within reach.
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
    """Return ln P(base) per column, float64 (width, 4), with pseudocounts of 1."""
    counts = np.stack([np.bincount(column, weight, minlength=4)[:4] for column in contexts.T]) + 1.0
    return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)))


@loop("u1[:, ::1], b1[::1], f8[:, ::1], i8, f8[::1]")
def _average(contexts, valid, log_bias, step, out):  # type: ignore[no-untyped-def]
    """Average exp(Σ log_bias over the window) over every ``step``-th window of each valid row."""
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
