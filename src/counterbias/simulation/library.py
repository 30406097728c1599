"""The distributions that a library's fragments are drawn from, as tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.simulation_options import Library

#: Steps of a fragment's GC content in which its effect is tabulated.
GC_STEPS = 1000


def length_probabilities(library: Library) -> NDArray[np.float64]:
    """Return the probability of each fragment length, float64 (``library.longest`` + 1,)."""
    lengths = np.arange(library.longest + 1)
    density = np.exp(-0.5 * ((lengths - library.fragment_mean) / library.fragment_sd) ** 2)
    density[: library.shortest] = 0.0
    return np.asarray(density / density.sum(), dtype=np.float64)


def gc_factors(library: Library) -> NDArray[np.float64]:
    """Return the factor on a fragment's probability for each GC content.

    Returns:
        float64 (GC_STEPS + 1,); empty without a GC bias.
    """
    if library.gc_bias == 0.0:
        return np.empty(0)
    return np.asarray(
        np.exp(library.gc_bias * (np.linspace(0.0, 1.0, GC_STEPS + 1) - 0.5) / 0.1),
        dtype=np.float64,
    )
