"""Write ``PREFIX.log``: what a count says of one sample, with the warnings given on the way.

It holds no times, so that the same run writes the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from counterbias.errors import InputError, harmless
from counterbias.files import whole_text
from counterbias.files.streams import is_stream

#: How the file begins, by which it is known to be ours.
BEGINNING = "# counterbias "


def check_log(path: str) -> None:
    """Refuse to replace a log that another program wrote (InputError).

    Aligners are often told to write ``SAMPLE.log``. An empty file, as the shell makes one for
    messages, may be replaced.
    """
    if is_stream(path) or not os.path.isfile(path):
        return
    try:
        with open(path, "rb") as file:
            begins = file.read(len(BEGINNING))
    except OSError:
        return  # whether it can be replaced is another question
    if begins and begins != BEGINNING.encode():
        raise InputError(
            "the log would overwrite a file that is no log of counterbias",
            file=path,
            remedy="move that file, or name another --bias-output",
        )


def write_log(path: str, lines: Iterable[str], *, version: str, command_line: str) -> None:
    """Write the log of one sample, whole or not at all. Raises InputError where it cannot be.

    Args:
        path: the file.
        lines: what the command says of the sample at its end, and the warnings that concern it.
        version: Counterbias' version.
        command_line: the command, as typed.
    """
    with whole_text(path) as file:
        for line in (f"{BEGINNING}{version}", f"# {command_line}", *lines):
            file.write(f"{harmless(line)}\n")
