"""Reading ``PREFIX.counts.tsv``, the table of one sample, and telling two annotations apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.inputs import open_input
from counterbias.pipeline.bias.columns import COLUMNS
from counterbias.pipeline.collect.naming import briefly

#: Most bytes of a table: one of 60,000 genes has about 5 MB, and a pipe may never end.
MOST_BYTES = 1 << 30
#: Most bases that a feature may have: no chromosome is nearly as long.
_LONGEST = 1 << 40
_FEATURE = b"feature"
_LENGTH = COLUMNS.index("length")
_NUMBERS = tuple(name.encode() for name in COLUMNS)
_REMEDY = "count the sample again, or give the table as `counterbias count` wrote it"
_ONE_ANNOTATION = "count all samples with one annotation"


@dataclass(frozen=True, slots=True)
class SampleTable:
    """The table of one sample, its texts as they are in the file.

    Args:
        path: the file.
        header: names of the columns.
        cells: all cells, the rows one after the other.
    """

    path: str
    header: tuple[bytes, ...]
    cells: list[bytes]

    @property
    def rows(self) -> int:
        """The number of features."""
        return len(self.cells) // len(self.header)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the additional attributes."""
        return tuple(map(_text, self.header[1 : -len(COLUMNS)]))

    def texts(self, column: int) -> list[bytes]:
        """Return the cells of a column, negative numbers counting from the last one."""
        return self.cells[column % len(self.header) :: len(self.header)]

    def readable(self, column: int) -> tuple[str, ...]:
        """Return the cells of a column as text."""
        return tuple(map(_text, self.texts(column)))

    def lengths(self) -> NDArray[np.int64]:
        """Return the features' lengths in bases, int64 (rows,). Raises InputError."""
        values = self.numbers("length")
        self._refuse((values != np.floor(values)) | (values > _LONGEST), "length", "of bases")
        return values.astype(np.int64)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return one of :data:`COLUMNS`, float64 (rows,). Raises InputError."""
        texts = self.texts(COLUMNS.index(name) - len(COLUMNS))
        try:
            values = np.array(texts, dtype=np.bytes_).astype(np.float64)
        except ValueError:
            values = np.array([_number(text) for text in texts])
        self._refuse(~(np.isfinite(values) & (values >= 0)), name, "from 0 up")
        return values

    def _refuse(self, bad: NDArray[np.bool_], name: str, wanted: str) -> None:
        """Raise InputError for the first bad cell of one of :data:`COLUMNS`, if there is any."""
        if bad.any():
            row = int(np.argmax(bad))
            cell = _text(self.texts(COLUMNS.index(name) - len(COLUMNS))[row])
            problem = f"'{cell}' in the column {name} is not a number {wanted}"
            raise InputError(problem, file=self.path, place=f"line {row + 2}", remedy=_REMEDY)


def read_table(path: str) -> SampleTable:
    """Read a table whole.

    Raises:
        InputError: the file cannot be read, is cut short, or is no table of corrected counts.
    """
    try:
        with open_input(path) as file:
            content = _all_of(file, path)
    except OSError as problem:
        raise unreadable_table(path, problem) from None
    line, _, _ = content.partition(b"\n")
    header = tuple(line.split(b"\t"))
    if header[0] != _FEATURE or header[-len(COLUMNS) :] != _NUMBERS:
        raise InputError(
            "this is not a table of corrected counts: its first line is not 'feature … "
            f"{COLUMNS[-1]}'",
            file=path,
            remedy="give PREFIX.counts.tsv of `counterbias count --bias-model …`",
        )
    if not content.endswith(b"\n"):
        place = f"line {content.count(10) + 1}"
        raise InputError("the table is cut short", file=path, place=place, remedy=_REMEDY)
    _check_rows(content, len(header), path)
    cells = content.replace(b"\n", b"\t").split(b"\t")[len(header) : -1]
    return SampleTable(path, header, cells)


def unreadable_table(path: str, problem: OSError) -> InputError:
    """Return the error for a table that cannot be opened or read."""
    return InputError(f"the table cannot be read: {problem.strerror or problem}", file=path)


def check_same_features(table: SampleTable, first: SampleTable) -> None:
    """Refuse a table whose features are not those of the first one, naming one that differs.

    Raises:
        InputError: names, lengths or attributes of the features differ.
    """
    if table.header != first.header:
        own, others = _listed(table.attributes), _listed(first.attributes)
        problem = f"its attributes are {own}, those of {briefly(first.path, table.path)} {others}"
        raise InputError(problem, file=table.path, remedy="count all samples with the same ones")
    last = len(table.header) - len(COLUMNS) + _LENGTH
    for column in range(last + 1):
        here, there = table.texts(column), first.texts(column)
        if here != there:
            raise _difference(table, first, column, here, there)


def _difference(
    table: SampleTable,
    first: SampleTable,
    column: int,
    here: Sequence[bytes],
    there: Sequence[bytes],
) -> InputError:
    """Return the error for two columns of features that differ."""
    row = next(
        (row for row, (one, other) in enumerate(zip(here, there, strict=False)) if one != other),
        min(len(here), len(there)),
    )
    other = briefly(first.path, table.path)
    if column:
        feature, name = _text(table.cells[row * len(table.header)]), _text(table.header[column])
        problem = (
            f"{feature} has the {name} '{_text(here[row])}' here and '{_text(there[row])}' in "
            f"{other}"
        )
    else:
        problem = (
            f"its features are not those of {other}: the first that differs is "
            f"{_named(here, row)} here and {_named(there, row)} there"
        )
    return InputError(problem, file=table.path, place=f"line {row + 2}", remedy=_ONE_ANNOTATION)


def other_places(path: str, first: str) -> InputError:
    """Return the error for features that have the same names and lengths in other places."""
    other = briefly(first, path)
    problem = f"its features have the names and lengths of those of {other}, but other places"
    return InputError(problem, file=path, remedy=_ONE_ANNOTATION)


def _all_of(file: FileIO, path: str) -> bytes:
    """Read an input to its end, a pipe too. Raises InputError where it is too long."""
    parts: list[bytes] = []
    left = MOST_BYTES
    while left >= 0 and (part := file.read(left + 1)):
        parts.append(part)
        left -= len(part)
    if left < 0:
        raise InputError(
            f"larger than {MOST_BYTES >> 20} MiB: too large to be a table of counts", file=path
        )
    return b"".join(parts)


def _check_rows(content: bytes, columns: int, path: str) -> None:
    """Refuse a table with rows of another number of columns than its header (InputError)."""
    lines = content.count(b"\n")
    if content.count(b"\t") == lines * (columns - 1) and lines > 1:
        return
    if lines < 2:
        raise InputError("the table has no features", file=path, remedy=_REMEDY)
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        if (found := line.count(b"\t") + 1) != columns:
            problem = f"{found} columns, the first line has {columns}"
            raise InputError(problem, file=path, place=f"line {number}", remedy=_REMEDY)


def _number(text: bytes) -> float:
    """Return a number, NaN where there is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _text(cell: bytes) -> str:
    return cell.decode("utf-8", "surrogateescape")


def _named(names: Sequence[bytes], row: int) -> str:
    return f"'{_text(names[row])}'" if row < len(names) else "none"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
