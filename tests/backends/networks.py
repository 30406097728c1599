"""Recurrent networks with random parameters, and windows for them to score."""

from __future__ import annotations

import numpy as np

from counterbias_backends.rnn.parameters import Parameters, parameter_count


def random_parameters(cell: str, hidden: int, places: int, seed: int = 1) -> Parameters:
    rng = np.random.default_rng(seed)
    flat = rng.uniform(-0.8, 0.8, parameter_count(cell, hidden, places)).astype(np.float32)
    return Parameters(cell, hidden, flat, places)


def random_contexts(n: int, width: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, width), dtype=np.uint8)
