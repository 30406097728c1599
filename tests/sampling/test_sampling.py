from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from counterbias import sampling
from counterbias.errors import InputError
from counterbias.evaluation import folds
from counterbias.options import FOLDS, SAMPLING_SCHEMES
from counterbias.records import (
    CLIPPED,
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Features,
    Positions,
    StartSites,
    Window,
)

CONTIGS, LENGTHS = ("one", "two"), (400_000, 90_000)
GOOD = PRESENT | TRAINABLE


def make_sites(n: int = 5000, seed: int = 3, ends: int = 2) -> StartSites:
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(ends):
        contig = rng.integers(0, 2, n).astype(np.int32)
        position = (rng.beta(2, 2, n) * np.array(LENGTHS)[contig]).astype(np.int32)
        bits = np.where(rng.random(n) < 0.5, REVERSE, 0) | rng.choice(
            [GOOD, PRESENT | CLIPPED, PRESENT, 0], n, p=[0.8, 0.1, 0.05, 0.05]
        )
        parts.append(
            EndSites(
                np.where(bits & PRESENT, contig, -1).astype(np.int32),
                position,
                bits.astype(np.uint8),
            )
        )
    return StartSites(CONTIGS, LENGTHS, np.zeros(n, np.int32), None, tuple(parts))


def reorder(sites: StartSites, order: np.ndarray) -> StartSites:
    ends = tuple(
        EndSites(end.contig[order], end.position[order], end.bits[order]) for end in sites.ends
    )
    return StartSites(sites.contigs, sites.contig_lengths, sites.feature[order], None, ends)


def make_features(blocks: list[tuple[int, int, int, int]]) -> Features:
    """One feature per block: contig, strand, start, end."""
    rows = np.array(blocks)
    return Features(
        tuple(f"g{i}" for i in range(len(rows))),
        {},
        CONTIGS,
        np.arange(len(rows) + 1),
        rows[:, 0].astype(np.int32),
        rows[:, 1].astype(np.int8),
        rows[:, 2],
        rows[:, 3],
    )


def rows_of(positions: Positions) -> list[tuple[int, int, int, float]]:
    columns = (positions.contig, positions.position, positions.strand, positions.weight)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_unique_starts_by_hand() -> None:
    bits = np.array([GOOD, GOOD, GOOD | REVERSE, GOOD, PRESENT | CLIPPED, PRESENT, 0], np.uint8)
    end = EndSites(
        np.array([1, 1, 1, 0, 0, 0, -1], np.int32), np.array([7, 7, 7, 5, 6, 8, 0], np.int32), bits
    )
    other = EndSites(
        np.array([0] * 7, np.int32),
        np.array([5] * 7, np.int32),
        np.array([GOOD] + [0] * 6, np.uint8),
    )
    sites = StartSites(CONTIGS, LENGTHS, np.zeros(7, np.int32), None, (end, other))
    assert rows_of(sampling.unique_starts(sites, end=0)) == [
        (0, 5, 0, 1),
        (1, 7, 0, 2),
        (1, 7, 1, 1),
    ]
    assert rows_of(sampling.unique_starts(sites, end=1)) == [(0, 5, 0, 1)]
    assert rows_of(sampling.unique_starts(sites)) == [(0, 5, 0, 2), (1, 7, 0, 2), (1, 7, 1, 1)]
    assert len(sampling.read_starts(sites)) == 5


def test_no_starts_at_all() -> None:
    empty = EndSites(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint8))
    sites = StartSites(CONTIGS, LENGTHS, np.zeros(0, np.int32), None, (empty,))
    for scheme in SAMPLING_SCHEMES:
        sample = sampling.draw(sites, np.random.default_rng(1), scheme=scheme)
        assert len(sample.foreground) == len(sample.background) == 0
    assert len(folds.make_folds(sampling.unique_starts(sites)).keys) == 0


@pytest.mark.parametrize("scheme", SAMPLING_SCHEMES)
def test_a_sample_depends_on_the_sites_and_the_seed_only(scheme: str) -> None:
    sites = make_sites()
    shuffled = reorder(sites, np.random.default_rng(9).permutation(len(sites)))
    first, second, third = (
        sampling.draw(which, np.random.default_rng(seed), scheme=scheme, most=1000)
        for which, seed in ((sites, 1), (shuffled, 1), (sites, 2))
    )
    assert len(first.foreground) == 1000
    assert rows_of(first.foreground) == rows_of(second.foreground)
    assert rows_of(first.background) == rows_of(second.background)
    assert rows_of(first.foreground) != rows_of(third.foreground)


def test_local_background_lies_near_on_the_same_strand() -> None:
    sample = sampling.draw(make_sites(), np.random.default_rng(1))
    near = sample.foreground.take(sample.origin)
    offset = sample.background.position - near.position
    assert len(sample.background) == 2 * len(sample.foreground)
    assert set(np.unique(np.abs(offset))) == set(range(1, 101))
    assert abs(float(offset.mean())) < 2
    assert (sample.background.strand == near.strand).all()
    assert (sample.background.contig == near.contig).all()
    assert (sample.background.weight == near.weight).all()
    assert np.allclose(
        sample.foreground.weight, sampling.find_starts(make_sites()).learning_weights()
    )


def test_seqbias_offsets_are_gaussian_and_paper_keeps_duplicates() -> None:
    sites = make_sites()
    sample = sampling.draw(sites, np.random.default_rng(1), scheme="seqbias")
    offset = sample.background.position - sample.foreground.position[sample.origin]
    assert 480 < offset.std() < 520
    assert (offset != 0).all()
    paper = sampling.draw(sites, np.random.default_rng(1), scheme="paper")
    assert (
        len(paper.foreground)
        == len(paper.background)
        == sum(int(((end.bits & TRAINABLE) != 0).sum()) for end in sites.ends)
    )
    assert (paper.foreground.weight == 1).all()


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InputError, match=r"local, paper, seqbias"):
        sampling.draw(make_sites(10), np.random.default_rng(1), scheme="global")


def test_windows_inside_exons() -> None:
    features = make_features([(0, 0, 100, 150), (0, 1, 140, 200), (1, 0, 0, 30)])
    position = np.array([110, 109, 179, 180, 189, 190, 10, 110])
    strand = np.array([0, 0, 0, 0, 1, 1, 0, 0], np.uint8)
    contig = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int32)
    places = Positions(contig, position, strand, np.ones(8))
    exons = sampling.merged_exons(features, np.array([0, 1]))
    inside = sampling.inside_exons(places, Window(10, 20), exons)
    assert inside.tolist() == [True, False, True, False, True, False, False, False]
    nowhere = sampling.merged_exons(features, np.array([-1, -1]))
    assert not sampling.inside_exons(places, Window(10, 20), nowhere).any()


def blank(asked: list[Window]) -> Any:
    """Sequences of As, whatever the window, which is noted."""

    def cut(positions: Positions, wide: Window) -> tuple[np.ndarray, np.ndarray]:
        asked.append(wide)
        return np.zeros((len(positions), wide.width), np.uint8), np.ones(len(positions), bool)

    return cut


def test_tiles_count_starts_on_both_strands() -> None:
    features = make_features([(0, 0, 1000, 1250), (1, 0, 0, 90)])
    starts = Positions(
        np.array([0, 0, 0, 0, 0, 1], np.int32),
        np.array([1000, 1003, 1199, 1110, 1240, 5], np.int64),
        np.array([0, 0, 0, 1, 0, 0], np.uint8),
        np.array([2.0, 1, 3, 4, 9, 9]),
    )
    windows = []
    places, tiles = sampling.draw_tiles(
        starts,
        sampling.merged_exons(features, np.array([0, 1])),
        Window(10, 10),
        np.random.default_rng(1),
        blank(windows),
    )
    assert windows == [Window(10, 109)]
    counts = tiles.counts()
    assert rows_of(places) == [(0, 1000, 0, 1), (0, 1100, 0, 1), (0, 1199, 1, 1)]
    assert counts.shape == (3, 100)
    assert counts.sum(axis=1).tolist() == [3, 3, 4]
    assert (counts[0, 0], counts[0, 3], counts[1, 99], counts[2, 89]) == (2, 1, 3, 4)


def test_of_more_tiles_some_are_drawn() -> None:
    features = make_features([(0, 0, 0, 50_000)])
    place = np.random.default_rng(1).choice(50_000, 5000, replace=False).astype(np.int64)
    place.sort()
    starts = Positions(
        np.zeros(5000, np.int32), place, np.zeros(5000, np.uint8), np.full(5000, 2.0)
    )
    given = (starts, sampling.merged_exons(features, np.array([0])), Window(10, 10))
    every, all_tiles = sampling.draw_tiles(*given, np.random.default_rng(1), blank([]))
    some, tiles = sampling.draw_tiles(*given, np.random.default_rng(1), blank([]), most=40)
    assert len(some) == len(tiles) == 40 < len(every)
    row = np.searchsorted(every.position, some.position)
    assert np.array_equal(every.position[row], some.position)
    assert np.array_equal(all_tiles.counts()[row], tiles.counts())


def test_tiles_without_a_sequence_are_left_out() -> None:
    features = make_features([(0, 0, 0, 1000)])
    place = np.repeat(np.arange(0, 1000, 50), 2) + np.tile([0, 7], 20)
    starts = Positions(np.zeros(40, np.int32), place, np.zeros(40, np.uint8), np.arange(1.0, 41))

    def cut(positions: Positions, wide: Window) -> tuple[np.ndarray, np.ndarray]:
        sequence = np.repeat(positions.position[:, None] // 100, wide.width, axis=1).astype(
            np.uint8
        )
        return sequence, positions.position % 300 == 0

    exons = sampling.merged_exons(features, np.array([0]))
    places, tiles = sampling.draw_tiles(starts, exons, Window(2, 2), np.random.default_rng(1), cut)
    made = tiles.tiles()
    assert places.position.tolist() == [0, 300, 600, 900]
    assert made.sequence[:, 0].tolist() == [0, 3, 6, 9]
    assert made.sequence.shape == (4, 104)
    for row, first in enumerate(places.position):
        expected = np.zeros(100)
        here = (place >= first) & (place < first + 100)
        expected[place[here] - first] = starts.weight[here]
        assert np.array_equal(made.counts[row], expected)


def test_distinct_starts_need_not_be_found_twice() -> None:
    sites = make_sites()
    for scheme in ("local", "seqbias"):
        first = sampling.draw(sites, np.random.default_rng(1), scheme=scheme, most=500)
        again = sampling.draw(
            sites,
            np.random.default_rng(1),
            scheme=scheme,
            most=500,
            starts=sampling.find_starts(sites),
        )
        assert rows_of(first.foreground) == rows_of(again.foreground)
        assert rows_of(first.background) == rows_of(again.background)


def test_last_positions_per_contig() -> None:
    sites = make_sites()
    for contig, last in enumerate(sampling.last_positions(sites).tolist()):
        at = [
            end.position[(end.contig == contig) & (end.bits & PRESENT != 0)] for end in sites.ends
        ]
        assert last == max([-1, *(int(one.max()) for one in at if len(one))])


def test_folds_are_balanced_and_need_no_seed() -> None:
    starts = sampling.unique_starts(make_sites(20_000))
    split = folds.make_folds(starts)
    assert split.block == 20_000
    assert len(split.keys) >= folds.ENOUGH_BLOCKS
    load = np.bincount(split.of(starts.contig, starts.position))
    assert len(load) == FOLDS
    assert load.max() < 1.1 * load.min()
    wide = Positions(
        np.zeros(40, np.int32), np.arange(40) * 60_000, np.zeros(40, np.uint8), np.ones(40)
    )
    assert folds.make_folds(wide).block == 50_000
