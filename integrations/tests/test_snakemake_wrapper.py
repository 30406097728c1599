"""The wrapper, by Snakemake, called as snakemake-wrappers calls its own in tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def folder(recipes: Path, tmp_path: Path) -> Path:
    """A folder with the wrapper's test, beside a copy of the repository's branch ``master``."""
    shutil.copytree(recipes / "snakemake-wrapper" / "bio", tmp_path / "master" / "bio")
    return Path(
        shutil.copytree(tmp_path / "master/bio/counterbias/count/test", tmp_path / "working")
    )


def snakemake(folder: Path, *targets: str) -> list[str]:
    prefix = f"file://{folder.parent}/"
    return ["snakemake", "--cores", "2", "--wrapper-prefix", prefix, *targets]


def test_the_rules_write_what_the_plain_command_writes(
    folder: Path, run: Callable, plain: Path, check_bias_files: Callable
) -> None:
    run(snakemake(folder, "counts/sample.tsv", "counted/sample.tsv", "again/sample.tsv"), folder)
    for counts in ("counts", "counted", "again"):
        table = folder / counts / "sample.tsv"
        assert table.read_bytes() == (plain / "table.tsv").read_bytes()
    check_bias_files(folder / "bias", "sample")
    # A saved model gives the same weights as it did where it was fitted.
    saved, fitted = ((folder / name / "sample.counts.tsv") for name in ("again", "bias"))
    assert saved.read_bytes() == fitted.read_bytes()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("bias/{sample}.genes.results", "bias/{sample}.genes.tsv", "end with .genes.results"),
        ("bias/{sample}.model", "models/{sample}.model", "need one prefix"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(
    folder: Path, before: str, after: str, said: str
) -> None:
    file = folder / "Snakefile"
    file.write_text(file.read_text().replace(f'"{before}",', f'"{after}",', 1))
    command = snakemake(folder, "counted/sample.tsv")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
