"""Reliability: whether the size of a bias can be read from held-out reads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from counterbias.evaluation.reliability import Reliability, reliability
from counterbias.evaluation.trial_means import mean_points
from counterbias.evaluation.units import Units


def make_units(reads: list[list[float]], *, apart: int = 100_000) -> Units:
    """Units of these reads per place, each in its own block."""
    lengths = np.array([len(one) for one in reads])
    start = np.arange(len(reads), dtype=np.int64) * apart
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    flat = np.array([count for one in reads for count in one], np.float64)
    return Units(
        np.zeros(len(reads), np.int32),
        start,
        start + lengths,
        np.zeros(len(reads), np.uint8),
        offsets,
        flat,
    )


#: Places of a simulated unit, and the standard deviation of their log bias.
LENGTH, SPREAD = 300, 0.6


def simulated(
    seed: int,
    *,
    units: int = 120,
    depth: float = 0.2,
    copies: float = 0.0,
    patchy: float = 0.0,
) -> tuple[np.ndarray, Units]:
    """Units with abundances of their own, and the true log bias.

    Args:
        seed: of the random numbers.
        units: how many there are, of :data:`LENGTH` places each.
        depth: mean number of fragments per place, before abundance and bias.
        copies: amplified ones per fragment, on average (exponentially spread over fragments).
        patchy: variance of what else differs between places.
    """
    rng = np.random.default_rng(seed)
    log_bias = rng.normal(0, SPREAD, (units, LENGTH))
    rate = depth * rng.lognormal(0, 1.5, (units, 1)) * np.exp(log_bias)
    if patchy:
        rate = rate * rng.gamma(1 / patchy, patchy, rate.shape)
    reads = rng.poisson(rate)
    if copies:
        reads = reads + np.where(
            reads > 0, rng.negative_binomial(np.maximum(reads, 1), 1 / (1 + copies)), 0
        )
    start = np.arange(units, dtype=np.int64) * 2000
    offsets = np.arange(units + 1, dtype=np.int64) * LENGTH
    made = Units(
        np.zeros(units, np.int32),
        start,
        start + LENGTH,
        np.zeros(units, np.uint8),
        offsets,
        reads.ravel().astype(np.float64),
    )
    return log_bias.ravel(), made


def test_two_places_by_hand() -> None:
    """3 and 1 reads at log biases ln 2 and 0: slope log2 3; an even second unit lowers it."""
    log_bias = np.log([2.0, 1.0, 2.0, 1.0])
    one = reliability(log_bias[:2], make_units([[3, 1]]))
    assert one.slope == pytest.approx(math.log2(3))
    assert (one.units, one.blocks) == (1, 1)
    assert math.isnan(one.error)
    # Units of equal reads weigh the same: shares of the likelier place 3/4 and 1/2, on average
    # 5/8 = b/(1 + b) with b = 5/3.
    both = reliability(log_bias, make_units([[3, 1], [2, 2]]))
    assert both.slope == pytest.approx(math.log2(5 / 3))
    # Scores of the two blocks: w (3 − 4·5/8) ln 2 = ±w ln 2 / 2; information w·4·(5/8)(3/8) ln² 2
    # each; n / (n − 1) = 2.
    assert both.error == pytest.approx(
        math.sqrt(2 * 2 * (math.log(2) / 2) ** 2) / (2 * 4 * 15 / 64 * math.log(2) ** 2)
    )
    assert both.high - both.slope == pytest.approx(
        12.7062 * both.error, rel=1e-4
    )  # Student's t, one degree of freedom


def test_a_deep_unit_does_not_rule() -> None:
    """Units of 4 and 400 reads on two places weigh 1/(1 + 2) and 1/(1 + 200)."""
    log_bias = np.log([2.0, 1.0, 2.0, 1.0])
    share = (4 / 3 * 3 / 4 + 400 / 201 * 1 / 2) / (4 / 3 + 400 / 201)
    found = reliability(log_bias, make_units([[3, 1], [200, 200]]))
    assert found.slope == pytest.approx(math.log2(share / (1 - share)))
    plain = reliability(log_bias, make_units([[3, 1], [200, 200]]), dispersion=0.0)
    assert plain.slope == pytest.approx(math.log2((203 / 404) / (201 / 404)))


def test_bins_by_hand() -> None:
    """Two units with places of bias 3 and 1: one bin each, its reads against an even spread."""
    found = reliability(
        np.log([3.0, 1.0, 3.0, 1.0]), make_units([[5, 3], [8, 0]]), bins=4, dispersion=0.0
    )
    assert found.predicted == pytest.approx([math.log2(0.5), math.log2(1.5)])
    assert found.observed == pytest.approx([math.log2(3 / 8), math.log2(13 / 8)])
    assert found.expected == pytest.approx([4, 12])
    assert found.reads == pytest.approx([3, 13])
    # Residuals of the upper bin: 5 − 13/8·4 and 8 − 13/8·4 = ∓1.5; the ratio's standard error is
    # √(2 · 2 · 1.5²) / 8.
    assert found.observed_error[1] == pytest.approx(
        math.sqrt(2 * 2 * 1.5**2) / 8 / (13 / 8) / math.log(2)
    )


def test_a_bin_without_reads_has_no_logarithm() -> None:
    found = reliability(np.log([3.0, 1.0, 3.0, 1.0]), make_units([[8, 0], [8, 0]]))
    assert math.isnan(found.observed[0])
    assert found.reads[0] == 0
    assert math.isnan(found.slope)  # all reads at the likeliest place: no slope is large enough
    assert all(
        value is None or isinstance(value, int | float | dict) for value in found.report().values()
    )


SIMULATIONS = {
    "poisson": {},
    "shallow": {"depth": 0.06, "units": 300},
    "deep": {"depth": 2.0},
    "amplified": {"copies": 4.0},
    "amplified, deep": {"copies": 4.0, "depth": 1.0},
    "patchy": {"patchy": 1.0},
}


@pytest.mark.parametrize("case", SIMULATIONS)
def test_the_true_bias_has_a_slope_of_one(case: str) -> None:
    """The mean over simulations is within 3 SE of 1; intervals cover 1 as often as they say."""
    found = [reliability(*simulated(seed, **SIMULATIONS[case])) for seed in range(40)]
    slopes = np.array([one.slope for one in found])
    assert abs(slopes.mean() - 1) < 3 * slopes.std(ddof=1) / math.sqrt(len(slopes)) + 0.001
    assert np.mean([one.error for one in found]) == pytest.approx(slopes.std(ddof=1), rel=0.35)
    assert sum(one.low <= 1 <= one.high for one in found) >= 34


@pytest.mark.parametrize("power", [0.7, 1.4])
def test_a_bias_of_another_size_is_told_exactly(power: float) -> None:
    """The slope of b^p is that of b over p, to the last digit: it comes from one likelihood."""
    truth, units = simulated(3, copies=3.0)
    right, wrong = reliability(truth, units), reliability(power * truth, units)
    assert wrong.slope == pytest.approx(right.slope / power, rel=1e-5)
    assert wrong.error == pytest.approx(right.error / power, rel=1e-4)
    assert (wrong.low > 1) if power < 1 else (wrong.high < 1)


def test_the_square_root_of_counts_would_mislead() -> None:
    """Why reads are counted as they are: where most places are hit, roots halve the bias."""
    truth, units = simulated(4, depth=5.0)
    rooted = Units(
        units.contig, units.start, units.end, units.strand, units.offsets, np.sqrt(units.reads)
    )
    assert reliability(truth, units).slope == pytest.approx(1, abs=0.03)
    assert reliability(truth, rooted).slope < 0.8


def test_noise_in_a_model_lowers_the_slope() -> None:
    """With noise as large as the bias, a log bias is half right: the slope of one on the other."""
    truth, units = simulated(5, units=400)
    noisy = truth + np.random.default_rng(6).normal(0, 0.6, len(truth))
    assert reliability(noisy, units).slope == pytest.approx(0.5, abs=0.05)


def test_the_figure_lies_on_the_diagonal() -> None:
    truth, units = simulated(7, units=400)
    found = reliability(truth, units)
    assert len(found.predicted) == 15
    assert (np.diff(found.predicted) > 0).all()
    assert found.expected.sum() == pytest.approx(units.reads.sum())
    assert found.reads.sum() == units.reads.sum()
    apart = (found.observed - found.predicted) / found.observed_error
    assert np.sqrt((apart**2).mean()) < 1.8
    small = reliability(0.5 * truth, units)
    assert np.polyfit(small.predicted, small.observed, 1)[0] == pytest.approx(2, abs=0.15)


def test_a_constant_and_the_order_of_units_change_nothing() -> None:
    truth, units = simulated(8, units=30)
    first, second = reliability(truth, units), reliability(truth + 300, units)
    assert second.slope == pytest.approx(first.slope, rel=1e-6)
    assert np.allclose(first.observed, second.observed)
    order = np.random.default_rng(1).permutation(len(units))
    moved = truth.reshape(len(units), -1)[order].ravel()
    third = reliability(moved, units.take(order))
    assert third.slope == pytest.approx(first.slope, rel=1e-6)
    assert third.error == pytest.approx(first.error, rel=1e-6)


def test_unknown_places_are_left_out_with_their_reads() -> None:
    truth, units = simulated(9, units=20)
    unknown = truth.copy()
    unknown[::7] = np.nan
    kept = np.isfinite(unknown)
    lengths = np.add.reduceat(kept.astype(np.int64), units.offsets[:-1])
    less = Units(
        units.contig,
        units.start,
        units.end,
        units.strand,
        np.concatenate(([0], np.cumsum(lengths))),
        units.reads[kept],
    )
    first, second = reliability(unknown, units), reliability(truth[kept], less)
    assert first.slope == pytest.approx(second.slope)
    assert np.allclose(first.observed, second.observed)
    assert first.reads.sum() == units.reads[kept].sum()


def test_points_of_trials_are_means_over_seeds_then_folds() -> None:
    """Means over seeds, then over folds; the trial with one bin is left out.

    Fold 0: seeds at 1 and 2, mean 1.5; fold 1: 2.5; standard error over folds |1.5 − 2.5| / 2.
    """

    def trial(fold: int, *bins: float) -> dict[str, Any]:
        return {
            "fold": fold,
            "reliability": {"predicted": [10 * one for one in bins], "observed": list(bins)},
        }

    found = mean_points([trial(0, -1, 1), trial(0, -3, 2), trial(1, -2, 2.5), trial(2, 0)])
    assert found.predicted == (-20, 20)
    assert found.observed == (-2, 2)
    assert found.error == pytest.approx((0, 0.5))
    assert mean_points([]).predicted == ()


def empty() -> Units:
    return make_units([[1.0]]).take(np.zeros(1, bool))


@pytest.mark.parametrize(
    ("log_bias", "units"),
    [
        (np.zeros(0), empty()),
        (np.zeros(4), make_units([[1, 2], [3, 4]])),  # no bias predicted
        (np.full(4, np.nan), make_units([[1, 2], [3, 4]])),
        (np.array([0.5]), make_units([[7]])),  # one place
        (np.array([0.1, 0.2]), make_units([[0, 0]])),  # no reads
    ],
    ids=["empty", "flat", "unknown", "place", "reads"],
)
def test_nothing_to_measure_by(log_bias: np.ndarray, units: Units) -> None:
    found = reliability(log_bias, units)
    assert isinstance(found, Reliability)
    assert all(math.isnan(value) for value in (found.slope, found.error, found.low, found.high))
    assert len(found.predicted) in (0, 1)
    if len(found.predicted):
        assert (found.predicted[0], found.observed[0]) == pytest.approx((0, 0), abs=1e-9)
