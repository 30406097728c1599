"""Names of streams: open descriptors (``/dev/stdout``, ``/dev/fd/3``), pipes and devices.

A stream is written to. It is not truncated, replaced or removed. A descriptor is written at its
current position, so that ``-c /dev/stdout > counts.tsv`` does what the shell's redirection
promises, even though ``/dev/stdout`` is then a regular file.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from contextlib import suppress
from typing import BinaryIO

#: Most symbolic links that are followed in one name, as in Linux.
_MOST_LINKS = 40


def descriptor_of(path: str | os.PathLike[str]) -> int | None:
    """Return the descriptor that a name stands for, as 1 for ``/dev/stdout``, or None."""
    place = os.fsdecode(path)
    own = re.compile(rf"/dev/fd|/proc/(?:self|{os.getpid()})(?:/task/\d+)?/fd")
    with suppress(OSError):
        for _ in range(_MOST_LINKS):
            folder, name = os.path.split(place)
            folder = os.path.realpath(folder)
            if name.isdecimal() and len(name) < 10 and own.fullmatch(folder):
                return int(name)
            place = os.path.join(folder, name)
            if not name or not os.path.islink(place):
                break
            place = os.path.join(folder, os.readlink(place))
    return None


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a name is an open descriptor, or exists and is neither regular file nor folder."""
    if descriptor_of(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_stream(path: str | os.PathLike[str], buffering: int = -1) -> BinaryIO:
    """Open a stream for writing; closing it leaves the named descriptor open. Raises OSError."""
    number = descriptor_of(path)
    if number is None:
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY)
    else:
        _flush(number)
        opened = os.dup(number)
    return os.fdopen(opened, "wb", buffering)


def _flush(number: int) -> None:
    """Write out what was printed to the descriptor before."""
    for stream in (sys.stdout, sys.stderr):
        try:
            same = stream is not None and stream.fileno() == number
        except (OSError, ValueError, io.UnsupportedOperation):
            continue
        if same:
            stream.flush()
