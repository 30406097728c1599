"""How many fragments begin at each read start, and what a start weighs when a model learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.records import PRESENT, REVERSE, TRAINABLE, EndSites, Positions, StartSites
from counterbias.sampling import LOCAL_REACH, Starts, find_starts, start_weights, unique_starts
from counterbias.sampling import starts as starts_module
from counterbias.sampling.start_weights import MOST_APART, possible_lengths, with_coincidences

CONTIGS, LENGTHS = ("one", "two"), (200_000, 60_000)
GOOD = PRESENT | TRAINABLE


def sites_of(
    pairs: list[tuple[tuple[int, int, int] | None, ...]], trainable: bool = True
) -> StartSites:
    """Return the sites of fragments.

    Each read is contig, position and strand of its 5' end, or None where it is not aligned.
    """
    ends = []
    for reads in zip(*pairs, strict=True):
        contig, position, bits = [], [], []
        for read in reads:
            place, at, strand = read if read is not None else (-1, 0, 0)
            contig.append(place)
            position.append(at)
            bits.append(
                0 if read is None else (GOOD if trainable else PRESENT) | (REVERSE if strand else 0)
            )
        ends.append(
            EndSites(
                np.array(contig, np.int32), np.array(position, np.int32), np.array(bits, np.uint8)
            )
        )
    return StartSites(CONTIGS, LENGTHS, np.zeros(len(pairs), np.int32), None, tuple(ends))


def start_rows(starts: Starts) -> list[tuple[int, int, int, float, float]]:
    """Return contig, position, strand, reads and fragments of each start."""
    places = starts.positions
    columns = (places.contig, places.position, places.strand, places.weight, starts.fragments)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count distinct fragments without chance coincidences."""
    monkeypatch.setattr(starts_module, "with_coincidences", lambda starts, apart: starts)


# -- distinct fragments -----------------------------------------------------------------------


@pytest.mark.usefixtures("exact")
def test_copies_of_a_pair_are_one_fragment() -> None:
    pair, longer = ((0, 100, 0), (0, 300, 1)), ((0, 100, 0), (0, 301, 1))
    found = find_starts(sites_of([pair, pair, longer, pair]))
    assert start_rows(found) == [(0, 100, 0, 4, 2), (0, 300, 1, 3, 1), (0, 301, 1, 1, 1)]


@pytest.mark.usefixtures("exact")
def test_a_pair_whose_reads_are_swapped_is_the_same_fragment() -> None:
    pair = ((1, 100, 0), (1, 300, 1))
    swapped = pair[::-1]
    assert start_rows(find_starts(sites_of([pair, swapped]))) == [
        (1, 100, 0, 2, 1),
        (1, 300, 1, 2, 1),
    ]
    # By read, each is seen once.
    assert start_rows(find_starts(sites_of([pair, swapped]), end=0)) == [
        (1, 100, 0, 1, 1),
        (1, 300, 1, 1, 1),
    ]


@pytest.mark.usefixtures("exact")
def test_the_strand_and_the_contig_of_the_mate_tell_fragments_apart() -> None:
    start = (0, 100, 0)
    mates = [(0, 300, 1), (0, 300, 0), (1, 300, 1), (0, 300, 1)]
    assert start_rows(find_starts(sites_of([(start, mate) for mate in mates]), end=0)) == [
        (0, 100, 0, 4, 3)
    ]


@pytest.mark.usefixtures("exact")
def test_reads_at_a_place_whose_mates_are_not_aligned_are_one_fragment() -> None:
    lone = ((0, 100, 0), None)
    found = find_starts(sites_of([lone, lone, lone, ((0, 100, 0), (0, 300, 1))]))
    assert start_rows(found) == [(0, 100, 0, 4, 2), (0, 300, 1, 1, 1)]


@pytest.mark.usefixtures("exact")
def test_a_mate_that_cannot_be_learnt_from_still_tells_copies_apart() -> None:
    """The mates are clipped or multi-mapped: no starts themselves, but their place is known."""
    good = sites_of([((0, 100, 0), (0, place, 1)) for place in (300, 301, 300)])
    clipped = sites_of([((0, 100, 0), (0, place, 1)) for place in (300, 301, 300)], trainable=False)
    mixed = StartSites(CONTIGS, LENGTHS, good.feature, None, (good.ends[0], clipped.ends[1]))
    assert start_rows(find_starts(mixed)) == [(0, 100, 0, 3, 2)]


def test_of_single_reads_each_is_a_fragment() -> None:
    reads = [((0, 100, 0),)] * 3 + [((0, 100, 1),), ((1, 5, 0),)]
    assert start_rows(find_starts(sites_of(reads))) == [
        (0, 100, 0, 3, 3),
        (0, 100, 1, 1, 1),
        (1, 5, 0, 1, 1),
    ]


def test_no_reads_give_no_starts() -> None:
    nothing = EndSites(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint8))
    for ends in ((nothing,), (nothing, nothing)):
        found = find_starts(StartSites(CONTIGS, LENGTHS, np.zeros(0, np.int32), None, ends))
        assert len(found) == len(found.learning_weights()) == 0


def drawn(seed: int, fragments: int, copies: float) -> StartSites:
    """Draw pairs on both contigs and strands, some copied, some with a missing mate."""
    rng = np.random.default_rng(seed)
    contig = rng.integers(0, 2, fragments)
    left = rng.integers(0, 400, fragments) * 3
    right = left + rng.integers(100, 120, fragments)
    rows = np.concatenate(
        (np.arange(fragments), rng.integers(0, fragments, int(copies * fragments)))
    )
    pairs = []
    for row in rows.tolist():
        one, two = (int(contig[row]), int(left[row]), 0), (int(contig[row]), int(right[row]), 1)
        if rng.random() < 0.5:
            one, two = two, one
        pairs.append((one, None if row % 17 == 0 else two))
    return sites_of(pairs)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**31),
    fragments=st.integers(1, 300),
    copies=st.sampled_from([0.0, 0.5, 2.0]),
)
def test_distinct_fragments_are_those_of_a_naive_count(
    seed: int, fragments: int, copies: float
) -> None:
    sites = drawn(seed, fragments, copies)
    ways: dict[tuple[int, int, int], set[object]] = {}
    reads: dict[tuple[int, int, int], int] = {}
    for number, end in enumerate(sites.ends):
        mate = sites.ends[1 - number]
        for row in np.flatnonzero(end.bits & TRAINABLE).tolist():
            place = (
                int(end.contig[row]),
                int(end.position[row]),
                int(end.bits[row] & REVERSE != 0),
            )
            there = (
                (int(mate.contig[row]), int(mate.position[row]), int(mate.bits[row] & REVERSE))
                if mate.bits[row] & PRESENT
                else None
            )
            ways.setdefault(place, set()).add(there)
            reads[place] = reads.get(place, 0) + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starts_module, "with_coincidences", lambda starts, apart: starts)
        found = find_starts(sites)
    assert start_rows(found) == [(*place, reads[place], len(ways[place])) for place in sorted(ways)]
    assert np.array_equal(found.positions.position, unique_starts(sites).position)
    assert np.array_equal(found.positions.weight, unique_starts(sites).weight)
    # Chance coincidences only add.
    assert (find_starts(sites).fragments >= found.fragments).all()


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), fragments=st.integers(2, 300))
def test_the_order_of_rows_changes_nothing(seed: int, fragments: int) -> None:
    sites = drawn(seed, fragments, 1.0)
    order = np.random.default_rng(seed).permutation(len(sites))
    ends = tuple(
        EndSites(end.contig[order], end.position[order], end.bits[order]) for end in sites.ends
    )
    again = StartSites(CONTIGS, LENGTHS, sites.feature[order], None, ends)
    assert start_rows(find_starts(sites)) == start_rows(find_starts(again))
    assert np.array_equal(
        find_starts(sites).learning_weights(), find_starts(again).learning_weights()
    )


# -- what a start weighs ----------------------------------------------------------------------


@st.composite
def many_starts(draw: st.DrawFn) -> Starts:
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    size, reach = draw(st.integers(1, 200)), draw(st.sampled_from([50, 1000, 20_000]))
    places = np.unique(
        np.stack(
            [rng.integers(0, 3, size), rng.integers(0, reach, size), rng.integers(0, 2, size)],
            axis=1,
        ),
        axis=0,
    )
    weight = np.ceil(rng.exponential(draw(st.sampled_from([1.0, 20.0])), len(places)))
    positions = Positions(
        places[:, 0].astype(np.int32), places[:, 1], places[:, 2].astype(np.uint8), weight
    )
    return Starts(positions, weight * rng.uniform(0.5, 1, len(places)))


@settings(deadline=None, max_examples=50)
@given(starts=many_starts())
def test_densities_are_those_of_a_naive_sum(starts: Starts) -> None:
    places = starts.positions
    for row, density in enumerate(starts.densities().tolist()):
        near = (places.contig == places.contig[row]) & (places.strand == places.strand[row])
        near &= np.abs(places.position - places.position[row]) <= LOCAL_REACH
        assert density == pytest.approx(
            starts.fragments[near].sum() / (2 * LOCAL_REACH + 1), rel=1e-9
        )


@settings(deadline=None, max_examples=50)
@given(starts=many_starts())
def test_in_one_neighbourhood_weights_are_in_proportion_to_fragments(starts: Starts) -> None:
    """Linear: two places of one neighbourhood are learnt in the ratio of their fragments."""
    places = starts.positions
    crowded = Starts(
        Positions(places.contig * 0, places.position % 100, places.strand * 0, places.weight),
        starts.fragments,
    )
    order = np.argsort(crowded.positions.position, kind="stable")
    crowded = Starts(crowded.positions.take(order), crowded.fragments[order])
    weights = crowded.learning_weights()
    np.testing.assert_allclose(
        weights / weights.sum(), crowded.fragments / crowded.fragments.sum(), rtol=1e-9
    )


def test_weights_by_hand() -> None:
    """Places 100 bases apart with 201 and 402 fragments; one 101 on; one on the other strand."""
    positions = Positions(
        np.zeros(4, np.int32),
        np.array([0, 100, 150, 201]),
        np.array([0, 0, 1, 0], np.uint8),
        np.full(4, 7.0),
    )
    starts = Starts(positions, np.array([201.0, 402.0, 1.0, 201.0]))
    assert starts.densities().tolist() == [3, 3, 1 / 201, 1]
    np.testing.assert_allclose(
        starts.learning_weights(), [201 / 4, 402 / 4, 1 / (1 + 1 / 201), 201 / 2]
    )
    assert starts.by_fragments().weight.tolist() == [201, 402, 1, 201]


def test_a_thousandfold_neighbourhood_weighs_no_more_than_its_places() -> None:
    """With many fragments a neighbourhood weighs as many places as lie within reach."""
    position = np.arange(2000)
    for abundance in (10.0, 10_000.0):
        starts = Starts(
            Positions(np.zeros(2000, np.int32), position, np.zeros(2000, np.uint8), np.ones(2000)),
            np.full(2000, abundance),
        )
        assert starts.learning_weights()[200:-200].mean() == pytest.approx(
            abundance / (1 + abundance)
        )


# -- coincidences -----------------------------------------------------------------------------


def simulated(
    seed: int, per_start: float, *, sd: float = 40.0, spread: float = 0.6, length: int = 6000
) -> tuple[Starts, np.ndarray, Starts]:
    """Draw pairs without copies on one strand of a gene whose places differ in bias.

    Returns the starts corrected for coincidences, how many pairs begin at each, and the starts
    as counted.
    """
    rng = np.random.default_rng(seed)
    bias = [rng.lognormal(0, spread, length) for _ in range(2)]
    sizes = np.arange(120, 400)
    chance = np.exp(-0.5 * ((sizes - 220) / sd) ** 2)
    first = rng.choice(
        length - 400,
        size=int(per_start * (length - 400)),
        p=bias[0][: length - 400] / bias[0][: length - 400].sum(),
    )
    # A mate is drawn by length and by the bias at that end.
    by_end = chance * bias[1][first[:, None] + sizes]
    last = (
        first
        + sizes[
            (
                by_end.cumsum(axis=1)
                > rng.random(len(first))[:, None] * by_end.sum(axis=1)[:, None]
            ).argmax(axis=1)
        ]
    )
    sites = sites_of(
        [((0, one, 0), (0, two, 1)) for one, two in zip(first.tolist(), last.tolist(), strict=True)]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starts_module, "with_coincidences", lambda starts, apart: starts)
        distinct = find_starts(sites, end=0)
    return find_starts(sites, end=0), distinct.positions.weight, distinct


@pytest.mark.parametrize("spread", [0.0, 0.6, 0.9])
@pytest.mark.parametrize("per_start", [3.0, 10.0, 30.0])
def test_pairs_without_copies_come_back_to_their_number(per_start: float, spread: float) -> None:
    """Distinct fragments are up to a fifth too few where many begin; corrected, a few per cent."""
    found, reads, distinct = simulated(1, per_start, spread=spread)
    for low, high, error in ((1, 5, 0.04), (5, 15, 0.04), (15, 30, 0.05), (30, 60, 0.08)):
        here = (reads >= low) & (reads < high)
        if here.sum() >= 50:
            assert found.fragments[here].sum() == pytest.approx(reads[here].sum(), rel=error), (
                low,
                high,
            )
    # Of 30 a start with strong bias, more than half begin where there are more than 35.
    assert found.fragments.sum() == pytest.approx(
        reads.sum(), rel=0.06 if (per_start, spread) == (30.0, 0.9) else 0.03
    )
    if per_start == 30.0:
        assert distinct.fragments.sum() < 0.93 * reads.sum()


def test_sparse_starts_are_left_alone() -> None:
    found, reads, distinct = simulated(2, 0.05)
    assert reads.max() <= 4
    assert (found.fragments >= distinct.fragments).all()
    assert found.fragments.sum() == pytest.approx(distinct.fragments.sum(), rel=0.02)


@settings(deadline=None, max_examples=50)
@given(starts=many_starts(), width=st.sampled_from([1, 30, 200]))
def test_coincidences_only_add_and_keep_the_order(starts: Starts, width: int) -> None:
    apart = np.zeros(MOST_APART)
    apart[100 : 100 + width] = 1.0
    found = with_coincidences(starts, apart).fragments
    assert (found >= starts.fragments).all()
    assert np.isfinite(found).all()
    order = np.argsort(starts.fragments, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_copies_are_not_taken_for_coincidences() -> None:
    """Three copies of every pair: three times the reads, and as many fragments as without them."""
    rng = np.random.default_rng(3)
    first = rng.integers(0, 5600, 28_000)
    last = first + np.rint(rng.normal(220, 40, len(first))).astype(int)
    pairs = [
        ((0, one, 0), (0, two, 1)) for one, two in zip(first.tolist(), last.tolist(), strict=True)
    ]
    alone, thrice = find_starts(sites_of(pairs), end=0), find_starts(sites_of(pairs * 3), end=0)
    assert np.array_equal(thrice.positions.weight, 3 * alone.positions.weight)
    assert np.array_equal(thrice.fragments, alone.fragments)
    assert np.array_equal(thrice.learning_weights(), alone.learning_weights())


# -- lengths ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sd", [10.0, 25.0, 60.0, 120.0])
@pytest.mark.parametrize("introns", [0.0, 0.6])
def test_possible_lengths_of_a_normal_distribution(sd: float, introns: float) -> None:
    """1/Σp² = 2√π σ; a tail of pairs with introns between them is not one start's: no change."""
    rng = np.random.default_rng(1)
    near = np.rint(rng.normal(600, sd, 400_000)).astype(int)
    far = rng.integers(700, MOST_APART, int(introns * 400_000))
    apart = np.bincount(np.concatenate((near, far)), minlength=MOST_APART).astype(float)[
        :MOST_APART
    ]
    expected = 2 * math.sqrt(math.pi) * sd
    assert possible_lengths(apart) == pytest.approx(expected, rel=0.08, abs=6)


def test_lengths_that_are_all_alike_or_at_the_edge() -> None:
    apart = np.zeros(MOST_APART)
    apart[300] = 5.0
    assert 1 <= possible_lengths(apart) < 2 * math.sqrt(math.pi) * start_weights.SMOOTHED
    apart[:] = 0
    apart[:40] = np.arange(40)[::-1]  # pairs that overlap wholly
    assert 20 < possible_lengths(apart) < 60
    assert possible_lengths(np.ones(MOST_APART)) > 1000


# -- many reads -------------------------------------------------------------------------------


def test_of_more_reads_whole_blocks_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    first = rng.integers(0, 2_999_000, 30_000)
    last = first + rng.integers(150, 300, 30_000)
    pairs = sites_of(
        [((0, one, 0), (0, two, 1)) for one, two in zip(first.tolist(), last.tolist(), strict=True)]
    )
    sites = StartSites(("one",), (3_000_000,), pairs.feature, None, pairs.ends)
    every = find_starts(sites)
    monkeypatch.setattr(starts_module, "MOST_READS", 30_000)
    some = find_starts(sites)
    blocks = set((some.positions.position // 50_000).tolist())
    assert 0.3 * len(every) < len(some) < 0.7 * len(every)
    # Coverage within a block stays what it was.
    kept = np.isin(every.positions.position // 50_000, sorted(blocks))
    assert np.array_equal(every.positions.position[kept], some.positions.position)
    assert np.array_equal(every.positions.weight[kept], some.positions.weight)
    np.testing.assert_allclose(every.fragments[kept], some.fragments, rtol=0.02)
    assert len(some.learning_weights()) == len(some)


def test_of_one_crowded_block_all_reads_are_taken_in_whatever_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 30 kb virus, ten times as deep as reads are looked at: its last places count too."""
    monkeypatch.setattr(starts_module, "MOST_READS", 2000)
    rng = np.random.default_rng(6)
    first = np.sort(rng.integers(0, 29_000, 10_000))
    last = first + rng.integers(150, 300, 10_000)
    sites = sites_of(
        [((0, one, 0), (0, two, 1)) for one, two in zip(first.tolist(), last.tolist(), strict=True)]
    )
    found = find_starts(sites)
    assert found.positions.weight.sum() == 20_000
    assert (found.positions.strand == 1).sum() > 0.4 * len(found)
    assert found.positions.position.max() == last.max()
    order = rng.permutation(10_000)
    ends = tuple(
        EndSites(end.contig[order], end.position[order], end.bits[order]) for end in sites.ends
    )
    assert start_rows(
        find_starts(StartSites(CONTIGS, LENGTHS, sites.feature, None, ends))
    ) == start_rows(found)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), most=st.sampled_from([1, 100, 1500]))
def test_of_many_reads_whole_blocks_are_taken_until_there_are_enough(seed: int, most: int) -> None:
    """And no more than that, but at least one block, so that there is something to learn from."""
    rng = np.random.default_rng(seed)
    place = (rng.beta(1, 6, 2000) * 2_000_000).astype(int)
    one = sites_of([((0, at, 0),) for at in place.tolist()])
    sites = StartSites(("one",), (2_000_000,), one.feature, None, one.ends)
    whole = find_starts(sites)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starts_module, "MOST_READS", most)
        some = find_starts(sites)
    taken, reads = (
        np.bincount(found.positions.position // 50_000, found.positions.weight, minlength=40)
        for found in (some, whole)
    )
    assert ((taken == 0) | (taken == reads)).all()
    assert taken.sum() >= most
    assert taken.sum() - taken.max() < most


def test_a_genome_as_large_as_wheat_leaves_room_for_the_mate() -> None:
    """17 billion places: 35 bits for place and strand leave 27 for the mate.

    Chance then hides one pair of a hundred million.
    """
    length = 2_000_000_000
    contigs = tuple(f"c{number}" for number in range(9))
    place = np.array([1_999_999_000, 1_999_999_000, 1_999_999_000], np.int32)
    ends = (
        EndSites(np.full(3, 8, np.int32), place, np.full(3, GOOD, np.uint8)),
        EndSites(
            np.full(3, 8, np.int32),
            place + np.array([200, 201, 200], np.int32),
            np.full(3, GOOD | REVERSE, np.uint8),
        ),
    )
    found = find_starts(
        StartSites(contigs, (length,) * 9, np.zeros(3, np.int32), None, ends), end=0
    )
    assert found.positions.position.tolist() == [1_999_999_000]
    assert found.positions.contig.tolist() == [8]
    assert found.fragments[0] == pytest.approx(2, abs=0.25)
