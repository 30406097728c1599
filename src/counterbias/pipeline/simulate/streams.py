"""Streams of random numbers, one for each thing that is drawn.

More samples or other genes therefore leave, for example, the bias as it is.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream of random numbers is for."""

    GENOME = 1
    BIAS = 2
    STUDY = 3
    SAMPLES = 4


def random_stream(seed: int, stream: Stream, *numbers: int) -> np.random.Generator:
    """Return the generator of a stream, or of one of its numbered parts."""
    return np.random.default_rng([seed, int(stream), *numbers])
