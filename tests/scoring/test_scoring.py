from __future__ import annotations

import numpy as np
import pytest

from counterbias import genome, sampling, scoring
from counterbias.records import (
    CLIPPED,
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Positions,
    StartSites,
    Stretches,
    Window,
)
from counterbias.scoring import start_sites as sites_module


class Sum:
    """A model whose log bias is a number that the window spells."""

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        assert contexts.flags.c_contiguous
        return contexts.astype(np.float64) @ np.arange(1, contexts.shape[1] + 1) / 10


def extract(positions: Positions) -> tuple[np.ndarray, np.ndarray]:
    """Windows that spell contig, place and strand; every 13th place has an N."""
    columns = (
        positions.contig % 4,
        positions.position % 4,
        (positions.position // 4) % 4,
        positions.strand,
    )
    return np.stack(columns, axis=1).astype(np.uint8), positions.position % 13 != 0


def make_sites(n: int = 3000) -> StartSites:
    rng = np.random.default_rng(5)
    lengths = (1000, 0, 500, 2000)
    ends = []
    for _ in range(2):
        contig = rng.choice([0, 2, 3], n).astype(np.int32)
        position = (rng.random(n) * np.array(lengths)[contig]).astype(np.int32)
        bits = rng.choice([PRESENT, PRESENT | CLIPPED, 0], n, p=[0.8, 0.1, 0.1]) | np.where(
            rng.random(n) < 0.5, REVERSE, 0
        )
        ends.append(
            EndSites(
                np.where(bits & PRESENT, contig, -1).astype(np.int32),
                position,
                bits.astype(np.uint8),
            )
        )
    return StartSites(("a", "b", "c", "d"), lengths, np.zeros(n, np.int32), None, tuple(ends))


def test_threads_and_batches_change_nothing() -> None:
    windows = np.random.default_rng(1).integers(0, 4, (10_000, 21)).astype(np.uint8)
    expected = Sum().log_bias(windows)
    for threads in (1, 2, 3):
        assert (scoring.score(Sum(), windows, threads=threads, batch=777) == expected).all()
        assert (scoring.score(Sum(), windows[::2], threads=threads) == expected[::2]).all()
    assert scoring.score(Sum(), windows[:0]).shape == (0,)


def test_positions_with_an_n_are_nan() -> None:
    n = 5000
    places = Positions(np.zeros(n, np.int32), np.arange(n), np.zeros(n, np.uint8), np.ones(n))
    windows, valid = extract(places)
    for threads in (1, 2):
        found = scoring.score_positions(Sum(), extract, places, threads=threads, chunk=611)
        assert (np.isnan(found) == ~valid).all()
        assert (found[valid] == Sum().log_bias(windows[valid])).all()


class SumAlong(Sum):
    def along(self, sequence: np.ndarray) -> np.ndarray:
        return self.log_bias(
            np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(sequence, 4))
        )


class ShortAlong(Sum):
    def along(self, sequence: np.ndarray) -> np.ndarray:
        return np.zeros(2)


def test_scores_of_a_wrong_shape_are_not_read() -> None:
    one = Stretches(np.zeros(1, np.int32), np.array([0]), np.array([50]), np.zeros(1, np.uint8))
    with pytest.raises(
        ValueError, match=r"ShortAlong.along gave scores of shape \(2,\), not \(50,\)"
    ):
        scoring.score_stretches(ShortAlong(), 4, lambda part: (np.zeros(53, np.uint8), True), one)


CONTIGS = {
    "a": np.random.default_rng(3).integers(0, 4, 900).astype(np.uint8),
    "b": np.array([0, 1, 2, 4, 3, 3, 1], np.uint8),
}
CONTIGS["a"][[100, 101, 350, 899]] = 4


class Contigs:
    def codes(self, contig: str) -> np.ndarray:
        return CONTIGS[contig]


@pytest.mark.parametrize("chunk", [1, 100, 1 << 16])
@pytest.mark.parametrize("threads", [1, 3])
def test_stretches_score_as_their_positions_do(chunk: int, threads: int) -> None:
    rows = [
        (0, 0, 50, 0),
        (0, 80, 130, 1),
        (0, 80, 130, 0),
        (1, 0, 7, 1),
        (0, 340, 360, 1),
        (0, 200, 200, 0),
        (0, 850, 900, 0),
    ]
    rows += [(-1, 5, 9, 0), (0, 890, 905, 1), (1, 3, 4, 0), (0, 2000, 2010, 0)]
    contig, start, end, strand = (np.array(column) for column in zip(*rows, strict=True))
    stretches = Stretches(contig.astype(np.int32), start, end, strand.astype(np.uint8))
    window, names = Window(1, 2), ("a", "b")
    places = stretches.positions()
    expected = scoring.score_positions(
        Sum(), lambda part: genome.extract(Contigs(), names, part, window), places
    )
    assert 0 < np.isnan(expected).sum() < len(expected) / 2
    found = scoring.score_stretches(
        SumAlong(),
        4,
        lambda part: genome.extract_stretches(Contigs(), names, part, window),
        stretches,
        threads=threads,
        chunk=chunk,
    )
    assert np.array_equal(found, expected, equal_nan=True)
    nothing = stretches.take(slice(0, 0))
    assert (
        len(
            scoring.score_stretches(
                SumAlong(), 4, lambda part: (np.zeros(0, np.uint8), True), nothing
            )
        )
        == 0
    )


def truth(sites: StartSites, number: int) -> np.ndarray:
    """What each read of an end is worth to :class:`Sum`."""
    end = sites.ends[number]
    strand = ((end.bits & REVERSE) != 0).astype(np.uint8)
    contexts, valid = extract(
        Positions(end.contig, end.position.astype(np.int64), strand, np.ones(len(strand)))
    )
    known = valid & ((end.bits & PRESENT) != 0) & ((end.bits & CLIPPED) == 0)
    return np.where(known, Sum().log_bias(contexts), np.nan)


@pytest.mark.parametrize("group", [1 << 28, 1200, 1])
@pytest.mark.parametrize("bins", [sites_module.MOST_BINS, 1])
def test_sites_are_scored_once_and_given_to_every_read(
    group: int, bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites_module, "MOST_BINS", bins)
    sites, seen = make_sites(), []

    def counted(positions: Positions) -> tuple[np.ndarray, np.ndarray]:
        seen.extend(
            zip(
                positions.contig.tolist(),
                positions.position.tolist(),
                positions.strand.tolist(),
                strict=True,
            )
        )
        return extract(positions)

    found = scoring.SiteScores(sites, group=group)
    assert found.score_rest(Sum(), counted) == len(found) == len(seen) == len(set(seen))
    assert found.score_rest(Sum(), counted) == 0
    for number in range(2):
        expected = truth(sites, number)
        assert np.allclose(found.of_reads(number, slice(None)), expected, equal_nan=True, atol=1e-6)
        assert np.array_equal(
            found.of_reads(number, slice(70, 90)),
            found.of_reads(number, slice(None))[70:90],
            equal_nan=True,
        )


def test_sites_of_a_large_genome_are_listed_piece_by_piece() -> None:
    rng = np.random.default_rng(2)
    lengths = (250_000_000, 100, 2_000_000_000)
    contig = rng.choice([0, 2], 500).astype(np.int32)
    position = rng.integers(0, np.array(lengths)[contig]).astype(np.int32)
    position[:4], contig[:4] = [249_999_999, 0, 1_999_999_999, 99], [0, 2, 2, 1]
    bits = (PRESENT | np.where(rng.random(500) < 0.5, REVERSE, 0)).astype(np.uint8)
    sites = StartSites(
        ("a", "b", "c"), lengths, np.zeros(500, np.int32), None, (EndSites(contig, position, bits),)
    )
    for group in (1 << 20, 7):
        found = scoring.SiteScores(sites, group=group)
        found.score_rest(Sum(), extract)
        assert np.allclose(
            found.of_reads(0, slice(None)), truth(sites, 0), equal_nan=True, atol=1e-6
        )


def test_sites_take_over_what_was_scored_where_they_lie() -> None:
    sites = make_sites()
    rows = [
        (0, 100, 400, 0),
        (0, 350, 600, 1),
        (3, 0, 2000, 0),
        (2, 499, 500, 1),
        (-1, 0, 500, 0),
        (3, 700, 700, 1),
        (3, 650, 660, 0),
    ]
    contig, start, end, strand = (np.array(column) for column in zip(*rows, strict=True))
    stretches = Stretches(contig.astype(np.int32), start, end, strand.astype(np.uint8))
    places = stretches.positions()
    given = (
        scoring.score_positions(Sum(), extract, places) + 100
    )  # so that one sees where a score comes from
    given[places.contig < 0] = np.nan
    inside = set(
        zip(places.contig.tolist(), places.position.tolist(), places.strand.tolist(), strict=True)
    )
    found = scoring.SiteScores(sites)
    found.take(stretches, given)
    assert 0 < found.score_rest(Sum(), extract) < len(found)
    for number, end_sites in enumerate(sites.ends):
        minus = (end_sites.bits & REVERSE) != 0
        place = zip(
            end_sites.contig.tolist(),
            end_sites.position.tolist(),
            minus.astype(int).tolist(),
            strict=True,
        )
        expected = truth(sites, number) + 100 * np.array([one in inside for one in place])
        assert np.allclose(found.of_reads(number, slice(None)), expected, equal_nan=True, atol=1e-5)


def test_the_order_in_which_sites_take_over_scores_does_not_matter() -> None:
    sites = make_sites()
    one = Stretches(np.array([0], np.int32), np.array([0]), np.array([800]), np.zeros(1, np.uint8))
    other = Stretches(
        np.array([0], np.int32), np.array([500]), np.array([1000]), np.zeros(1, np.uint8)
    )
    values = {800: np.linspace(0, 1, 800), 500: np.full(500, 0.9)}
    values[800][700], values[500][200] = np.nan, np.nan
    found = []
    for order in ((one, other), (other, one)):
        scores = scoring.SiteScores(sites)
        for stretch in order:
            scores.take(stretch, values[int(stretch.sizes[0])])
        scores.score_rest(Sum(), extract)
        found.append(np.stack([scores.of_reads(number, slice(None)) for number in range(2)]))
    assert np.array_equal(*found, equal_nan=True)
    assert np.isclose(found[0], 0.9).any()


def test_a_read_that_leaves_its_contig_has_no_site() -> None:
    position, contig = (
        np.array([9, 10, 200_000, 3, 300_000], np.int32),
        np.array([0, 0, 0, 1, 1], np.int32),
    )
    end = EndSites(contig, position, np.full(5, PRESENT | TRAINABLE, np.uint8))
    sites = StartSites(("a", "b"), (10, 100), np.zeros(5, np.int32), None, (end,))
    found = scoring.SiteScores(sites)
    assert found.score_rest(Sum(), extract) == len(found) == 2
    assert np.isnan(found.of_reads(0, slice(None))).tolist() == [False, True, True, False, True]
    starts = sampling.unique_starts(sites)
    assert list(zip(starts.contig.tolist(), starts.position.tolist(), strict=True)) == [
        (0, 9),
        (1, 3),
    ]


def test_many_sites_are_scored_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites_module, "REST", 100)
    sites, sizes = make_sites(), []

    def counted(positions: Positions) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(len(positions))
        return extract(positions)

    found = scoring.SiteScores(sites)
    assert found.score_rest(Sum(), counted) == len(found) == sum(sizes)
    assert max(sizes) == 100
    for number in range(2):
        assert np.allclose(
            found.of_reads(number, slice(None)),
            truth(sites, number),
            equal_nan=True,
            atol=1e-6,
        )


def test_one_end_only() -> None:
    sites = make_sites()
    both, one = (scoring.SiteScores(sites, ends=ends) for ends in (None, (1,)))
    assert one.score_rest(Sum(), extract) == len(one) < both.score_rest(Sum(), extract) == len(both)
    assert np.array_equal(
        one.of_reads(1, slice(None)), both.of_reads(1, slice(None)), equal_nan=True
    )
    nothing = scoring.SiteScores(
        StartSites(("a",), (10,), np.zeros(0, np.int32), None, ()), ends=()
    )
    assert len(nothing) == nothing.score_rest(Sum(), extract) == 0
