"""Turn log biases into weights: calibrate them, decide whether to use them, weigh fragments, measure effective lengths.

In come log biases of held-out windows and of start sites; out go a calibration, fragment weights and effective lengths. The
order is the only safe one: a model is judged on held-out windows before a single read is weighed.
"""

from counterbias.weights.calibration import (
    GAIN_BLOCK,
    UNUSED,
    Calibration,
    as_asked,
    best_shares,
    best_slope,
    calibrate,
    mean_over_blocks,
    recentred,
    start_gains,
)
from counterbias.weights.effective_lengths import (
    BiasOf,
    FragmentLengths,
    assumed_lengths,
    effective_lengths,
    fragment_lengths,
)
from counterbias.weights.fragment_weights import (
    CAP,
    FragmentWeights,
    LogBiasOf,
    Scale,
    fragment_weights,
    weighted_counts,
)

__all__ = [
    "CAP",
    "GAIN_BLOCK",
    "UNUSED",
    "BiasOf",
    "Calibration",
    "FragmentLengths",
    "FragmentWeights",
    "LogBiasOf",
    "Scale",
    "as_asked",
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
    "weighted_counts",
]
