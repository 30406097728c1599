"""Import the scripts behind "Does it work?" and read the reports that they print."""

from __future__ import annotations

import importlib
from types import ModuleType

from tests import ROOT

SCRIPTS = ROOT / "benchmarks" / "validation"


def script(name: str) -> ModuleType:
    """Import a script by its name."""
    return importlib.import_module(name)


def parsed(printed: str, heading: str) -> dict[str, dict[str, str]]:
    """Return a table of the report: first cell of a row → heading → cell."""
    part = printed.split(f"### {heading}\n", 1)[1].split("\n###", 1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def number(cell: str) -> float:
    return float(cell.split(" ± ")[0].replace("−", "-"))
