"""Background is corrected for its neighbourhood's bias: the mean around a place, and weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.records import Positions, Window
from counterbias.sampling import LOCAL_REACH, DrawnPositions, reweight_background, reweighting
from counterbias.sampling.reweighting import POWER, STEP, WIDEST, local_mean

Contexts = tuple[np.ndarray, np.ndarray]
Cut = Callable[[Positions, Window], Contexts]


def at(*places: int, strand: int = 0, weight: tuple[float, ...] = ()) -> Positions:
    n = len(places)
    return Positions(
        np.zeros(n, np.int32),
        np.array(places, np.int64),
        np.full(n, strand, np.uint8),
        np.array(weight) if weight else np.ones(n),
    )


def genome_of(codes: np.ndarray) -> Cut:
    """Cut windows of one contig, on both strands; valid within it, and without an N."""

    def cut(positions: Positions, window: Window) -> Contexts:
        reverse = positions.strand == 1
        first = positions.position - np.where(reverse, window.downstream, window.upstream)
        inside = (first >= 0) & (first + window.width <= len(codes))
        rows = np.where(inside, first, 0)[:, None] + np.arange(window.width)
        contexts = codes[np.minimum(rows, len(codes) - 1)]
        contexts = np.where(
            reverse[:, None], np.where(contexts > 3, 4, 3 - contexts.astype(int))[:, ::-1], contexts
        ).astype(np.uint8)
        return contexts, inside & (contexts < 4).all(axis=1)

    return cut


# -- the mean bias of a neighbourhood ---------------------------------------------------------


def test_local_mean_by_hand() -> None:
    """b is 3 at every A, 1 at C. Of 21 places, every tenth of 900-1100, those < 1000 are A."""
    codes = np.where(np.arange(6000) < 1000, 0, 1).astype(np.uint8)
    log_bias = np.log(np.array([[3.0, 1, 1, 1]]))
    found = local_mean(log_bias, at(500, 5000, 1000, 1005, 1090), Window(0, 0), genome_of(codes))
    np.testing.assert_allclose(
        found, [3, 1, (10 * 3 + 11) / 21, (10 * 3 + 11) / 21, (1 * 3 + 20) / 21]
    )
    # On the other strand bases are their complements: there is neither A nor C.
    np.testing.assert_allclose(
        local_mean(log_bias, at(500, 5000, strand=1), Window(0, 0), genome_of(codes)), 1
    )


def test_near_an_n_or_the_end_of_the_contig_the_mean_is_one() -> None:
    codes = np.zeros(2000, np.uint8)
    codes[1000] = 4
    log_bias = np.log(np.full((3, 4), 2.0))
    window = Window(1, 1)
    places = [101, 100, 898, 899, 1000, 1101, 1102, 1898, 1899, -500, 5000]
    found = local_mean(log_bias, at(*places), window, genome_of(codes))
    # A window of three bases and 100 bases around it reach 101 bases away.
    np.testing.assert_allclose(found, [8, 1, 8, 1, 1, 1, 8, 8, 1, 1, 1])


def naive(log_bias: np.ndarray, positions: Positions, window: Window, cut: Cut) -> np.ndarray:
    """Average the bias over places, window by window."""
    up, down = (
        min(one + LOCAL_REACH, WIDEST) - one for one in (window.upstream, window.downstream)
    )
    out = []
    for row in range(len(positions)):
        sign = -1 if positions.strand[row] else 1
        _, whole = cut(
            positions.take(np.array([row])), Window(window.upstream + up, window.downstream + down)
        )
        if not whole[0]:
            out.append(1.0)
            continue
        values = []
        for offset in range(-up, down + 1, STEP):
            place = positions.position[row] + sign * offset
            strand = np.array([positions.strand[row]], np.uint8)
            contexts, valid = cut(
                Positions(np.zeros(1, np.int32), np.array([place]), strand, np.ones(1)), window
            )
            assert valid[0]
            values.append(math.exp(log_bias[np.arange(window.width), contexts[0]].sum()))
        out.append(sum(values) / len(values))
    return np.array(out)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    window=st.sampled_from(
        [
            Window(0, 0),
            Window(3, 6),
            Window(10, 10),
            Window(27, 27),
            Window(60, 5),
            Window(127, 127),
        ]
    ),
)
def test_local_mean_is_that_of_a_naive_computation(seed: int, window: Window) -> None:
    """The widest windows, 127 to a side, leave no neighbourhood: the place itself is taken."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, 1500).astype(np.uint8)
    codes[rng.integers(0, 1500, 1)] = 4
    log_bias = rng.normal(0, 1 / math.sqrt(window.width), (window.width, 4))
    n = 12
    positions = Positions(
        np.zeros(n, np.int32),
        rng.integers(0, 1500, n),
        rng.integers(0, 2, n).astype(np.uint8),
        np.ones(n),
    )
    cut = genome_of(codes)
    np.testing.assert_allclose(
        local_mean(log_bias, positions, window, cut), naive(log_bias, positions, window, cut)
    )


def test_many_windows_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    codes, positions = (
        rng.integers(0, 4, 5000).astype(np.uint8),
        at(*rng.integers(0, 5000, 500).tolist()),
    )
    log_bias = rng.normal(0, 1, (7, 4))
    whole = local_mean(log_bias, positions, Window(3, 3), genome_of(codes))
    monkeypatch.setattr(reweighting, "ROWS", 64)
    assert np.array_equal(local_mean(log_bias, positions, Window(3, 3), genome_of(codes)), whole)


# -- weights ----------------------------------------------------------------------------------


def drawn(
    seed: int, biased: bool, starts: int = 4000
) -> tuple[DrawnPositions, Contexts, Contexts, Cut]:
    """Draw starts and near-by background on a genome of A- and C-rich stretches.

    With a bias, starts prefer A at the window's middle.
    """
    rng = np.random.default_rng(seed)
    rich = np.repeat(rng.integers(0, 2, 400), 500)
    codes = np.where(rng.random(len(rich)) < 0.7, rich, rng.integers(0, 4, len(rich))).astype(
        np.uint8
    )
    rate = np.where(codes == 0, 3.0, 1.0) if biased else np.ones(len(codes))
    rate[:300], rate[-300:] = 0, 0
    place = np.sort(rng.choice(len(codes), starts, p=rate / rate.sum()))
    foreground = at(*place.tolist(), weight=tuple(rng.uniform(0.5, 2, starts).tolist()))
    origin = np.repeat(np.arange(starts), 2)
    near = foreground.take(origin)
    offset = rng.integers(1, 101, 2 * starts) * rng.choice([-1, 1], 2 * starts)
    background = Positions(near.contig, near.position + offset, near.strand, near.weight)
    cut = genome_of(codes)
    return (
        DrawnPositions(foreground, background, origin),
        cut(foreground, Window(2, 2)),
        cut(background, Window(2, 2)),
        cut,
    )


def changes(sample: DrawnPositions, level: DrawnPositions) -> np.ndarray:
    return np.asarray(level.background.weight / sample.background.weight)


def test_weights_by_hand() -> None:
    """Three of four starts have an A, every other background window: b is 1.5 at A and 0.5 at C.

    The same holds around each window.
    A window among As is divided by √1.5, one among Cs by √0.5; then all are scaled to keep their
    total.
    """
    codes = np.where(np.arange(6000) < 3000, 0, 1).astype(np.uint8)
    starts = at(*range(1000), weight=(1e6,) * 1000)
    background = at(*range(500, 2500, 10), *range(3500, 5500, 10), weight=(2e6,) * 400)
    foreground_bases = np.where(np.arange(1000) % 4 == 0, 1, 0).astype(np.uint8)[:, None]
    background_bases = np.repeat(np.array([0, 1], np.uint8), 200)[:, None]
    sample = DrawnPositions(starts, background, np.zeros(400, np.int64))
    every = np.ones(1000, bool), np.ones(400, bool)
    level = reweight_background(
        sample,
        (foreground_bases, every[0]),
        (background_bases, every[1]),
        Window(0, 0),
        genome_of(codes),
    )
    raw = np.repeat([1 / math.sqrt(1.5), 1 / math.sqrt(0.5)], 200)
    np.testing.assert_allclose(changes(sample, level), raw / raw.mean(), rtol=1e-5)


def test_background_where_the_bias_is_high_loses_weight_to_where_it_is_low() -> None:
    """The bias is itself found relative to near-by background, so not all of it is seen at once."""
    sample, foreground, background, cut = drawn(1, biased=True)
    level = reweight_background(sample, foreground, background, Window(2, 2), cut)
    assert level.background.weight.sum() == pytest.approx(sample.background.weight.sum())
    factor = changes(sample, level)
    # The mean over a neighbourhood of b, 3 at A and 1 elsewhere.
    mean = 1 + 2 * (cut(sample.background, Window(100, 100))[0] == 0).mean(axis=1)
    slope = np.polyfit(np.log(mean), np.log(factor), 1)[0]
    assert -POWER < slope < -0.25
    assert np.corrcoef(np.log(mean), np.log(factor))[0, 1] < -0.95


def test_starts_positions_and_their_bond_are_left_alone() -> None:
    sample, foreground, background, cut = drawn(2, biased=True)
    level = reweight_background(sample, foreground, background, Window(2, 2), cut)
    assert level.foreground is sample.foreground
    assert level.origin is sample.origin
    for name in ("contig", "position", "strand"):
        assert np.array_equal(getattr(level.background, name), getattr(sample.background, name))
    assert (level.background.weight > 0).all()


def test_without_bias_weights_change_by_noise_only() -> None:
    for seed in (3, 4):
        sample, foreground, background, cut = drawn(seed, biased=False)
        factor = changes(
            sample, reweight_background(sample, foreground, background, Window(2, 2), cut)
        )
        assert np.abs(factor - 1).max() < 0.1
        assert np.log(factor).std() < 0.04


def test_windows_that_are_not_valid_keep_their_weight() -> None:
    sample, foreground, background, cut = drawn(5, biased=True, starts=500)
    valid = np.arange(1000) % 3 != 0
    level = reweight_background(sample, foreground, (background[0], valid), Window(2, 2), cut)
    assert np.array_equal(level.background.weight[~valid], sample.background.weight[~valid])
    assert (level.background.weight[valid] != sample.background.weight[valid]).all()
    assert level.background.weight[valid].sum() == pytest.approx(
        sample.background.weight[valid].sum()
    )


def test_no_weight_runs_away() -> None:
    """A neighbourhood of next to no starts counts as one of a twentieth of the mean bias."""
    codes = np.where(np.arange(20_000) < 19_000, 0, 1).astype(np.uint8)
    cut = genome_of(codes)
    foreground, background = at(*range(1000, 11_000, 10)), at(*range(1000, 19_800, 10))
    sample = DrawnPositions(foreground, background, np.zeros(len(background), np.int64))
    sides = cut(foreground, Window(0, 0)), cut(background, Window(0, 0))
    factor = changes(sample, reweight_background(sample, *sides, Window(0, 0), cut))
    assert factor.max() / factor.min() <= reweighting.LEAST_MEAN**-POWER * 1.05


def test_nothing_to_go_by_changes_nothing() -> None:
    nothing = np.zeros((0, 5), np.uint8), np.zeros(0, bool)
    empty = DrawnPositions(at(), at(), np.zeros(0, np.int64))
    assert (
        reweight_background(
            empty, nothing, nothing, Window(2, 2), genome_of(np.zeros(100, np.uint8))
        )
        is empty
    )
    sample, foreground, background, cut = drawn(6, biased=True, starts=50)
    unusable = foreground[0], np.zeros(50, bool)
    assert reweight_background(sample, unusable, background, Window(2, 2), cut) is sample
    assert (
        reweight_background(
            sample, foreground, (background[0], np.zeros(100, bool)), Window(2, 2), cut
        )
        is sample
    )
