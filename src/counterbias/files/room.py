"""Folders with room, for libraries that do not survive, or do not notice, a full disk."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Sequence
from contextlib import suppress


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
