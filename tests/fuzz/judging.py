"""What every refusal must be."""

from __future__ import annotations

import os
import re

from counterbias.errors import InputError


def reason(error: InputError, files: tuple[str, ...]) -> str:
    """Judge a refusal: one line that names a file that was given. Gives its words, without what differs from input to input."""
    line = error.line()
    assert line, "says nothing"
    assert len(line.splitlines()) == 1, f"not one line: {line!r}"
    assert error.file in files or os.path.basename(error.file) in files, (
        f"names {error.file!r}, which is none of {files}"
    )
    return words(error.problem)


def words(problem: str) -> str:
    """Give a message without names and numbers."""
    text = " ".join(problem.split())
    text = re.sub(r"^read .* and its mate", "read … and its mate", text)
    text = re.sub(r"(['\"]).*\1", "…", text)
    return re.sub(r"-?\d[\d,.]*(e[-+]?\d+)?", "N", text)[:110]
