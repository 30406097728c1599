"""Open what a user gives to be read, be it a file or something that can be read only once: a named pipe, ``<(…)``, ``/dev/stdin``.

What is needed once is read where it comes from. What is needed more than once is named with :func:`read_again` by whoever knows; it is then
copied to a temporary file when it is first opened, and read from there each time. Messages name what the user gave. Alignments are opened
by :mod:`counterbias.alignments`, by rules of their own.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tempfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from counterbias.errors import InputError
from counterbias.files import descriptor_of, is_stream, scratch_folder

#: What alignments call standard input.
_STDIN = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER = 1 << 17

_lock = threading.RLock()
#: Name as given → name of its copy, None until it is opened; how many blocks want it; and what removes the copy.
_copies: dict[str, str | None] = {}
_wanted: dict[str, int] = {}
_folders: dict[str, ExitStack] = {}


def reads_once(path: str | os.PathLike[str]) -> bool:
    """Tell whether a name stands for something that cannot be opened twice. Nothing is opened; a missing file is none.

    Open descriptors count, too: a file behind one of them has a position that is shared, and no folder of its own.
    """
    return is_stream(path)


def is_input(path: str | os.PathLike[str]) -> bool:
    """Tell whether there is something of this name to read, and no folder. Nothing is opened."""
    return os.path.exists(path) and not os.path.isdir(path)


def open_input(path: str | os.PathLike[str]) -> io.FileIO:
    """Open an input, without a buffer; in a block of :func:`read_again` its copy.

    Raises InputError for a device that is no terminal and for a socket, and OSError as ``open`` does.
    """
    name = os.fspath(path)
    source = file_of(name)
    return _open(name) if source == name else open(source, "rb", buffering=0)


def file_of(path: str) -> str:
    """Give a name under which other programs can open an input: its own, or in a block of :func:`read_again` that of its copy."""
    with _lock:
        return _copy(path) if path in _copies and reads_once(path) else path


@contextmanager
def read_again(*paths: str | None) -> Iterator[None]:
    """Let these inputs be opened as often as needed within the block; those that can be read only once are copied when first opened.

    ``None`` stands for an input that was not given. Copies go with the block, however it ends.
    """
    names = [path for path in dict.fromkeys(paths) if path]
    with _lock:
        for name in names:
            _copies.setdefault(name, None)
            _wanted[name] = _wanted.get(name, 0) + 1
    try:
        yield
    finally:
        with _lock:
            for name in names:
                _wanted[name] -= 1
                if not _wanted[name]:
                    _forget(name)


def check_inputs(inputs: Sequence[tuple[str, str | None]]) -> None:
    """Find out before anything is opened whether an input is a device, or two of them would read the same pipe.

    Args:
        inputs: (what the user calls it; name, ``-`` for standard input, or None where it was not given) of each input.

    Raises:
        InputError: there is such an input.
    """
    seen: dict[tuple[int, int], tuple[str, str]] = {}
    for label, name in inputs:
        if not name or not (name == _STDIN or reads_once(name)):
            continue
        if name != _STDIN:
            _refuse_device(name)
        try:
            state = os.fstat(0) if name == _STDIN else os.stat(name)
        except OSError:
            continue  # whoever opens it says what is wrong
        key = (state.st_dev, state.st_ino)
        if key in seen:
            raise _given_twice(seen[key], (label, name))
        seen[key] = label, name


def buffered(file: io.FileIO) -> io.BufferedReader:
    """Put a buffer before an input whose ``peek`` gives two bytes where there are two, though a pipe may hand over one by one."""
    if file.seekable():
        return io.BufferedReader(file, _BUFFER)
    head = b""
    while len(head) < len(_GZIP_MAGIC) and (more := file.read(len(_GZIP_MAGIC) - len(head))):
        head += more
    return io.BufferedReader(_Rejoined(head, file), _BUFFER)


def unpacked(stream: io.BufferedReader) -> Any:
    """Give a stream of the content of a compressed file; reading it may raise one of :func:`damage`."""
    try:
        from isal import igzip
    except ImportError:
        return gzip.GzipFile(fileobj=stream)
    return igzip.IGzipFile(fileobj=stream)


def is_packed(stream: io.BufferedReader) -> bool:
    """Tell by its first two bytes whether a file is compressed, by gzip or bgzip: the content counts, not the name."""
    return stream.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)


def damage() -> tuple[Any, ...]:
    """Give the exceptions that say that a compressed file is damaged; EOFError, that it ends too early, is not among them."""
    known: tuple[Any, ...] = (gzip.BadGzipFile, zlib.error)
    try:
        from isal import isal_zlib
    except ImportError:
        return known
    return (*known, isal_zlib.error)


class _Rejoined(io.RawIOBase):
    """First bytes that were read already, then the rest of the file they come from."""

    def __init__(self, head: bytes, rest: io.FileIO) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int | None:
        if not self._head:
            return self._rest.readinto(target)
        size = min(len(self._head), len(target))
        target[:size] = self._head[:size]
        self._head = self._head[size:]
        return size


def _given_twice(first: tuple[str, str], second: tuple[str, str]) -> InputError:
    """Say that two inputs, each as what the user calls it and its name, are the same pipe."""
    remedy = "give a file for one of them"
    both = f"both {first[0]} and {second[0]}" if first[0] != second[0] else f"{first[0]} twice"
    if _STDIN in (first[1], second[1]):
        return InputError(
            f"standard input can be read only once, but it is given as {both}", remedy=remedy
        )
    return InputError(
        f"this can be read only once, but it is given as {both}", file=second[1], remedy=remedy
    )


def _refuse_device(name: str) -> None:
    """Refuse what is neither a file nor a pipe nor a terminal: it may have no end, or none to write to it."""
    with suppress(OSError, ValueError):
        mode = os.stat(name).st_mode
        if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not _is_terminal(name)):
            raise InputError(
                "this is a device, not a file or a pipe", file=name, remedy="give a file"
            )
        if stat.S_ISSOCK(mode) and descriptor_of(name) is None:
            raise InputError(
                "this is a socket, not a file or a pipe", file=name, remedy="give a file"
            )


def _is_terminal(name: str) -> bool:
    """Tell whether a character device is a terminal, whose input a user can end."""
    number = os.open(name, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.isatty(number)
    finally:
        os.close(number)


def _open(name: str) -> io.FileIO:
    """Open where it comes from; a descriptor is doubled, which works for sockets, too, and where another user opened it."""
    _refuse_device(name)
    number = descriptor_of(name)
    if number is None:
        return open(name, "rb", buffering=0)
    try:
        return open(os.dup(number), "rb", buffering=0)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None


def _copy(name: str) -> str:
    """Copy an input to a temporary file, unless that was done, and give the copy's name, which other programs can open too."""
    there = _copies[name]
    if there is not None:
        return there
    with _open(name) as source, ExitStack() as stack:
        try:
            copy = os.path.join(stack.enter_context(scratch_folder()), "copy")
            with open(copy, "xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except OSError as error:
            raise InputError(
                f"this is needed more than once, and cannot be copied to {tempfile.gettempdir()} ({error.strerror or error})",
                file=name,
                remedy="give a file, or set TMPDIR to a folder with more room",
            ) from None
        _folders[name] = stack.pop_all()
    _copies[name] = copy
    return copy


def _forget(name: str) -> None:
    """Remove a copy."""
    del _wanted[name], _copies[name]
    if name in _folders:
        _folders.pop(name).close()
