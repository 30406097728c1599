"""Read starts along a gene of twelve bases, observed and expected, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import counterbias
from counterbias.evaluation.profile import agreement
from counterbias.figures.along import runs, smoothed
from counterbias.options import BiasOptions, CompareOptions
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.ends import ReadEnd, read_ends
from counterbias.pipeline.compare.along import Track, tracks_along
from counterbias.pipeline.compare.along_outputs import file_names
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, fold_sample
from counterbias.pipeline.compare.expected import expect_along
from counterbias.pipeline.compare.genes import Gene
from counterbias.pipeline.compare.jobs import Job
from counterbias.pipeline.compare.outcome import Outcome
from counterbias.pipeline.compare.profiles import GeneProfiles, profiles_of
from counterbias.pipeline.compare.results import Comparison, SampleResult
from counterbias.records import (
    CLIPPED,
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Features,
    SampleCounts,
    StartSites,
    Window,
)

WINDOW = Window(0, 0)
#: Two exons on the - strand, in blocks of 20 bases: the one at 20 is in fold 1, that at 2 in 0.
BLOCK = 20
FEATURES = Features(
    ("gene", "other"),
    {},
    ("c",),
    np.array([0, 2, 3]),
    np.zeros(3, np.int32),
    np.array([1, 1, 0], np.int8),
    np.array([2, 20, 30]),
    np.array([8, 26, 35]),
)
#: Only the places 24 and 5 are a C, which reads of the - strand see as a G.
CODES = np.zeros(40, np.uint8)
CODES[[24, 5]] = 1


class Genome:
    def codes(self, contig: str) -> np.ndarray:
        return CODES


class Guanine(counterbias.BiasModel):
    """Reads start at a G three times as often as elsewhere."""

    def fit(self, sample: Any, rng: np.random.Generator) -> counterbias.FitReport:
        raise AssertionError("the model comes from the cache")

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.where(contexts[:, 0] == 2, self.strength, 0.0)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {"strength": np.array(self.strength)}

    def from_arrays(self, arrays: Any) -> None:
        self.strength = float(arrays["strength"])


CHOICE = ModelChoice("mine", "", "", Guanine, None, WINDOW)
ARRAYS = {"model.strength": np.array(math.log(3))}
IN_USE = {"applied": True, "slope": 1.0, "constant": 0.0}
NOT_IN_USE = {"applied": False, "slope": 0.0, "constant": 0.0}


def make_gene(**transcripts: list[tuple[int, int]]) -> Gene:
    positions = np.concatenate((np.arange(2, 8), np.arange(20, 26)))
    named = {name: np.array(exons) for name, exons in transcripts.items()}
    return Gene("gene", 0, "gene", "c", True, positions, named)


def one_end(reads: Sequence[tuple[int, int]]) -> EndSites:
    """Make reads from positions and bits."""
    return EndSites(
        np.zeros(len(reads), np.int32),
        np.array([place for place, _ in reads], np.int32),
        np.array([bits for _, bits in reads], np.uint8),
    )


GOOD, BACK = PRESENT | TRAINABLE, PRESENT | TRAINABLE | REVERSE
#: Three reads at 25, one at 24, two at 7, all on the gene's strand; one at 4 on the other; then a
#: clipped one, one of another feature, and one outside the exons.
READS = [(25, BACK)] * 3 + [(24, BACK)] + [(7, BACK)] * 2 + [(4, GOOD)]
LEFT_OUT = [(25, PRESENT | REVERSE | CLIPPED), (25, BACK), (10, BACK)]


def sample_of(*ends: EndSites, feature: Sequence[int], stranded: str) -> list[Any]:
    sites = StartSites(("c",), (40,), np.array(feature, np.int32), None, ends)
    return [
        (end, fold_sample(sites, FEATURES, FEATURES, Genome(), end=end.end, block=BLOCK))
        for end in read_ends(sites, stranded)
    ]


def single(stranded: str = "no") -> list[tuple[ReadEnd, FoldSample]]:
    return sample_of(one_end(READS + LEFT_OUT), feature=[0] * 7 + [0, 1, 0], stranded=stranded)


def by_position(track: Track) -> dict[int, float]:
    rows = np.flatnonzero(track.observed)
    return dict(
        zip(track.places.position[rows].tolist(), track.observed[rows].tolist(), strict=True)
    )


def test_starts_are_those_of_the_genes_reads_that_models_learn_from() -> None:
    sense, antisense = tracks_along([make_gene()], single(), "no")
    assert (sense.sense, antisense.sense) == (True, False)
    assert by_position(sense) == {25: 3, 24: 1, 7: 2}
    assert by_position(antisense) == {4: 1}
    assert (sense.outside, antisense.outside) == (1, 0)
    assert sense.fold.tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize(("stranded", "seen"), [("yes", {25: 3, 24: 1, 7: 2}), ("reverse", {4: 1})])
def test_a_stranded_library_has_single_reads_on_one_strand(
    stranded: str, seen: dict[int, float]
) -> None:
    (track,) = tracks_along([make_gene()], single(stranded), stranded)
    assert by_position(track) == seen


@pytest.mark.parametrize(
    ("stranded", "seen"),
    [
        ("yes", [("read1", True, {24: 1}), ("read2", False, {3: 1})]),
        ("reverse", [("read1", False, {6: 1}), ("read2", True, {22: 1})]),
        ("no", [("both", True, {24: 1, 22: 1}), ("both", False, {6: 1, 3: 1})]),
    ],
)
def test_the_reads_of_a_pair_lie_on_opposite_strands(stranded: str, seen: list[Any]) -> None:
    ends = sample_of(
        one_end([(24, BACK), (6, GOOD)]),
        one_end([(3, GOOD), (22, BACK)]),
        feature=[0, 0],
        stranded=stranded,
    )
    tracks = tracks_along([make_gene()], ends, stranded)
    assert [(one.end, one.sense, by_position(one)) for one in tracks] == seen


def profiles_with(trials: Sequence[tuple[int, int, dict[str, Any]]], gene: Gene) -> GeneProfiles:
    """Return the profiles after trials of Guanine, each a fold, a seed and a calibration."""
    ends = single()
    tracks = tracks_along([gene], ends, "no")
    candidate = Candidate("mine", WINDOW, CHOICE)
    outcome = Outcome(candidate)
    for fold, seed, calibration in trials:
        job = Job(outcome, CHOICE, *ends[0], Trial(fold, seed), "cpu", {})
        expect_along(tracks, job, ({"calibration": calibration}, ARRAYS))
        outcome.trials.append({"fold": fold, "seed": seed, "values": {"gain_cap5": 1.0}})
    counts = SampleCounts("s.bam", False, 9, np.array([8, 1]), None, (0, 0, 0, 0, 0), None, 0.0)
    folds = tuple(sorted({fold for fold, _, _ in trials}))
    result = Comparison(
        FEATURES,
        [candidate],
        CompareOptions(folds=folds),
        BiasOptions("", "genome.fa"),
        None,
        [gene],
        [SampleResult("s", None, counts, 4, [outcome], tracks=tracks)],
    )
    (found,) = profiles_of(result)
    return found


def test_reads_are_spread_by_the_bias_in_the_direction_of_transcription() -> None:
    found = profiles_with([(0, 1, IN_USE), (1, 1, IN_USE)], make_gene())
    assert found.positions.tolist() == [25, 24, 23, 22, 21, 20, 7, 6, 5, 4, 3, 2]
    assert found.exon.tolist() == [1] * 6 + [2] * 6
    sense, antisense = found.profiles
    assert sense.observed.tolist() == [3, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]
    # The bias is 3 at the two places that read as a G, else 1: 16 in all, for six reads.
    wanted = np.array([1, 3, 1, 1, 1, 1, 1, 1, 3, 1, 1, 1]) * 6 / 16
    np.testing.assert_allclose(sense.expected["mine"], wanted)
    np.testing.assert_allclose(sense.even, 0.5)
    # On the other strand they are a C, so that nothing is expected there but an even spread.
    np.testing.assert_allclose(antisense.expected["mine"], 1 / 12)
    assert math.isnan(antisense.agreement["mine"].pearson)
    assert (sense.elsewhere, antisense.elsewhere) == (1, 0)


def test_places_that_no_trial_held_out_have_no_expectation() -> None:
    (sense, _) = profiles_with([(1, 1, IN_USE)], make_gene()).profiles
    np.testing.assert_allclose(
        sense.expected["mine"], [0.5, 1.5, 0.5, 0.5, 0.5, 0.5, *[np.nan] * 6]
    )
    np.testing.assert_allclose(sense.even, [4 / 6] * 6 + [np.nan] * 6)
    # Of y = (3, 1, 0, 0, 0, 0): r = (1/3) / sqrt(66/9 · 30/36), and D = 2 Σ y ln(y/μ).
    found = sense.agreement["mine"]
    assert found.pearson == pytest.approx(1 / 3 / math.sqrt(66 / 9 * 30 / 36))
    assert found.reachable == pytest.approx(math.sqrt((5 / 36) / (5 / 36 + 2 / 3)))
    explained = 1 - (3 * math.log(6) - math.log(1.5)) / (3 * math.log(4.5) + math.log(1.5))
    assert found.deviance == pytest.approx(explained)


def test_seeds_are_averaged_and_a_closed_gate_is_a_bias_of_one() -> None:
    (sense, _) = profiles_with([(1, 1, IN_USE), (1, 2, NOT_IN_USE)], make_gene()).profiles
    np.testing.assert_allclose(sense.expected["mine"][:6], np.array([1, 2, 1, 1, 1, 1]) * 4 / 7)


def test_the_transcript_with_most_starts_is_drawn_and_of_equals_the_shortest() -> None:
    # Places 0 to 5 are the exon at 2, with 3 of the 7 starts, 6 to 11 that at 20, with 4.
    gene = make_gene(left=[(0, 6)], right=[(6, 12)], short=[(10, 12)])
    found = profiles_with([(1, 1, IN_USE)], gene)
    assert found.transcript == "short"
    assert found.positions.tolist() == [25, 24]
    # Of the gene's seven starts on its strand two lie at 7, and one outside its exons.
    assert found.profiles[0].elsewhere == 3
    np.testing.assert_allclose(found.profiles[0].expected["mine"], [1, 3])


def test_agreement_of_the_exact_and_of_none() -> None:
    reads = np.array([4.0, 0.0, 2.0])
    exact = agreement(reads, reads)
    assert exact.pearson == pytest.approx(1)
    assert exact.deviance == pytest.approx(1)
    assert exact.reachable == pytest.approx(math.sqrt(8 / 3 / (8 / 3 + 2)))
    none = agreement(np.zeros(3), np.zeros(3))
    assert all(map(math.isnan, (none.pearson, none.reachable, none.deviance)))


def test_the_reachable_correlation_is_that_of_poisson_numbers() -> None:
    rng = np.random.default_rng(1)
    expected = np.exp(rng.normal(size=200_000))
    found = agreement(rng.poisson(expected).astype(float), expected)
    assert found.pearson == pytest.approx(found.reachable, abs=0.01)


def test_smoothing_keeps_an_even_line_and_leaves_gaps() -> None:
    even = np.array([2.0] * 30 + [np.nan] * 5 + [2.0] * 4)
    found = smoothed(even, 3.0)
    np.testing.assert_allclose(found, even)
    # One read among zeros far from both ends becomes the kernel, of sum 1.
    spike = np.zeros(201)
    spike[100] = 1
    line = smoothed(spike, 5.0)
    assert line.sum() == pytest.approx(1)
    assert line[105] / line[100] == pytest.approx(math.exp(-0.5))
    assert runs(np.isnan(even)) == [(30, 35)]


def test_names_of_files_are_harmless_and_differ() -> None:
    assert file_names(["YAL001C", "a/b", "a:b", "A_B", "gene\n"]) == [
        "YAL001C",
        "a_b",
        "a_b-2",
        "A_B-3",
        "gene_",
    ]
    assert len(file_names(["x" * 500])[0]) == 100
