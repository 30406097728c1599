"""Room for HDF5 files (h5ad, loom), which must not meet a full disk.

HDF5 notices a full disk, and a limit on the size of files, only when a file is closed, and then
brings the whole program down. So it writes where there is certainly enough room.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from counterbias.files import scratch_folder, temporary_place, whole_stream, writing_errors


@contextmanager
def written_where_there_is_room(room: int, filename: str) -> Iterator[str]:
    """Lend a name for HDF5 to write to; its bytes become the file ``filename``.

    It is in memory (most Linux systems have a folder there), in the folder for temporary files, or
    in that of the file.

    Args:
        room: bytes that the file certainly fits in.
        filename: the file.

    Raises:
        InputError: the file cannot be written.
    """
    folders = ["/dev/shm"]
    with suppress(OSError):  # there may be no folder for temporary files
        folders.append(temporary_place())
    folders.append(os.path.dirname(os.path.realpath(filename)))
    with writing_errors(filename), scratch_folder(folder_with_room(room, folders)) as folder:
        name = os.path.join(folder, "table")
        yield name
        with open(name, "rb") as source, whole_stream(filename) as stream:
            shutil.copyfileobj(source, stream, 1 << 20)


def folder_with_room(room: int, folders: Sequence[str]) -> str:
    """Return the first folder with ``room`` bytes free. Raises OSError where there is none."""
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]  # files in memory included
    if largest != resource.RLIM_INFINITY and largest < room:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    for folder in folders:
        with suppress(OSError):
            disk = os.statvfs(folder)
            if os.access(folder, os.W_OK) and disk.f_bavail * disk.f_frsize >= room:
                return folder
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
