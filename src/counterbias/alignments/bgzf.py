"""Finding and inflating the blocks of BGZF (SAMv1 specification, section 4.1), many per call.

Input: compressed bytes. Output: the contents of the blocks, one after the other, checked by CRC32
and length. Blocks are inflated by libdeflate, which the ``deflate`` wheel contains, called from a
compiled loop without the interpreter; where the wheel does not export libdeflate's functions, zlib
does the same, more slowly.
"""

from __future__ import annotations

import ctypes
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias.native import call_crc32, call_decompress, load_i32, load_u16

#: Most bytes of a block, compressed or inflated.
MAX_BLOCK = 1 << 16

#: Columns of the block table: where the compressed data start, their number of bytes, the number of
#: inflated bytes, their CRC32, and where the output starts.
DATA, SIZE, INFLATED, CRC, TARGET = range(5)

#: The problems that :func:`scan_blocks` finds.
BAD_MAGIC, BAD_SIZE, BAD_INFLATED = 1, 2, 3
SCAN_PROBLEMS = {
    BAD_MAGIC: "what follows is not a BGZF block",
    BAD_SIZE: "a block has an impossible length",
    BAD_INFLATED: "a block claims to hold more than 64 KiB",
}


@loop("u1[::1], i8, i8, i8, i8[:, ::1]")
def scan_blocks(source: Any, start: Any, end: Any, enough: Any, blocks: Any) -> Any:
    """List the complete blocks in ``source[start:end]``.

    Stops where the listed blocks hold ``enough`` inflated bytes or the table ``blocks`` is full.
    Returns (blocks found, start of the first unlisted block, inflated bytes, problem or 0).
    """
    base = source.ctypes.data
    found = 0
    total = 0
    here = start
    while found < blocks.shape[0] and total < enough and end - here >= 18:
        if (
            source[here] != 31
            or source[here + 1] != 139
            or source[here + 2] != 8
            or (source[here + 3] & 4) == 0
        ):
            return found, here, total, BAD_MAGIC
        extra_end = here + 12 + load_u16(base + here + 10)
        if extra_end > end:
            break
        length = -1
        field = here + 12
        while field + 4 <= extra_end:
            size = load_u16(base + field + 2)
            if (
                source[field] == 66
                and source[field + 1] == 67
                and size == 2
                and field + 6 <= extra_end
            ):
                length = load_u16(base + field + 4) + 1
                break
            field += 4 + size
        if length < 0:
            return found, here, total, BAD_MAGIC
        if here + length < extra_end + 8:
            return found, here, total, BAD_SIZE
        if here + length > end:
            break
        inflated = load_i32(base + here + length - 4)
        if inflated < 0 or inflated > MAX_BLOCK:
            return found, here, total, BAD_INFLATED
        blocks[found, 0] = extra_end
        blocks[found, 1] = here + length - 8 - extra_end
        blocks[found, 2] = inflated
        blocks[found, 3] = load_i32(base + here + length - 8) & 0xFFFFFFFF
        blocks[found, 4] = total
        total += inflated
        found += 1
        here += length
    return found, here, total, 0


@loop("u1[::1], u1[::1], i8, i8[:, ::1], i8, i8, i8, i8")
def _inflate_blocks(
    source: Any,
    target: Any,
    base: Any,
    blocks: Any,
    count: Any,
    decompress: Any,
    crc32: Any,
    state: Any,
) -> Any:
    """Inflate ``count`` blocks to ``target[base:]``; return the first bad block, or -1."""
    source_address = source.ctypes.data
    target_address = target.ctypes.data + base
    for i in range(count):
        place = target_address + blocks[i, 4]
        size = blocks[i, 2]
        # With no pointer for the actual size, libdeflate fails unless it is exactly the given one.
        if (
            call_decompress(
                decompress, state, source_address + blocks[i, 0], blocks[i, 1], place, size, 0
            )
            != 0
        ):
            return i
        if np.int64(call_crc32(crc32, np.uint32(0), place, size)) != blocks[i, 3]:
            return i
    return -1


def _inflate_with_zlib(
    source: NDArray[np.uint8], target: NDArray[np.uint8], base: int, blocks: NDArray[np.int64]
) -> int:
    """Do what :func:`_inflate_blocks` does, with the standard library."""
    for i, (data, size, inflated, crc, offset) in enumerate(blocks.tolist()):
        try:
            content = zlib.decompress(
                source[data : data + size].tobytes(), wbits=-15, bufsize=max(inflated, 1)
            )
        except zlib.error:
            return i
        if len(content) != inflated or zlib.crc32(content) != crc:
            return i
        target[base + offset : base + offset + inflated] = np.frombuffer(content, dtype=np.uint8)
    return -1


class Libdeflate(NamedTuple):
    """Addresses of libdeflate's functions."""

    decompress: int
    crc32: int
    allocate: Any
    release: Any


def find_libdeflate() -> Libdeflate | None:
    """Find libdeflate's functions in the ``deflate`` wheel; None where it does not export them."""
    try:
        import deflate

        library = ctypes.CDLL(deflate._deflate.__file__)
        allocate, release = (
            library.libdeflate_alloc_decompressor,
            library.libdeflate_free_decompressor,
        )
        addresses = [
            ctypes.cast(function, ctypes.c_void_p).value
            for function in (library.libdeflate_deflate_decompress, library.libdeflate_crc32)
        ]
    except (ImportError, AttributeError, OSError):
        return None
    allocate.restype, allocate.argtypes = ctypes.c_void_p, []
    release.restype, release.argtypes = None, [ctypes.c_void_p]
    return Libdeflate(addresses[0] or 0, addresses[1] or 0, allocate, release)


class Inflater:
    """Inflates blocks; one per buffer, since libdeflate's state must not be shared by threads."""

    def __init__(self, library: Libdeflate | None) -> None:
        self._library = library
        self._state = library.allocate() if library else None

    def inflate(
        self,
        source: NDArray[np.uint8],
        target: NDArray[np.uint8],
        base: int,
        blocks: NDArray[np.int64],
        count: int,
    ) -> int:
        """Inflate the table's first ``count`` blocks to ``target[base:]``.

        Returns the number of the first bad block, or -1.
        """
        if self._library is None or not self._state:
            return _inflate_with_zlib(source, target, base, blocks[:count])
        library = self._library
        return int(
            _inflate_blocks(
                source, target, base, blocks, count, library.decompress, library.crc32, self._state
            )
        )

    def __del__(self) -> None:
        if self._library is not None and self._state:
            self._library.release(self._state)
            self._state = None
