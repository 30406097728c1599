"""Turn log biases into weights: calibrate models, weight fragments.

In: log biases of held-out windows and of start sites. Out: a calibration and fragment weights. The
order is the only safe one: a model is judged on held-out windows before a single read is weighted.
"""

from __future__ import annotations

from counterbias.weights.calibration import (
    GAIN_BLOCK,
    UNUSED,
    Calibration,
    HeldOutScores,
    best_shares,
    best_slope,
    calibrate,
    mean_over_blocks,
    recentred,
    start_gains,
    ungated,
)
from counterbias.weights.fragments import (
    FragmentWeights,
    Scale,
    fragment_weights,
    weighted_counts,
)

__all__ = [
    "GAIN_BLOCK",
    "UNUSED",
    "Calibration",
    "FragmentWeights",
    "HeldOutScores",
    "Scale",
    "best_shares",
    "best_slope",
    "calibrate",
    "fragment_weights",
    "mean_over_blocks",
    "recentred",
    "start_gains",
    "ungated",
    "weighted_counts",
]
