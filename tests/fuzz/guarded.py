"""Memory next to forbidden pages: reading or writing one byte too far ends the process."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LIBC = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Memory between two forbidden pages, for arrays that begin or end right at one of them."""

    def __init__(self, size: int, dtype: Any) -> None:
        page = mmap.PAGESIZE
        self._dtype = np.dtype(dtype)
        pages = -(-size * self._dtype.itemsize // page)
        self._memory = mmap.mmap(
            -1, (pages + 2) * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for edge in (address, address + (pages + 1) * page):
            if _LIBC.mprotect(ctypes.c_void_p(edge), ctypes.c_size_t(page), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self._array = np.frombuffer(self._memory, dtype=np.uint8)[page : (pages + 1) * page].view(
            self._dtype
        )

    def ending(self, size: int) -> NDArray[Any]:
        """Return an array of ``size`` items that ends at the second forbidden page."""
        return self._array[len(self._array) - size :]

    def beginning(self, size: int) -> NDArray[Any]:
        """Return an array of ``size`` items that begins at the first forbidden page."""
        return self._array[:size]
