"""The report of ``counterbias train``: gains as a table, and all of it as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from counterbias.errors import harmless
from counterbias.files import whole_text
from counterbias.writers.qc import plain

#: First key of the JSON document, and its version (major, minor).
TAG, VERSION = "counterbias_train", (1, 0)

#: Columns of the table.
COLUMNS = (
    "sample",
    "end",
    "starts",
    "reads",
    "held_out_starts",
    "factor",
    "own_model",
    "own",
    "own_error",
    "pooled",
    "pooled_error",
    "difference",
    "difference_error",
    "better",
)


def gains_table(rows: Sequence[Mapping[str, Any]], skipped: Sequence[str]) -> str:
    """Return the table: a header, then one line per sample and read end.

    Args:
        rows: the gains, with a value for each of :data:`COLUMNS`.
        skipped: samples that were left out; they come last, with ``NA``.
    """
    lines = [COLUMNS, *(tuple(_cell(row[name]) for name in COLUMNS) for row in rows)]
    lines += [(_cell(sample), *["NA"] * (len(COLUMNS) - 1)) for sample in skipped]
    return "".join("\t".join(line) + "\n" for line in lines)


def write_training(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write the JSON document, whole or not at all; numbers that are not finite become null.

    Raises InputError where the file cannot be written.
    """
    text = json.dumps(plain(document), indent=1, allow_nan=False)
    with whole_text(path) as file:
        file.write(text + "\n")


def _cell(value: Any) -> str:
    """Format a value: numbers with four decimals, ``NA`` for missing ones.

    Tabs and line breaks become spaces, and invisible characters are escaped.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "NA"
    if isinstance(value, float):
        return f"{value:.4f}"
    return harmless(" ".join(str(value).split()))
