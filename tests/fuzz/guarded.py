"""Memory that ends where the process may not go: one byte read or written too far ends the process at once."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LIBC = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Room for an array that ends right before a page that may not be touched, and begins, if so wanted, right behind one."""

    def __init__(self, size: int, kind: Any) -> None:
        page = mmap.PAGESIZE
        self._kind = np.dtype(kind)
        pages = -(-size * self._kind.itemsize // page)
        self._memory = mmap.mmap(
            -1, (pages + 2) * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for edge in (address, address + (pages + 1) * page):
            if _LIBC.mprotect(ctypes.c_void_p(edge), ctypes.c_size_t(page), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self._room = np.frombuffer(self._memory, dtype=np.uint8)[page : (pages + 1) * page].view(
            self._kind
        )

    def ending(self, size: int) -> NDArray[Any]:
        """Give an array of ``size`` items that ends at the second forbidden page."""
        return self._room[len(self._room) - size :]

    def beginning(self, size: int) -> NDArray[Any]:
        """Give an array of ``size`` items that begins at the first forbidden page."""
        return self._room[:size]
