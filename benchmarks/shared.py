"""Shared by the benchmarks: data folder, tables, options, runs that are compared, progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from counterbias.options import LENGTHS, NONE
from counterbias.simulation import AnnotationDesign


def data_folder() -> Path:
    """Return the folder of real data: COUNTERBIAS_DATA, or shared/data next to the project."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("COUNTERBIAS_DATA", default))


def write_json(path: Path | None, figures: Any) -> None:
    """Write figures to the file that ``--json`` names, if it does."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")


def whole_numbers(text: str | None) -> list[int]:
    """Parse comma-separated whole numbers."""
    return [int(part) for part in (text or "").split(",") if part]


@dataclass(frozen=True)
class Variant:
    """A way to run ``counterbias count``: its bias model, or `none`, and its lengths."""

    model: str
    lengths: str

    @property
    def label(self) -> str:
        """Return the model; with other lengths than those of the union, these as well."""
        return self.model if self.lengths == LENGTHS[0] else f"{self.model}, {self.lengths}"

    def prefix(self, folder: Path) -> Path:
        """Return the prefix of the run's files."""
        return folder / self.label.replace(", ", "-")

    def options(self, folder: Path) -> list[str]:
        """Return the options of the run; the genome is in the folder."""
        words = ["--bias-model", self.model, "--bias-lengths", self.lengths]
        if self.model != NONE:
            words += ["--bias-genome", str(folder / "genome.fa")]
        return [*words, "--bias-output", str(self.prefix(folder))]


def variants(models: str, lengths: str) -> list[Variant]:
    """Combine comma-separated models with comma-separated lengths.

    Raises:
        ValueError: for lengths that do not exist.
    """
    methods = lengths.split(",")
    unknown = set(methods) - set(LENGTHS)
    if unknown:
        raise ValueError(f"no lengths '{min(unknown)}': choose from {', '.join(LENGTHS)}")
    return [Variant(model, method) for model in models.split(",") for method in methods]


def contig_lengths(genes: int) -> dict[str, int]:
    """Return contigs on which so many simulated genes fit: name → bases."""
    contigs = min(22, max(1, genes // 50))
    return {f"chr{number}": 16_500 * genes // contigs + 200_000 for number in range(1, contigs + 1)}


def with_isoforms(design: AnnotationDesign, mean: float | None) -> AnnotationDesign:
    """Give genes a mean number of transcripts, at least 2; None leaves the design as it is.

    Every tenth gene has a single transcript, as about every tenth protein-coding one of GENCODE.
    """
    if mean is None:
        return design
    several = 0.9
    further = max(0.0, (mean - (1 - several)) / several - 2)
    return replace(design, second_isoform=several, further_isoforms=further)


def assigned_fragments(table: str) -> int:
    """Sum the counts of a table of ``counterbias count``, without those that begin with ``__``."""
    rows = (line.split("\t") for line in table.splitlines())
    return sum(int(row[-1]) for row in rows if not row[0].startswith("__"))


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table, the first row being its heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def log(text: str) -> None:
    """Print progress or an error on stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)
