"""A study that the pages on tests for differential expression are tried with."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from counterbias.cli import main


@pytest.fixture(scope="session")
def two_conditions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate and count a study as the pages say: two groups of three samples.

    The groups differ in bias and in expression.
    """
    folder = tmp_path_factory.mktemp("expression")
    study = folder / "study"
    size = ["--samples", "6", "--groups", "2", "--pairs", "20000", "--genes", "80"]
    effects = ["--bias-model", "builtin,none", "--fold-changes", "2", "--seed", "3"]
    assert main(["simulate", "-q", "-o", str(study), *size, *effects]) == 0
    bams = [str(study / f"sample{number}.bam") for number in range(1, 7)]
    bias = ["--bias-model", "vlmm", "--bias-genome", str(study / "genome.fa")]
    bias += ["--bias-output", f"{folder}/counted/"]
    reads = ["-s", "no", "-r", "pos"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["count", "-q", *reads, *bias, *bams, str(study / "genes.gtf")]) == 0
    write_conditions(study)
    return folder


def write_conditions(study: Path) -> None:
    """Write the samples' groups as the pages do, into the folder above the study."""
    rows = (study / "samples.tsv").read_text().splitlines()
    lines = ["sample\tcondition", *("\t".join(row.split("\t")[:2]) for row in rows[1:])]
    (study.parent / "samples.tsv").write_text("\n".join(lines) + "\n")
