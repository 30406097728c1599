"""The standard streams as the program finds them: open, closed, full, or without a reader.

Messages are worth less than the result: where stderr cannot take one, the run goes on.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress

from counterbias.errors import LONGEST_LINE, shown


class _Unfailing(io.FileIO):
    """A file that accepts all writes, and drops what cannot be written."""

    def write(self, data: object) -> int:
        """Write (see io.FileIO)."""
        written = None
        with suppress(OSError):
            written = super().write(data)  # type: ignore[arg-type]
        return memoryview(data).nbytes if written is None else written  # type: ignore[arg-type]


def prepare() -> None:
    """Make the streams safe, once, before any file is opened.

    The numbers 0 to 2 of closed streams are occupied; otherwise the next file opened would be
    written to as standard output. A closed standard input or output stays None in ``sys``. Messages
    that stderr cannot take are dropped; characters that its encoding lacks become escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, since those below are in use.
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            os.set_inheritable(number, True)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
        raw = _Unfailing(2, "w", closefd=False)
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=encoding,
            errors="backslashreplace",
            line_buffering=True,
        )
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Write another package's warning in one line, as ours.

    Python would also show the line of code, and characters that a terminal obeys.
    """
    write_line(f"Warning: {message}")


def write_line(text: str) -> None:
    """Write one line to stderr."""
    if sys.stderr is not None:
        sys.stderr.write(shown(text, LONGEST_LINE) + "\n")
        sys.stderr.flush()


def is_redirected_to(stream: int, path: str) -> bool:
    """Whether a standard stream, such as 2, goes to a file, as by ``2> path``."""
    try:
        return os.path.samestat(os.fstat(stream), os.stat(path))
    except OSError:
        return False


def is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
