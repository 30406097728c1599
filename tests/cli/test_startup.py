"""What a run of the command line loads and starts before it does its work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pysam
import pytest

#: Packages and modules that no count of a BAM file needs, and that take milliseconds to import.
NEEDLESS = {
    "concurrent.futures", "counterbias.alignments.transcoding", "counterbias.records.training",
    "counterbias.writers.tagged", "csv", "importlib.metadata", "llvmlite", "logging", "numba",
    "pandas", "pathlib", "pluggy", "pysam", "rich", "scipy", "subprocess", "tempfile", "torch",
}  # fmt: skip

#: Runs the command line as the installed script does, then says what the process holds.
SCRIPT = """
import os, sys, time
from counterbias.cli import main
sys.argv[0] = "counterbias"
status = main()
print("status", status)
# The system lists threads for a moment after their end; those of linear algebra never end.
patience = time.monotonic() + 2
while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < patience:
    time.sleep(0.01)
print("threads", len(os.listdir("/proc/self/task")))
print("blas", os.environ.get("OPENBLAS_NUM_THREADS"))
print("loaded", *sys.modules)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two reads on one gene of a tiny genome, as SAM and as BAM."""
    folder = tmp_path_factory.mktemp("startup")
    (folder / "genes.gtf").write_text('c\tt\texon\t1\t200\t.\t+\t.\tgene_id "g";\n')
    lines = ["@SQ\tSN:c\tLN:400"]
    lines += [f"r{place}\t0\tc\t{place}\t60\t4M\t*\t0\t0\tACGT\tIIII" for place in (5, 50)]
    (folder / "reads.sam").write_text("\n".join(lines) + "\n")
    with (
        pysam.AlignmentFile(str(folder / "reads.sam")) as reads,
        pysam.AlignmentFile(str(folder / "reads.bam"), "wb", template=reads) as copy,
    ):
        for read in reads:
            copy.write(read)
    return folder


def after(*argv: object, **environment: str) -> dict[str, list[str]]:
    """Run a command in a process of its own; return what this holds at the end."""
    inherited = {name: text for name, text in os.environ.items() if "OPENBLAS" not in name}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, argv)],
        capture_output=True,
        text=True,
        check=True,
        env=inherited | environment,
    )
    return {name: words for name, *words in map(str.split, run.stdout.splitlines())}


def test_a_count_loads_what_it_needs_and_no_more(files: Path) -> None:
    held = after("count", "-q", "-c", files / "b.tsv", files / "reads.bam", files / "genes.gtf")
    assert (files / "b.tsv").read_text().startswith("g\t2\n")
    assert {"numpy", "counterbias.annotation"} <= set(held["loaded"])
    assert not NEEDLESS & set(held["loaded"])


def test_a_count_starts_no_threads_for_linear_algebra(files: Path) -> None:
    held = after("count", "-q", "-c", files / "a.tsv", files / "reads.sam", files / "genes.gtf")
    assert held["status"] == ["0"]
    assert held["threads"] == held["blas"] == ["1"]


def test_the_users_number_of_threads_for_linear_algebra_stays(files: Path) -> None:
    command = ("count", "-q", "-c", files / "c.tsv", files / "reads.bam", files / "genes.gtf")
    assert after(*command, OPENBLAS_NUM_THREADS="3")["blas"] == ["3"]


def test_collecting_loads_what_it_needs_and_no_more(files: Path) -> None:
    """Neither alignments nor loops, and pandas only for an AnnData file."""
    lengths = ("--bias-model", "none", "--bias-lengths", "union", "--bias-output", f"{files}/")
    after("count", "-q", *lengths, "-c", files / "d.tsv", files / "reads.sam", files / "genes.gtf")
    held = after("collect", "-q", "-o", files / "cohort", files / "reads.counts.tsv")
    assert (files / "cohort" / "raw.tsv").read_text() == "feature\treads\ng\t2\n"
    assert held["status"] == ["0"]
    assert "counterbias.pipeline.collect.run" in held["loaded"]
    needless = NEEDLESS - {"pathlib"} | {"counterbias.alignments", "counterbias.native"}
    assert not needless & set(held["loaded"])
