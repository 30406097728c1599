"""Bytes of alignments, wherever they come from."""

from __future__ import annotations

from typing import Any

from counterbias.errors import InputError

BGZF, RAW = "bgzf", "raw"
#: What to do about a file that ends too early.
TRUNCATED = "it is probably truncated: copy or make it again"


def is_bgzf(head: bytes) -> bool:
    """Tell whether gzipped bytes are BGZF: an extra field named BC."""
    return len(head) >= 18 and head[2] == 8 and bool(head[3] & 4) and head[12:14] == b"BC"


class Source:
    """Bytes of a file, of stdin or of the child process, with the first ones already looked at."""

    def __init__(self, path: str, stream: Any, head: bytes, kind: str) -> None:
        self.path = path
        self.kind = kind
        self._stream = stream
        self._head = head

    def readinto(self, target: memoryview) -> int:
        """Fill ``target`` with the next bytes; gives their number, 0 at the end."""
        if self._head:
            size = min(len(self._head), len(target))
            target[:size] = self._head[:size]
            self._head = self._head[size:]
            return size
        try:
            return int(self._stream.readinto(target) or 0)
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}", file=self.path) from None

    def check(self) -> None:
        """Raise InputError if the stream ended because of something that is not in it."""

    def remarks(self) -> list[str]:
        """Give what the user should know of the reading, one line each, once the stream has ended."""
        return []

    def close(self) -> None:
        """Close the stream, unless it is stdin."""
        if self.path != "-":
            self._stream.close()
