"""``counterbias train``: samples that teach nothing are left out, bad input is one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pysam
import pytest

import counterbias
from counterbias.cli import main
from counterbias.cli.train import build_train_parser
from tests.train.cohorts import command, refused, report, rows

# -- samples that teach nothing ----------------------------------------------------------------


def test_a_sample_with_nothing_to_learn_from_is_named_and_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            command(
                folder,
                tmp_path / "c.model",
                "empty",
                "a",
                "b",
                model="pwm",
                more=("--bias-no-own",),
            )
        )
        == 0
    )
    captured = capsys.readouterr()
    assert "empty is left out: no read start can be learnt from" in captured.err
    last = rows(captured.out)[-1]
    assert last["sample"] == "empty"
    assert {value for name, value in last.items() if name != "sample"} == {"NA"}
    assert counterbias.load_model(tmp_path / "c.model").training.samples == ("a", "b")
    assert [one["sample"] for one in report(tmp_path / "c.model")["skipped"]] == ["empty"]


def test_no_sample_left_is_an_error_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, command(folder, tmp_path / "c.model", "empty", model="pwm"))
    assert "no sample has a read start that can be learnt from" in message
    assert list(tmp_path.iterdir()) == []


def test_a_tiny_sample_that_would_weigh_much_is_named(folder: Path, tmp_path: Path) -> None:
    with (
        pysam.AlignmentFile(folder / "b.bam") as source,
        pysam.AlignmentFile(tmp_path / "tiny.bam", "wb", header=source.header) as out,
    ):
        for number, record in enumerate(source):
            if number % 100 == 0:
                out.write(record)
    samples = {"a": folder / "a.bam", "tiny": tmp_path / "tiny.bam"}
    found = counterbias.train_cohort(
        samples,
        folder / "genes.gtf",
        counterbias.BiasOptions("pwm", str(folder / "genome.fa")),
        train=counterbias.TrainOptions(pool="samples", own=False),
    )
    (warning,) = (text for text in found.warnings if text.startswith("tiny: its "))
    assert "--bias-pool reads" in warning


# -- bad input ---------------------------------------------------------------------------------


def test_two_samples_of_one_name(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(folder / "b.bam", tmp_path / "a.bam")
    for again in (str(tmp_path / "a.bam"), "a"):
        message = refused(capsys, command(folder, tmp_path / "c.model", "a", again, model="pwm"))
        assert "two alignment files are both named 'a'" in message


def test_single_and_paired_samples_of_a_stranded_library(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(
        capsys, command(folder, tmp_path / "c.model", "a", "stranded", model="pwm", stranded="yes")
    )
    assert (
        "stranded is paired-end but a is single-end: with -s yes they have no model in common"
        in message
    )
    assert list(tmp_path.iterdir()) == []


def with_contigs(source: Path, target: Path, contigs: list[dict[str, Any]]) -> Path:
    with pysam.AlignmentFile(source) as file:
        header = {**file.header.to_dict(), "SQ": contigs}
        records = [record.to_dict() for record in file if record.reference_name == contigs[0]["SN"]]
    with pysam.AlignmentFile(target, "wb", header=header) as out:
        for record in records:
            out.write(pysam.AlignedSegment.from_dict(record, out.header))
    return target


def test_samples_of_different_genomes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = with_contigs(
        folder / "b.bam", tmp_path / "longer.bam", [{"SN": "chr1", "LN": 150_001}]
    )
    message = refused(capsys, command(folder, tmp_path / "c.model", "a", str(longer), model="pwm"))
    assert "contig 'chr1' has 150,001 bases here but 150,000 in another sample" in message
    first = with_contigs(folder / "b.bam", tmp_path / "first.bam", [{"SN": "chr1", "LN": 150_000}])
    second = with_contigs(
        folder / "b.bam", tmp_path / "second.bam", [{"SN": "chr2", "LN": 100_000}]
    )
    message = refused(
        capsys, command(folder, tmp_path / "c.model", str(first), str(second), model="pwm")
    )
    assert "no contig in common with the samples before it" in message
    foreign = with_contigs(folder / "b.bam", tmp_path / "foreign.bam", [{"SN": "chrX", "LN": 1000}])
    message = refused(capsys, command(folder, tmp_path / "c.model", "a", str(foreign), model="pwm"))
    assert "no contig of the alignments is in the annotation" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("-o", "no/such/folder/c.model"), "does not exist"),
        (("--bias-model", "none"), "leaves nothing to train"),
        (("--bias-model", "no_such_model"), "no_such_model"),
        (("--bias-model", "old.model"), "a model file cannot be trained"),
        (("--bias-option", "pseudocount=2"), "needs a model's name"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, ...],
    message: str,
) -> None:
    assert message in refused(capsys, command(folder, tmp_path / "c.model", "a", more=change))
    assert list(tmp_path.iterdir()) == []


def test_inputs_are_not_overwritten(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "would overwrite an input" in refused(
        capsys, command(folder, folder / "a.bam", "a", model="pwm")
    )
    assert "is a folder" in refused(capsys, command(folder, tmp_path, "a", model="pwm"))


@pytest.mark.parametrize("missing", ["-o", "--bias-genome"])
def test_usage(folder: Path, tmp_path: Path, missing: str) -> None:
    argv = command(folder, tmp_path / "c.model", "a")
    place = argv.index(missing)
    with pytest.raises(SystemExit) as stopped:
        main(argv[:place] + argv[place + 2 :])
    assert stopped.value.code == 2


def test_samples_weigh_the_same_from_python_as_from_the_command_line() -> None:
    parsed = build_train_parser().parse_args(
        ["-o", "m.model", "--bias-genome", "g.fa", "reads.bam", "genes.gtf"]
    )
    assert parsed.bias_pool is None  # then it is that of TrainOptions


def test_library_callers_are_told_of_a_wrong_pool(folder: Path) -> None:
    with pytest.raises(counterbias.InputError, match="'pairs' is not a way to pool samples"):
        counterbias.train_cohort(
            {"a": folder / "a.bam"},
            folder / "genes.gtf",
            counterbias.BiasOptions("auto", str(folder / "genome.fa")),
            train=counterbias.TrainOptions(pool="pairs"),
        )
