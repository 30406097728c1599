"""Small text files that users write by hand or export from a spreadsheet: their encoding, their line ends, and tables in them."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re

from counterbias.errors import InputError
from counterbias.inputs import buffered, open_input

#: What editors and spreadsheets put in front of UTF-8; where files were joined, it stands in front of any line.
MARK = codecs.BOM_UTF8
#: Bytes of a text file at most: it is kept whole in memory, and a pipe need not end.
MOST_BYTES = 1 << 28
#: UTF-32 begins as UTF-16 does.
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END = re.compile(rb"\r\n|\n|\r")
_TO_UTF8 = "as with 'iconv -f UTF-16 -t UTF-8'"


def refuse_wide(start: bytes, path: str) -> None:
    """Raise InputError where a file begins as UTF-16 does, which spreadsheets call Unicode text."""
    if start.startswith(_WIDE):
        raise InputError(
            "this is UTF-16 text, expected UTF-8", file=path, remedy=f"convert the file, {_TO_UTF8}"
        )


def read_lines(path: str | os.PathLike[str], what: str) -> list[str]:
    """Give the lines of a UTF-8 file without their ends: LF, CR LF or CR; byte order marks are no part of them.

    Args:
        path: the file.
        what: how messages name it, as in ``truth table``.

    Raises InputError for a file that cannot be read, or is no such text.
    """
    name = os.fspath(path)
    try:
        with open_input(name) as file, buffered(file) as stream:
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(
            f"the {what} cannot be read: there is no such file", file=name, remedy="check its name"
        ) from None
    except OSError as problem:
        raise InputError(
            f"the {what} cannot be read: {problem.strerror or problem}", file=name
        ) from None
    if len(content) > MOST_BYTES:
        raise InputError(f"larger than {MOST_BYTES >> 20} MiB, no {what} is", file=name)
    refuse_wide(content, name)
    if b"\0" in content:
        zero, place = (
            f"the {what} holds a byte of value zero, as text does not",
            _line(content, content.index(b"\0")),
        )
        raise InputError(
            zero, file=name, place=place, remedy=f"is it UTF-16? Convert it then, {_TO_UTF8}"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        remedy = "convert the file, as with 'iconv -f LATIN1 -t UTF-8'"
        raise InputError(
            f"the {what} is not UTF-8 text",
            file=name,
            place=_line(content, problem.start),
            remedy=remedy,
        ) from None
    return [line.removeprefix("\ufeff") for line in re.split(r"\r\n|\n|\r", text)]


def read_table(path: str | os.PathLike[str], what: str) -> list[tuple[int, list[str]]]:
    """Give the rows of a table, each with the number of its line, the line of column names first; lines without anything are left out.

    Columns are separated by tabs, by commas where the file's name ends with ``.csv``; cells may be quoted, and lose blanks around them.
    Raises InputError for what :func:`read_lines` refuses, an empty table, a quote that is not closed, and rows of differing lengths.
    """
    name = os.fspath(path)
    text = "\n".join(read_lines(name, what))
    reader = csv.reader(
        io.StringIO(text, newline="\n"),
        delimiter="," if name.lower().endswith(".csv") else "\t",
        strict=True,
    )
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                if rows and len(cells) != len(rows[0][1]):
                    problem = f"{_columns(len(cells))}, the first line has {len(rows[0][1])}"
                    raise InputError(
                        problem,
                        file=name,
                        place=f"line {line}",
                        remedy="separate columns by tabs (.tsv) or commas (.csv)",
                    )
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error:
        remedy = 'close every quote that begins a cell ("), or leave quotes out'
        raise InputError(
            f"the quotes of the {what} do not match", file=name, place=f"line {line}", remedy=remedy
        ) from None
    if not rows:
        raise InputError(f"the {what} is empty", file=name)
    return rows


def _line(content: bytes, position: int) -> str:
    """Say in which line a byte stands."""
    return f"line {len(_LINE_END.findall(content, 0, position)) + 1}"


def _columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"
