"""Turn log biases into weights: calibrate models, weight fragments, measure effective lengths.

In: log biases of held-out windows and of start sites. Out: a calibration, fragment weights and
effective lengths. The order is the only safe one: a model is judged on held-out windows before a
single read is weighted.
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
from counterbias.weights.length_distribution import (
    FragmentLengths,
    assumed_lengths,
    fragment_lengths,
)
from counterbias.weights.lengths import FragmentLayout, effective_lengths

__all__ = [
    "GAIN_BLOCK",
    "UNUSED",
    "Calibration",
    "FragmentLayout",
    "FragmentLengths",
    "FragmentWeights",
    "HeldOutScores",
    "Scale",
    "assumed_lengths",
    "best_shares",
    "best_slope",
    "calibrate",
    "effective_lengths",
    "fragment_lengths",
    "fragment_weights",
    "mean_over_blocks",
    "recentred",
    "start_gains",
    "ungated",
    "weighted_counts",
]
