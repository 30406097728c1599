"""Temporary files next to their targets, and the removal of those that a killed run left.

A temporary file is called ``.NAME.MACHINE-PROCESS-NUMBER.partial.SUFFIX`` after its target NAME,
hidden from shells and from reports that search folders. MACHINE identifies the running system (it
changes when a computer is restarted), PROCESS the process. While it is written it is locked
(flock); the system releases the lock when the process ends, however it ends.

The next run that writes the same target removes the file if nobody is writing it any more: its lock
is free, and the process is gone. On another MACHINE, as on a network folder, processes cannot be
seen and locks may not work: there it must also have been unchanged for a day. A temporary folder is
named in the same way and has its lock in a file inside it.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count

from counterbias.files.streams import is_stream

#: Within a temporary folder: the locked file, and the folder that is used.
LOCK, CONTENT = "lock", "content"
#: Seconds that a temporary file of another machine must have been unchanged.
DAY = 86_400.0
#: Seconds for which a run that ends waits for its own threads to stop making files.
_PATIENCE = 0.5
#: Most bytes of a target's name, and of its suffix, that its temporary name repeats; most file
#: systems allow names of 255 bytes.
_LONGEST, _LONGEST_SUFFIX = 150, 16

_NAME = re.compile(
    r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>\d{1,9})-\d+\.partial(?:\.[^.]*)?",
    re.DOTALL,
)

_serial = count(int.from_bytes(os.urandom(2)))
#: Temporary files and folders of this process that are not finished.
_unfinished: set[str] = set()
#: Folders that this process has made for files that are not finished, from the outermost on.
_made: list[str] = []


@functools.cache
def _machine() -> str:
    """Identify the running system: its containers share the name, a restart changes it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            identity = file.read()
    except OSError:
        identity = os.uname().nodename.encode()
    return f"{zlib.crc32(identity):08x}"


def _label(name: str) -> str:
    """Return the part of a temporary name that identifies the target: a long one is cut."""
    raw = os.fsencode(name)
    return name if len(raw) <= _LONGEST else f"{os.fsdecode(raw[:100])}~{zlib.crc32(raw):08x}"


def _new_name(target: str) -> str:
    folder, name = os.path.split(target)
    suffix = os.path.splitext(name)[1]
    suffix = suffix if len(os.fsencode(suffix)) <= _LONGEST_SUFFIX else ""
    return os.path.join(
        folder, f".{_label(name)}.{_machine()}-{os.getpid()}-{next(_serial)}.partial{suffix}"
    )


def make_file(target: str) -> tuple[str, int]:
    """Make the temporary file of a target, which is a name without symbolic links.

    Returns its name, and a descriptor that holds its lock. Raises OSError.
    """
    while True:
        name = _new_name(target)
        _unfinished.add(name)
        try:
            descriptor = _locked(name, 0o666)
        except FileExistsError:  # of another container, whose processes have the same numbers
            _unfinished.discard(name)
            continue
        except OSError:
            drop(name)
            raise
        if descriptor is not None:
            return name, descriptor
        drop(name)


def make_folder(target: str) -> tuple[str, int]:
    """Make the temporary folder of a target, with :data:`CONTENT` in it.

    Returns its name, and a descriptor that holds its lock. Raises OSError.
    """
    while True:
        name = _new_name(target)
        _unfinished.add(name)
        try:
            os.mkdir(name, 0o700)
            descriptor = _locked(os.path.join(name, LOCK), 0o600)
            if descriptor is not None:
                os.mkdir(os.path.join(name, CONTENT))
                return name, descriptor
        except FileExistsError:  # as in make_file
            _unfinished.discard(name)
            continue
        except OSError:
            drop(name)
            raise
        drop(name)


def _locked(name: str, mode: int) -> int | None:
    """Make a file and lock it; None where another run removed it in between. Raises OSError."""
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(name)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        return descriptor  # a file system without locks
    os.close(descriptor)
    return None


def keep(name: str, target: str) -> None:
    """Rename a finished temporary file to its target. Raises OSError."""
    os.replace(name, target)
    _unfinished.discard(name)


def drop(name: str) -> None:
    """Remove a temporary file or folder, if it still exists.

    One into which another thread still writes is left to :func:`abandon`.
    """
    _remove(name)
    if not os.path.lexists(name):
        _unfinished.discard(name)


def _remove(name: str) -> None:
    if os.path.isdir(name) and not os.path.islink(name):
        shutil.rmtree(name, ignore_errors=True)
    else:
        with suppress(OSError):
            os.remove(name)


def make_folders(folder: str, made: list[str]) -> None:
    """Make a folder and those above it where missing; add them to ``made``. Raises OSError.

    ``made`` goes to :func:`keep_folders` or to :func:`drop_folders`.
    """
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for one in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(one)
            _made.append(one)
            made.append(one)
        if not os.path.isdir(one):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), one)


def keep_folders(made: Iterable[str]) -> None:
    """Leave folders of :func:`make_folders` where they are."""
    for one in made:
        with suppress(ValueError):  # a signal is ending the run
            _made.remove(one)


def drop_folders(made: Sequence[str]) -> None:
    """Remove folders of :func:`make_folders`, unless files lie in them."""
    for one in reversed(made):
        with suppress(OSError):
            os.rmdir(one)
            keep_folders([one])


def abandon() -> None:
    """Remove everything that this process has not finished writing, before it ends.

    Threads that are still at work may make files meanwhile, which are waited for a little.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        for name in tuple(_unfinished):
            drop(name)
        if not _unfinished or time.monotonic() > until:
            break
        time.sleep(0.01)
    drop_folders(tuple(_made))


def remove_leftovers(targets: Iterable[str | os.PathLike[str]]) -> None:
    """Remove what killed runs left of these targets: files, or folders of :func:`make_folder`."""
    wanted: dict[str, set[str]] = {}
    for target in targets:
        if not is_stream(target):
            folder, name = os.path.split(os.path.realpath(target))
            wanted.setdefault(folder, set()).add(_label(name))
    for folder, labels in wanted.items():
        _sweep(folder, labels)


def remove_leftovers_in(folder: str | os.PathLike[str]) -> None:
    """Remove what killed runs left in a folder that only Counterbias writes to."""
    _sweep(os.path.realpath(folder), None)


def _sweep(folder: str, labels: set[str] | None) -> None:
    try:
        with os.scandir(folder) as entries:
            hidden = [
                entry.name
                for entry in entries
                if entry.name.startswith(".") and ".partial" in entry.name
            ]
    except OSError:
        return
    for name in hidden:
        found = _NAME.fullmatch(name)
        if found is not None and (labels is None or found["name"] in labels):
            path = os.path.join(folder, name)
            if path not in _unfinished:
                with suppress(OSError):
                    _remove_ownerless(path, found["machine"] == _machine(), int(found["process"]))


def _remove_ownerless(path: str, here: bool, process: int) -> None:
    """Remove a temporary file or folder unless a process may be writing it. Raises OSError.

    Args:
        path: the temporary file or folder.
        here: whether it was made on this machine.
        process: the process that made it.
    """
    if here:
        # Containers number processes separately: ours may have the number of one that is gone, and
        # then the lock decides.
        if process != os.getpid() and _lives(process):
            return
    elif time.time() - os.lstat(path).st_mtime < DAY:
        return
    lock = os.path.join(path, LOCK) if os.path.isdir(path) else path
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:  # the run was killed before it made the lock
        if here:
            _remove(path)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    except BlockingIOError:
        pass
    except OSError:  # a file system without locks
        if here:
            _remove(path)
    finally:
        os.close(descriptor)


def _lives(process: int) -> bool:
    """Whether a process is running; one that has ended may still be listed, as a zombie."""
    with suppress(OSError, IndexError), open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
