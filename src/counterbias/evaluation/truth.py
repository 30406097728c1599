"""Read a table of true values, and join it with features.

They may come from qPCR, spike-ins, a simulation or another platform. The table has a header line;
:func:`counterbias.plaintext.read_table` reads it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.plaintext import read_table
from counterbias.records import Features

#: Cells that mean a missing value.
MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "-"})


@dataclass(frozen=True, slots=True)
class TruthTable:
    """True values by identifier.

    Args:
        path: the file.
        identifier: the column of identifiers.
        columns: column → identifier → value; missing values are left out.
        missing: column → number of cells without a value.
        rows: identifiers in the table.
    """

    path: str
    identifier: str
    columns: Mapping[str, Mapping[str, float]]
    missing: Mapping[str, int]
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """True values per feature.

    Args:
        values: float64 (features,), NaN for none.
        joined: number of features with a value.
        absent: number of identifiers in the table that no feature has.
        shared: number of identifiers that several features share; these have no value.
    """

    values: NDArray[np.float64]
    joined: int
    absent: int
    shared: int


def read_truth(
    path: str | os.PathLike[str], columns: Sequence[str], *, identifier: str | None = None
) -> TruthTable:
    """Read some columns of a table of true values.

    Args:
        path: the table.
        columns: the columns to read.
        identifier: the column of identifiers; None for the first one.

    Raises:
        InputError: the file cannot be read, a column is missing, an identifier occurs twice, or a
            value is not a number.
    """
    name = os.fspath(path)
    wanted = tuple(dict.fromkeys(columns))
    (header_line, header), *rows = read_table(name, "truth table")
    key = header[0] if identifier is None else identifier
    place = {column: _place(name, header, header_line, column) for column in (key, *wanted)}
    found: dict[str, dict[str, float]] = {column: {} for column in wanted}
    missing = dict.fromkeys(wanted, 0)
    line_of: dict[str, int] = {}
    for number, cells in rows:
        row = cells[place[key]]
        if row in line_of:
            remedy = "keep one line for each, as the mean of its assays"
            raise InputError(
                f"'{row}' is already in line {line_of[row]}",
                file=name,
                place=f"line {number}",
                remedy=remedy,
            )
        line_of[row] = number
        for column in wanted:
            value = _value(cells[place[column]], name, number, column)
            if value is None:
                missing[column] += 1
            else:
                found[column][row] = value
    return TruthTable(name, key, found, missing, tuple(line_of))


def _place(path: str, header: list[str], line: int, column: str) -> int:
    """Return a column's index."""
    if header.count(column) != 1:
        state = "no" if column not in header else "more than one"
        listed = ", ".join(f"'{cell}'" for cell in header[:8]) + (" …" if len(header) > 8 else "")
        raise InputError(
            f"there is {state} column '{column}'",
            file=path,
            place=f"line {line}",
            remedy=f"the table has {listed}",
        )
    return header.index(column)


def _value(cell: str, path: str, line: int, column: str) -> float | None:
    """Read a number; None for a missing value."""
    if cell.lower() in MISSING:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        remedy = "write NA where there is no value"
        raise InputError(
            f"'{cell[:40]}' in column '{column}' is not a number",
            file=path,
            place=f"line {line}",
            remedy=remedy,
        )
    return value


def join_truth(
    table: TruthTable, column: str, features: Features, *, attribute: str | None = None
) -> Joined:
    """Find each feature's true value, by the feature's name or by an attribute.

    Names that several features share are left out, since it is not known which of them is meant.

    Raises:
        InputError: no feature has the attribute, or table and features have no name in common.
    """
    names = features.ids if attribute is None else features.attributes[attribute]
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    given = table.columns[column]
    values = np.array(
        [given.get(name, math.nan) if seen[name] == 1 else math.nan for name in names], np.float64
    )
    known = set(names) - {""}
    if attribute is not None and not known:
        raise InputError(
            f"no feature has the attribute '{attribute}'",
            remedy="name another one with --truth-attribute",
        )
    if not known & set(table.rows):
        what = "identifier" if attribute is None else f"'{attribute}'"
        ours, theirs = next(iter(sorted(known)), ""), next(iter(table.rows), "")
        raise InputError(
            f"no name in column '{table.identifier}' is the {what} of a feature: the table has "
            f"'{theirs}' …, the annotation '{ours}' …",
            file=table.path,
            remedy="name another column with --truth-id, or the attribute that holds these names "
            "with --truth-attribute",
        )
    shared = sum(1 for name, number in seen.items() if number > 1 and name in given)
    return Joined(
        values,
        int(np.isfinite(values).sum()),
        sum(1 for name in table.rows if name not in known),
        shared,
    )
