"""Windows that a model did not see → a calibration, alike in all commands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.model import BiasModel
from counterbias.records import Positions
from counterbias.sampling import Windows
from counterbias.scoring import score
from counterbias.weights import GAIN_BLOCK, Calibration, HeldOutScores, calibrate


def calibrate_on_held_out(model: BiasModel, windows: Windows, *, threads: int = 1) -> Calibration:
    """Judge and calibrate a model on held-out windows."""
    foreground, background = (
        score(model, part, threads=threads) for part in (windows.foreground, windows.background)
    )
    return calibrate_scores(foreground, background, windows)


def calibrate_scores(
    foreground: NDArray[np.float64],
    background: NDArray[np.float64],
    windows: Windows,
    *,
    own: bool = False,
) -> Calibration:
    """Judge and calibrate a model by held-out scores.

    Args:
        foreground, background: float64 (n,) each, nats, by models that did not see the windows; NaN
            where there is none.
        windows: the windows.
        own: whether these models have learnt from other parts of the same sample.
    """
    scores = HeldOutScores(
        foreground,
        background,
        windows.foreground_weight,
        windows.background_weight,
        windows.origin,
        gain_blocks(windows.starts),
    )
    return calibrate(scores, own=own)


def gain_blocks(places: Positions) -> NDArray[np.int64]:
    """Number the groups of starts whose gains depend on each other, int64 (n,).

    The same place has the same number in all samples.
    """
    return np.asarray(places.contig.astype(np.int64) * (1 << 40) + places.position // GAIN_BLOCK)
