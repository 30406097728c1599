"""Room for HDF5 files (h5ad, loom), which must not meet a full disk.

HDF5 notices a full disk, and a limit on the size of files, only when a file is closed, and then
brings the whole program down. So it writes where there is certainly enough room.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from counterbias.files import (
    folder_with_room,
    scratch_folder,
    temporary_place,
    whole_stream,
    writing_errors,
)


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
