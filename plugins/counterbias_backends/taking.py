"""What backends take from a model file: arrays in the ranges that a fitted model can have. This module is no backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import InputError, take_arrays

#: ln of the smallest positive number is −745: no logarithm of a probability lies below.
LOWEST_LOG = -750.0
#: No weight of a trained network comes near; of larger ones, sums in single precision need not be finite.
LARGEST_WEIGHT = 1e4


def take_logs(arrays: Mapping[str, NDArray[Any]], **shapes: tuple[int, ...]) -> dict[str, NDArray[np.float64]]:
    """Take logarithms of probabilities; raises InputError where they are none, or of another shape."""
    taken = take_arrays(arrays, shapes, largest=-LOWEST_LOG)
    for name, logs in taken.items():
        # A probability of 1 may have been rounded up.
        if (logs > 1e-9).any():
            raise InputError(f"array '{name}' of the model holds a probability above 1")
    return taken


def take_weights(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float64]]:
    """Take a network's weights; raises InputError where they are too large to be any, or of another shape."""
    return take_arrays(arrays, shapes, largest=LARGEST_WEIGHT)
