"""A folder for the files that other programs' readers need: in memory where that is possible, and gone at the end."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

#: Where files cost least.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_PREFIX = "counterbias-fuzz."
_base: list[str | None] = [MEMORY]


def new() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for all processes of a run."""
    return tempfile.TemporaryDirectory(prefix=_PREFIX, dir=MEMORY)


def use(base: str) -> None:
    """Let this process make its folder within another one, whose maker removes it whatever becomes of this process."""
    _base[0] = base


@lru_cache(maxsize=1)
def _own() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_base[0])


def prepare() -> None:
    """Make this process's folder now, so that forked children share it and it goes with this process."""
    _own()


def folder(name: str) -> Path:
    """Give this process's folder for a target."""
    path = Path(_own().name) / name
    path.mkdir(exist_ok=True)
    return path
