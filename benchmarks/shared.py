"""Shared by `accuracy.py`, `priors.py` and `weights.py`: data folder, tables, options, progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def data_folder() -> Path:
    """Return the folder of real data: COUNTERBIAS_DATA, or shared/data next to the project."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("COUNTERBIAS_DATA", default))


def whole_numbers(text: str | None) -> list[int]:
    """Parse comma-separated whole numbers."""
    return [int(part) for part in (text or "").split(",") if part]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table, the first row being its heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def log(text: str) -> None:
    """Print progress or an error on stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)
