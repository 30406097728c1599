"""Command lines of ``counterbias train`` on the simulated samples, and what it wrote."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from counterbias.cli import main
from counterbias.cli.naming import training_report_name

SAMPLES = {"a": 4000, "b": 3000, "small": 800}


CNN = (
    "members=1",
    "units=16",
    "channels=4",
    "min_steps=20",
    "max_steps=20",
    "batch_tiles=8",
    "batch_windows=64",
)


def command(
    folder: Path,
    out: object,
    *samples: str,
    model: str | None = None,
    more: tuple[object, ...] = (),
    stranded: str = "no",
) -> list[str]:
    options: list[object] = [
        "train",
        "-q",
        "-s",
        stranded,
        "-r",
        "pos",
        "-o",
        out,
        "--bias-genome",
        folder / "genome.fa",
    ]
    options += ["--bias-model", model] if model else []
    files = [sample if "/" in sample else folder / f"{sample}.bam" for sample in samples]
    return [str(word) for word in (*options, *more, *files, folder / "genes.gtf")]


def train(folder: Path, out: object, *samples: str, **options: Any) -> str:
    """Run the command; return its standard output."""
    with pytest.MonkeyPatch.context() as patch:
        stdout = io.StringIO()
        patch.setattr(sys, "stdout", stdout)
        assert main(command(folder, out, *samples, **options)) == 0
    return stdout.getvalue()


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table), delimiter="\t"))


def report(model: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(training_report_name(str(model))).read_text())
    return found


def refused(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """Run a command that fails; return its one line."""
    capsys.readouterr()
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 + captured.err.count("Warning: ")
    return captured.err
