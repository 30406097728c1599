"""Limits that a batch system sets, on file sizes and memory; and what other packages print."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from counterbias.cli import failures
from tests.helpers.output_inputs import fails, make_inputs, names, run

INPUTS = ("reads.bam", "genes.gtf")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    make_inputs(tmp_path)
    return tmp_path


def small_files() -> None:
    """Allow files of 2 KiB, in a process that is about to begin."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))


@pytest.mark.parametrize(
    "words", [["-c", "c.h5ad"], ["-c", "c.loom"], ["-c", "c.tsv", "-o", "c.sam"]]
)
def test_files_may_not_be_so_large(files: Path, words: list[str]) -> None:
    before = names(files)
    line = fails(run(files, "count", "-q", *words, *INPUTS, preexec_fn=small_files))
    assert line == (
        f"counterbias: {words[-1]}: cannot be written: File too large. "
        "Raise the limit on the size of files (`ulimit -f`), or name a file on another disk"
    )
    assert names(files) == before


@pytest.mark.parametrize("ending", ["h5ad", "loom"])
def test_the_same_file_twice_says_nothing(files: Path, ending: str) -> None:
    done = run(files, "count", "-q", "-c", f"c.{ending}", "reads.bam", *INPUTS)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "reason",
    ["failed to map segment from shared object", "cannot allocate memory in static TLS block"],
)
def test_a_library_that_does_not_fit_into_memory(reason: str) -> None:
    cause = OSError(f"/x/lib.so: {reason}")
    outer = OSError("Could not find/load shared object file 'lib.so'")
    outer.__cause__ = cause
    for error in (ImportError(str(cause), name="lib"), cause, outer):
        failure = failures.explain(error)
        assert failure is not None
        assert failure.line().startswith("there is not enough memory (/x/lib.so: "), failure.line()
        assert "memory, or use fewer threads" in failure.remedy
