"""Command lines of ``counterbias compare`` on the simulated samples, and what it wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd

QUICK = "pwm,heptamer,vlmm"


def command(
    folder: Path, out: Path, *more: object, samples: tuple[str, ...] = ("one",), models: str = QUICK
) -> list[str]:
    words = [
        "compare",
        "-q",
        "-o",
        out,
        "-s",
        "no",
        "-r",
        "pos",
        "--models",
        models,
        "--bias-genome",
        folder / "genome.fa",
        *more,
    ]
    return [
        str(word)
        for word in [*words, *(folder / f"{name}.bam" for name in samples), folder / "genes.gtf"]
    ]


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "comparison.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def document(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "comparison.json").read_text())
    return found


def truth_of(folder: Path) -> tuple[object, ...]:
    """Return the options for the truth of genes with at least 100 expected fragments."""
    table = pd.read_csv(folder / "one.truth.tsv", sep="\t")
    table[table.unbiased_fragments >= 100].to_csv(folder / "covered.tsv", sep="\t", index=False)
    return "--truth", folder / "covered.tsv", "--truth-column", "abundance", "--truth-id", "gene_id"
