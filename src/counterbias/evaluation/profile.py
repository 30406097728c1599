"""Agreement of observed and expected reads from place to place along one gene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well expected reads fit the observed ones; NaN where that is not defined.

    Args:
        pearson: their correlation over places.
        reachable: the correlation that would be seen if the reads were Poisson numbers about what
            is expected: with few reads per place it is far below 1.
        deviance: share of the Poisson deviance from an even spread that is explained: 1 is perfect,
            below 0 is worse than even.
    """

    pearson: float
    reachable: float
    deviance: float


def agreement(observed: Floats, expected: Floats) -> Agreement:
    """Compare reads with those expected, float64 (places,) each, of equal sums.

    With y observed and μ expected, Poisson numbers have the variance Var μ + mean μ and the
    covariance Var μ with μ, so that the reachable correlation is √(Var μ / (Var μ + mean μ)).
    """
    if not len(observed) or not observed.sum() > 0:
        return Agreement(math.nan, math.nan, math.nan)
    mean = float(observed.mean())
    spread, noise = float(np.var(expected)), float(expected.mean())
    both = math.sqrt(spread * float(np.var(observed)))
    covariance = float(np.mean((observed - mean) * (expected - noise)))
    varies = spread > 1e-12 * noise**2  # an even spread, but for rounding
    total = deviance(observed, np.full(len(observed), mean))
    return Agreement(
        covariance / both if varies and both > 0 else math.nan,
        math.sqrt(spread / (spread + noise)) if varies else math.nan,
        1 - deviance(observed, expected) / total if total > 0 else math.nan,
    )


def deviance(observed: Floats, expected: Floats) -> float:
    """Return the Poisson deviance 2 Σ (y ln(y / μ) − (y − μ)), with 0 ln 0 = 0."""
    ratio = np.divide(observed, expected, out=np.ones(len(observed)), where=observed > 0)
    return float(2 * np.sum(observed * np.log(ratio) - (observed - expected)))
