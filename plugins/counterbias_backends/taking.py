"""What backends take from a model file: arrays in the ranges that a fitted model can have. This module is no backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import take_arrays

#: ln of the smallest positive number is −745: no logarithm of a probability, or of a ratio of two that are sensible, lies farther from 0.
LARGEST_LOG = 750.0
#: No weight of a trained network comes near; of larger ones, sums in single precision need not be finite.
LARGEST_WEIGHT = 1e4


def take_logs(
    arrays: Mapping[str, NDArray[Any]], **shapes: tuple[int, ...]
) -> dict[str, NDArray[np.float64]]:
    """Take logarithms of probabilities; raises InputError where they are too large to be any, or of another shape."""
    return take_arrays(arrays, shapes, largest=LARGEST_LOG)


def take_weights(
    arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float64]]:
    """Take a network's weights; raises InputError where they are too large to be any, or of another shape."""
    return take_arrays(arrays, shapes, largest=LARGEST_WEIGHT)
