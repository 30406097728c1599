"""Samples split into folds: a model shares no base with what judges it on the fold left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias import sampling
from counterbias.evaluation import folds
from counterbias.options import SAMPLING_SCHEMES
from counterbias.records import PARTS, FoldedSample, Positions, StartSites, TrainingSet, Window
from counterbias.sampling import DrawnTiles, DrawnWindows
from tests.helpers.folded_samples import folded, make_sites


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**31),
    reads=st.sampled_from([40, 600, 2500]),
    crowded=st.booleans(),
    window=st.sampled_from([Window(5, 5), Window(10, 10), Window(75, 75), Window(127, 127)]),
    scheme=st.sampled_from(SAMPLING_SCHEMES),
    number=st.integers(1, PARTS // 2),
)
def test_what_a_model_may_see_shares_no_base_with_the_windows_that_it_judges(
    seed: int, reads: int, crowded: bool, window: Window, scheme: str, number: int
) -> None:
    check_that_no_base_is_shared(make_sites(seed, reads, crowded), window, scheme, number)


def test_windows_that_reach_farther_on_one_side_share_no_base_either() -> None:
    check_that_no_base_is_shared(make_sites(0, 2500, False), Window(0, 127), "local", 5)


def check_that_no_base_is_shared(
    sites: StartSites, window: Window, scheme: str, number: int
) -> None:
    """Collect all bases that the model of some folds, or of all, learns or validates on."""
    written, made, _ = folded(sites, window, scheme, number)
    sample = made.sample
    for fold in (*range(number), None):
        seen = sample.without(fold)
        bases = written.of(seen)
        if seen.validation is not None:
            checked = written.of(seen.validation)
            assert not bases & checked, "validation apart from training"
            bases |= checked
        if fold is not None:
            judged = sample.of_fold(fold)
            assert not bases & (written.bases(judged.foreground) | written.bases(judged.background))


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    reads=st.sampled_from([40, 2500]),
    scheme=st.sampled_from(SAMPLING_SCHEMES),
    number=st.integers(1, 5),
)
def test_every_window_and_tile_lies_in_one_fold(
    seed: int, reads: int, scheme: str, number: int
) -> None:
    made = folded(make_sites(seed, reads, False), Window(10, 10), scheme, number)[1]
    sample = made.sample
    parts = [sample.of_fold(fold) for fold in range(number)]
    assert (
        sum(len(part.foreground) for part in parts)
        == len(sample.everything.foreground)
        == len(made.windows)
    )
    assert sum(len(part.background) for part in parts) == len(sample.everything.background)
    assert sample.everything.tiles is not None
    assert sum(0 if part.tiles is None else len(part.tiles.counts) for part in parts) == len(
        sample.everything.tiles.counts
    )
    for fold, part in enumerate(parts):
        assert np.array_equal(
            part.foreground,
            sample.everything.foreground[sample.fold_of(sample.foreground_parts) == fold],
        )
    # Without a fold, little more than that fold is lost: its neighbours' edges.
    if number == 5 and reads == 2500:
        for fold in range(number):
            seen = sample.without(fold)
            assert seen.validation is not None
            learnt = len(seen.foreground) + len(seen.validation.foreground)
            assert 0.97 < (learnt + len(parts[fold].foreground)) / len(made.windows) <= 1
            assert 0.03 < len(seen.validation.foreground) / len(made.windows) < 0.2


def test_blocks_are_dealt_to_folds_and_their_halves_by_hand() -> None:
    """Blocks of 5, 4, 3, 3, 2, 1 starts, largest first, go to the emptiest fold and half."""
    split = folds.make_folds(
        places_at(
            *(
                1000 * block + n
                for block, size in enumerate((5, 3, 1, 4, 2, 3))
                for n in range(size)
            )
        ),
        folds=2,
    )
    assert split.block == 1000
    assert split.half is not None
    assert list(zip(split.fold.tolist(), split.half.tolist(), strict=True)) == [
        (0, 0),
        (1, 1),
        (0, 1),
        (1, 0),
        (1, 1),
        (0, 1),
    ]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (5, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (4, [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]),
        (3, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]),
        (2, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
        (1, [0] * 10),
    ],
)
def test_folds_are_pairs_of_parts(number: int, expected: list[int]) -> None:
    parts = np.repeat(np.arange(PARTS, dtype=np.int8)[:, None], 2, axis=1)
    sample = one_window_per_part(parts, number)
    assert sample.fold_of(parts).tolist() == expected
    for fold in range(number):
        assert sample.of_fold(fold).foreground[:, 0].tolist() == [
            part % 4 for part in range(PARTS) if expected[part] == fold
        ]
        front, back, tiles = sample.learnable(fold)
        assert front.tolist() == back.tolist() == [one != fold for one in expected]
        assert not len(tiles)


def one_window_per_part(parts: np.ndarray, number: int) -> FoldedSample:
    windows = (np.arange(len(parts)) % 4).astype(np.uint8)[:, None]
    weight = np.arange(1.0, len(parts) + 1)
    whole = TrainingSet(
        Window(0, 0), windows, weight, windows, weight, origin=np.arange(len(parts))
    )
    return FoldedSample(whole, parts, parts, np.empty((0, 2), np.int8), number)


def test_parts_of_training_and_validation_by_hand() -> None:
    """Ten starts, one per part, and one more that lies in part 2 within reach of part 4."""
    parts = np.array([(part, part) for part in range(PARTS)] + [(2, 4)], np.int8)
    sample = one_window_per_part(parts, 5)
    # Fold 2 holds parts 4 and 5; the next fold's odd part, 7, is for validation.
    seen = sample.without(2)
    assert seen.foreground_weight.tolist() == [1, 2, 3, 4, 7, 9, 10]
    assert seen.validation is not None
    assert seen.validation.foreground_weight.tolist() == [8]
    assert seen.validation.validation is None
    # The last fold's follows in the first fold.
    last = sample.without(4)
    assert last.validation is not None
    assert last.validation.foreground_weight.tolist() == [2]
    assert last.foreground_weight.tolist() == [1, 3, 4, 5, 6, 7, 8, 11]
    every = sample.without(None)
    assert every.validation is not None
    assert every.validation.foreground_weight.tolist() == [2]
    assert every.foreground_weight.tolist() == [1, *range(3, 12)]
    # The start that lies within reach of fold 2 belongs to fold 1, where it is judged.
    assert sample.of_fold(1).foreground_weight.tolist() == [3, 4, 11]


def test_background_goes_with_its_start() -> None:
    made = folded(make_sites(4, 2500, False), Window(10, 10), "local", 5)[1]
    sample = made.sample
    for part in (sample.everything, sample.without(0), sample.of_fold(3), sample.without(None)):
        assert part.origin is not None
        assert len(part.origin) == len(part.background) <= 2 * len(part.foreground)
        assert np.array_equal(part.background_weight, part.foreground_weight[part.origin])
    assert (sample.background_parts[:, 0] == sample.foreground_parts[made.windows.origin, 0]).all()
    assert np.array_equal(made.windows.foreground, sample.everything.foreground)
    assert np.array_equal(made.windows.origin, sample.everything.origin)


def test_a_fold_that_holds_everything_leaves_nothing() -> None:
    parts = np.array([[4, 4], [5, 5], [4, 4]], np.int8)
    sample = one_window_per_part(parts, 5)
    nothing = sample.without(2)
    assert len(nothing.foreground) == len(nothing.background) == 0
    assert nothing.validation is None
    assert not len(sample.of_fold(0).foreground)
    assert len(sample.without(0).foreground) == 3


def places_at(*position: int) -> Positions:
    n = len(position)
    return Positions(
        np.zeros(n, np.int32), np.array(position, np.int64), np.zeros(n, np.uint8), np.ones(n)
    )


def test_parts_by_hand() -> None:
    """Blocks of 1 kb in parts 3, none, 6, 7: within 21 bases of a block its part counts too."""
    keys, fold, half = (
        np.array([0, 2, 3]),
        np.array([1, 3, 3], np.int8),
        np.array([1, 0, 1], np.int8),
    )
    split = folds.Folds(1000, keys, fold, 5, half)
    found = split.parts(
        places_at(0, 500, 979, 990, 1500, 2005, 2500, 2978, 2979, 3020, 3021, 3999, 4000), margin=21
    )
    assert found.tolist() == [
        [3, 3], [3, 3], [3, 3], [3, 3], [-1, -1], [6, 6], [6, 6], [6, 6], [6, 7], [7, 6], [7, 7],
        [7, 7], [-1, 7],
    ]  # fmt: skip


def test_windows_in_blocks_without_starts_are_left_out_and_told_of() -> None:
    positions, window = places_at(100, 1500, 2500), Window(0, 0)
    drawn = sampling.DrawnPositions(
        positions, places_at(110, 90, 1510, 2510, 1990), np.array([0, 0, 1, 2, 2])
    )
    contexts = [np.zeros((len(one), 1), np.uint8) for one in (drawn.foreground, drawn.background)]
    cut = [(one, np.ones(len(one), bool)) for one in contexts]
    split = folds.Folds(1000, np.array([0, 2]), np.array([0, 1], np.int8), 5)
    made = DrawnWindows(drawn, cut[0], cut[1]).fold(window, split, 5)
    assert made.skipped == {"invalid": 0, "outside_exon": 0, "edge": 1}
    assert made.windows.starts.position.tolist() == [100, 2500]
    assert made.windows.origin.tolist() == [0, 0, 1], (
        "what lies near a start, but in a block without starts, is no background"
    )


@dataclass(frozen=True)
class SplitWithGivenTiles:
    """A split in which tiles lie in parts that the test chooses."""

    folds: folds.Folds
    tiles: Positions
    tile_parts: np.ndarray

    def parts(self, positions: Positions, *, margin: int) -> np.ndarray:
        if positions is self.tiles:
            return self.tile_parts
        return self.folds.parts(positions, margin=margin)


def test_windows_that_cannot_be_cut_and_tiles_off_the_blocks_are_left_out() -> None:
    sites, window = make_sites(6, 400, False), Window(2, 2)
    sample = sampling.draw(sites, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    contexts = [
        rng.integers(0, 4, (len(places), 5)).astype(np.uint8)
        for places in (sample.foreground, sample.background)
    ]
    valid = [rng.random(len(part)) < 0.9 for part in contexts]
    tiles = DrawnTiles(
        np.zeros((4, 14), np.uint8), 10, np.arange(4), np.arange(4), np.arange(1.0, 5)
    )
    tile_positions = places_at(0, 1, 2, 3)
    parts = np.array([[0, 0], [1, 3], [-1, 1], [9, 9]], np.int8)
    split = SplitWithGivenTiles(
        folds.make_folds(sampling.unique_starts(sites)), tile_positions, parts
    )
    drawn = DrawnWindows(
        sample, (contexts[0], valid[0]), (contexts[1], valid[1]), None, tiles, tile_positions
    )
    made = drawn.fold(window, split, 5)
    assert made.skipped["invalid"] == (~valid[0]).sum() > 0
    rows = np.flatnonzero(valid[0])
    assert np.array_equal(made.windows.foreground, contexts[0][rows])
    assert np.array_equal(made.windows.starts.position, sample.foreground.position[rows])
    assert made.sample.everything.tiles is not None
    assert made.sample.everything.tiles.counts.sum(axis=1).tolist() == [1, 2, 4]
    assert made.sample.tile_parts.tolist() == [[0, 0], [1, 3], [9, 9]]
    without = made.sample.without(1)
    assert without.tiles is not None
    assert without.tiles.counts.sum(axis=1).tolist() == [1, 4], (
        "a tile within reach of the fold is not seen"
    )
