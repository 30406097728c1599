"""Random parameters of recurrent networks, windows to score, and how well models score them."""

from __future__ import annotations

import numpy as np

from counterbias import BiasModel
from counterbias.testing import planted_log_bias
from counterbias_backends.rnn.parameters import Parameters, parameter_count


def random_parameters(cell: str, hidden: int, places: int, seed: int = 1) -> Parameters:
    rng = np.random.default_rng(seed)
    flat = rng.uniform(-0.8, 0.8, parameter_count(cell, hidden, places)).astype(np.float32)
    return Parameters(cell, hidden, flat, places)


def random_contexts(n: int, width: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, width), dtype=np.uint8)


def agreement(model: BiasModel) -> float:
    """Return the correlation of a model's scores with the planted log bias."""
    contexts = random_contexts(2000, model.window.width)
    truth = planted_log_bias(model.window, contexts)
    return float(np.corrcoef(model.log_bias(contexts), truth)[0, 1])
