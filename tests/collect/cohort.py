"""Making, counting and collecting the samples, and changing what a count has written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from counterbias.cli import main

SAMPLES = ("sample1", "sample2", "sample3")


def simulate(folder: Path) -> None:
    small = ["--genes", "12", "--contigs", "2", "--pairs", "1500", "--isoforms", "0.7"]
    study = str(folder / "study")
    assert main(["simulate", "-q", "-o", study, "--samples", "3", *small]) == 0


def count(folder: Path, out: Path, *words: str, annotation: str = "genes.gtf") -> None:
    """Count samples; the other words are options."""
    study = folder / "study"
    samples = [str(study / f"{word}.bam") for word in words if word in SAMPLES]
    options = [word for word in words if word not in SAMPLES]
    if "--bias-model" not in options:
        options += ["--bias-model", "heptamer", "--bias-genome", str(study / "genome.fa")]
    output = ["-c", str(folder / "table.tsv"), "--bias-output", f"{out}/"]
    common = ["-q", "-s", "no", "-r", "pos", *output]
    assert main(["count", *common, *options, *samples, str(study / annotation)]) == 0


def collect(out: Path, *tables: Path, options: tuple[str, ...] = (), status: int = 0) -> None:
    assert main(["collect", "-q", "-o", str(out), *options, *map(str, tables)]) == status


def refused(capfd: Any, out: Path, *tables: Path, options: tuple[str, ...] = ()) -> str:
    """Collect tables that do not go together; return the one line that says why."""
    capfd.readouterr()
    collect(out, *tables, options=options, status=1)
    assert not out.exists()
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("counterbias: ")
    return str(line.removeprefix("counterbias: "))


def report_of(table: Path) -> Path:
    return Path(str(table).replace(".counts.tsv", ".counterbias.json"))


def change_report(table: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the quality report next to a table."""
    path = report_of(table)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def change_lines(table: Path, change: Callable[[list[str]], object]) -> None:
    """Change the lines of a table."""
    lines = table.read_text().splitlines(keepends=True)
    change(lines)
    table.write_text("".join(lines))


def matrix(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", index_col=0)
