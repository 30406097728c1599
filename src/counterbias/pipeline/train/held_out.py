"""Models → their gains on windows that they did not see, sample by sample and in all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterbias.model import BiasModel
from counterbias.pipeline.bias.cross_fitting import CrossFitted, score_unseen
from counterbias.pipeline.bias.held_out import calibrate_scores, gain_blocks
from counterbias.pipeline.train.pooling import factors
from counterbias.sampling import FoldedWindows, Windows
from counterbias.scoring import score
from counterbias.weights import (
    Calibration,
    HeldOutScores,
    calibrate,
    mean_over_blocks,
    recentred,
    start_gains,
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A model judged on one sample's windows.

    Args:
        windows: the windows.
        bits: gain of each start, bits.
        calibration: found on all of them.
        foreground, background: scores by models that did not see them, nats.
    """

    windows: Windows
    bits: NDArray[np.float64]
    calibration: Calibration
    foreground: NDArray[np.float64]
    background: NDArray[np.float64]

    def better_than(self, other: Judged) -> tuple[float, float]:
        """Return by how much it gains more, start by start, bits, and the standard error."""
        windows = self.windows
        return mean_over_blocks(
            self.bits - other.bits, windows.foreground_weight, gain_blocks(windows.starts)
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one sample contributes to the calibration of a pooled model.

    Args:
        windows: weights, origins and places of held-out starts and their background; no contexts.
        foreground, background: their scores by models that did not see them, nats.
        again: scores of the background by the pooled model itself, nats.
    """

    windows: Windows
    foreground: NDArray[np.float64]
    background: NDArray[np.float64]
    again: NDArray[np.float64]


def judge(fitted: CrossFitted, folded: FoldedWindows, *, threads: int) -> Judged:
    """Score a sample's windows by models that did not see their fold, and measure the gain."""
    windows = folded.windows
    sample = replace(folded.sample, folds=fitted.sample.folds)
    foreground, background = score_unseen(fitted.judges, sample, windows, threads=threads)
    return Judged(
        windows=windows,
        bits=start_gains(foreground, background, windows.origin),
        calibration=calibrate_scores(foreground, background, windows),
        foreground=foreground,
        background=background,
    )


def evidence_of(
    judged: Judged, model: BiasModel, most: int, rng: np.random.Generator, *, threads: int
) -> Evidence:
    """Keep at most ``most`` held-out starts of a sample, drawn at random, with their background."""
    part = judged.windows
    rows = np.arange(len(part.foreground), dtype=np.int64)
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    new = np.full(len(part.foreground), -1, np.int64)
    new[rows] = np.arange(len(rows))
    back = np.flatnonzero(new[part.origin] >= 0)
    kept = Windows(
        part.foreground[:0],
        part.foreground_weight[rows],
        part.background[:0],
        part.background_weight[back],
        new[part.origin[back]],
        part.starts.take(rows),
    )
    again = score(model, part.background[back], threads=threads)
    return Evidence(kept, judged.foreground[rows], judged.background[back], again)


def calibrate_pooled(samples: Sequence[Evidence], shares: Sequence[float]) -> Calibration:
    """Calibrate on the held-out windows of all samples, each with its share of the weight."""
    parts = [one.windows for one in samples]
    scale = factors([float(part.foreground_weight.sum()) for part in parts], shares)
    first = np.concatenate(([0], np.cumsum([len(part.foreground_weight) for part in parts])))
    foreground_weight = [part.foreground_weight * by for part, by in zip(parts, scale, strict=True)]
    background_weight = np.concatenate(
        [part.background_weight * by for part, by in zip(parts, scale, strict=True)]
    )
    origin = [part.origin + begin for part, begin in zip(parts, first, strict=False)]
    scores = HeldOutScores(
        np.concatenate([one.foreground for one in samples]),
        np.concatenate([one.background for one in samples]),
        np.concatenate(foreground_weight),
        background_weight,
        np.concatenate(origin),
        np.concatenate([gain_blocks(part.starts) for part in parts]),
    )
    again = np.concatenate([one.again for one in samples])
    return recentred(calibrate(scores), again, background_weight)
