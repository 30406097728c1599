"""Temporary names beside their targets, and the removal of what a killed run has left of them.

A temporary file is called ``.NAME.MACHINE-PROCESS-NUMBER.partial.SUFFIX`` after its target NAME, hidden from shells and from reports that
search folders. MACHINE stands for the running system (it changes when a computer starts anew), PROCESS for the process. While it is
written it is locked (flock), which the system ends with the process, however that ends.

The next run that writes the same target removes it where nobody writes it any more: nobody holds its lock, and the process is gone.
Where MACHINE is another one, as on a network folder, processes cannot be seen and locks do not always reach: there it must also have
lain unchanged for a day. A temporary folder has the same name and holds its lock in a file.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

from counterbias.files.streams import is_stream

#: Within a temporary folder: the locked file, and the folder that is lent.
LOCK, CONTENT = "lock", "content"
#: Seconds that something of another machine must have lain unchanged.
DAY = 86_400.0
#: Bytes of a target's name that its temporary name repeats (of 255 that most file systems allow), and of its suffix.
_LONGEST, _LONGEST_SUFFIX = 150, 16

_NAME = re.compile(
    r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>\d{1,9})-\d+\.partial(?:\.[^.]*)?",
    re.DOTALL,
)

_serial = count(int.from_bytes(os.urandom(2)))
#: What this process has begun to write.
_unfinished: set[str] = set()


@functools.cache
def _machine() -> str:
    """Name the running system: containers on it share the name, another boot has another."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            told = file.read()
    except OSError:
        told = os.uname().nodename.encode()
    return f"{zlib.crc32(told):08x}"


def _label(name: str) -> str:
    """Give what stands for a target's name: a long one is cut."""
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
    """Make the temporary file of a target (a name without links): its name, and a descriptor that holds its lock. Raises OSError."""
    while True:
        name = _new_name(target)
        _unfinished.add(name)
        try:
            descriptor = _locked(name, 0o666)
        except FileExistsError:  # another container's, whose processes have the same numbers
            _unfinished.discard(name)
            continue
        except OSError:
            drop(name)
            raise
        if descriptor is not None:
            return name, descriptor
        drop(name)


def make_folder(target: str) -> tuple[str, int]:
    """Make the temporary folder of a target, with :data:`CONTENT` in it: its name, and a descriptor that holds its lock."""
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
    """Make a file and lock it; None where another run has removed it before it was locked. Raises OSError."""
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
    """Give a temporary file its own name. Raises OSError."""
    os.replace(name, target)
    _unfinished.discard(name)


def drop(name: str) -> None:
    """Remove a temporary file or folder, if it is still there."""
    _remove(name)
    _unfinished.discard(name)


def _remove(name: str) -> None:
    if os.path.isdir(name) and not os.path.islink(name):
        shutil.rmtree(name, ignore_errors=True)
    else:
        with suppress(OSError):
            os.remove(name)


def abandon() -> None:
    """Remove everything that this process has begun to write and not finished: it is about to end."""
    for name in tuple(_unfinished):
        drop(name)


def remove_leftovers(targets: Iterable[str | os.PathLike[str]]) -> None:
    """Remove what runs that are no more have left of these targets (files, or folders made by :func:`make_folder`)."""
    wanted: dict[str, set[str]] = {}
    for target in targets:
        if not is_stream(target):
            folder, name = os.path.split(os.path.realpath(target))
            wanted.setdefault(folder, set()).add(_label(name))
    for folder, labels in wanted.items():
        _sweep(folder, labels)


def remove_leftovers_in(folder: str | os.PathLike[str]) -> None:
    """Remove what runs that are no more have left in a folder that is Counterbias's own."""
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
    """Remove a temporary file or folder unless somebody may be writing it. ``here``: whether this machine made it. Raises OSError."""
    if here:
        # A container numbers its processes by itself: there ours may have the number of one that is gone, and the lock decides.
        if process != os.getpid() and _lives(process):
            return
    elif time.time() - os.lstat(path).st_mtime < DAY:
        return
    lock = os.path.join(path, LOCK) if os.path.isdir(path) else path
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:  # killed before it was made
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
    """Tell whether a process is at work; one that has ended may be listed still, until its parent asks how."""
    with suppress(OSError, IndexError), open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
