"""From counted fragments to the isoforms' columns and the report."""

from __future__ import annotations

import numpy as np
import pytest

from counterbias.options import NONE, BiasOptions
from counterbias.pipeline.bias.context import CountedSample
from counterbias.pipeline.bias.measured_lengths import MeasuredLengths, measure_lengths
from counterbias.pipeline.bias.weighing import known_lengths
from counterbias.records import UNNAMED, Isoforms, SampleCounts, TranscriptsReport
from tests.helpers.transcript_builders import (
    Fragment,
    Gene,
    annotate,
    one_length,
    pair,
    start_sites,
)

SKIPPING = [[(100, 300), (400, 500), (600, 900)], [(100, 300), (600, 900)]]
GENES = [
    Gene(SKIPPING),
    Gene([[(2000, 2600)]], missing=UNNAMED),
    Gene([[(3000, 3600)], [(3000, 3600)]]),
    Gene([[(4000, 4300), (4400, 4500)], [(4000, 4300), (4600, 4900)]]),
    Gene([[(5000, 5600)], [(5200, 5600)]]),
    Gene([[(2 * i, 2 * i + 1) for i in range(8200)], [(0, 16_400)]], contig=1),
]
FRAGMENTS = [
    *(301 * [pair(280, 479)] + 201 * [pair(250, 649)] + 400 * [pair(120, 219)]),
    *(50 * [pair(2100, 2199, 1)]),
    *(70 * [pair(3100, 3199, 2)]),
    # Most of these lie in exons that exclude each other.
    *(10 * [pair(4100, 4199, 3)] + 40 * [pair(4420, 4650, 3)]),
    *(30 * [Fragment((6000, "+"), (6099, "-"), 5, contigs=(1, 1))]),
]


def counted(
    genes: list[Gene], fragments: list[Fragment], *, by_transcripts: bool = True
) -> CountedSample:
    features, transcripts = annotate(genes)
    sites = start_sites(fragments)
    counts = np.bincount(sites.feature, minlength=len(features))
    return CountedSample(
        sample="reads",
        counts=SampleCounts(
            "reads.bam", True, len(fragments), counts, None, (0, 0, 0, 0, 0), sites, 1.0
        ),
        features=features,
        contig_of=np.arange(2),
        options=BiasOptions(NONE, lengths="transcripts"),
        stranded="no",
        transcripts=transcripts if by_transcripts else None,
    )


def measure(
    fragments: list[Fragment] = FRAGMENTS, *, by_transcripts: bool = True
) -> tuple[MeasuredLengths, np.ndarray]:
    sample = counted(GENES, fragments, by_transcripts=by_transcripts)
    return measure_lengths(sample, None, one_length(100)), np.asarray(sample.counts.counts)


@pytest.fixture(scope="module")
def measured() -> tuple[MeasuredLengths, np.ndarray]:
    return measure()


@pytest.fixture(scope="module")
def isoforms(measured: tuple[MeasuredLengths, np.ndarray]) -> Isoforms:
    assert measured[0].isoforms is not None
    return measured[0].isoforms


def test_the_rows_are_the_transcripts(isoforms: Isoforms) -> None:
    assert isoforms.ids == (
        "g000t0", "g000t1", "g002t0", "g002t1", "g003t0", "g003t1", "g004t0", "g004t1", "g005t0",
        "g005t1",
    )  # fmt: skip
    assert isoforms.feature.tolist() == [0, 0, 2, 2, 3, 3, 4, 4, 5, 5]
    assert isoforms.length.tolist() == [600, 500, 600, 600, 400, 600, 600, 400, 8200, 16_400]
    assert isoforms.effective_length == pytest.approx(isoforms.length - 99.0)


def test_a_skipped_exon_by_hand(isoforms: Isoforms) -> None:
    assert isoforms.expected_count[:2] == pytest.approx([501, 401], abs=0.1)
    assert isoforms.iso_pct[:2] == pytest.approx([50, 50], abs=0.01)


def test_expected_counts_of_a_feature_sum_to_its_count(
    measured: tuple[MeasuredLengths, np.ndarray], isoforms: Isoforms
) -> None:
    sums = np.bincount(isoforms.feature, isoforms.expected_count, minlength=len(GENES))
    known = np.arange(len(GENES)) != 1  # whose transcripts are not named
    assert sums[known] == pytest.approx(measured[1][known])


def test_percentages_of_a_feature_sum_to_100(isoforms: Isoforms) -> None:
    sums = np.bincount(isoforms.feature, isoforms.iso_pct, minlength=len(GENES))
    assert sums == pytest.approx([100, 0, 100, 100, 0, 100]), "0 without fragments"


def test_abundances_sum_to_a_million_with_the_features_without_transcripts(
    measured: tuple[MeasuredLengths, np.ndarray], isoforms: Isoforms
) -> None:
    lengths, counts = measured
    rate = counts / lengths.features
    per_million = 1e6 * rate / rate.sum()
    assert isoforms.tpm.sum() + per_million[1] == pytest.approx(1e6)
    sums = np.bincount(isoforms.feature, isoforms.tpm, minlength=len(GENES))
    known = np.arange(len(GENES)) != 1
    assert sums[known] == pytest.approx(per_million[known])


def test_both_units_of_abundance_have_the_same_ratio_in_all_rows(
    measured: tuple[MeasuredLengths, np.ndarray], isoforms: Isoforms
) -> None:
    found = isoforms.tpm > 0
    assert found.sum() == 8
    ratio = isoforms.fpkm[found] / isoforms.tpm[found]
    assert ratio == pytest.approx(ratio[0])
    # Where transcripts are told apart, these are fragments per kilobase and million.
    by_hand = 1e9 / measured[1].sum() * isoforms.expected_count / isoforms.effective_length
    assert isoforms.fpkm[:4] == pytest.approx(by_hand[:4])


def test_doubt_is_in_the_units_of_what_is_doubted(isoforms: Isoforms) -> None:
    # Identical transcripts: 70 fragments may be either's.
    assert isoforms.expected_count_se[2:4] == pytest.approx(2 * [70 * 12**-0.5])
    assert isoforms.iso_pct_se[2:4] == pytest.approx(2 * [100 * 12**-0.5])
    # Transcripts that could not be told apart say so; without fragments there is nothing to doubt.
    assert (isoforms.iso_pct_se[8:] > 20).all()
    for column in (isoforms.expected_count, isoforms.expected_count_se, isoforms.iso_pct_se):
        assert column[6:8].tolist() == [0, 0]


def test_lengths_of_features_and_the_report(
    measured: tuple[MeasuredLengths, np.ndarray],
) -> None:
    lengths = measured[0]
    # By transcripts; unions of 600, 700 and 16,400 bases; no fragments: the mean of both.
    assert lengths.features == pytest.approx([451, 501, 501, 601, 401, 16_301], abs=0.05)
    assert lengths.report == TranscriptsReport(
        transcripts=4, features=2, unnamed=1, scattered=0, too_many=1, unexplained=1
    )


def test_no_fragments_at_all() -> None:
    lengths, _ = measure([])
    found = lengths.isoforms
    assert found is not None
    for column in (found.expected_count, found.tpm, found.fpkm, found.iso_pct):
        assert not column.any()
    assert np.isfinite(lengths.features).all()
    assert lengths.report == TranscriptsReport(transcripts=0, features=0)


def test_without_transcripts_and_bias_lengths_are_lengths() -> None:
    lengths, _ = measure(by_transcripts=False)
    assert lengths.features.tolist() == annotate(GENES)[0].lengths.tolist()
    assert lengths.isoforms is None
    assert lengths.report is None


@pytest.mark.parametrize(
    ("single", "expected"), [(100, 100), (99, 190)], ids=["enough pairs", "too few pairs"]
)
def test_fragments_that_may_have_skipped_an_exon_have_no_length(single: int, expected: int) -> None:
    # Along merged blocks, the exon between both ends counts as part of the fragment.
    genes = [Gene(SKIPPING), Gene([[(2000, 2600)]])]
    fragments = 900 * [pair(250, 649)] + single * [pair(2100, 2199, 1)]
    found = known_lengths(counted(genes, fragments))
    assert found.mean == pytest.approx(expected, abs=1 if expected > 100 else 0)
    every = known_lengths(counted(genes, fragments, by_transcripts=False))
    assert every.mean == pytest.approx(190, abs=2), "all genes, as with union"
