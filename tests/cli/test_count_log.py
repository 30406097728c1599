"""What ``count`` says at its end and keeps in ``PREFIX.log``, in whole runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import counterbias
from counterbias.cli import main
from tests.helpers.messages import lines_of

NAMES = ["assigned", "model", "gain", "size", "weights", "files"]
Count = Callable[..., list[str]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate two biased samples; return the folder."""
    folder = tmp_path_factory.mktemp("study") / "out"
    small = ["--genes", "12", "--contigs", "1", "--pairs", "4000", "--samples", "2"]
    assert main(["simulate", "-q", "-o", str(folder), *small]) == 0
    return folder


def words(study: Path, *options: str, samples: int = 1) -> list[str]:
    files = [study / f"sample{number}.bam" for number in range(1, samples + 1)]
    genome = ["--bias-genome", str(study / "genome.fa")] if "--bias-lengths" not in options else []
    return ["count", "-r", "pos", *genome, *options, *map(str, files), str(study / "genes.gtf")]


@pytest.fixture
def count(
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Count:
    """Return a function that counts in an empty folder and returns the lines on stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*options: str, samples: int = 1, status: int = 0) -> list[str]:
        capfd.readouterr()
        assert main(words(study, *options, samples=samples)) == status
        return lines_of(capfd.readouterr().err)

    return run


def log(prefix: str) -> list[str]:
    return Path(f"{prefix}.log").read_text(encoding="utf-8").splitlines()


PWM = ("-s", "no", "-c", "table.tsv", "--bias-model", "pwm")
#: A run without a model, which is the quickest.
LENGTHS = ("-s", "no", "-c", "table.tsv", "--bias-model", "none", "--bias-lengths", "union")


def test_six_lines_at_the_end_and_the_same_in_the_log(count: Count) -> None:
    lines = count(*PWM, "--bias-output", "x")
    assert lines[:2] == ["86 GFF lines processed.", "4000 alignment record pairs processed."]
    assert lines[2:] == [
        "sample1: assigned: 2,523 of 4,000 read pairs (63.1%) to a feature",
        "sample1: model: pwm, as asked for; learnt from 3,308 distinct read starts",
        "sample1: gain: 0.264 ± 0.021 bits per read start on held-out parts of the genome "
        "(0 is chance)",
        "sample1: size: right, slope 0.98, 95% interval 0.91 to 1.05 (1 is right)",
        "sample1: weights: as precise as 51.2% of 5,046 equal reads (effective sample size); "
        "0.4% capped",
        "sample1: files: x.counts.tsv, next to it .genes.results, .isoforms.results, .model, "
        ".counterbias.json, .log",
    ]
    first, second, *rest = log("x")
    assert first == f"# counterbias {counterbias.__version__}"
    assert second.startswith("# counterbias count -r pos --bias-genome ")
    assert rest == lines[2:]


def test_every_file_that_is_named_is_there(count: Count) -> None:
    *_, files = count(*PWM, "--bias-output", "results/")
    first, others = files.removeprefix("sample1: files: ").split(", next to it ")
    prefix = first.removesuffix(".counts.tsv")
    named = {Path(f"{prefix}{ending}").name for ending in (".counts.tsv", *others.split(", "))}
    assert named == {path.name for path in Path("results").iterdir()}


def test_quiet_says_nothing_and_keeps_the_log(count: Count) -> None:
    count(*PWM, "--bias-output", "x")
    assert count(*PWM, "--bias-output", "y", "-q") == []
    x, y = (log(name)[2:] for name in "xy")
    assert y == [line.replace("files: x.", "files: y.") for line in x]


def test_both_reads_of_stranded_pairs_in_six_lines(count: Count) -> None:
    lines = count(*PWM, "-s", "yes", "--bias-output", "x")
    said = [line for line in lines if line.startswith("sample1: ")]
    assert [line.split(": ")[1] for line in said] == NAMES
    for line in said[1:4]:
        assert "read 1" in line
        assert "read 2" in line


def test_lengths_alone(count: Count) -> None:
    lines = count(*LENGTHS[:-1], "transcripts")
    assert [line.split(": ")[1] for line in lines[2:]] == ["assigned", "model", "files"]
    assert lines[3] == "sample1: model: none; effective lengths are by transcripts"
    assert log("sample1")[2:] == lines[2:]


def test_several_samples_each_with_its_lines_and_its_log(count: Count) -> None:
    idle = "Warning: --bias-fragment-length"
    lines = count(*PWM, "--bias-fragment-length", "200,80", "-n", "2", samples=2)
    ours = [line for line in lines if line.startswith("sample") and "processed" not in line]
    assert [line.split(": ")[0] for line in ours] == ["sample1"] * 6 + ["sample2"] * 6
    for name, said in (("sample1", ours[:6]), ("sample2", ours[6:])):
        found = log(name)[2:]
        assert found[:6] == said
        warned = [line for line in found[6:] if "fragment-length" in line]
        assert len(warned) == 1
        assert warned[0].startswith(f"Warning: {name}: {idle.removeprefix('Warning: ')}")
        assert warned[0] in lines


def test_warnings_about_all_samples_are_in_every_log(count: Count) -> None:
    lines = count(*LENGTHS, "--bias-window", "5,5", samples=2)
    (warning,) = [line for line in lines if line.startswith("Warning: ")]
    assert "--bias-window" in warning
    for name in ("sample1", "sample2"):
        assert log(name)[-1] == warning


def test_a_warning_that_stderr_has_once_is_in_each_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """htseq-count gives each warning once, however many files cause it."""
    monkeypatch.chdir(tmp_path)
    Path("genes.gtf").write_text('c\tt\texon\t1\t200\t.\t+\t.\tgene_id "g";\n')
    for name in ("a.sam", "b.sam"):  # the mate of the only read is missing
        Path(name).write_text("@SQ\tSN:c\tLN:400\nr\t99\tc\t5\t60\t4M\t=\t90\t89\tACGT\tIIII\n")
    assert main(["count", *LENGTHS, "a.sam", "b.sam", "genes.gtf"]) == 0
    lines = lines_of(capfd.readouterr().err)
    mate = (
        "Warning: Read r claims to have an aligned mate which could not be found in an adjacent "
        "line."
    )
    assert [lines.count(mate), log("a").count(mate), log("b").count(mate)] == [1, 1, 1]


def test_a_refused_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library without bias: the model is not used, and both stderr and the log say why."""
    unbiased = ["--bias-model", "none", "--genes", "12", "--contigs", "1", "--pairs", "1500"]
    assert main(["simulate", "-q", "-o", str(tmp_path / "made"), *unbiased]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(words(tmp_path / "made", *PWM)) == 0
    lines = lines_of(capfd.readouterr().err)
    said = [line for line in lines if line.startswith("sample1: ")]
    assert [line.split(": ")[1] for line in said] == NAMES
    assert said[1] == (
        "sample1: model: none, all weights are 1; pwm is not used: its gain is not above zero by 3 "
        "standard errors"
    )
    assert said[3:5] == [
        "sample1: size: nothing is corrected for bias",
        "sample1: weights: all are 1",
    ]
    warnings = [line for line in lines if line.startswith("Warning: ")]
    assert any("is not used" in line for line in warnings)
    assert log("sample1")[2:] == [*said, *warnings]


def test_a_run_repeated_writes_the_same_log(count: Count) -> None:
    count(*LENGTHS, "-q")
    first = Path("sample1.log").read_bytes()
    count(*LENGTHS, "-q")
    assert Path("sample1.log").read_bytes() == first


def test_the_log_of_another_program_is_not_replaced(count: Count) -> None:
    """Aligners are often told to write SAMPLE.log."""
    Path("sample1.log").write_text("4000 reads; of these:\n")
    assert count(*LENGTHS, status=1) == [
        "counterbias: sample1.log: the log would overwrite a file that is no log of counterbias. "
        "Move that file, or name another --bias-output"
    ]
    assert os.listdir() == ["sample1.log"]
    Path("sample1.log").write_text("")
    count(*LENGTHS)
    assert log("sample1")[0].startswith("# counterbias ")


def test_a_log_that_cannot_be_written_is_found_before_counting(count: Count) -> None:
    Path("x.log").mkdir()
    (line,) = count(*LENGTHS, "--bias-output", "x", status=1)
    assert line.startswith("counterbias: x.log: --bias-output is a folder")
    assert os.listdir() == ["x.log"]


def test_a_table_that_is_sent_to_the_name_of_another_file_is_not_lost(
    study: Path, tmp_path: Path
) -> None:
    """As by ``> sample1.counts.tsv``, which the corrected counts would replace."""
    options = [word for word in LENGTHS if word not in ("-c", "table.tsv")]
    command = [sys.executable, "-m", "counterbias", *words(study, *options)]
    with open(tmp_path / "sample1.counts.tsv", "wb") as stdout:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == (
        "counterbias: sample1.counts.tsv: the output of --bias-lengths would replace the file that "
        "standard output goes to. Send standard output to another one\n"
    )


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_a_log_that_stderr_is_sent_to_keeps_all_of_it(
    study: Path, tmp_path: Path, quiet: list[str]
) -> None:
    """As by ``2> sample1.log``: nothing that was written there is lost."""
    command = [sys.executable, "-m", "counterbias", *words(study, *LENGTHS, *quiet)]
    with open(tmp_path / "sample1.log", "wb") as stderr:
        subprocess.run(command, cwd=tmp_path, stderr=stderr, check=True)
    lines = lines_of((tmp_path / "sample1.log").read_text(encoding="utf-8"))
    assert lines[: -3 or None] == (
        [] if quiet else ["86 GFF lines processed.", "4000 alignment record pairs processed."]
    )
    assert [line.split(": ")[1] for line in lines[-3:]] == ["assigned", "model", "files"]
