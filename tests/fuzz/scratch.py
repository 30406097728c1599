"""Folders for files that other programs read: in memory if possible, and removed at the end."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

#: A file system in memory, if there is one.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_PREFIX = "counterbias-fuzz."
_base: list[str | None] = [MEMORY]


def new() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for all processes of a run."""
    return tempfile.TemporaryDirectory(prefix=_PREFIX, dir=MEMORY)


def use(base: str) -> None:
    """Make this process create its folder within another, which another process will remove."""
    _base[0] = base


@lru_cache(maxsize=1)
def _own() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_base[0])


def prepare() -> None:
    """Create the folder of this process now, so that forked children share it."""
    _own()


def folder(name: str) -> Path:
    """Return the folder of this process for a target."""
    path = Path(_own().name) / name
    path.mkdir(exist_ok=True)
    return path
