"""What a model of many samples learns from: shares, thinning, pooling, and a cohort's folds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterbias import TrainingSet, Window, load_plugins
from counterbias.evaluation.folds import StartTally, make_folds
from counterbias.pipeline.train.pooling import _repeated, even_cap, factors, pool_samples, thin
from counterbias.records import FoldedSample, Positions, Tiles


def one_base(letters: str, weights: list[float], tiles: Tiles | None = None) -> FoldedSample:
    """Return starts of one base each, with a background of all four bases.

    Start, background window and tile i are in part i, modulo 10.
    """
    codes = np.array(["ACGT".index(letter) for letter in letters], np.uint8)[:, None]
    background = np.arange(4, dtype=np.uint8)[:, None]
    return folded(
        TrainingSet(Window(0, 0), codes, np.array(weights), background, np.ones(4), tiles)
    )


def folded(whole: TrainingSet) -> FoldedSample:
    tiles = 0 if whole.tiles is None else len(whole.tiles.counts)
    sizes = (len(whole.foreground), len(whole.background), tiles)
    return FoldedSample(
        whole,
        *(np.repeat(np.arange(size, dtype=np.int8)[:, None] % 10, 2, axis=1) for size in sizes),
    )


def test_starts_keep_their_background_when_thinned_and_pooled() -> None:
    codes = np.arange(200, dtype=np.uint8)[:, None] % 4
    weights = np.arange(1.0, 201.0)
    starts = TrainingSet(
        Window(0, 0),
        codes,
        weights,
        np.repeat(codes, 2, axis=0),
        np.repeat(weights, 2),
        origin=np.repeat(np.arange(200), 2),
    )
    few = thin(folded(starts), 0.25, 1.0, np.random.default_rng(1))
    pooled = pool_samples([few, folded(starts)], [1.0, 1.0], np.random.default_rng(1))
    for sample in (few, pooled):
        part = sample.everything
        assert part.origin is not None
        assert len(part.background) == 2 * len(part.foreground)
        assert np.array_equal(part.background, part.foreground[part.origin])
        np.testing.assert_allclose(part.background_weight, part.foreground_weight[part.origin])
    assert len(few.everything.foreground) == 50
    unknown = folded(dataclasses.replace(starts, origin=None))
    assert (
        pool_samples([few, unknown], [1.0, 1.0], np.random.default_rng(1)).everything.origin is None
    )


def test_what_is_kept_and_pooled_stays_in_its_part() -> None:
    """Start i weighs i + 1 and lies in part i modulo 10, as tiles do: what is kept shows it."""
    tiles = Tiles(
        np.zeros((40, 4), np.uint8),
        np.eye(40, 4, dtype=np.float32) + np.arange(40, dtype=np.float32)[:, None],
    )
    large = one_base("ACGT" * 10, [float(one) for one in range(1, 41)], tiles)
    small = thin(large, 0.3, 0.4, np.random.default_rng(2))
    weights = small.everything.foreground_weight
    assert len(weights) == 12
    assert small.everything.tiles is not None
    assert len(small.everything.tiles.counts) == len(small.tile_parts) == 16
    assert small.foreground_parts[:, 0].tolist() == ((weights - 1) % 10).tolist()
    assert (
        small.tile_parts[:, 0].tolist() == (small.everything.tiles.counts.min(axis=1) % 10).tolist()
    )
    pooled = pool_samples([small, large], [1.0, 1.0], np.random.default_rng(3))
    scale = factors([weights.sum(), 820.0], [1.0, 1.0])
    numbers = pooled.everything.foreground_weight / np.repeat(scale, [12, 40])
    assert pooled.foreground_parts[:, 0].tolist() == (np.round(numbers - 1) % 10).tolist()
    assert pooled.everything.tiles is not None
    assert len(pooled.everything.tiles.counts) == len(pooled.tile_parts) > 40 + 16
    assert (
        pooled.tile_parts[:, 0].tolist()
        == (pooled.everything.tiles.counts.min(axis=1) % 10).tolist()
    )
    assert len(pooled.background_parts) == len(pooled.everything.background)


def test_weights_worked_out_by_hand() -> None:
    """Two reads at A in one sample, six at C in the other: equal by sample, 2 and 6 by reads."""
    first, second = one_base("AA", [1.0, 1.0]), one_base("CCCCCC", [1.0] * 6)
    rng = np.random.default_rng(1)
    model = load_plugins().backends["pwm"].backend.load()
    for shares, a, c in (((1.0, 1.0), 4.0, 4.0), ((2.0, 6.0), 2.0, 6.0)):
        pooled = pool_samples([first, second], shares, rng).everything
        assert pooled.foreground_weight.sum() == pytest.approx(8)
        assert pooled.foreground_weight[pooled.foreground[:, 0] == 0].sum() == pytest.approx(a)
        assert pooled.background_weight[:4].sum() == pytest.approx(4 * a / 2)
        fitted = model(Window(0, 0))
        fitted.fit(pooled, rng)
        score = fitted.log_bias(np.array([[0], [1]], np.uint8))
        assert score[0] - score[1] == pytest.approx(math.log((a + 1) / (c + 1)))


def test_tiles_are_repeated_by_hand() -> None:
    """Three starts against one: by sample, the second's starts and tiles weigh three times."""
    many = Tiles(np.zeros((3, 4), np.uint8), np.eye(3, 4))
    single = Tiles(np.ones((1, 4), np.uint8), np.eye(1, 4))
    for shares, copies in (([1.0, 1.0], 3), ([3.0, 1.0], 1)):
        pooled = pool_samples(
            [one_base("AAA", [1.0] * 3, many), one_base("C", [1.0], single)],
            shares,
            np.random.default_rng(1),
        )
        tiles = pooled.everything.tiles
        assert tiles is not None
        assert (tiles.sequence[:, 0] == 0).sum() == 3
        assert (tiles.sequence[:, 0] == 1).sum() == copies
        assert pooled.tile_parts[:, 0].tolist() == [0, 1, 2, *[0] * copies]
    alone = pool_samples([one_base("A", [1.0], many)], [1.0], np.random.default_rng(1)).everything
    assert alone.tiles is not None
    assert np.array_equal(alone.tiles.counts, many.counts)


def test_one_sample_is_pooled_to_itself() -> None:
    """To the last bit, without a draw: so a cohort of one gives the model that a count does."""
    tiles = Tiles(np.zeros((3, 4), np.uint8), np.eye(3, 4))
    alone = one_base("ACGTAC", [0.1, 0.2, 0.3, 0.7, 1.1, 1.3], tiles)
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    for share in (1.0, 12345.0):
        pooled = pool_samples([thin(alone, 1.0, 1.0, rng)], [share], rng)
        for name in ("foreground", "foreground_weight", "background", "background_weight"):
            assert np.array_equal(
                getattr(pooled.everything, name), getattr(alone.everything, name)
            ), name
        for name in ("foreground_parts", "background_parts", "tile_parts", "folds"):
            assert np.array_equal(getattr(pooled, name), getattr(alone, name)), name
    assert rng.random() == untouched.random()


@given(st.lists(st.integers(0, 1000), max_size=8), st.integers(0, 3000))
def test_even_cap(sizes: list[int], most: int) -> None:
    cap = even_cap(sizes, most)
    assert sum(min(size, cap) for size in sizes) <= most or not sizes
    if sum(sizes) > most:
        assert sum(min(size, cap + 1) for size in sizes) > most
    else:
        assert cap == max(sizes, default=0)


@given(st.lists(st.tuples(st.floats(0.1, 1e6), st.floats(0.1, 1e6)), min_size=1, max_size=6))
def test_factors_give_shares_of_an_unchanged_total(given_: list[tuple[float, float]]) -> None:
    masses, shares = [mass for mass, _ in given_], [share for _, share in given_]
    after = [mass * by for mass, by in zip(masses, factors(masses, shares), strict=True)]
    assert sum(after) == pytest.approx(sum(masses))
    for mass, share in zip(after, shares, strict=True):
        assert mass / sum(after) == pytest.approx(share / sum(shares))


def test_a_sample_without_weight_leaves_its_share_to_the_others() -> None:
    assert factors([0.0, 2.0, 6.0], [1.0, 1.0, 1.0]) == [0.0, 2.0, pytest.approx(2 / 3)]


def test_thinning_keeps_what_fits_and_rows_are_repeated() -> None:
    part = one_base("ACGTACGT", [1.0] * 8)
    rng = np.random.default_rng(1)
    assert (
        thin(part, 1.0, 1.0, rng).everything.foreground.tobytes()
        == part.everything.foreground.tobytes()
    )
    assert len(thin(part, 0.5, 1.0, rng).everything.foreground) == 4
    assert len(thin(part, 0.5, 1.0, rng).everything.background) == 2
    assert np.bincount(_repeated(4, 2.5, rng)).tolist().count(3) == 2


def test_folds_of_a_cohort_are_those_of_one_sample_with_all_starts() -> None:
    rng = np.random.default_rng(2)
    parts = [starts(rng, size) for size in (900, 400, 600)]
    tally, backwards = StartTally(), StartTally()
    for part in parts:
        tally.add(part)
    for part in parts[::-1]:
        backwards.add(part)
    joined = Positions(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("contig", "position", "strand", "weight")
        )
    )
    for found in (tally.folds(), backwards.folds()):
        wanted = make_folds(joined)
        assert found.block == wanted.block
        assert np.array_equal(found.keys, wanted.keys)
        assert np.array_equal(found.fold, wanted.fold)


def test_blocks_suit_samples_that_cover_little() -> None:
    """Alone the wide sample has blocks of 20 kb and more, the narrow one of 2 kb.

    Of two sizes the smaller is taken, of three the middle one.
    """
    rng = np.random.default_rng(3)
    wide, narrow = starts(rng, 500), starts(rng, 500, reach=20_000)
    sizes = []
    for samples in ([wide], [narrow], [wide, narrow], [wide, narrow, wide]):
        tally = StartTally()
        for sample in samples:
            tally.add(sample)
        sizes.append(tally.size)
    assert sizes == [20_000, 2_000, 2_000, 20_000]


def starts(rng: np.random.Generator, size: int, *, reach: int = 400_000) -> Positions:
    contig, position = rng.integers(0, 3, size).astype(np.int32), rng.integers(0, reach, size)
    return Positions(contig, position, np.zeros(size, np.uint8), np.ones(size))
