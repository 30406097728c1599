"""Writing a file, or all files of a folder, so that they appear whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from counterbias.errors import InputError
from counterbias.files import partial
from counterbias.files.streams import is_stream, open_stream

if TYPE_CHECKING:
    from pathlib import Path

Name = str | os.PathLike[str]


def cannot_write(path: Name, error: OSError) -> InputError:
    """Return the user's error for a file that the operating system could not write."""
    # HDF5 puts pages of details into its message.
    reason = os.strerror(error.errno) if error.errno else error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space or name a file on another disk"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "name a file in a folder that you may write to"
    elif error.errno == errno.ENOENT:
        remedy = "make its folder first, or name another one"
    elif error.errno == errno.EFBIG:
        remedy = (
            "raise the limit on the size of files (`ulimit -f`), or name a file on another disk"
        )
    else:
        remedy = "name another file"
    return InputError(f"cannot be written: {reason}", file=os.fspath(path), remedy=remedy)


@contextmanager
def writing_errors(path: Name) -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names ``path``.

    A reader that has gone away (EPIPE) passes through.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def temporary_place() -> str:
    """Return the folder for temporary files, as TMPDIR names it. Raises OSError if there is none.

    The import takes milliseconds, and most runs need no such folder.
    """
    import tempfile

    return tempfile.gettempdir()


@contextmanager
def temporary_errors(what: str) -> Iterator[None]:
    """Turn an OSError of the block into an InputError about the folder for temporary files.

    Args:
        what: what was to be kept there.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{what} cannot be kept in a temporary file: {error.strerror or error}",
            file=temporary_place(),
            remedy="set TMPDIR to a folder with room",
        ) from error


@contextmanager
def whole_stream(path: Name, *, keep: bool = False, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a file for writing; it appears when the block succeeds, and is removed when it fails.

    Args:
        path: the file; of a symbolic link the target is replaced. A stream is written to.
        keep: whether to append to the present content.
        buffering: as for :func:`open`.

    Raises:
        InputError: the file cannot be written.
    """
    with writing_errors(path):
        if is_stream(path):
            with open_stream(path, buffering) as stream:
                yield stream
            return
        # Both descriptors share the lock, so that it lasts until the file has its name.
        with (
            _replacing(path, keep) as descriptor,
            os.fdopen(os.dup(descriptor), "wb", buffering) as file,
        ):
            file.seek(0, os.SEEK_END)
            yield file


@contextmanager
def whole_text(path: Name, *, keep: bool = False) -> Iterator[TextIO]:
    """Open a text file as :func:`whole_stream` does: UTF-8, with line ends as written.

    Bytes of names that are not UTF-8 stay as they are.
    """
    with whole_stream(path, keep=keep) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        try:
            yield text
            text.flush()
        finally:
            # The flush above has already raised; whole_stream closes the stream.
            with suppress(OSError, ValueError):
                text.detach()


@contextmanager
def _replacing(path: Name, keep: bool) -> Iterator[int]:
    """Yield the descriptor of a temporary file that replaces ``path`` at the end. Raises OSError.

    The file has the permissions of ``path`` and, with ``keep``, its content.
    """
    target = os.path.realpath(path)
    name, descriptor = partial.make_file(target)
    try:
        if os.path.exists(target):
            if keep:
                shutil.copyfile(target, name)
            with suppress(OSError):
                os.chmod(name, stat.S_IMODE(os.stat(target).st_mode))
        yield descriptor
        partial.keep(name, target)
    except BaseException:
        partial.drop(name)
        raise
    finally:
        os.close(descriptor)


def nameless_file(path: Name, buffering: int = -1) -> BinaryIO:
    """Open a temporary file without a name for writing and reading. Raises OSError.

    It lies next to ``path``, where there must be room anyway (for a stream, in TMPDIR), and
    disappears when it is closed, however the program ends.
    """
    if is_stream(path):
        import tempfile

        return cast(BinaryIO, tempfile.TemporaryFile(buffering=buffering))
    name, descriptor = partial.make_file(os.path.realpath(path))
    partial.drop(name)
    return os.fdopen(descriptor, "r+b", buffering)


def can_be_made(path: Name) -> bool:
    """Whether a file can be made next to ``path``, found out by making one.

    Permissions alone do not tell: the disk may be read-only, the user root, the folder remote.
    """
    try:
        nameless_file(path).close()
    except OSError:
        return False
    return True


@contextmanager
def new_folder(path: Name) -> Iterator[None]:
    """Make a folder, and those above it, where missing; remove them if the block fails.

    A folder that is not empty stays. Raises InputError where it cannot be made.
    """
    made: list[str] = []
    try:
        with writing_errors(path):
            partial.make_folders(os.path.realpath(path), made)
        yield
    except BaseException:
        partial.drop_folders(made)
        raise
    partial.keep_folders(made)


@contextmanager
def whole_folder(path: Name) -> Iterator[Path]:
    """Yield an empty folder whose files move to the folder ``path`` when the block succeeds.

    When it fails they are removed. Files of the same names are replaced, as by
    :func:`whole_stream`.

    Raises:
        InputError: the files cannot be written. An InputError of the block that names a file in the
            folder is raised again with the file's final name.
    """
    from pathlib import Path

    real = os.path.realpath(path)
    made: list[str] = []
    with writing_errors(path):
        try:
            partial.make_folders(os.path.dirname(real), made)
            with _temporary_folder(real) as folder:
                try:
                    yield Path(folder)
                except InputError as error:
                    if not error.file.startswith(folder):
                        raise
                    place = os.fspath(path) + error.file[len(folder) :]
                    raise InputError(
                        error.problem, file=place, place=error.place, remedy=error.remedy
                    ) from error
                partial.make_folders(real, made)
                for name in sorted(os.listdir(folder)):
                    _move(os.path.join(folder, name), os.path.join(real, name))
        except BaseException:
            partial.drop_folders(made)
            raise
        partial.keep_folders(made)


@contextmanager
def scratch_folder(where: str | None = None) -> Iterator[str]:
    """Yield a folder for temporary files, removed at the end with all that is in it.

    It lies in TMPDIR, or in ``where``. Raises OSError.
    """
    target = os.path.join(temporary_place() if where is None else where, "counterbias")
    partial.remove_leftovers([target])
    with _temporary_folder(target) as folder:
        yield folder


@contextmanager
def _temporary_folder(target: str) -> Iterator[str]:
    name, descriptor = partial.make_folder(target)
    try:
        yield os.path.join(name, partial.CONTENT)
    finally:
        partial.drop(name)
        os.close(descriptor)


def _move(source: str, path: str) -> None:
    """Move a finished file to its place, which may be on another disk, or a stream.

    Raises OSError and InputError.
    """
    if not is_stream(path):
        try:
            os.replace(source, os.path.realpath(path))
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    with open(source, "rb") as finished, whole_stream(path) as stream:
        shutil.copyfileobj(finished, stream, 1 << 20)
