"""Standard output: texts that go there whole, as the bytes that a file would have.

The terminal's character set does not matter. Everything that a command prints as its result comes
through here, so that nothing is left in a buffer whose flush fails when Python ends.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from contextlib import suppress

from counterbias.errors import InputError
from counterbias.files import descriptor_of


def is_closed() -> bool:
    """Whether the command was started without a standard output (``>&-``)."""
    return sys.stdout is None


def require_standard_output(
    name: str = "", *, remedy: str = "leave it open, or send it to a file"
) -> None:
    """Refuse to run a command whose result would go to a closed standard output.

    Args:
        name: name of an output file, which may be another name of standard output; empty for
            standard output itself.
        remedy: what the user can do instead.

    Raises:
        InputError: it is closed.
    """
    if is_closed() and (not name or descriptor_of(name) == 1):
        raise InputError(
            "standard output is closed, and the result would go there", file=name, remedy=remedy
        )


def write_standard_output(text: str) -> None:
    """Write a whole text to standard output, in UTF-8.

    Bytes of the input that were not UTF-8 come out as they were.

    Raises:
        InputError: standard output is closed, or cannot take it, as on a full disk.
        BrokenPipeError: its reader went away.
    """
    require_standard_output()
    try:
        sys.stdout.flush()
        descriptor = sys.stdout.fileno()
    except OSError as error:
        # io.UnsupportedOperation, which is a ValueError, too, means a text stream in memory.
        if not isinstance(error, ValueError):
            raise _cannot_write(error) from error
        sys.stdout.write(text)
        return
    left = memoryview(text.encode("utf-8", "surrogateescape"))
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # a pipe that another program set to non-blocking
            select.select([], [descriptor], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _cannot_write(error) from error


def flush_standard_output() -> None:
    """Write what others, such as plug-ins, left in Python's buffer.

    It raises what :func:`write_standard_output` raises.
    """
    if is_closed():
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_standard_output()
        raise _cannot_write(error) from error


def abandon_standard_output() -> None:
    """Discard what is left in Python's buffer, so that it cannot fail again when Python ends."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _cannot_write(error: OSError) -> InputError:
    """Return the error that a user sees where writing failed."""
    remedy = (
        "free some space, or send it to another disk"
        if error.errno == errno.ENOSPC
        else "send it to a file"
    )
    return InputError(
        f"standard output cannot be written: {error.strerror or error}", remedy=remedy
    )
