"""Samples that once went wrong: few tiles, crowded blocks, wide windows, ends that differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pytest

from counterbias import load_model, sampling, simulation
from counterbias.cli import main
from counterbias.records import PRESENT, REVERSE, TRAINABLE, EndSites, StartSites
from counterbias.sampling import starts as starts_module

QUICK = (
    "units=16",
    "channels=4",
    "min_steps=30",
    "max_steps=30",
    "distil_steps=40",
    "distil_channels=4",
)


def options(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--bias-option", setting)]


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def report(prefix: Path) -> dict[str, Any]:
    return json.loads(
        prefix.with_name(prefix.name + ".counterbias.json").read_text(encoding="utf-8")
    )  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def stranded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate stranded pairs of which read 1 alone is biased."""
    folder = tmp_path_factory.mktemp("stranded")
    rng = np.random.default_rng(4)
    genome = simulation.simulate_genome(rng, {"chr1": 300_000, "chr2": 300_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 60, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    library = simulation.Library(15_000, read_length=50, stranded="reverse", biased_ends="read1")
    abundance = simulation.simulate_abundance(rng, genes)
    reads = simulation.simulate_reads(
        rng, genome, genes, abundance, library, simulation.simulate_priming_bias(rng)
    )
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    return folder


def count(folder: Path, prefix: Path, *more: object) -> None:
    run(
        "count", "-q", "-s", "reverse", "-r", "pos", "--bias-genome", folder / "genome.fa",
        "--bias-output", prefix, "-c", f"{prefix}.tsv",
        *more, folder / "reads.bam", folder / "genes.gtf",
    )  # fmt: skip


def test_an_end_without_bias_is_hardly_corrected_and_a_file_does_the_same_again(
    stranded: Path, tmp_path: Path
) -> None:
    count(stranded, tmp_path / "own", "--bias-model", "heptamer")
    one, two = (end["calibration"] for end in report(tmp_path / "own")["ends"])
    assert one["applied"]
    assert not one["reason"]
    assert two["slope"] == two["length_slope"] < 0.3
    assert "not above zero" in two["reason"]
    count(stranded, tmp_path / "again", "--bias-model", tmp_path / "own.model")
    assert (tmp_path / "again.counts.tsv").read_bytes() == (
        tmp_path / "own.counts.tsv"
    ).read_bytes()


def test_compare_judges_each_read_by_its_own_model_of_a_file(
    stranded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(stranded, tmp_path / "x", "--bias-model", "pwm")
    run(
        "compare", "-o", tmp_path / "compared", "-s", "reverse", "-r", "pos",
        "--bias-genome", stranded / "genome.fa", "--models",
        f"pwm,{tmp_path / 'x.model'}", "--folds", "0,1", "--seeds", "1", "--no-figures",
        stranded / "reads.bam", stranded / "genes.gtf",
    )  # fmt: skip
    captured = capsys.readouterr()
    table = pd.read_csv(tmp_path / "compared" / "comparison.tsv", sep="\t").set_index("model")[
        "gain_cap5"
    ]
    file = next(value for name, value in table.items() if str(name).endswith("x.model"))
    assert file > table["pwm"] - 0.03, (
        "what has learnt from all of it is no worse than what has not"
    )
    assert "x.model has learnt from this sample" in captured.err
    assert (
        json.loads((tmp_path / "compared" / "comparison.json").read_text())["recommendation"][
            "model"
        ]
        == "pwm"
    )


@pytest.mark.parametrize("model", ["cnn", "pwm"])
def test_the_widest_window_is_taken(stranded: Path, tmp_path: Path, model: str) -> None:
    more = options(*QUICK) if model == "cnn" else []
    count(stranded, tmp_path / "wide", "--bias-model", model, *more, "--bias-window", "127,127")
    assert load_model(tmp_path / "wide.model").window.width == 255


def test_tiles_in_one_fold_only(tmp_path: Path) -> None:
    """Most exons are too short for a tile: networks without one fold have none, others do."""
    rng = np.random.default_rng(7)
    simulation.write_fasta(
        tmp_path / "genome.fa", simulation.simulate_genome(rng, {"chr1": 60_000})
    )
    exons = [(first, first + 60) for first in range(1000, 50_000, 500)]
    exons[40] = (exons[40][0], exons[40][0] + 300)
    lines = [
        f'chr1\tt\texon\t{first}\t{last}\t.\t+\t.\tgene_id "g{number}";'
        for number, (first, last) in enumerate(exons)
    ]
    (tmp_path / "genes.gtf").write_text("\n".join(lines) + "\n")
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 60_000}]}
    )
    with pysam.AlignmentFile(str(tmp_path / "reads.sam"), "w", header=header) as out:
        for first, last in exons:
            for place in sorted(rng.integers(first, last - 22, 40 if last - first > 100 else 6)):
                read = pysam.AlignedSegment(header)
                read.query_name, read.flag, read.reference_id, read.reference_start = (
                    f"r{place}",
                    0,
                    0,
                    int(place),
                )
                read.mapping_quality, read.cigarstring, read.query_sequence = 60, "20M", "A" * 20
                read.set_tag("NH", 1)
                out.write(read)
    prefix = tmp_path / "out"
    run(
        "count", "-q", "-s", "no", "-r", "pos", "--bias-model", "cnn", *options(*QUICK),
        "--bias-genome", tmp_path / "genome.fa",
        "--bias-output", prefix, "-c", tmp_path / "c.tsv",
        tmp_path / "reads.sam", tmp_path / "genes.gtf",
    )  # fmt: skip
    training = report(prefix)["ends"][0]["training"]
    assert training["details"]["tiles"] > 0
    assert {"training_gain", "training_start_gain"} <= set(training["curves"])


def crowded(blocks: list[int], reads: int, seed: int = 1) -> StartSites:
    """Return single reads at random places of some 50-kb blocks of one contig."""
    rng = np.random.default_rng(seed)
    place = (
        np.asarray(blocks)[rng.integers(0, len(blocks), reads)] * 50_000
        + rng.integers(0, 50_000, reads)
    ).astype(np.int32)
    bits = np.where(rng.random(reads) < 0.5, REVERSE, 0) | PRESENT | TRAINABLE
    end = EndSites(np.zeros(reads, np.int32), place, bits.astype(np.uint8))
    return StartSites(("one",), (5_000_000,), np.zeros(reads, np.int32), None, (end,))


@pytest.mark.parametrize("blocks", [[17], [3, 17], list(range(40))])
def test_wherever_many_reads_crowd_they_are_learnt_from(
    monkeypatch: pytest.MonkeyPatch, blocks: list[int]
) -> None:
    monkeypatch.setattr(starts_module, "MOST_READS", 1000)
    sites = crowded(blocks, 4000)
    found = sampling.find_starts(sites)
    assert 1000 <= found.positions.weight.sum() <= 4000
    of_block = np.bincount(found.positions.position // 50_000, found.positions.weight, 100)
    every = np.bincount(sites.ends[0].position // 50_000, minlength=100)
    assert ((of_block == 0) | (of_block == every)).all(), "a block is taken whole or not at all"
    order = np.random.default_rng(2).permutation(4000)
    end = sites.ends[0]
    moved = StartSites(
        sites.contigs,
        sites.contig_lengths,
        sites.feature,
        None,
        (EndSites(end.contig, end.position[order], end.bits[order]),),
    )
    again = sampling.find_starts(moved)
    assert np.array_equal(again.positions.position, found.positions.position)
    assert np.array_equal(again.fragments, found.fragments)


def test_an_unbiased_library_has_no_signature(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_dir / "yeast"
    run(
        "count", "-q", "-s", "yes", "-r", "pos", "--bias-model", "pwm",
        "--bias-genome", folder / "genome.fa", "--bias-output",
        tmp_path / "u", "-c", tmp_path / "u.tsv", folder / "unbiased.bam", folder / "genes.gtf",
    )  # fmt: skip
    assert "signature" not in capsys.readouterr().err
    assert report(tmp_path / "u")["weights"]["max_over_mean"] == 1
