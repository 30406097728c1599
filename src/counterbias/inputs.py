"""Opening inputs, among them those that can be read only once: pipes, ``<(…)``, ``/dev/stdin``.

An input that is needed once is read where it is. One that is needed more than once is declared with
:func:`read_again`: it is then copied to a temporary file when it is first opened, and read from
there each time. Messages name what the user gave. Alignments are opened by
:mod:`counterbias.alignments`, by other rules.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from counterbias.errors import InputError
from counterbias.files import descriptor_of, is_stream, scratch_folder, temporary_place

#: The name of standard input where alignments are expected.
_STDIN = "-"
#: What a damaged compressed file raises; EOFError means that it ends too early.
DAMAGE = (gzip.BadGzipFile, zlib.error)
_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER = 1 << 17

_lock = threading.RLock()
#: Name as given → name of its copy, None until it is opened.
_copies: dict[str, str | None] = {}
#: Name as given → number of :func:`read_again` blocks that need it.
_users: dict[str, int] = {}
#: Name as given → what removes the copy.
_folders: dict[str, ExitStack] = {}


def reads_once(path: str | os.PathLike[str]) -> bool:
    """Whether a name stands for something that can be read only once. Nothing is opened.

    Open descriptors count too: the file behind one has a shared position, and its folder is not
    known.
    """
    return is_stream(path)


def is_input(path: str | os.PathLike[str]) -> bool:
    """Whether something of this name exists and is not a folder. Nothing is opened."""
    return os.path.exists(path) and not os.path.isdir(path)


def open_input(path: str | os.PathLike[str]) -> io.FileIO:
    """Open an input, or its copy within :func:`read_again`, without a buffer.

    Raises:
        InputError: it is a socket, or a device other than a terminal.
        OSError: as ``open`` does.
    """
    name = os.fspath(path)
    source = file_of(name)
    return _open(name) if source == name else open(source, "rb", buffering=0)


def file_of(path: str) -> str:
    """Return a name by which other programs can open an input: its own or that of its copy."""
    with _lock:
        return _copy(path) if path in _copies and reads_once(path) else path


@contextmanager
def read_again(*paths: str | None) -> Iterator[None]:
    """Allow these inputs to be opened repeatedly within the block.

    Those that can be read only once are copied when they are first opened. ``None`` stands for an
    input that was not given. Copies are removed at the end of the block.
    """
    names = [path for path in dict.fromkeys(paths) if path]
    with _lock:
        for name in names:
            _copies.setdefault(name, None)
            _users[name] = _users.get(name, 0) + 1
    try:
        yield
    finally:
        with _lock:
            for name in names:
                _users[name] -= 1
                if not _users[name]:
                    _remove_copy(name)


def check_inputs(inputs: Sequence[tuple[str, str | None]]) -> None:
    """Check before anything is opened that no input is a device, and no two are the same pipe.

    Args:
        inputs: (option or description; name, ``-`` for standard input, or None where it was not
            given) of each input.

    Raises:
        InputError: one is a device, or two are the same pipe.
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
            continue  # opening it will report what is wrong
        key = (state.st_dev, state.st_ino)
        if key in seen:
            raise _given_twice(seen[key], (label, name))
        seen[key] = label, name


def buffered(file: io.FileIO) -> io.BufferedReader:
    """Wrap an input in a buffer whose ``peek`` returns at least two bytes, if there are two.

    A pipe may deliver them one by one.
    """
    if file.seekable():
        return io.BufferedReader(file, _BUFFER)
    head = b""
    while len(head) < len(_GZIP_MAGIC) and (more := file.read(len(_GZIP_MAGIC) - len(head))):
        head += more
    return io.BufferedReader(_Rejoined(head, file), _BUFFER)


def unpacked(stream: io.BufferedReader) -> gzip.GzipFile:
    """Return a stream of a compressed file's content; reading it may raise :data:`DAMAGE`."""
    return gzip.GzipFile(fileobj=stream)


def is_packed(stream: io.BufferedReader) -> bool:
    """Whether a file is compressed by gzip or bgzip, by its first two bytes, not its name."""
    return stream.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)


class _Rejoined(io.RawIOBase):
    """The first bytes of a file, already read, followed by the rest of it."""

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
    """Return the error for two inputs, each (description, name), that are the same pipe."""
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
    """Refuse what is neither file, pipe nor terminal: it may never end, or never begin."""
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
    """Whether a character device is a terminal, whose input a user can end."""
    number = os.open(name, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.isatty(number)
    finally:
        os.close(number)


def _open(name: str) -> io.FileIO:
    """Open an input where it is.

    A descriptor is duplicated, which also works for a socket, or where another user opened it.
    """
    _refuse_device(name)
    number = descriptor_of(name)
    if number is None:
        return open(name, "rb", buffering=0)
    try:
        return open(os.dup(number), "rb", buffering=0)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None


def _copy(name: str) -> str:
    """Copy an input to a temporary file, once, and return the copy's name."""
    existing = _copies[name]
    if existing is not None:
        return existing
    with _open(name) as source, ExitStack() as stack:
        try:
            copy = os.path.join(stack.enter_context(scratch_folder()), "copy")
            with open(copy, "xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except OSError as error:
            raise InputError(
                "this is needed more than once, and cannot be copied to "
                f"{temporary_place()} ({error.strerror or error})",
                file=name,
                remedy="give a file, or set TMPDIR to a folder with more room",
            ) from None
        _folders[name] = stack.pop_all()
    _copies[name] = copy
    return copy


def _remove_copy(name: str) -> None:
    """Remove the copy of an input that no block needs any more."""
    del _users[name], _copies[name]
    if name in _folders:
        _folders.pop(name).close()
