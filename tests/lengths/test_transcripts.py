"""Lengths by transcripts: cases worked out by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from counterbias.lengths import (
    UNEXPLAINED,
    FeatureBias,
    FragmentLengths,
    TranscriptLengths,
    effective_lengths,
    transcript_lengths,
)
from counterbias.lengths.transcripts import CLEAR_EXCESS, LEAST_SHARE, places
from counterbias.records import SCATTERED, TOO_MANY, UNNAMED
from tests.helpers.transcript_builders import (
    BiasField,
    Fragment,
    Gene,
    Library,
    annotate,
    one_length,
    pair,
    read,
    some_lengths,
    start_sites,
)

#: Three exons of 200, 100 and 300 bases; the second transcript skips the one in the middle.
SKIPPING = [[(100, 300), (400, 500), (600, 900)], [(100, 300), (600, 900)]]
#: Fragments of 100 bases have 600 - 99 and 500 - 99 places.
PLACES = np.array([501.0, 401.0])
WITH_EXON, WITHOUT_EXON, EITHER = pair(280, 479), pair(250, 649), pair(120, 219)
#: Half the width of a uniform distribution between 0 and 1, as a standard deviation.
UNIFORM = 12**-0.5


def measure(
    genes: list[Gene], fragments: list[Fragment], length: int = 100, **more: bool
) -> TranscriptLengths:
    return Library(genes, fragments, one_length(length), **more).measure()


@pytest.mark.parametrize("strand", [0, 1])
def test_a_skipped_exon_of_equally_abundant_transcripts(strand: int) -> None:
    # The 400 that fit both are divided equally: 301 + 200 and 201 + 200 are as 501 to 401, which
    # is what equally many molecules of both yield.
    fragments = 301 * [WITH_EXON] + 201 * [WITHOUT_EXON] + 400 * [EITHER]
    found = measure([Gene(SKIPPING, strand)], fragments)
    assert found.effective == pytest.approx(PLACES)
    assert found.share == pytest.approx(PLACES / 902, abs=1e-4)
    assert found.molecules == pytest.approx([0.5, 0.5], abs=1e-4)
    assert found.features == pytest.approx([451], abs=0.05)
    assert found.fallback.tolist() == [0]


def test_a_skipped_exon_three_times_as_often_kept() -> None:
    # θ is as 3·501 to 401. Of 800 that fit both, 600 and 200: 903 + 600 and 201 + 200.
    fragments = 903 * [WITH_EXON] + 201 * [WITHOUT_EXON] + 800 * [EITHER]
    found = measure([Gene(SKIPPING)], fragments)
    # The prior is worth a fragment or two in 1904.
    assert found.share == pytest.approx([1503 / 1904, 401 / 1904], abs=5e-4)
    assert found.molecules == pytest.approx([0.75, 0.25], abs=7e-4)
    assert found.features == pytest.approx([0.75 * 501 + 0.25 * 401], abs=0.07)


@pytest.mark.parametrize("strand", [0, 1])
@pytest.mark.parametrize("mirrored", [False, True], ids=["left", "right"])
def test_alternative_ends(strand: int, mirrored: bool) -> None:
    # The first 200 bases are of one transcript alone; the other one lies within it.
    transcripts, own, both = [[(100, 700)], [(300, 700)]], pair(150, 249), pair(400, 499)
    if mirrored:
        transcripts, own, both = [[(100, 700)], [(100, 500)]], pair(550, 649), pair(300, 399)
    # 501 and 301 places; 602 fragments divide equally, 200 are of the longer transcript.
    found = measure([Gene(transcripts, strand)], 200 * [own] + 602 * [both])
    assert found.effective == pytest.approx([501, 301])
    assert found.share == pytest.approx([501 / 802, 301 / 802], abs=1e-6)
    assert found.features == pytest.approx([401], abs=1e-3)
    # 602 fragments alone say that there is hardly anything of the longer transcript, unless chance
    # has kept all of them off its first 200 bases.
    found = measure([Gene(transcripts, strand)], 602 * [both])
    assert found.share[0] < 0.01
    assert found.features == pytest.approx([301], abs=1)


@pytest.mark.parametrize("fragments", [1, 100, 10_000])
@pytest.mark.parametrize("copies", [2, 3, 10])
def test_identical_transcripts_share_equally_and_say_so(fragments: int, copies: int) -> None:
    found = measure([Gene(copies * [[(100, 700)]])], fragments * [pair(200, 299)])
    assert found.share == pytest.approx(1 / copies)
    assert found.molecules == pytest.approx(1 / copies)
    assert found.features == pytest.approx([501])
    # At least what a uniform distribution over all ways to share says.
    least = np.sqrt((1 / copies) * (1 - 1 / copies) / (copies + 1))
    assert (found.share_se >= least - 1e-9).all()
    assert found.molecules_se == pytest.approx(found.share_se)
    if copies == 2:
        assert found.share_se == pytest.approx(UNIFORM)


@pytest.mark.parametrize("fragments", [400, 40_000, 4_000_000])
def test_identical_transcripts_next_to_another_one_share_what_it_leaves(fragments: int) -> None:
    twins, other = [(100, 700)], [(1000, 1600)]
    part = fragments // 400
    weighty = [pair(200, 299, share=300 * part), pair(1100, 1199, share=100 * part)]
    found = measure([Gene([twins, twins, other])], weighty, shares=True)
    assert found.share == pytest.approx([0.375, 0.375, 0.25], abs=1e-3)
    # Between 0 and three quarters, besides the error of these three quarters themselves.
    for one in found.share_se[:2]:
        assert UNIFORM * 0.75 < one < UNIFORM * (0.75 + 2 / np.sqrt(fragments))
    assert found.share_se[2] == pytest.approx(np.sqrt(0.75 * 0.25 / fragments), rel=0.01)


@pytest.mark.parametrize("rare", [1, 3, 10, 100, 1000])
def test_a_rare_transcript_is_as_uncertain_as_its_few_fragments(rare: int) -> None:
    # No fragment fits both: the error is that of a binomial, the root of p (1 - p) / n.
    common = 100_000
    fragments = [pair(200, 299, share=common), pair(1100, 1199, share=rare)]
    found = measure([Gene([[(100, 700)], [(1000, 1600)]])], fragments, shares=True)
    binomial = np.sqrt(found.share[1] * found.share[0] / (common + rare))
    assert (found.share_se > 0.97 * binomial).all()
    assert (found.share_se < (1 + 1 / np.sqrt(rare)) * binomial).all()
    assert found.molecules_se == pytest.approx(found.share_se), "both are equally long"


@pytest.mark.parametrize("short", [1, 50])
@pytest.mark.parametrize("copies", [1, 20])
def test_no_percentage_is_less_certain_than_any_number_from_0_to_100(
    short: int, copies: int
) -> None:
    # One fragment more or less of a transcript with hardly a place is many molecules.
    rare = copies * [[(800, 800 + short)]]
    found = measure([Gene([[(100, 1700)], *rare])], 30 * [pair(200, 299)])
    assert found.molecules_se == pytest.approx(UNIFORM), "a straight line would say 600 % and more"
    assert (found.share_se <= UNIFORM).all()
    # Of many that are alike, each may still have anything between 0 and 1.
    found = measure([Gene(300 * [[(100, 700)]])], 500 * [pair(200, 299)])
    assert found.share_se == pytest.approx(UNIFORM)


def test_a_long_gene_takes_no_memory_without_a_bias() -> None:
    features, transcripts = annotate([Gene([[(100, 4_000_100)], [(100, 2_000_100)]])])
    bias = FeatureBias(features, np.arange(2), None, one_length(100))
    sites, only = start_sites([pair(200, 299)]), np.array([True])
    transcript_lengths(bias, transcripts, sites, only=only)  # loads what is compiled
    tracemalloc.start()
    found = transcript_lengths(bias, transcripts, sites, only=only)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.effective.tolist() == [3_999_901, 1_999_901]
    assert peak < 1_000_000, "a quarter of a byte per base"


@pytest.mark.parametrize("stranded", ["no", "yes", "reverse"])
@pytest.mark.parametrize("ends", ["both", "first"])
@pytest.mark.parametrize("strand", [0, 1])
def test_one_transcript_is_the_union_with_the_edge_rule(
    stranded: str, ends: str, strand: int
) -> None:
    gene = Gene([[(100, 300), (400, 500), (600, 900)]], strand)
    layout = some_lengths({80: 0.25, 100: 0.75}, stranded, ends)
    field = BiasField.draw(1)
    found = Library([gene], [pair(120, 219)], layout, field=field).measure()
    union = effective_lengths(annotate([gene])[0], np.arange(2), field, layout)
    # 600 bases: 521 places for the shorter, 501 for the longer fragments.
    assert found.features == pytest.approx(union * (0.25 * 521 + 0.75 * 501) / 600, rel=1e-12)
    assert (found.share.tolist(), found.molecules.tolist()) == ([1.0], [1.0])
    assert (found.share_se.tolist(), found.molecules_se.tolist()) == ([0.0], [0.0])


def test_a_transcript_shorter_than_every_fragment_keeps_a_tenth_of_its_length() -> None:
    assert LEAST_SHARE == 0.1
    found = measure([Gene([[(100, 150)]])], [pair(100, 149)])
    assert found.features == pytest.approx([5.0])
    # Both transcripts of a gene: what is as long as the short one is either's.
    found = measure([Gene([[(100, 700)], [(100, 150)]])], 100 * [pair(100, 149)])
    assert found.effective == pytest.approx([501, 5])
    assert found.molecules[1] > 0.9, "such fragments are common where there is little else"


def test_places_by_hand() -> None:
    classes = FragmentLengths(
        np.array([3, 8]), np.array([0.5, 0.5]), 1000, 5.0, np.array([[2, 4], [8, 8]])
    )
    found = places(np.array([1, 2, 3, 4, 10]), classes)
    # 10 bases: 9, 8 or 7 places in one half, 3 in the other. 1 base: a tenth of it.
    third = 0.5 / 3
    assert found == pytest.approx([0.1, max(third, 0.2), 2 * third + third, 6 * third, 4 + 1.5])


def test_fragments_longer_than_any_tell_nothing_but_exclude_nothing() -> None:
    found = measure([Gene([[(100, 1600)], [(200, 1700)]])], 100 * [pair(310, 1500)])
    assert found.molecules == pytest.approx([0.5, 0.5])
    assert found.fallback.tolist() == [0]
    # Where one transcript makes such a fragment usual, it is that one.
    found = measure([Gene([[(100, 1700)], [(100, 360), (1550, 1700)]])], 100 * [pair(310, 1599)])
    assert found.share[1] > 0.98


@pytest.mark.parametrize("field", [None, BiasField.draw(2)], ids=["unbiased", "biased"])
def test_a_gene_without_reads_has_the_mean_length_of_its_transcripts(
    field: BiasField | None,
) -> None:
    genes = [Gene(SKIPPING), Gene([[(2000, 2600)]]), Gene(SKIPPING, missing=UNNAMED)]
    found = Library(genes, [pair(2100, 2199, gene=1)], one_length(100), field=field).measure()
    assert found.features[[0, 2]] == pytest.approx([451, 501])
    assert found.fallback.tolist() == [0, 0, UNNAMED]
    for column in (found.share, found.share_se, found.molecules, found.molecules_se):
        assert column[:2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("excess", [10, 11])
@pytest.mark.parametrize("where", [(350, 649), (120, 350), (350, 399), (10, 950)])
def test_transcripts_that_do_not_explain_most_fragments(
    where: tuple[int, int], excess: int
) -> None:
    assert CLEAR_EXCESS == 10
    fragments = 20 * [EITHER] + (20 + excess) * [pair(*where)]
    for field in (None, BiasField.draw(3)):
        layout = one_length(100)
        gene = Gene(SKIPPING)
        found = Library([gene], fragments, layout, field=field).measure()
        assert found.fallback.tolist() == [UNEXPLAINED if excess > 10 else 0]
        if excess > 10:
            union = 600.0
            if field is not None:
                union = effective_lengths(annotate([gene])[0], np.arange(2), field, layout)[0]
            assert found.features == pytest.approx([union * 501 / 600], rel=1e-12)


def test_fragments_that_fit_no_transcript_though_they_lie_on_exons() -> None:
    # The middle and the last exon exclude each other.
    gene = Gene([[(100, 300), (400, 500)], [(100, 300), (600, 900)]])
    fragments = 5 * [EITHER] + 16 * [pair(420, 650)]
    assert measure([gene], fragments).fallback.tolist() == [UNEXPLAINED]
    assert measure([gene], fragments[:-1]).fallback.tolist() == [0]


AWAY = Fragment((219, "-"), (250, "+"))
SAME = Fragment((120, "+"), (219, "+"))
ELSEWHERE = Fragment((120, "+"), (219, "-"), contigs=(1, 1))
MISSING = Fragment(None, None)


@pytest.mark.parametrize("nothing", [AWAY, SAME, ELSEWHERE, MISSING])
def test_pairs_that_say_nothing_change_nothing(nothing: Fragment) -> None:
    some = 30 * [WITH_EXON] + 20 * [WITHOUT_EXON] + 40 * [EITHER]
    gene = Gene(SKIPPING)
    without, also = measure([gene], some), measure([gene], some + 1000 * [nothing])
    assert also.fallback.tolist() == [0], "they do not speak against the transcripts either"
    # With one end missing somewhere, others are measured by another way: to the last bit the same.
    for name in TranscriptLengths.__slots__:
        assert (getattr(without, name) == getattr(also, name)).all()
    alone = measure([gene], 5 * [nothing])
    assert alone.molecules == pytest.approx([0.5, 0.5])
    assert alone.share_se == pytest.approx([UNIFORM, UNIFORM]), "nothing is known"


def read_alone(position: int, strand: str) -> list[Fragment]:
    """All ways in which one end of a pair is known."""
    end = (position, strand)
    return [
        Fragment(end, None),
        Fragment(None, end),
        Fragment(end, (120, "-"), contigs=(0, 1)),
        Fragment((120, "+"), end, contigs=(1, 0)),
    ]


@pytest.mark.parametrize("field", [None, BiasField.draw(4)], ids=["unbiased", "biased"])
@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_pair_with_one_end_missing_is_a_read(field: BiasField | None, strand: str) -> None:
    def both(fragments: list[Fragment], paired: bool) -> np.ndarray:
        library = Library([Gene(SKIPPING)], fragments, one_length(100), paired, field=field)
        return library.measure().share

    reads = both(7 * [read(280, strand)] + 3 * [read(450, strand)], False)
    for one, other in zip(read_alone(280, strand), read_alone(450, strand), strict=True):
        assert both(7 * [one] + 3 * [other], True).tolist() == reads.tolist()


@pytest.mark.parametrize("strand", [0, 1])
def test_single_reads_by_hand(strand: int) -> None:
    gene = Gene([[(100, 700)], [(100, 400)]], strand)

    # 501 and 201 places: 402 reads that fit either are divided equally, 300 are of the longer.
    both, longer = read(250, "-"), read(500, "+")
    found = measure([gene], 402 * [both] + 300 * [longer], paired=False)
    assert found.share == pytest.approx([501 / 702, 201 / 702], abs=1e-6)
    # The same on the other strand, at the last place that fits; longer fragments are less unusual
    # in the longer transcript.
    found = measure([gene], 402 * [read(300, "+")] + 300 * [read(500, "-")], paired=False)
    assert found.share == pytest.approx([501 / 702, 201 / 702], abs=3e-3)


def test_parts_of_fragments_count_as_parts() -> None:
    gene = Gene(SKIPPING)
    whole = measure([gene], 30 * [WITH_EXON] + 20 * [WITHOUT_EXON] + 40 * [EITHER])
    halves = [
        pair(one.first[0], one.second[0], share=0.5)
        for one in 60 * [WITH_EXON] + 40 * [WITHOUT_EXON] + 80 * [EITHER]
        if one.first and one.second
    ]
    parts = measure([gene], halves, shares=True)
    for name in TranscriptLengths.__slots__:
        assert (getattr(whole, name) == getattr(parts, name)).all()


def test_why_a_gene_has_no_transcripts_is_passed_on() -> None:
    reasons = (UNNAMED, SCATTERED, TOO_MANY)
    genes = [
        Gene([[(100 + 1000 * i, 700 + 1000 * i)]], missing=reason)
        for i, reason in enumerate(reasons)
    ]
    fragments = [pair(200 + 1000 * i, 299 + 1000 * i, gene=i) for i in range(3)]
    field = BiasField.draw(5)
    found = Library(genes, fragments, one_length(100), field=field).measure()
    assert found.fallback.tolist() == list(reasons)
    union = effective_lengths(annotate(genes)[0], np.arange(2), field, one_length(100))
    assert found.features == pytest.approx(union * 501 / 600, rel=1e-12)
    assert len(found.share) == 0


def test_transcripts_with_too_many_edges_share_as_if_nothing_were_known() -> None:
    comb = [(2 * i, 2 * i + 1) for i in range(8200)]
    genes = [Gene([comb, [(0, 16_400)]]), Gene([[(17_000, 17_600)]])]
    fragments = 50 * [pair(10, 109)] + 50 * [pair(17_100, 17_199, gene=1)]
    found = measure(genes, fragments)
    assert found.fallback.tolist() == [TOO_MANY, 0]
    assert found.features == pytest.approx([16_301, 501])
    assert found.molecules == pytest.approx([0.5, 0.5, 1])
    assert found.share == pytest.approx([8101 / 24_402, 16_301 / 24_402, 1])
    assert (found.share_se[:2] > 0.25).all(), "the doubt is not hidden"
