"""What a training set offers to models: sets, its parts joined, the weights of tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from counterbias import Tiles, TrainingSet, Window

WINDOW = Window(0, 1)


def a_set(foreground: list[str], background: list[str], origin: list[int] | None) -> TrainingSet:
    """Return windows written as bases, whose weights are 1, 2, 3 … and 10, 20, 30 …"""
    contexts = [
        np.array([["ACGT".index(base) for base in one] for one in side], np.uint8).reshape(-1, 2)
        for side in (foreground, background)
    ]
    return TrainingSet(
        WINDOW,
        contexts[0],
        np.arange(1.0, 1 + len(foreground)),
        contexts[1],
        10 * np.arange(1.0, 1 + len(background)),
        origin=None if origin is None else np.array(origin, np.int64),
    )


def bases(contexts: np.ndarray) -> list[str]:
    return ["".join("ACGT"[base] for base in one) for one in contexts]


def test_a_row_of_sets_is_a_read_start_and_the_background_drawn_near_it() -> None:
    sample = a_set(["AA", "CC"], ["AG", "CG", "AT", "CT"], [0, 1, 0, 1])
    sets = sample.sets()
    assert sets is not None
    assert sets.tolist() == [[0, 2, 4], [1, 3, 5]]
    windows = np.concatenate([sample.foreground, sample.background])[sets]
    assert [bases(one) for one in windows] == [["AA", "AG", "AT"], ["CC", "CG", "CT"]]


def test_sets_are_of_the_most_frequent_size() -> None:
    # Background windows per start: 2, 0, 3, 1, 2. The most frequent size above 0 is 2: starts 1
    # and 3 are left out, and the last window of start 2 is not used.
    sample = a_set(["AA"] * 5, ["CC"] * 8, [0, 0, 2, 2, 2, 3, 4, 4])
    sets = sample.sets()
    assert sets is not None
    assert sets.dtype == np.int64
    assert sets.tolist() == [[0, 5, 6], [2, 7, 8], [4, 11, 12]]


def test_of_two_sizes_that_are_equally_frequent_the_smaller_is_taken() -> None:
    sets = a_set(["AA"] * 2, ["CC"] * 3, [1, 0, 1]).sets()
    assert sets is not None
    assert sets.tolist() == [[0, 3], [1, 2]]


@pytest.mark.parametrize("sample", [a_set(["AA"], ["CC"], None), a_set(["AA"], [], [])])
def test_there_are_no_sets_where_no_background_is_known_to_lie_near_a_start(
    sample: TrainingSet,
) -> None:
    assert sample.sets() is None


@pytest.mark.parametrize("origin", [[0], [0, 2], [0, -1]])
def test_an_origin_that_does_not_fit_the_windows_is_an_error(origin: list[int]) -> None:
    with pytest.raises(ValueError, match="origin does not name a foreground window"):
        a_set(["AA", "CC"], ["GG", "TT"], origin).sets()


def test_joining_appends_the_validation_part() -> None:
    sample = replace(
        a_set(["AA", "CC"], ["AC", "CA", "CG"], [0, 1, 1]),
        tiles=Tiles(np.zeros((1, 4), np.uint8), np.array([[1, 2, 3]], np.float32)),
        validation=replace(
            a_set(["GG"], ["GA", "GC"], [0, 0]),
            tiles=Tiles(np.ones((2, 4), np.uint8), np.array([[4, 5, 6], [7, 8, 9]], np.float32)),
        ),
    )
    joined = sample.joined()
    assert joined.window == WINDOW
    assert bases(joined.foreground) == ["AA", "CC", "GG"]
    assert joined.foreground_weight.tolist() == [1, 2, 1]
    assert bases(joined.background) == ["AC", "CA", "CG", "GA", "GC"]
    assert joined.background_weight.tolist() == [10, 20, 30, 10, 20]
    assert joined.origin is not None
    assert joined.origin.tolist() == [0, 1, 1, 2, 2]
    assert joined.tiles is not None
    assert joined.tiles.sequence.tolist() == [[0] * 4, [1] * 4, [1] * 4]
    assert joined.tiles.counts.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert joined.validation is None


def test_a_set_without_a_validation_part_is_joined_already() -> None:
    sample = a_set(["AA"], ["CC"], [0])
    assert sample.joined() is sample


def test_joining_loses_no_tiles_where_one_part_has_none() -> None:
    tiles = Tiles(np.zeros((1, 4), np.uint8), np.ones((1, 3), np.float32))
    alone = a_set(["AA"], ["CC"], [0])
    assert replace(alone, tiles=tiles, validation=alone).joined().tiles is tiles
    assert replace(alone, validation=replace(alone, tiles=tiles)).joined().tiles is tiles
    assert replace(alone, validation=alone).joined().tiles is None


def test_joined_origins_are_unknown_where_those_of_a_part_are() -> None:
    known, unknown = a_set(["AA"], ["CC"], [0]), a_set(["AA"], ["CC"], None)
    assert replace(known, validation=unknown).joined().origin is None
    assert replace(unknown, validation=known).joined().origin is None


def test_a_tile_weighs_less_the_more_fragments_start_in_it() -> None:
    # Means per position: 0, 1 and 3.
    counts = np.array([[0, 0], [0, 2], [1.5, 4.5]], np.float32)
    weights = Tiles(np.zeros((3, 3), np.uint8), counts).weights()
    assert weights.dtype == np.float64
    assert weights.tolist() == [1, 1 / 2, 1 / 4]
