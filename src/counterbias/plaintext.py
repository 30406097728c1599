"""Small text files written by hand or exported from a spreadsheet: encoding, line ends, tables."""

from __future__ import annotations

import codecs
import io
import os
import re

from counterbias.errors import InputError
from counterbias.inputs import buffered, open_input

#: The byte order mark that editors and spreadsheets put before UTF-8; in concatenated files, it may
#: begin any line.
MARK = codecs.BOM_UTF8
#: Most bytes of a text file: it is read into memory, and a pipe may never end.
MOST_BYTES = 1 << 28
#: Byte order marks of UTF-16; that of UTF-32 begins with one of them.
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END = re.compile(rb"\r\n|\n|\r")
_TO_UTF8 = "as with 'iconv -f UTF-16 -t UTF-8'"


def refuse_wide(start: bytes, path: str) -> None:
    """Raise InputError where a file begins as UTF-16, which spreadsheets call Unicode text."""
    if start.startswith(_WIDE):
        raise InputError(
            "this is UTF-16 text, expected UTF-8", file=path, remedy=f"convert the file, {_TO_UTF8}"
        )


def read_lines(path: str | os.PathLike[str], what: str) -> list[str]:
    """Return the lines of a UTF-8 file, without line ends (LF, CR LF or CR) and byte order marks.

    Args:
        path: the file.
        what: what messages call it, for example ``truth table``.

    Raises:
        InputError: the file cannot be read, or is not UTF-8 text.
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
        raise InputError(f"larger than {MOST_BYTES >> 20} MiB: too large to be a {what}", file=name)
    refuse_wide(content, name)
    if b"\0" in content:
        raise InputError(
            f"the {what} holds a NUL byte, so it is not text",
            file=name,
            place=_line(content, content.index(b"\0")),
            remedy=f"if it is UTF-16, convert it, {_TO_UTF8}",
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
    """Return the rows of a table, column names first, as (line number, cells); skip empty lines.

    Columns are separated by tabs, or by commas where the file's name ends with ``.csv``. Cells may
    be quoted, and are stripped.

    Args:
        path, what: as for :func:`read_lines`.

    Raises:
        InputError: what :func:`read_lines` refuses, an empty table, an unclosed quote, or rows of
            different lengths.
    """
    import csv

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
    """Return the place of a byte for messages: its line."""
    return f"line {len(_LINE_END.findall(content, 0, position)) + 1}"


def _columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"
