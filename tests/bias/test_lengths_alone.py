"""Lengths without a bias model, from Python: what is measured, reported and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterbias
from counterbias import BiasOptions, CountingOptions
from counterbias.cli import main
from counterbias.errors import InputError
from counterbias.lengths import FragmentLengths
from counterbias.options import AssumedLengths
from counterbias.pipeline.bias.context import CountedSample
from counterbias.pipeline.bias.report import (
    Provenance,
    finish_report,
    report_of_lengths,
)
from counterbias.records import Features, SampleCounts, StartSites, TranscriptsReport

OPTIONS = CountingOptions(order="pos", stranded="no")
#: The default of ``--bias-lengths`` for genes, whose exons name their transcripts.
METHOD = "transcripts"


@pytest.fixture(scope="module", params=["paired", "single"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "study"
    small = ["--genes", "20", "--contigs", "1", "--pairs", "3000", "--library", request.param]
    assert main(["simulate", "-q", "-o", str(folder), *small]) == 0
    return folder


def count(study: Path, bias: BiasOptions) -> Any:
    run = counterbias.count_reads(
        study / "sample1.bam", study / "genes.gtf", options=OPTIONS, bias=bias
    )
    return run.bias[0]


def test_a_union_is_as_long_as_it_is(study: Path) -> None:
    sample = count(study, BiasOptions("none", lengths="union"))
    assert sample.model is None
    assert sample.isoforms is None
    assert sample.unlearnable == {}
    assert sample.warnings == ()
    columns = sample.columns
    assert columns["raw"].sum() > 2000
    assert np.array_equal(columns["effective_length"], columns["length"])
    for name in ("weighted", "corrected"):
        assert np.array_equal(columns[name], columns["raw"])
    paired = sample.report["counting"]["paired"]
    lengths = sample.report["lengths"]
    # Pairs show their lengths; those of single reads are assumed.
    assert lengths["assumed"] is not paired
    assert lengths["fragment_mean"] == pytest.approx(220 if paired else 200, rel=0.05)
    assert lengths["method"] == "union"


def test_by_default_lengths_are_those_of_transcripts(study: Path) -> None:
    sample, named = (
        count(study, bias) for bias in (BiasOptions("none"), BiasOptions("none", lengths=METHOD))
    )
    assert sample.model is None
    assert sample.unlearnable == {}
    assert sample.warnings == ()
    assert sample.report["lengths"]["method"] == sample.report["options"]["bias_lengths"] == METHOD
    assert sample.isoforms.ids == named.isoforms.ids
    columns = sample.columns
    assert np.array_equal(columns["weighted"], columns["raw"])
    assert columns["corrected"].sum() == pytest.approx(columns["raw"].sum())
    assert (columns["effective_length"] < columns["length"]).all()
    for name, values in named.columns.items():
        assert np.array_equal(columns[name], values), name


def test_the_strandedness_is_still_looked_at(study: Path) -> None:
    report = count(study, BiasOptions("none")).report
    assert report["strandedness"]["verdict"] == "no"
    assert report["strandedness"]["sense"] + report["strandedness"]["antisense"] > 2000


def test_pairs_that_show_their_lengths_need_no_assumption(study: Path) -> None:
    assumed = AssumedLengths(300.0, 30.0)
    sample = count(study, BiasOptions("none", lengths="transcripts", fragment_length=assumed))
    paired = sample.report["counting"]["paired"]
    said = [line for line in sample.warnings if "--bias-fragment-length is not used" in line]
    assert len(said) == paired
    if not paired:
        assert sample.report["lengths"]["fragment_mean"] == pytest.approx(300, rel=0.02)


def test_there_is_no_model_to_fit(study: Path) -> None:
    with pytest.raises(InputError, match="the model 'none' leaves nothing to fit"):
        counterbias.fit_model(study / "sample1.bam", study / "genes.gtf", BiasOptions("none"))


def counted(options: BiasOptions) -> CountedSample:
    """Two features, and 5 reads of the first one that show no start."""
    here = np.zeros(2, np.int64)
    features = Features(
        ids=("A", "B"),
        attributes={},
        contigs=("chr1",),
        block_offsets=np.array([0, 1, 2]),
        block_contig=here.astype(np.int32),
        block_start=np.array([0, 5000]),
        block_end=np.array([1000, 6000]),
        block_strand=here.astype(np.int8),
    )
    sites = StartSites(("chr1",), (9000,), np.zeros(0, np.int32), None, ())
    counts = SampleCounts(
        path="s.bam",
        paired=False,
        fragments=5,
        counts=np.array([5, 0]),
        touched=None,
        classes=(0, 0, 0, 0, 0),
        sites=sites,
        seconds=1.0,
    )
    return CountedSample(
        sample="s",
        counts=counts,
        features=features,
        contig_of=np.zeros(1, np.int64),
        options=options,
        stranded="no",
    )


def test_the_report_counts_fallbacks_by_reason() -> None:
    sample = counted(BiasOptions("none", lengths="transcripts"))
    fragments = FragmentLengths(np.array([200]), np.ones(1), 0, 200.0)
    columns = {name: np.array([5.0, 0.0]) for name in ("raw", "weighted", "corrected")}
    told_apart = TranscriptsReport(
        transcripts=7, features=2, unnamed=1, scattered=3, too_many=4, unexplained=5
    )
    report = finish_report(
        report_of_lengths(
            sample, fragments, columns, Provenance("", {}, {}, "union", 0.0), None, told_apart
        ),
        sample,
        (),
        {},
    )
    lengths = report["lengths"]
    assert lengths["method"] == "transcripts"
    assert (lengths["transcripts"], lengths["features_by_transcripts"]) == (7, 2)
    assert lengths["fallback"] == {
        "unnamed": 1,
        "scattered": 3,
        "too_many": 4,
        "unexplained": 5,
    }
    # The one feature with reads was measured.
    assert lengths["measured"] == 1
    # No read, no share of reads.
    assert report["weights"]["reads"] == 0
    assert report["weights"]["effective_sample_size"] is None
