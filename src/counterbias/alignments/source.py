"""The bytes of an alignment file, wherever they come from."""

from __future__ import annotations

import os
import stat
from typing import Any

from counterbias.errors import InputError

#: How the BAM bytes of a source are compressed: in BGZF blocks, or not at all.
BGZF, RAW = "bgzf", "raw"
#: The remedy for a file that ends too early.
TRUNCATED = "it is probably truncated: copy it again or regenerate it"


def is_bgzf(head: bytes) -> bool:
    """Whether gzipped bytes are BGZF, which has an extra field named BC."""
    return len(head) >= 18 and head[2] == 8 and bool(head[3] & 4) and head[12:14] == b"BC"


class Source:
    """The BAM bytes of a file, of stdin or of a child process.

    Args:
        path: the file as the user named it; ``-`` is stdin.
        stream: an unbuffered binary stream.
        head: bytes already read from it, to recognise the format.
        compression: :data:`BGZF` or :data:`RAW`.
    """

    def __init__(self, path: str, stream: Any, head: bytes, compression: str) -> None:
        self.path = path
        self.compression = compression
        self._stream = self._file = stream
        self._head = head

    def readinto(self, target: memoryview) -> int:
        """Read the next bytes into ``target``; return their number, 0 at the end."""
        if self._head:
            size = min(len(self._head), len(target))
            target[:size] = self._head[:size]
            self._head = self._head[size:]
            return size
        try:
            return int(self._stream.readinto(target) or 0)
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}", file=self.path) from None

    def bytes_read(self) -> tuple[int, int]:
        """Return how many bytes of the file were read and how many it has; (0, 0) for a pipe.

        A child process that reads it shares the position in it.
        """
        try:
            number = self._file.fileno()
            status = os.fstat(number)
            if stat.S_ISREG(status.st_mode):
                return os.lseek(number, 0, os.SEEK_CUR), status.st_size
        except (OSError, ValueError):  # it is closed, or is no file of the system's
            pass
        return 0, 0

    def check(self) -> None:
        """Raise InputError if the stream ended because whatever produces it failed."""

    def remarks(self) -> list[str]:
        """Return warnings about the file, one line each, once the stream has ended."""
        return []

    def close(self) -> None:
        """Close the stream, unless it is stdin."""
        if self.path != "-":
            self._stream.close()
