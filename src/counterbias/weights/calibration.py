"""Judge a model on windows that it did not see, and calibrate its log bias.

The model is judged as it is; one without a gain leaves all weights at 1. Otherwise its log bias is
multiplied by a slope, found on the same windows, and shifted so that its exponential averages 1
over the background.

Reads and features need not have the same slope. A model learnt from few reads is noisy, and a slope
below 1 protects single reads from that noise; in a feature, noise averages out over a thousand
places while bias does not. So for a model fitted to this very sample, whose slope below 1 is due to
noise, effective lengths use a slope of at least 1. For a model from elsewhere, the slope shows how
strong its bias is in this sample, for reads and features alike.

The quality report's ``calibration`` is filled from here by :mod:`counterbias.pipeline.bias.report`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterbias.model import bounded

#: Bases per group of starts whose gains are treated as dependent.
GAIN_BLOCK = 1000
#: Standard errors by which the gain must exceed zero. With 2, one unbiased library in forty
#: would be "corrected" by noise; the gain of real priming bias is 8 to 40 standard errors.
GATE_ERRORS = 3.0
#: How the reason ends where it does not.
GAINS_TOO_LITTLE = f"is not above zero by {GATE_ERRORS:g} standard errors"
#: Groups needed before the gain of a model is trusted.
MIN_GROUPS = 10
#: The largest slope considered.
MOST_SLOPE = 2.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The line that turns a model's log bias into a calibrated one, and what it is based on.

    Args:
        applied: whether the model is used; if not, every bias is 1.
        slope: factor for the log bias of reads, 0 to :data:`MOST_SLOPE`.
        constant: subtracted after that, nats.
        gain, gain_error: bits per start that the model, with slope 1, gains in telling held-out
            starts from their own background windows, and its standard error over blocks of 1 kb.
            NaN without held-out starts.
        starts: number of held-out starts with background.
        reason: why the model is not used; empty if it is.
        length_slope, length_constant: slope and constant for the positions of features.
        fitted_slope: the maximum likelihood slope, even if the gain is too small for the model to
            be used.
    """

    applied: bool
    slope: float
    constant: float
    gain: float
    gain_error: float
    starts: int
    reason: str = ""
    length_slope: float = 0.0
    length_constant: float = 0.0
    fitted_slope: float = 0.0

    def of_positions(self, log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate log biases of a feature's positions, nats, for its effective length."""
        if not self.applied:
            return self(log_bias)
        return bounded(self.length_slope * log_bias - self.length_constant)

    def __call__(self, log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate log biases of reads, nats; NaN stays NaN."""
        if not self.applied:
            return np.where(np.isnan(log_bias), np.nan, 0.0)
        return bounded(self.slope * log_bias - self.constant)


#: A calibration that leaves every read at weight 1.
UNUSED = Calibration(False, 0.0, 0.0, math.nan, math.nan, 0, "not calibrated")


@dataclass(frozen=True, slots=True)
class HeldOutScores:
    """Scores of held-out windows, each by a model that did not see it.

    Args:
        foreground: float64 (n,), log biases of windows at read starts, nats; NaN without a score.
        background: float64 (m,), the same of background windows.
        foreground_weight, background_weight: float64 (n,) and (m,).
        origin: int64 (m,), the row of ``foreground`` that each background window belongs to.
        block: int64 (n,), group of starts whose gains depend on each other.
    """

    foreground: NDArray[np.float64]
    background: NDArray[np.float64]
    foreground_weight: NDArray[np.float64]
    background_weight: NDArray[np.float64]
    origin: NDArray[np.int64]
    block: NDArray[np.int64]


def calibrate(scores: HeldOutScores, *, own: bool = False) -> Calibration:
    """Judge and calibrate a model on held-out windows.

    Each held-out start competes with its own background windows: the chance that a model with bias
    b gives the start is b_start / Σ b. The gain is the mean of log2 of that chance over that of a
    model without bias. It must be above zero by three standard errors, over groups of starts, or
    the model is not used. The slope maximises the same likelihood (conditional logistic
    regression), within 0 to :data:`MOST_SLOPE`. Windows without a score are left out.

    Args:
        scores: of the held-out windows.
        own: whether the models have learnt from other parts of this sample; features then have a
            slope of at least 1.
    """
    kept = np.isfinite(scores.background) & np.isfinite(scores.foreground)[scores.origin]
    background, origin = scores.background[kept], scores.origin[kept]
    foreground = np.where(np.isfinite(scores.foreground), scores.foreground, 0.0)

    paired = np.bincount(origin, minlength=len(foreground)) > 0
    starts = int(paired.sum())
    gain, error = mean_over_blocks(
        start_gains(foreground, background, origin), scores.foreground_weight, scores.block
    )
    groups = len(np.unique(scores.block[paired]))
    if groups < MIN_GROUPS:
        reason = f"only {starts} held-out starts in {groups} blocks of {GAIN_BLOCK} bases"
        return Calibration(False, 0.0, 0.0, gain, error, starts, reason)
    slope = best_slope(foreground, background, scores.foreground_weight, origin)
    if not gain - GATE_ERRORS * error > 0:
        reason = f"its held-out gain of {gain:.4f} ± {error:.4f} bits per start {GAINS_TOO_LITTLE}"
        return Calibration(False, 0.0, 0.0, gain, error, starts, reason, fitted_slope=slope)
    calibration = Calibration(
        True,
        slope,
        0.0,
        gain,
        error,
        starts,
        length_slope=max(slope, 1.0) if own else slope,
        fitted_slope=slope,
    )
    return recentred(calibration, background, scores.background_weight[kept])


def ungated(calibration: Calibration) -> Calibration:
    """Return the calibration of a model used although its gain is too small.

    For samples known to be biased. Not applied if the fitted slope is 0. The constants have yet to
    be found (:func:`recentred`).
    """
    return replace(
        calibration,
        applied=calibration.fitted_slope > 0,
        slope=calibration.fitted_slope,
        length_slope=calibration.fitted_slope,
    )


def best_slope(
    foreground: NDArray[np.float64],
    background: NDArray[np.float64],
    weight: NDArray[np.float64],
    origin: NDArray[np.int64],
) -> float:
    """Find the slope, 0 to :data:`MOST_SLOPE`, that maximises the likelihood of held-out starts.

    Each start competes with its own background windows, as in :func:`calibrate`. The likelihood is
    concave in the slope, so its derivative is bisected.
    """
    top = foreground.copy()
    np.maximum.at(top, origin, background)
    size = len(foreground)

    def derivative(slope: float) -> float:
        own, other = np.exp(slope * (foreground - top)), np.exp(slope * (background - top[origin]))
        total = own + np.bincount(origin, weights=other, minlength=size)
        mean = (
            own * foreground + np.bincount(origin, weights=other * background, minlength=size)
        ) / total
        return float((weight * (foreground - mean)).sum())

    low, high = 0.0, MOST_SLOPE
    if derivative(low) <= 0:  # also where nothing depends on the slope
        return low
    if derivative(high) >= 0:
        return high
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if derivative(middle) > 0 else (low, middle)
    return low


def best_shares(
    foreground: NDArray[np.float64],
    background: NDArray[np.float64],
    weight: NDArray[np.float64],
    origin: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Find the shares of several models' log biases that maximise the likelihood of starts.

    The likelihood is that of :func:`best_slope`, concave in the shares.

    Args:
        foreground: float64 (starts, models), nats.
        background: float64 (windows, models), nats.
        weight: float64 (starts,).
        origin: int64 (windows,), the start that each background window belongs to.

    Returns:
        float64 (models,), each from 0 to :data:`MOST_SLOPE`.
    """
    from scipy.optimize import minimize

    size, models = foreground.shape
    whole = max(float(weight.sum()), 1e-300)

    def loss(shares: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        one, others = foreground @ shares, background @ shares
        top = one.copy()
        np.maximum.at(top, origin, others)
        own, rival = np.exp(one - top), np.exp(others - top[origin])
        total = own + np.bincount(origin, weights=rival, minlength=size)
        mean = np.stack(
            [
                own * foreground[:, k] + np.bincount(origin, rival * background[:, k], size)
                for k in range(models)
            ],
            axis=1,
        )
        gradient = (weight[:, None] * (mean / total[:, None] - foreground)).sum(axis=0)
        return float((weight * (top + np.log(total) - one)).sum()) / whole, gradient / whole

    found = minimize(
        loss, np.full(models, 0.5), jac=True, method="L-BFGS-B", bounds=[(0.0, MOST_SLOPE)] * models
    )
    return np.asarray(found.x, np.float64)


def recentred(
    calibration: Calibration, background: NDArray[np.float64], weight: NDArray[np.float64]
) -> Calibration:
    """Return a calibration whose bias averages 1 over this background, given the model's scores."""
    if not calibration.applied:
        return calibration
    constants = [
        _log_mean_exp(slope * background, weight)
        for slope in (calibration.slope, calibration.length_slope)
    ]
    return replace(calibration, constant=constants[0], length_constant=constants[1])


def start_gains(
    foreground: NDArray[np.float64], background: NDArray[np.float64], origin: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each start's gain over its own background windows, float64 (n,), bits.

    NaN for starts without background, or without a score.
    """
    kept = np.isfinite(background) & np.isfinite(foreground)[origin]
    background, origin = background[kept], origin[kept]
    foreground = np.where(np.isfinite(foreground), foreground, 0.0)
    size = len(foreground)
    rivals = np.bincount(origin, minlength=size)
    top = foreground.copy()
    np.maximum.at(top, origin, background)
    others = np.bincount(origin, weights=np.exp(background - top[origin]), minlength=size)
    bits = (
        foreground - top - np.log((np.exp(foreground - top) + others) / (1 + rivals))
    ) / math.log(2)
    return np.asarray(np.where(rivals > 0, bits, np.nan))


def mean_over_blocks(
    bits: NDArray[np.float64], weight: NDArray[np.float64], block: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the weighted mean of what is not NaN, and its standard error over blocks.

    The error is that of a ratio of sums, linearised.
    """
    rows = np.flatnonzero(~np.isnan(bits))
    if not len(rows):
        return math.nan, math.nan
    _, group = np.unique(block[rows], return_inverse=True)
    above = np.bincount(group, weights=bits[rows] * weight[rows])
    below = np.bincount(group, weights=weight[rows])
    gain = float(above.sum() / below.sum())
    n = len(above)
    if n < 2:
        return gain, math.nan
    return gain, float(math.sqrt(n / (n - 1) * ((above - gain * below) ** 2).sum()) / below.sum())


def _log_mean_exp(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    if not len(values):
        return 0.0
    top = float(values.max())
    return top + math.log(float((weight * np.exp(values - top)).sum() / weight.sum()))
