from __future__ import annotations

import math

import numpy as np
import pytest

from counterbias.errors import InputError
from counterbias.lengths import (
    FragmentLayout,
    FragmentLengths,
    assumed_lengths,
    effective_lengths,
    fragment_lengths,
)
from counterbias.options import AssumedLengths
from counterbias.records import (
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Features,
    StartSites,
    Stretches,
)
from counterbias.weights import fragment_weights, weighted_counts

GOOD = PRESENT | TRAINABLE


CONTIG_OF = np.array([0])


def make_features(genes: list[tuple[int, list[tuple[int, int]]]]) -> Features:
    rows = [(strand, start, end) for strand, blocks in genes for start, end in blocks]
    counts = [len(blocks) for _, blocks in genes]
    strand, start, end = (np.array(column) for column in zip(*rows, strict=True))
    return Features(
        tuple(f"g{i}" for i in range(len(genes))),
        {},
        ("one",),
        np.concatenate(([0], np.cumsum(counts))),
        np.zeros(len(rows), np.int32),
        strand.astype(np.int8),
        start.astype(np.int64),
        end.astype(np.int64),
    )


FEATURES = make_features([(0, [(10, 20), (40, 60)]), (1, [(15, 35)]), (0, [(90, 93)])])
#: Log bias per end, strand and position.
FIELD = np.random.default_rng(7).normal(0, 1, (2, 2, 100))


def field(stretches: Stretches, end: int) -> np.ndarray:
    positions = stretches.positions()
    if (positions.contig == -1).all():
        return np.full(len(positions), np.nan)
    assert (positions.contig == 0).all()
    return FIELD[end, positions.strand, positions.position]


def places(gene: int) -> np.ndarray:
    blocks = range(FEATURES.block_offsets[gene], FEATURES.block_offsets[gene + 1])
    return np.concatenate(
        [np.arange(FEATURES.block_start[b], FEATURES.block_end[b]) for b in blocks]
    )


@pytest.mark.parametrize("stranded", ["yes", "no", "reverse"])
def test_single_end_lengths_are_sums_of_the_bias(stranded: str) -> None:
    found = effective_lengths(FEATURES, CONTIG_OF, field, FragmentLayout(stranded))
    for gene, strand in enumerate((0, 1, 0)):
        both = np.exp(FIELD[0][:, places(gene)]).sum(axis=1)
        expected = {"no": both.mean(), "yes": both[strand], "reverse": both[1 - strand]}[stranded]
        assert found[gene] == pytest.approx(expected)


@pytest.mark.parametrize("stranded", ["yes", "no", "reverse"])
def test_paired_end_lengths_are_means_over_places_of_fragments(stranded: str) -> None:
    fragments = FragmentLengths(np.array([5, 12, 200]), np.array([0.5, 0.3, 0.2]), 1000, 10.0)
    found = effective_lengths(FEATURES, CONTIG_OF, field, FragmentLayout(stranded, fragments))
    for gene, strand in enumerate((0, 1, 0)):
        read_one = {"no": 0, "yes": strand, "reverse": 1 - strand}[stranded]
        model = (0, 0) if stranded == "no" else (read_one, 1 - read_one)
        left, right = (np.exp(FIELD[model[k], k, places(gene)]) for k in (0, 1))
        n = len(left)
        top, bottom = 100 * left.mean() * right.mean(), 100.0
        for length, share in zip(fragments.length, fragments.probability, strict=True):
            for first in range(n - length + 1):
                top += share * left[first] * right[first + length - 1]
                bottom += share
        assert found[gene] == pytest.approx(n * top / bottom)


@pytest.mark.parametrize("paired", [True, False])
def test_an_unbiased_sample_gives_the_length(paired: bool) -> None:
    fragments = FragmentLengths(np.array([5]), np.array([1.0]), 1000, 5.0) if paired else None
    layout = FragmentLayout(lengths=fragments)
    for bias in (0.0, np.nan):
        found = effective_lengths(
            FEATURES, CONTIG_OF, lambda s, _, b=bias: np.full(s.sizes.sum(), b), layout
        )
        assert np.allclose(found, [30, 20, 3])
    found = effective_lengths(FEATURES, np.array([-1]), field, layout)
    assert np.allclose(found, [30, 20, 3])


def test_every_length_within_a_class_counts() -> None:
    lengths = np.array([4, 5, 6, 10, 11, 25, 26])
    listed = FragmentLengths(
        lengths, np.array([1 / 9, 1 / 9, 1 / 9, 1 / 6, 1 / 6, 1 / 6, 1 / 6]), 1000, 10.0
    )
    classes = FragmentLengths(
        np.array([5, 10, 25]), np.full(3, 1 / 3), 1000, 10.0, np.array([[4, 6], [10, 11], [25, 26]])
    )
    found = [
        effective_lengths(FEATURES, CONTIG_OF, field, FragmentLayout(lengths=one))
        for one in (listed, classes)
    ]
    assert found[0] == pytest.approx(found[1])


def test_assumed_lengths_are_those_of_a_normal_distribution() -> None:
    found = assumed_lengths(AssumedLengths(250, 50))
    assert (found.fragments, found.assumed, found.mean, found.sd) == (0, True, 250, 50)
    assert found.probability.sum() == pytest.approx(1)
    first, last, probability = found.spans()
    # By hand: 0.5 %, 50 % and 99.5 % of a normal distribution lie at -2.576, 0 and 2.576 SD.
    assert (first[0], last[7], first[8], last[-1]) == (121, 250, 250, 379)
    middle, width = (first + last) / 2, last - first + 1
    mean = float(probability @ middle)
    assert mean == pytest.approx(250, abs=0.5)
    assert float(
        np.sqrt(probability @ ((middle - mean) ** 2 + (width**2 - 1) / 12))
    ) == pytest.approx(50, rel=0.02)
    assert assumed_lengths(AssumedLengths(30, 30)).length.min() >= 20, "cut off below 20"


def test_a_narrow_assumption_is_one_length() -> None:
    found = assumed_lengths(AssumedLengths(200, 0.1))
    assert (found.length.tolist(), found.probability.tolist()) == ([200], [1.0])
    assert assumed_lengths(AssumedLengths(200.5, 1e-300)).length.tolist() == [200, 201]
    assert set(found.spans()[0].tolist()) == set(found.spans()[1].tolist()) == {200}


@pytest.mark.parametrize(
    ("mean", "sd"),
    [
        (19.9, 5),
        (10_001, 5),
        (200, 0),
        (200, -1),
        (200, 201),
        (math.nan, 5),
        (200, math.nan),
        (200, math.inf),
    ],
)
def test_lengths_that_cannot_be_assumed(mean: float, sd: float) -> None:
    with pytest.raises(InputError, match="cannot be assumed") as found:
        AssumedLengths(mean, sd)
    assert "\n" not in str(found.value)


def test_single_reads_by_hand() -> None:
    """A gene of 21 bases, fragments of 20: they fit at two places, next to 100 of the means."""
    gene, bias = make_features([(0, [(0, 21)])]), np.zeros((2, 21))
    bias[0, 0], bias[1, 19] = np.log(3), np.log(5)
    fragments = assumed_lengths(AssumedLengths(20, 0.1))

    def either(places: Stretches, end: int) -> np.ndarray:
        assert end == 0, "both ends of an unstranded library have the model of its reads"
        positions = places.positions()
        return bias[positions.strand, positions.position]

    found = effective_lengths(gene, CONTIG_OF, either, FragmentLayout(lengths=fragments))
    assert found[0] == pytest.approx(21 * (100 * (23 / 21) * (25 / 21) + 3 * 5 + 1) / 102)
    # Where the other end has no bias, the read is the left end of one half of the fragments and
    # the right end of the other.
    found = effective_lengths(
        gene, CONTIG_OF, either, FragmentLayout(lengths=fragments, ends="first")
    )
    left, right = (100 * 23 / 21 + 3 + 1) / 102, (100 * 25 / 21 + 5 + 1) / 102
    assert found[0] == pytest.approx(21 * (left + right) / 2)


def test_features_shorter_than_any_assumed_fragment() -> None:
    found = effective_lengths(
        FEATURES, CONTIG_OF, field, FragmentLayout(lengths=assumed_lengths(AssumedLengths()))
    )
    for gene in (1, 2):  # 20 and 3 bases: nothing fits, which leaves the means of both ends
        left, right = np.exp(FIELD[0][:, places(gene)]).mean(axis=1)
        assert found[gene] == pytest.approx(len(places(gene)) * left * right, rel=1e-12)
    plain = effective_lengths(
        FEATURES,
        CONTIG_OF,
        lambda s, _: np.zeros(s.sizes.sum()),
        FragmentLayout(lengths=assumed_lengths(AssumedLengths())),
    )
    assert plain == pytest.approx([30, 20, 3], rel=1e-12)


@pytest.mark.parametrize("stranded", ["yes", "no", "reverse"])
def test_lengths_with_a_bias_of_the_first_read_alone(stranded: str) -> None:
    fragments = FragmentLengths(np.array([12]), np.array([1.0]), 1000, 12.0)
    found = effective_lengths(
        FEATURES, CONTIG_OF, field, FragmentLayout(stranded, fragments, "first")
    )
    for gene, strand in enumerate((0, 1, 0)):
        sides = {"no": (0, 1), "yes": (strand,), "reverse": (1 - strand,)}[stranded]
        share = 0.0
        for side in sides:
            b = np.exp(FIELD[0, side, places(gene)])
            n = len(b)
            # The left read of a fragment of 12 bases leaves 11 places at the right end free; the
            # right read leaves them at the left end.
            fitting = b[: max(n - 11, 0)] if side == 0 else b[11:]
            share += (100 * b.mean() + fitting.sum()) / (100 + len(fitting)) / len(sides)
        assert found[gene] == pytest.approx(n * share)


def test_only_some_features_and_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = effective_lengths(FEATURES, CONTIG_OF, field, FragmentLayout())
    some = effective_lengths(
        FEATURES, CONTIG_OF, field, FragmentLayout(), only=np.array([False, True, False])
    )
    assert some.tolist() == [30, everything[1], 3]
    monkeypatch.setattr("counterbias.lengths.lines.BATCH", 25)
    assert np.allclose(effective_lengths(FEATURES, CONTIG_OF, field, FragmentLayout()), everything)
    assert (
        effective_lengths(FEATURES, CONTIG_OF, field, FragmentLayout(), threads=3)
        == effective_lengths(FEATURES, CONTIG_OF, field, FragmentLayout())
    ).all()


def pairs(left: list[int], right: list[int], gene: list[int], flip: list[bool]) -> StartSites:
    n = len(left)
    swap = np.array(flip)
    lefts, rights = np.array(left, np.int32), np.array(right, np.int32)
    forward, backward = np.full(n, GOOD, np.uint8), np.full(n, GOOD | REVERSE, np.uint8)
    first = EndSites(
        np.zeros(n, np.int32), np.where(swap, rights, lefts), np.where(swap, backward, forward)
    )
    second = EndSites(
        np.zeros(n, np.int32), np.where(swap, lefts, rights), np.where(swap, forward, backward)
    )
    return StartSites(("one",), (100,), np.array(gene, np.int32), None, (first, second))


def test_fragment_lengths_are_spliced() -> None:
    # 12 to 45 over the intron 20…40: 8 bases and 6; 16 to 30: 15; an end in the intron, or facing
    # away: not used.
    sites = pairs(
        [12] * 300 + [16] * 100 + [12, 45],
        [45] * 300 + [30] * 100 + [30, 12],
        [0] * 300 + [1] * 100 + [0, 0],
        [False, True] * 201,
    )
    found = fragment_lengths(sites, FEATURES, CONTIG_OF)
    assert found is not None
    assert found.fragments == 400
    assert found.length.tolist() == [14, 15]
    assert found.probability.tolist() == [0.75, 0.25]
    assert (
        fragment_lengths(pairs([12] * 50, [45] * 50, [0] * 50, [True] * 50), FEATURES, CONTIG_OF)
        is None
    )
    single = StartSites(sites.contigs, sites.contig_lengths, sites.feature, None, sites.ends[:1])
    assert fragment_lengths(single, FEATURES, CONTIG_OF) is None


def test_effective_lengths_beat_single_reads_on_simulated_counts() -> None:
    """With the true bias, effective lengths come nearer to the truth than sums of 1/b do."""
    rng = np.random.default_rng(4)
    genes, length, reads = 300, 500, 100
    bias = np.exp(rng.normal(0, 1, (genes, length)) + rng.normal(0, 0.3, (genes, 1)))
    features = make_features([(0, [(i * length, (i + 1) * length)]) for i in range(genes)])
    field = np.log(bias.ravel())
    position = np.concatenate(
        [
            i * length
            + rng.choice(length, rng.poisson(reads * bias[i].mean()), p=bias[i] / bias[i].sum())
            for i in range(genes)
        ]
    )
    n = len(position)
    end = EndSites(np.zeros(n, np.int32), position.astype(np.int32), np.full(n, GOOD, np.uint8))
    sites = StartSites(
        ("one",), (genes * length,), (position // length).astype(np.int32), None, (end,)
    )
    raw = np.bincount(sites.feature, minlength=genes)
    weighted = weighted_counts(
        sites, fragment_weights(sites, lambda _, rows: field[position[rows]], cap=None), genes
    )
    lengths = effective_lengths(
        features,
        CONTIG_OF,
        lambda places, _: field[places.positions().position],
        FragmentLayout("yes"),
    )

    def error(values: np.ndarray) -> float:
        return float(np.log2(values / values.mean()).std())

    assert error(raw / lengths) < 0.6 * error(raw)
    assert error(raw / lengths) < error(weighted)
