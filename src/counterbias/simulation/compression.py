"""BGZF (SAMv1 section 4.1): blocks compressed by several threads and written in order.

gzip can read the files as well.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import deflate

from counterbias.files import whole_stream

#: Bytes of content per block, as in htslib.
BLOCK = 0xFF00
#: Default level of compression.
LEVEL = 6
_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def write_blocks(
    stream: BinaryIO, blocks: Iterable[bytes], *, level: int = LEVEL, threads: int = 1
) -> None:
    """Compress blocks, each of at most :data:`BLOCK` bytes, and write them with the end marker.

    The bytes do not depend on ``threads``.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[bytes]] = deque()
        for block in blocks:
            pending.append(pool.submit(_compress, block, level))
            while len(pending) > 4 * threads + 60:
                stream.write(pending.popleft().result())
        for future in pending:
            stream.write(future.result())
        stream.write(_EOF)


def write_compressed(
    path: str | os.PathLike[str],
    pieces: Iterable[bytes],
    *,
    level: int = LEVEL,
    threads: int = 1,
) -> None:
    """Write pieces of any size as one compressed file."""
    with whole_stream(path) as stream:
        write_blocks(stream, _full_blocks(pieces), level=level, threads=threads)


def _full_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Divide pieces of any size into full blocks; only the last one may be smaller."""
    kept = b""
    for piece in pieces:
        kept += piece
        whole = len(kept) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            yield kept[start : start + BLOCK]
        kept = kept[whole:]
    if kept:
        yield kept


def _compress(content: bytes, level: int) -> bytes:
    """Return one block."""
    packed = deflate.deflate_compress(content, level)
    if len(packed) + 26 > 0x10000:
        packed = deflate.deflate_compress(content, 0)
    head = struct.pack("<4BI2BH2B2H", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
    return head + bytes(packed) + struct.pack("<2I", deflate.crc32(content), len(content))
