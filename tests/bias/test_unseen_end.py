"""Single reads through the command line: the end that was not sequenced, and its substitute."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterbias import ModelFile, Window, count_reads, load_model, save_models, simulation
from counterbias.cli import main
from counterbias.cli.bias_arguments import bias_options
from counterbias.cli.compare import build_compare_parser
from counterbias.options import AssumedLengths, BiasOptions, CountingOptions

WINDOW = Window(5, 9)


def simulate(folder: Path, fragments: int = 50_000, **how: Any) -> pd.DataFrame:
    """Write a small library; return its truth. Both ends of its fragments have the same bias."""
    rng = np.random.default_rng(23)
    genome = simulation.simulate_genome(rng, {"chr1": 400_000, "chr2": 300_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 100, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.2)
    library = simulation.Library(fragments, **how)
    reads = simulation.simulate_reads(
        rng, genome, genes, simulation.simulate_abundance(rng, genes), library, bias
    )
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    simulation.write_bam(folder / "reads.bam", reads, order="pos")
    simulation.write_truth(folder / "truth.tsv", reads.truth)
    return pd.read_csv(folder / "truth.tsv", sep="\t", index_col=0)


@pytest.fixture(scope="module")
def unstranded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unstranded")
    simulate(folder, paired=False)
    count(folder, "both")
    return folder


@pytest.fixture(scope="module")
def stranded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a stranded single-end library."""
    folder = tmp_path_factory.mktemp("stranded")
    simulate(folder, paired=False, stranded="reverse")
    count(folder, "alone", stranded="reverse")
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a stranded paired library, whose reads get a model each."""
    folder = tmp_path_factory.mktemp("pairs")
    simulate(folder, stranded="reverse")
    count(folder, "pairs", stranded="reverse")
    return folder


def count(
    folder: Path, out: str, *more: object, stranded: str = "no", model: object = "pwm"
) -> pd.DataFrame:
    """Count; return the table of the bias run, where lengths of unions show the bias alone."""
    words = (
        "-q", "-s", stranded, "-r", "pos", "--bias-genome", folder / "genome.fa",
        "--bias-window", "5,9", "--bias-model", model, "--bias-lengths", "union",
        "--bias-output", folder / out, "-c", folder / f"{out}.tsv", *more,
        folder / "reads.bam", folder / "genes.gtf",
    )  # fmt: skip
    assert main(["count", *(str(word) for word in words)]) == 0
    return table(folder, out)


def table(folder: Path, out: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{out}.counts.tsv", sep="\t", index_col=0)


def report(folder: Path, out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (folder / f"{out}.counterbias.json").read_text(encoding="utf-8")
    )
    return found


def factors(found: pd.DataFrame) -> pd.Series:
    return np.log2(found.effective_length / found.length)


def judge(folder: Path, found: pd.DataFrame) -> tuple[float, float]:
    """Compare with genes' true mean log2 bias: slope on it, and the SD of what remains."""
    truth = pd.read_csv(folder / "truth.tsv", sep="\t", index_col=0)
    kept = truth.index[truth.unbiased_fragments >= 100]
    true_bias = np.log2(truth.mean_bias[kept])
    return float(np.polyfit(true_bias, factors(found)[kept], 1)[0]), float(
        (true_bias - factors(found)[kept]).std()
    )


def test_both_ends_take_twice_as_much_of_the_bias(unstranded: Path) -> None:
    near, both = (
        count(unstranded, name, *more, model="cnn")
        for name, more in (("near", ("--bias-ends", "first")), ("far", ()))
    )
    (near_slope, near_left), (slope, left) = judge(unstranded, near), judge(unstranded, both)
    assert slope == pytest.approx(2 * near_slope, rel=0.15)
    assert near_slope < 0.5
    assert left < 0.9 * near_left
    assert (both.weighted == near.weighted).all(), "weights of reads do not change"


def test_the_report_tells_what_was_assumed(unstranded: Path, pairs: Path) -> None:
    reported = report(unstranded, "both")["lengths"]
    assert (
        reported["assumed"],
        reported["fragments"],
        reported["fragment_mean"],
        reported["fragment_sd"],
    ) == (
        True,
        None,
        200,
        80,
    )
    assert sum(reported["fragment_shares"]) == pytest.approx(1)
    observed = report(pairs, "pairs")["lengths"]
    assert observed["assumed"] is False
    assert observed["fragments"] > 10_000
    assert observed["fragment_mean"] == pytest.approx(220, abs=10)
    assert observed["fragment_sd"] == pytest.approx(40, abs=5)


def test_other_lengths_change_little(unstranded: Path) -> None:
    other, both = (
        count(unstranded, "other", "--bias-fragment-length", "250,50"),
        table(unstranded, "both"),
    )
    reported = report(unstranded, "other")
    assert (reported["lengths"]["fragment_mean"], reported["lengths"]["fragment_sd"]) == (250, 50)
    assert reported["options"]["bias_fragment_length"] == {"mean": 250, "sd": 50}
    read = both.raw > 0
    assert not np.allclose(factors(other)[read], factors(both)[read], atol=1e-4)
    assert np.corrcoef(factors(other)[read], factors(both)[read])[0, 1] > 0.97


def test_pairs_show_their_own_lengths(pairs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    again = count(pairs, "again", "--bias-fragment-length", "400,20", stranded="reverse")
    assert (again == table(pairs, "pairs")).all(axis=None)
    warned = [
        line
        for line in capfd.readouterr().err.splitlines()
        if "--bias-fragment-length is not used" in line
    ]
    assert len(warned) == 1
    assert "pairs show fragments of 2" in warned[0]


def test_a_handful_of_pairs_shows_no_lengths(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    simulate(tmp_path, fragments=80)
    count(tmp_path, "few", "--bias-fragment-length", "250,50")
    reported = report(tmp_path, "few")["lengths"]
    assert (reported["assumed"], reported["fragments"], reported["fragment_mean"]) == (
        True,
        None,
        250,
    )
    assert "--bias-fragment-length is not used" not in capfd.readouterr().err


def test_a_stranded_library_takes_the_other_end_as_unbiased(stranded: Path) -> None:
    alone, first = (
        table(stranded, "alone"),
        count(stranded, "first", "--bias-ends", "first", stranded="reverse"),
    )
    assert report(stranded, "alone")["ends"][0]["calibration"]["applied"]
    assert (alone.effective_length == first.effective_length).all()


def per_end(pairs: Path, target: Path, *, slope: float) -> ModelFile:
    """Write the pairs' model with another slope for read 2."""
    fitted = load_model(pairs / "pairs.model")
    assert [end.label for end in fitted.ends] == ["read1", "read2"]
    changed = replace(fitted, ends=(fitted.ends[0], replace(fitted.ends[1], slope=slope)))
    save_models(target, changed)
    return changed


def test_a_model_of_read_2_serves_the_unseen_end(
    stranded: Path, pairs: Path, tmp_path: Path
) -> None:
    per_end(pairs, tmp_path / "both.model", slope=1.0)
    per_end(pairs, tmp_path / "gained_nothing.model", slope=0.0)
    both = count(stranded, "of_pairs", stranded="reverse", model=tmp_path / "both.model")
    nothing = count(
        stranded, "of_read1", stranded="reverse", model=tmp_path / "gained_nothing.model"
    )
    first = count(
        stranded,
        "of_first",
        "--bias-ends",
        "first",
        stranded="reverse",
        model=tmp_path / "both.model",
    )
    assert (nothing.effective_length == first.effective_length).all()
    assert judge(stranded, both)[0] > 1.6 * judge(stranded, first)[0]
    assert (both.weighted == first.weighted).all()


def test_a_prior_of_pairs_knows_the_unseen_end(stranded: Path, pairs: Path, tmp_path: Path) -> None:
    per_end(pairs, tmp_path / "with.model", slope=1.0)
    per_end(pairs, tmp_path / "without.model", slope=0.0)
    both, first = (
        count(
            stranded,
            f"prior_{name}",
            "--bias-prior",
            tmp_path / f"{name}.model",
            stranded="reverse",
        )
        for name in ("with", "without")
    )
    assert (both.weighted == first.weighted).all()
    assert judge(stranded, both)[0] > 1.6 * judge(stranded, first)[0]


def test_python_interface(unstranded: Path) -> None:
    options = CountingOptions(stranded="no", order="pos")
    bias = BiasOptions(
        "pwm",
        str(unstranded / "genome.fa"),
        window=WINDOW,
        fragment_length=AssumedLengths(250, 50),
        lengths="union",
    )
    run = count_reads(
        unstranded / "reads.bam", unstranded / "genes.gtf", options=options, bias=bias, threads=2
    )
    assert run.bias[0].report["lengths"]["fragment_mean"] == 250
    other = count(unstranded, "threads", "--bias-fragment-length", "250,50", "--bias-threads", 2)
    assert np.allclose(run.bias[0].columns["effective_length"], other.effective_length, rtol=1e-8)


def test_compare_takes_the_option_too() -> None:
    parse = build_compare_parser().parse_args
    words = ["-o", "out", "--bias-genome", "g.fa", "a.bam", "g.gtf"]
    assert bias_options(parse(words), "").fragment_length is None
    assert bias_options(
        parse(["--bias-fragment-length", "250,50", *words]), ""
    ).fragment_length == AssumedLengths(250, 50)


@pytest.mark.parametrize("given", ["5,2", "200,0", "nan,5", "200,inf", "20000,5", "100,200"])
def test_lengths_that_cannot_be(
    unstranded: Path, given: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = (
        "--bias-model",
        "pwm",
        "--bias-genome",
        str(unstranded / "genome.fa"),
        "--bias-fragment-length",
        given,
    )
    assert (
        main(["count", "-q", *words, str(unstranded / "reads.bam"), str(unstranded / "genes.gtf")])
        == 1
    )
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("counterbias: fragments of ")
    assert "cannot be assumed. Give a mean from 20 to 10000" in line
