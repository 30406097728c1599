"""The child process that reads SAM and CRAM: the disk space it needs, and how its failures read."""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main
from tests.helpers.output_inputs import make_inputs

GTF = "genes.gtf"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    pysam.view("-h", "-o", "reads.sam", "reads.bam", catch_stdout=False)
    pysam.view("-C", "-T", "genome.fa", "-o", "reads.cram", "reads.bam", catch_stdout=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.mark.parametrize("words", [["reads.sam"], ["reads.cram", "--bias-genome", "genome.fa"]])
def test_nothing_is_left_in_the_folder_for_temporary_files(files: Path, words: list[str]) -> None:
    # The header is read first, by a child that is then ended.
    assert main(["count", "-q", "-c", "counts.tsv", words[0], GTF, *words[1:]]) == 0
    assert os.listdir("tmp") == []
    (files / GTF).write_text("no annotation\n")
    assert main(["count", "-q", "-c", "counts.tsv", words[0], GTF, *words[1:]]) == 1
    assert os.listdir("tmp") == []


def test_no_room_for_temporary_files(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(files / "gone"))
    assert main(["count", "-q", "-c", "counts.tsv", "reads.sam", GTF]) == 1
    assert capsys.readouterr().err == (
        f"counterbias: {files}/gone: what htslib says cannot be kept in a temporary file: "
        "No such file or directory. "
        "Set TMPDIR to a folder with room\n"
    )


def test_a_genome_that_gzip_has_compressed(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("genome.fa.gz").write_bytes(gzip.compress(Path("genome.fa").read_bytes()))
    count = ["count", "-q", "-c", "counts.tsv", "reads.cram", GTF, "--bias-genome"]
    assert main([*count, "genome.fa.gz"]) == 1
    assert capsys.readouterr().err == (
        "counterbias: genome.fa.gz: CRAM files cannot be read with a genome "
        "that gzip has compressed. "
        "Unpack it, or compress it with bgzip instead\n"
    )
    pysam.tabix_compress("genome.fa", "packed.fa.gz")
    assert main([*count, "packed.fa.gz"]) == 0


@pytest.mark.parametrize("genome", [[], ["--bias-genome", "genome.fa"]])
def test_cram_that_ends_too_early(
    files: Path, genome: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """htslib does not report it."""
    content = Path("reads.cram").read_bytes()
    Path("reads.cram").write_bytes(content[: len(content) - 500])
    assert main(["count", "-q", "-c", "counts.tsv", "reads.cram", GTF, *genome]) == 1
    assert capsys.readouterr().err == (
        "counterbias: reads.cram: htslib cannot read it to its end. "
        "It is probably truncated: copy it again or regenerate it\n"
    )


def test_cram_whose_genome_is_gone(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("genome.fa").unlink()
    assert main(["count", "-q", "-c", "counts.tsv", "reads.cram", GTF]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("counterbias: reads.cram: htslib cannot read it: ")
    assert line.endswith(
        "CRAM needs the genome that it was made with: give it with --bias-genome genome.fa"
    )
