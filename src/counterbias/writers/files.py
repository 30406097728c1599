"""Files that appear whole or not at all, and checks of output names before the work starts.

A file is written beside its final place under a temporary name and renamed when it is complete, so that an interrupted run or a
full disk leaves what was there before. Names that are not regular files (``/dev/stdout``, a named pipe) are written in place.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from counterbias.errors import InputError

_serial = count(1)


def is_special(path: str | os.PathLike[str]) -> bool:
    """Tell whether the name exists and is neither a regular file nor a folder (a device or a pipe)."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def cannot_write(path: str | os.PathLike[str], error: OSError) -> InputError:
    """Turn a failure of the operating system to write a file into the line that a user sees."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        remedy = "free some space or name a file on another disk"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "name a file in a folder that you may write to"
    elif error.errno == errno.ENOENT:
        remedy = "make its folder first, or name another one"
    else:
        remedy = "name another file"
    return InputError(f"cannot be written: {reason}", file=os.fspath(path), remedy=remedy)


@contextmanager
def writing_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn OSError inside the block into an InputError that names ``path``; a reader gone away (EPIPE) passes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def temporary_name(path: str | os.PathLike[str]) -> str:
    """Give an unused name in the folder of ``path`` (links followed), hidden and with the same suffix."""
    target = Path(os.path.realpath(path))
    return str(target.parent / f".{target.stem}.{os.getpid()}-{next(_serial)}.partial{target.suffix}")


@contextmanager
def whole_file(path: str | os.PathLike[str], *, keep: bool = False) -> Iterator[str]:
    """Lend a temporary name for ``path``, renamed when the block succeeds and removed when it fails.

    Args:
        path: where the file is to be; a symbolic link stays one and its target is replaced.
        keep: whether the temporary file starts as a copy of what is there (to append to it).

    Yields:
        the name to write to. For a device or a pipe that is ``path`` itself.

    Raises:
        InputError: the file cannot be written.
    """
    if is_special(path):
        with writing_errors(path):
            yield os.fspath(path)
        return
    target = os.path.realpath(path)
    partial = temporary_name(path)
    try:
        with writing_errors(path):
            _create(partial, target, keep)
            yield partial
            os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            os.remove(partial)
        raise


def _create(partial: str, target: str, keep: bool) -> None:
    """Make the temporary file with the rights that ``target`` has, or that a new file gets."""
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    if not os.path.exists(target):
        return
    import shutil

    if keep:
        shutil.copyfile(target, partial)
    with suppress(OSError):
        os.chmod(partial, stat.S_IMODE(os.stat(target).st_mode))


def check_outputs(outputs: Sequence[tuple[str, str]], *, inputs: Sequence[str] = ()) -> None:
    """Find out before the work starts whether every output can be written; nothing is created or changed.

    Args:
        outputs: (what the user calls it, as in ``-c`` or ``--bias-output``; file name) of each file.
        inputs: files that are read; ``-`` stands for standard input.

    Raises:
        InputError: an empty name, a folder, a missing or read-only folder, a read-only file, the same file twice, or an input.
    """
    sources = {os.path.realpath(name): name for name in inputs if name != "-"}
    seen: dict[str, str] = {}
    for label, name in outputs:
        _check_output(label, name)
        if is_special(name):
            continue
        real = os.path.realpath(name)
        if real in sources:
            raise InputError(f"{label} would overwrite an input file", file=name, remedy="name another file")
        if real in seen:
            both = label if label == seen[real] else f"{seen[real]} and {label}"
            raise InputError(f"{both} would write the same file twice", file=name, remedy="give each output a name of its own")
        seen[real] = label


def _check_output(label: str, name: str) -> None:
    """Check one name by itself."""
    if not name:
        raise InputError(f"{label} needs a file name")
    if os.path.isdir(name):
        raise InputError(f"{label} is a folder", file=name, remedy="name a file inside it")
    if is_special(name):
        if not os.access(name, os.W_OK):
            raise InputError(f"{label} cannot be written: permission denied", file=name)
        return
    folder = os.path.dirname(os.path.realpath(name))
    if not os.path.isdir(folder):
        raise InputError(f"{label}: the folder {folder} does not exist", file=name, remedy="make it first, or name another one")
    if not _may_create(folder):
        raise InputError(f"{label}: the folder {folder} cannot be written to", file=name, remedy="name a file in another folder")
    if os.path.exists(name) and not os.access(name, os.W_OK):
        raise InputError(f"{label} is write-protected", file=name, remedy="name another file")


def _may_create(folder: str) -> bool:
    """Try it: rights alone do not tell (read-only disks, root, network folders)."""
    trial = os.path.join(folder, f".counterbias.{os.getpid()}-{next(_serial)}.trial")
    try:
        os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.remove(trial)
    except OSError:
        return False
    return True
