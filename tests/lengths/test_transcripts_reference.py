"""Lengths by transcripts against their definition, on random genes and fragments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.lengths import (
    UNEXPLAINED,
    FragmentLayout,
    FragmentLengths,
    TranscriptLengths,
    abundance,
)
from counterbias.lengths.transcripts import CLEAR_EXCESS
from tests.helpers.transcript_builders import (
    BiasField,
    Fragment,
    Gene,
    Library,
    one_length,
    some_lengths,
)
from tests.helpers.transcript_reference import expect, log_posterior

#: Genes of up to 300 bases, so that the definition can be followed base by base.
FIRST, LAST = 100, 400

edges = st.lists(
    st.integers(FIRST, LAST), min_size=4, max_size=16, unique=True
).map(sorted)  # fmt: skip


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    """Transcripts that take or leave exons, some of which begin a few bases later."""
    cuts = draw(edges)
    exons = list(zip(cuts[::2], cuts[1::2], strict=False))
    transcripts = []
    for _ in range(draw(st.integers(1, 5))):
        kept = draw(st.lists(st.sampled_from(exons), min_size=1, unique=True).map(sorted))
        late = draw(st.integers(0, 3))
        transcripts.append([(min(start + late, end - 1), end) for start, end in kept])
    return Gene(transcripts, draw(st.integers(0, 1)), draw(st.integers(0, 1)))


@st.composite
def layouts(draw: st.DrawFn) -> FragmentLayout:
    """Some lengths, or classes of lengths, in libraries of all kinds."""
    stranded = draw(st.sampled_from(["no", "yes", "reverse"]))
    ends = draw(st.sampled_from(["both", "first"]))
    if draw(st.booleans()):
        lengths = draw(st.lists(st.integers(1, 120), min_size=1, max_size=4, unique=True))
        return some_lengths(dict.fromkeys(sorted(lengths), 1 / len(lengths)), stranded, ends)
    classes = np.array([[30, 50], [50, 60], [61, 90]])
    observed = FragmentLengths(np.array([40, 55, 75]), np.full(3, 1 / 3), 1000, 57.0, classes)
    return FragmentLayout(stranded, observed, ends)


@st.composite
def fragments(draw: st.DrawFn, gene: Gene, paired: bool) -> Fragment:
    """Mostly fragments of a transcript; some lie off it, or lack an end, or look odd."""
    positions = gene.positions(draw(st.integers(0, len(gene.transcripts) - 1)))
    left = draw(st.integers(0, len(positions) - 1))
    right = min(left + draw(st.integers(0, 119)), len(positions) - 1)
    ends: list[tuple[int, str] | None] = [
        (int(positions[left]) - draw(st.sampled_from(9 * [0] + [25])), "+"),
        (int(positions[right]), "-"),
    ]
    odd = draw(st.sampled_from(6 * ["usual"] + ["lacks", "away", "elsewhere"]))
    contigs = (gene.contig, gene.contig)
    if odd == "away":
        ends = [(ends[0][0], "-"), (ends[1][0], draw(st.sampled_from("+-")))]  # type: ignore[index]
    if draw(st.booleans()):
        ends.reverse()
    if odd == "lacks":
        ends[draw(st.integers(0, 1))] = None
    if odd == "elsewhere":
        contigs = (gene.contig, 1 - gene.contig)
    share = draw(st.sampled_from([1.0, 0.5, 1 / 3]))
    if not paired:
        return Fragment(ends[0] or ends[1], None, 0, share, (gene.contig, gene.contig))
    return Fragment(ends[0], ends[1], 0, share, contigs)


@st.composite
def libraries(draw: st.DrawFn) -> Library:
    gene, paired = draw(genes()), draw(st.booleans())
    some = draw(st.lists(fragments(gene, paired), min_size=1, max_size=12))
    # Often the same few kinds of fragments, as transcripts are told apart by many.
    times = draw(st.lists(st.integers(1, 40), min_size=len(some), max_size=len(some)))
    every = [one for one, count in zip(some, times, strict=True) for _ in range(count)]
    field = draw(st.sampled_from([None, BiasField.draw(11), BiasField.draw(12, 2.0)]))
    return Library([gene], every, draw(layouts()), paired, draw(st.booleans()), field)


@settings(max_examples=150, deadline=None)
@given(libraries())
def test_lengths_and_shares_are_those_of_the_definition(library: Library) -> None:
    found, expected = library.measure(), expect(library)
    assert found.effective == pytest.approx(expected.effective, rel=1e-9)
    assert found.share == pytest.approx(expected.share, abs=1e-4)
    assert found.share.sum() == pytest.approx(1)
    assert found.molecules.sum() == pytest.approx(1)
    assert np.isfinite(found.share_se).all()
    unexplained = expected.unfit > expected.weight.sum() + CLEAR_EXCESS
    if unexplained and len(found.share) > 1:
        assert found.fallback.tolist() == [UNEXPLAINED]
    else:
        assert found.fallback.tolist() == [0]
        assert found.features == pytest.approx([expected.length], rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(libraries(), st.randoms(use_true_random=False))
def test_the_order_of_fragments_changes_nothing(library: Library, random: object) -> None:
    shuffled = list(library.fragments)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = Library(
        library.genes, shuffled, library.layout, library.paired, library.shares, library.field
    )
    assert_same(library.measure(), other.measure())


def assert_same(one: TranscriptLengths, other: TranscriptLengths) -> None:
    for name in TranscriptLengths.__slots__:
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.parametrize("paired", [True, False])
def test_rounded_likelihoods_hardly_change_shares(paired: bool) -> None:
    # Lengths in the two transcripts differ by one small exon: likelihoods, by a little or a lot.
    gene = Gene([[(0, 150), (200, 212), (300, 450)], [(0, 150), (300, 450)]])
    probability = np.exp(-0.5 * ((np.arange(20, 120) - 70) / 18) ** 2)
    lengths = dict(zip(range(20, 120), probability / probability.sum(), strict=True))
    rng = np.random.default_rng(9)
    some = []
    for length in rng.choice(list(lengths), 400, p=list(lengths.values())):
        positions = gene.positions(int(rng.integers(2)))
        left = int(rng.integers(len(positions) - length + 1))
        right = int(positions[left + length - 1])
        some.append(Fragment((int(positions[left]), "+"), (right, "-") if paired else None))
    library = Library([gene], some, some_lengths(lengths), paired)
    found = library.measure()
    change = np.abs(found.share - expect(library, rounded=False).share)
    assert (change < 0.005 * found.share_se).all()


def parts_of(library: Library) -> tuple[np.ndarray, ...]:
    """Classes of fragments as compiled loops take them: here one per fragment."""
    expected = expect(library)
    ratio = expected.likelihood / expected.effective
    ratio /= ratio.max(axis=1, keepdims=True)
    inside = ratio > 0
    offsets = np.concatenate(([0], np.cumsum(inside.sum(axis=1))))
    members = np.nonzero(inside)[1].astype(np.int32)
    return expected.weight, offsets, members, ratio[inside], expected.effective, ratio


@settings(max_examples=60, deadline=None)
@given(libraries())
def test_shares_are_at_the_maximum_whatever_the_classes(library: Library) -> None:
    weight, offsets, members, inside, effective, ratio = parts_of(library)
    theta = abundance.estimate_shares(weight, offsets, members, inside, effective)
    at_maximum = log_posterior(theta, ratio, weight, effective)
    for t in range(len(theta)):
        moved = theta * 0.999
        moved[t] += 0.001
        assert log_posterior(moved, ratio, weight, effective) <= at_maximum + 1e-9
    assert theta == pytest.approx(library.measure().share, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(libraries())
def test_the_information_is_the_curvature_of_the_likelihood(library: Library) -> None:
    weight, offsets, members, inside, _, ratio = parts_of(library)
    count = ratio.shape[1]
    theta = (np.full(count, 1 / count) + library.measure().share) / 2

    def log_likelihood(shares: np.ndarray) -> float:
        return float(weight @ np.log(ratio @ shares))

    information = np.zeros((count, count))
    step = 1e-4 / count
    for i in range(count):
        for j in range(count):
            values = [
                sign * log_likelihood(theta + step * (a * np.eye(count)[i] + b * np.eye(count)[j]))
                for a, b, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            ]
            information[i, j] = -sum(values) / (4 * step**2)
    found = abundance.share_information(weight, offsets, members, inside, theta)
    assert found == pytest.approx(information, rel=2e-3, abs=0.05 + 1e-3 * information.max())


def constrained(precision: np.ndarray) -> np.ndarray:
    """Covariance where the sum is fixed: invert within the other directions."""
    count = len(precision)
    basis = np.linalg.svd(np.ones((1, count)))[2][1:].T
    return np.asarray(basis @ np.linalg.inv(basis.T @ precision @ basis) @ basis.T)


@settings(max_examples=60, deadline=None)
@given(libraries())
def test_the_covariance_is_the_inverse_where_fragments_tell(library: Library) -> None:
    weight, offsets, members, inside, _, _ = parts_of(library)
    theta = library.measure().share
    if len(theta) < 2:
        return
    found = abundance.share_covariance(weight, offsets, members, inside, theta)
    assert found == pytest.approx(found.T, abs=1e-9)
    assert found.sum(axis=0) == pytest.approx(0, abs=1e-9), "shares sum to 1"
    assert np.linalg.eigvalsh(found).min() > -1e-9
    # So many fragments that no share is near 0 or 1, if they tell anything at all.
    many = 1e4 * weight
    information = abundance.share_information(many, offsets, members, inside, theta)
    basis = np.linalg.svd(np.ones((1, len(theta))))[2][1:].T
    if np.linalg.eigvalsh(basis.T @ information @ basis).min() > 1.0:
        expected = constrained(information)
        if theta.min() > 10 * np.sqrt(expected.diagonal().max()):
            found = abundance.share_covariance(many, offsets, members, inside, theta)
            assert found == pytest.approx(expected, rel=0.03, abs=0.03 * expected.max())


def test_threads_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    exons = [[(0, 60), (90, 150), (200, 300)], [(0, 60), (200, 300)], [(20, 60), (90, 150)]]
    many = [
        Gene([[(500 * g + a, 500 * g + b) for a, b in one] for one in exons[: 1 + g % 3]], g % 2)
        for g in range(30)
    ]
    some = []
    for g, gene in enumerate(many):
        for _ in range(int(rng.integers(0, 30))):
            positions = gene.positions(int(rng.integers(len(gene.transcripts))))
            left = int(rng.integers(0, len(positions) - 40))
            ends = (int(positions[left]), "+"), (int(positions[left + 39]), "-")
            some.append(Fragment(ends[0], ends[1] if rng.random() < 0.9 else None, g))
    library = Library(many, some, one_length(40), field=BiasField.draw(6))
    plain = library.measure()
    assert_same(plain, library.measure(threads=3))
    for batch in (1, 400, 3000):
        monkeypatch.setattr("counterbias.lengths.lines.BATCH", batch)
        assert_same(plain, library.measure())
        assert_same(plain, library.measure(threads=3))
