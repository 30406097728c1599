"""What every refusal of an input must look like."""

from __future__ import annotations

import os
import re

from counterbias.errors import InputError


def refusal_wording(error: InputError, files: tuple[str, ...]) -> str:
    """Check that a refusal is one line that names an input file, and return its wording."""
    line = error.line()
    assert line, "the refusal is empty"
    assert len(line.splitlines()) == 1, f"not one line: {line!r}"
    assert error.file in files or os.path.basename(error.file) in files, (
        f"names {error.file!r}, which is none of {files}"
    )
    return wording(error.problem)


def wording(problem: str) -> str:
    """Return a message without what differs between inputs: names and numbers."""
    text = " ".join(problem.split())
    text = re.sub(r"^read .* and its mate", "read … and its mate", text)
    text = re.sub(r"(['\"]).*\1", "…", text)
    return re.sub(r"-?\d[\d,.]*(e[-+]?\d+)?", "N", text)[:110]
