"""Shared by the validation scripts: data folder, tables, JSON, figures, means and errors."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
#: A palette for colour-blind readers (Okabe & Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
GREY = "#666666"
_STYLE = {
    "svg.hashsalt": "counterbias",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Mean:
    """A mean over seeds (or folds), its standard error, and the number of values.

    The error of a single value is NaN.
    """

    value: float
    error: float
    number: int

    def text(self, digits: int = 3, *, sign: bool = False) -> str:
        """Format the mean and its error for a table."""
        if not math.isfinite(self.value):
            return "–"
        value = f"{self.value:{'+' if sign else ''}.{digits}f}"
        if not math.isfinite(self.error):
            return minus(value)
        return minus(f"{value} ± {self.error:.{digits}f}")


def mean(values: Iterable[float | None]) -> Mean:
    """Average the finite values."""
    known = np.array(
        [value for value in values if value is not None and math.isfinite(value)], np.float64
    )
    if not len(known):
        return Mean(math.nan, math.nan, 0)
    error = float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan
    return Mean(float(known.mean()), error, len(known))


def minus(text: str) -> str:
    """Replace the hyphen of a number by a minus sign."""
    return text.replace("-", "−")


def interval(low: float, high: float, digits: int = 2) -> str:
    """Format a confidence interval."""
    return (
        minus(f"{low:+.{digits}f} … {high:+.{digits}f}")
        if math.isfinite(low) and math.isfinite(high)
        else "–"
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table, the first row being its heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def data_folder() -> Path:
    """Return the folder of real data: COUNTERBIAS_DATA, or shared/data next to the project."""
    return Path(os.environ.get("COUNTERBIAS_DATA", ROOT.parent / "shared" / "data"))


def whole_numbers(text: str) -> list[int]:
    """Parse comma-separated whole numbers (for argparse)."""
    try:
        return [int(part) for part in text.split(",") if part]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}': must be whole numbers, separated by commas"
        ) from None


def numbers(text: str) -> list[float]:
    """Parse comma-separated numbers (for argparse)."""
    try:
        return [float(part) for part in text.split(",") if part]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}': must be numbers, separated by commas"
        ) from None


def names(text: str) -> list[str]:
    """Parse comma-separated names (for argparse)."""
    return [part for part in text.split(",") if part]


def parser_for(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options shared by all validation scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="draw figures into this folder (needs matplotlib)",
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads for counting and scoring [%(default)s]"
    )
    return parser


def log(text: str) -> None:
    """Print progress or an error on stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def plain(value: Any) -> Any:
    """Convert nested values for JSON: no NaN, no infinity, no numpy types."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def resumed(
    arguments: argparse.Namespace, settings: dict[str, Any], key: str
) -> list[dict[str, Any]] | None:
    """Return, with ``--resume``, what an earlier run stored under ``key``; else an empty list.

    If that run had other settings, an error is printed and None returned.
    """
    if not arguments.resume or not arguments.json.exists():
        return []
    stored = json.loads(arguments.json.read_text())
    if stored["settings"] != settings:
        log(f"error: {arguments.json} was written with other options; omit --resume")
        return None
    found: list[dict[str, Any]] = stored[key]
    return found


def write_json(
    path: Path | None, script: str, argv: Sequence[str] | None, content: dict[str, Any]
) -> None:
    """Write the figures and the command that produced them; the file appears only when complete."""
    if path is None:
        return
    command = shlex.join(
        ["python", f"benchmarks/validation/{script}", *(sys.argv[1:] if argv is None else argv)]
    )
    about = {"command": command, "python": platform.python_version(), "processors": os.cpu_count()}
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(json.dumps(plain({**about, **content}), indent=1, allow_nan=False) + "\n")
    os.replace(temporary, path)


# -- figures ---------------------------------------------------------------------------------------


def canvas(
    width: float, height: float, columns: int = 1, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """Start a figure of ``columns`` × ``rows`` panels; total width and height in inches."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(_STYLE)
    figure, panels = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    return figure, list(panels.flat)


def save_figure(figure: Figure, folder: Path, name: str) -> Path:
    """Write an SVG file; the same figure always gives the same bytes."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    temporary = folder / f".{name}.part"
    figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = "\n".join(line.rstrip() for line in temporary.read_text().splitlines()) + "\n"
    temporary.write_text(text)
    os.replace(temporary, path)
    return path
