from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.records import (
    PRESENT,
    TRAINABLE,
    EndSites,
    StartSites,
)
from counterbias.weights import (
    HeldOutScores,
    Scale,
    best_slope,
    calibrate,
    fragment_weights,
    weighted_counts,
)

GOOD = PRESENT | TRAINABLE


def race(n: int, truth: float, seed: int = 1) -> dict[str, np.ndarray]:
    """Starts that beat two rivals each with odds of exp(truth × log bias)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (n, 3))
    chance = np.exp(truth * scores)
    chance /= chance.sum(axis=1, keepdims=True)
    winner = (rng.random((n, 1)) > np.cumsum(chance, axis=1)).sum(axis=1)
    won = np.arange(3) == winner[:, None]
    return {
        "foreground": scores[won],
        "background": scores[~won],
        "foreground_weight": np.ones(n),
        "background_weight": np.ones(2 * n),
        "origin": np.repeat(np.arange(n), 2),
        "block": np.arange(n) // 10,
    }


@pytest.mark.parametrize("truth", [0.2, 0.5, 0.8, 1.0, 1.4])
def test_the_slope_is_found_again(truth: float) -> None:
    data = race(20_000, truth)
    slope = best_slope(
        data["foreground"], data["background"], data["foreground_weight"], data["origin"]
    )
    assert slope == pytest.approx(truth, abs=0.04)


def test_the_slope_stays_within_its_bounds() -> None:
    for truth, expected in ((3.0, 2.0), (-1.0, 0.0)):
        data = race(5000, truth)
        assert (
            best_slope(
                data["foreground"], data["background"], data["foreground_weight"], data["origin"]
            )
            == expected
        )


@pytest.mark.parametrize("truth", [0.6, 1.0, 1.5])
def test_only_the_noise_of_an_own_model_is_not_held_against_features(truth: float) -> None:
    """A slope below 1 is noise, which features average out, or, of another's model, strength."""
    data = race(20_000, truth)
    own, other = calibrate(HeldOutScores(**data), own=True), calibrate(HeldOutScores(**data))
    assert own.slope == other.slope == other.length_slope == pytest.approx(truth, abs=0.06)
    assert own.length_slope == pytest.approx(max(truth, 1.0), abs=0.06)
    background = np.array([-1.0, 0.0, 2.0])
    assert own.of_positions(background) == pytest.approx(
        own.length_slope * background - own.length_constant
    )
    for found in (own, other):
        assert np.exp(found(data["background"])).mean() == pytest.approx(1.0)
        assert np.exp(found.of_positions(data["background"])).mean() == pytest.approx(1.0)


def test_windows_without_a_score_are_left_out() -> None:
    data = race(2000, 1.0)
    twice = ("background", "background_weight", "origin")
    half = {name: values[: 2000 if name in twice else 1000] for name, values in data.items()}
    expected = calibrate(HeldOutScores(**half))
    data["foreground"][1000:] = np.nan
    data["background"][2000:] = np.nan
    found = calibrate(HeldOutScores(**data))
    assert (found.starts, found.slope, found.gain) == (
        1000,
        expected.slope,
        pytest.approx(expected.gain),
    )


def test_a_good_model_is_used_and_averages_one_over_background() -> None:
    data = race(5000, 1.0)
    found = calibrate(HeldOutScores(**data))
    assert found.applied
    assert found.reason == ""
    assert found.gain > 5 * found.gain_error > 0
    assert np.exp(found(data["background"])).mean() == pytest.approx(1)
    higher = {name: data[name] + 7 for name in ("foreground", "background")}
    shifted = calibrate(HeldOutScores(**{**data, **higher}))
    assert np.allclose(shifted(data["foreground"] + 7), found(data["foreground"]))
    assert shifted.gain == pytest.approx(found.gain)
    assert np.isnan(found(np.array([np.nan])))[0]


@pytest.mark.parametrize("seed", range(20))
def test_a_model_of_noise_is_not_used(seed: int) -> None:
    found = calibrate(HeldOutScores(**race(2000, 0.0, seed)))
    assert not found.applied
    assert "not above zero by 3 standard errors" in found.reason
    assert found(np.array([3.0, np.nan]))[0] == 0


def test_too_few_held_out_starts_are_not_believed() -> None:
    found = calibrate(HeldOutScores(**race(30, 5.0)))
    assert not found.applied
    assert "only 30 held-out starts" in found.reason
    nothing = calibrate(
        HeldOutScores(**{name: values[:0] for name, values in race(30, 1.0).items()})
    )
    assert not nothing.applied
    assert math.isnan(nothing.gain)


def make_pairs(bits: list[tuple[int, int]], share: list[float] | None = None) -> StartSites:
    n = len(bits)
    ends = tuple(
        EndSites(
            np.zeros(n, np.int32),
            np.arange(n, dtype=np.int32),
            np.array([row[k] for row in bits], np.uint8),
        )
        for k in (0, 1)
    )
    shares = None if share is None else np.array(share, np.float32)
    return StartSites(
        ("one",), (1000,), np.array([i % 2 for i in range(n)], np.int32), shares, ends
    )


def test_fragment_weights_by_hand() -> None:
    sites = make_pairs([(GOOD, GOOD), (GOOD, 0), (0, GOOD), (GOOD, GOOD)])
    bias = np.log(np.array([[1.0, 2.0, np.nan, np.nan], [0.5, np.nan, 4.0, 0.25]]))
    found = fragment_weights(sites, lambda end, rows: bias[end][rows], cap=None)
    # 1/b: (1, 2), (1/2), (1/4), (unknown, 4); the scale f solves
    # 1.5 f + 0.5 f + 0.25 f + (1 + 4 f) / 2 = 4.
    factor = 3.5 / 4.25
    assert found.scale.factor == pytest.approx(factor)
    assert np.allclose(found.weight, [1.5 * factor, 0.5 * factor, 0.25 * factor, 0.5 + 2 * factor])
    assert (found.reads, found.unscored, found.clipped) == (6, 1, 0)
    assert np.allclose(weighted_counts(sites, found, 3), [1.75 * factor, 0.5 + 2.5 * factor, 0])
    assert found.scale.weight(np.array([np.log(2), np.nan])).tolist() == pytest.approx(
        [factor / 2, 1.0]
    )
    assert sum(found.histogram) == 6


def test_the_cap_is_ten_times_the_median() -> None:
    n = 101
    sites = make_pairs([(GOOD, 0)] * n)
    bias = np.zeros(n)
    bias[0] = -np.log(50)
    found = fragment_weights(
        sites, lambda end, rows: bias[rows] if end == 0 else np.full(n, np.nan)[rows], cap=10.0
    )
    assert found.scale.cap == 10
    assert found.clipped == 1
    assert found.weight[0] / found.weight[1] == pytest.approx(10)
    assert found.effective == pytest.approx((110**2) / (n * 200))
    assert found.largest == pytest.approx(10 * n / 110)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.booleans())
def test_weights_sum_to_the_number_of_fragments(n: int, seed: int, shared: bool) -> None:
    rng = np.random.default_rng(seed)
    bits = [(GOOD, 0) if rng.random() < 0.3 else (GOOD, GOOD) for _ in range(n)]
    share = rng.random(n).round(2).tolist() if shared else None
    sites = make_pairs(bits, share)
    bias = np.where(rng.random((2, n)) < 0.2, np.nan, rng.normal(0, 1.5, (2, n)))
    found = fragment_weights(sites, lambda end, rows: bias[end][rows], cap=10.0)
    expected = n if share is None else float(sites.share.astype(float).sum())  # type: ignore[union-attr]
    assert weighted_counts(sites, found, 2).sum() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    unknown = np.array(
        [
            all(b == 0 or np.isnan(bias[k][i]) for k, b in enumerate(pair))
            for i, pair in enumerate(bits)
        ]
    )
    assert (found.weight[unknown] == 1).all()
    assert (found.weight > 0).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = make_pairs([(GOOD, GOOD)] * 500)
    bias = np.random.default_rng(1).normal(0, 1, (2, 500))
    first = fragment_weights(sites, lambda end, rows: bias[end][rows], cap=10.0)
    monkeypatch.setattr("counterbias.weights.fragments.CHUNK", 37)
    second = fragment_weights(sites, lambda end, rows: bias[end][rows], cap=10.0)
    assert np.allclose(first.weight, second.weight, rtol=1e-6)
    assert first.histogram == second.histogram


LOG_BIASES = st.floats(-30, 30, width=32) | st.sampled_from([math.nan, 0.0, -0.0, 1e-40, math.inf])


@given(st.lists(st.tuples(LOG_BIASES, LOG_BIASES), min_size=1, max_size=60), st.integers(1, 3))
@settings(deadline=None)
def test_the_cap_is_that_of_the_sorted_log_biases(
    pairs: list[tuple[float, float]], threads: int
) -> None:
    """The median is counted out without keeping all log biases; here they are sorted."""
    n = len(pairs)
    bias = np.array(pairs, np.float64).T
    end = EndSites(np.zeros(n, np.int32), np.arange(n, dtype=np.int32), np.full(n, GOOD, np.uint8))
    sites = StartSites(("c",), (1000,), np.zeros(n, np.int32), None, (end, end))
    found = fragment_weights(
        sites, lambda number, rows: bias[number][rows], cap=10.0, threads=threads
    )
    known = np.sort(bias[~np.isnan(bias)].astype(np.float32))
    if len(known):
        assert found.scale.cap == 10.0 * math.exp(-float(known[(len(known) - 1) // 2]))
    else:
        assert found.scale.cap == math.inf


def test_a_scale_without_cap_takes_any_weight() -> None:
    assert Scale(math.inf, 2.0).weight(np.array([-10.0]))[0] == pytest.approx(2 * math.exp(10))
