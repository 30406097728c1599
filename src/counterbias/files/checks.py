"""Checking the names of outputs before the work starts."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Sequence

from counterbias.errors import InputError
from counterbias.files.partial import remove_leftovers
from counterbias.files.streams import descriptor_of, is_stream
from counterbias.files.whole import can_be_made


def check_outputs(outputs: Sequence[tuple[str, str]], *, inputs: Sequence[str] = ()) -> None:
    """Check before the work starts that every output can be written.

    Nothing is created or changed, except that what killed runs left of the same outputs is removed.

    Args:
        outputs: (option, such as ``-c`` or ``--bias-output``; file name) of each file.
        inputs: files that are read; ``-`` is standard input.

    Raises:
        InputError: an output has no name, is a folder, lies in a missing or read-only folder, is
            write-protected, is given twice, or is an input.
    """
    sources = {os.path.realpath(name): name for name in inputs if name != "-"}
    seen: dict[str, str] = {}
    for label, name in outputs:
        _check_output(label, name)
        real = os.path.realpath(name)
        if real == os.path.realpath(os.devnull):
            continue
        if real in sources:
            raise InputError(
                f"{label} would overwrite an input file", file=name, remedy="name another file"
            )
        if real in seen:
            both = label if label == seen[real] else f"{seen[real]} and {label}"
            raise InputError(
                f"{both} would write the same file twice",
                file=name,
                remedy="give each output its own name",
            )
        seen[real] = label
    remove_leftovers(name for _, name in outputs)


def _check_output(label: str, name: str) -> None:
    """Check a single output."""
    if not name:
        raise InputError(f"{label} needs a file name")
    if os.path.isdir(name):
        raise InputError(f"{label} is a folder", file=name, remedy="name a file inside it")
    if is_stream(name):
        _check_stream(label, name)
        return
    folder = os.path.dirname(os.path.realpath(name))
    if not os.path.isdir(folder):
        raise InputError(
            f"{label}: the folder {folder} does not exist",
            file=name,
            remedy="create it first, or name another one",
        )
    if not can_be_made(name):
        raise InputError(
            f"{label}: the folder {folder} cannot be written to",
            file=name,
            remedy="name a file in another folder",
        )
    if os.path.exists(name) and not os.access(name, os.W_OK):
        raise InputError(f"{label} is write-protected", file=name, remedy="name another file")


def _check_stream(label: str, name: str) -> None:
    """Check the name of a descriptor, pipe or device.

    It is not opened: that would wait for the reader of a pipe.
    """
    number = descriptor_of(name)
    if number is None:
        if stat.S_ISSOCK(os.stat(name).st_mode):
            raise InputError(
                f"{label} is a socket, which cannot be written as a file",
                file=name,
                remedy="name a file or a pipe",
            )
        if not os.access(name, os.W_OK):
            raise InputError(f"{label} cannot be written: permission denied", file=name)
        return
    # Where Python started without a standard stream, its number may now be that of another file.
    closed = number < 3 and (sys.__stdin__, sys.__stdout__, sys.__stderr__)[number] is None
    try:
        if closed:
            raise OSError
        access = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        raise InputError(
            f"{label} is not open", file=name, remedy="redirect it to a file or a pipe"
        ) from None
    if access == os.O_RDONLY:
        raise InputError(f"{label} is open for reading only", file=name, remedy="name a file")
