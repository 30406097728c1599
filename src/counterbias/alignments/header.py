"""The header of an alignment file, read from BAM bytes (SAMv1 specification, section 4.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from counterbias.errors import InputError

#: Longest header text that is accepted, bytes.
MAX_TEXT = 1 << 31
#: Longest contig name that is accepted, bytes, its NUL included.
MAX_NAME = 1 << 16

CORRUPTED = "the file is corrupted: copy it again or regenerate it"


@dataclass(frozen=True, slots=True)
class AlignmentHeader:
    """The header of an alignment file.

    Args:
        contigs: contig names.
        lengths: contig lengths as the file states them.
        text: the ``@HD``, ``@SQ`` … lines.
    """

    contigs: tuple[str, ...]
    lengths: tuple[int, ...]
    text: str

    def as_bam(self) -> bytes:
        """Return the header in BAM format, uncompressed (SAMv1 specification, section 4.2)."""
        text = self.text.encode("utf-8", "surrogateescape")
        parts = [b"BAM\1", struct.pack("<i", len(text)), text, struct.pack("<i", len(self.contigs))]
        for name, length in zip(self.contigs, self.lengths, strict=True):
            encoded = name.encode("utf-8", "surrogateescape") + b"\0"
            parts += [struct.pack("<i", len(encoded)), encoded, struct.pack("<i", length)]
        return b"".join(parts)


class HeaderReader:
    """Reads a header piece by piece, each byte once, however many contigs there are.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._bytes = bytearray()
        self._here = 0
        self._text: str | None = None
        self._count = -1
        self._contigs: list[str] = []
        self._lengths: list[int] = []

    def feed(self, piece: bytes | memoryview) -> tuple[AlignmentHeader, bytes] | None:
        """Take the next bytes; return the header and what follows it, None while incomplete.

        Raises InputError where the bytes are no header.
        """
        del self._bytes[: self._here]
        self._here = 0
        self._bytes += piece
        if not (self._read_text() and self._read_contigs()):
            return None
        assert self._text is not None
        return AlignmentHeader(tuple(self._contigs), tuple(self._lengths), self._text), bytes(
            self._bytes[self._here :]
        )

    def _read_text(self) -> bool:
        """Read magic, text and number of contigs, once; return False while bytes are missing."""
        if self._text is not None:
            return True
        content = self._bytes
        if len(content) < 4 and b"BAM\1".startswith(content):
            return False
        if content[:4] != b"BAM\1":
            raise InputError(
                "its compressed content is not BAM",
                file=self._path,
                remedy="check that this is an alignment file",
            )
        if len(content) < 8:
            return False
        end = 8 + self._number(4)
        if not 8 <= end <= MAX_TEXT:
            raise self._impossible("length of its text")
        if len(content) < end + 4:
            return False
        self._count = self._number(end)
        if self._count < 0:
            raise self._impossible("number of contigs")
        self._text = content[8:end].rstrip(b"\0").decode("utf-8", "surrogateescape")
        self._here = end + 4
        return True

    def _read_contigs(self) -> bool:
        """Read the contigs that are complete; return False while bytes are missing."""
        content, here, end = self._bytes, self._here, len(self._bytes)
        number = struct.Struct("<i").unpack_from
        contigs, lengths = self._contigs, self._lengths
        while len(contigs) < self._count and here + 4 <= end:
            size = number(content, here)[0]
            if not 1 <= size <= MAX_NAME:
                raise self._impossible("length of a contig's name")
            if here + 8 + size > end:
                break
            # As in htslib, a name ends at its first NUL or, in a damaged file, with its field.
            contigs.append(
                content[here + 4 : here + 4 + size]
                .partition(b"\0")[0]
                .decode("utf-8", "surrogateescape")
            )
            # Like htslib, accept a negative length: counting does not need it.
            lengths.append(number(content, here + 4 + size)[0])
            here += 8 + size
        self._here = here
        return len(contigs) == self._count

    def _number(self, here: int) -> int:
        return int.from_bytes(self._bytes[here : here + 4], "little", signed=True)

    def _impossible(self, what: str) -> InputError:
        return InputError(
            f"the header holds an impossible {what}", file=self._path, remedy=CORRUPTED
        )
