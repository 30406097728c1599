"""The CWL tool, by cwltool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def tool(recipes: Path) -> Path:
    return recipes / "cwl" / "counterbias-count.cwl"


def test_the_tool_is_valid(tool: Path, run: Callable, tmp_path: Path) -> None:
    assert "is valid CWL" in run(["cwltool", "--validate", tool], tmp_path)


def test_the_job_writes_what_the_plain_command_writes(
    tool: Path, run: Callable, plain: Path, check_bias_files: Callable, tmp_path: Path
) -> None:
    output = json.loads(run(["cwltool", "--no-container", tool, tool.parent / "job.yml"], tmp_path))
    assert [name for name, file in output.items() if file is None] == []
    assert (tmp_path / "counts.tsv").read_bytes() == (plain / "table.tsv").read_bytes()
    check_bias_files(tmp_path, "sample")


def test_without_a_prefix_reads_are_counted_and_nothing_else(
    tool: Path, run: Callable, plain: Path, tmp_path: Path
) -> None:
    data = tool.parent / "test-data"
    words = ["--alignments", data / "sample.bam", "--annotation", data / "genes.gtf"]
    words += ["--order", "pos", "--stranded", "no"]
    output = json.loads(run(["cwltool", "--no-container", tool, *words], tmp_path))
    assert [name for name, file in output.items() if file is not None] == ["counts"]
    assert (tmp_path / "counts.tsv").read_bytes() == (plain / "table.tsv").read_bytes()
