"""Arrays read from a model file, checked for values that a fitted model can have. Not a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import take_arrays

#: ln of the smallest positive number is −745: no logarithm of a probability, nor of a sensible
#: ratio of two, lies farther from 0.
LARGEST_LOG = 750.0
#: Weights of trained networks are far smaller; with larger ones, sums in single precision may
#: overflow.
LARGEST_WEIGHT = 1e4


def take_logs(
    arrays: Mapping[str, NDArray[Any]], **shapes: tuple[int, ...]
) -> dict[str, NDArray[np.float64]]:
    """Take log probabilities. Raises InputError where one is impossibly large or misshapen."""
    return take_arrays(arrays, shapes, largest=LARGEST_LOG)


def take_weights(
    arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float64]]:
    """Take a network's weights. Raises InputError where one is impossibly large or misshapen."""
    return take_arrays(arrays, shapes, largest=LARGEST_WEIGHT)
