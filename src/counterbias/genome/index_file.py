"""The index file (.fai) next to a FASTA file: read if it matches, written if it is missing."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

from counterbias.errors import InputError
from counterbias.files import is_stream, remove_leftovers, whole_stream
from counterbias.genome.indexing import as_text
from counterbias.genome.pages import IndexEntry

#: Most bytes between two contigs, and between two lines, that are read to check an index.
_MOST_BETWEEN, _MOST_BREAK = 1 << 20, 1 << 12
#: Bytes of a first line in which a line break is looked for.
_LOOKED_AT = 1 << 13
#: Most bytes of an index per byte of the genome: a contig takes at least four bytes in the genome,
#: and hardly more than a hundred in the index.
_MOST_INDEX = 32

_ROW = re.compile(rb"([^\t]+)\t(\d{1,18})\t(\d{1,18})\t(\d{1,18})\t(\d{1,18})\r?")
_LINES = re.compile(rb"[^\n]*\n|[^\n]+")


def read_index(file: int, path: str) -> dict[str, IndexEntry] | None:
    """Read the index of the FASTA file that is open as ``file``.

    Returns None unless there is an index that is not older than the file and matches it: each
    contig must follow a header with its name, its first line must end where the index says, and
    nothing may be left over.
    """
    index_path = f"{path}.fai"
    try:
        genome, index = os.fstat(file), os.stat(index_path)
        if (
            not stat.S_ISREG(index.st_mode)
            or index.st_mtime < genome.st_mtime
            or index.st_size > _MOST_INDEX * genome.st_size
        ):
            return None
        with open(index_path, "rb") as stream:
            rows = stream.read().split(b"\n")
        return _matching(rows, file, genome.st_size)
    except OSError:
        return None


def write_index(path: str, entries: dict[str, IndexEntry]) -> None:
    """Write an index next to its file, whole or not at all; do nothing if the folder is read-only.

    Contigs without a sequence have no row, as with samtools. Not for compressed files, for which
    other programs expect a second index (.gzi) as well.
    """
    index_path = f"{path}.fai"
    if is_stream(index_path):
        return  # a pipe or a device is no index
    rows = [
        f"{name}\t{one.length}\t{one.offset}\t{one.bases}\t{one.width}\n"
        for name, one in entries.items()
        if one.length
    ]
    remove_leftovers([index_path])
    with suppress(InputError, OSError), whole_stream(index_path) as file:
        file.write("".join(rows).encode("utf-8", "surrogateescape"))


def _matching(rows: list[bytes], file: int, size: int) -> dict[str, IndexEntry] | None:
    """Return the entries in an index's rows, or None if they do not match the file."""
    entries: dict[str, IndexEntry] = {}
    named, before = 0, 0
    for row in rows[:-1] if rows[-1] == b"" else rows:
        match = _ROW.fullmatch(row)
        if match is None:
            return None
        entry = IndexEntry(*(int(field) for field in match.groups()[1:]))
        if entry.length and not (
            0 < entry.bases <= min(entry.length, entry.width)
            and entry.width <= entry.bases + _MOST_BREAK
        ):
            return None
        if not entry.length:
            entry = IndexEntry(0, entry.offset, 0, 0)
        end = entry.end
        if not (before <= entry.offset <= before + _MOST_BETWEEN and end <= size):
            return None
        gap = entry.offset - before
        text = os.pread(file, gap + min(entry.width, _LOOKED_AT), before)
        headers = _headers(text[:gap], before)
        if not text[:gap].endswith(b"\n") or not headers or headers[-1] != (match[1], entry.offset):
            return None
        if not _line_matches(text[gap:], entry, file):
            return None
        named += len(headers)
        for name, start in headers[:-1]:
            entries[as_text(name)] = IndexEntry(0, start, 0, 0)
        entries[as_text(match[1])] = entry
        before = end
    if size - before > _MOST_BETWEEN:
        return None
    headers = _headers(os.pread(file, size - before, before), before)
    named += len(headers)
    entries |= {as_text(name): IndexEntry(0, start, 0, 0) for name, start in headers}
    # Two contigs of the same name would be one entry; text that is no header has an empty name.
    whole = (
        len(entries) == named
        and "" not in entries
        and any(entry.length for entry in entries.values())
    )
    return entries if whole else None


def _headers(between: bytes, offset: int) -> list[tuple[bytes, int]]:
    """Return name and end of each header between two sequences.

    ``offset`` is that of the first byte. An empty name stands for anything that does not belong
    there. Comment lines are allowed before the first contig.
    """
    found = []
    begun = offset > 0
    for number, line in enumerate(
        between.splitlines(keepends=True) if b"\r" not in between else _LINES.findall(between)
    ):
        offset += len(line)
        if line.startswith(b">") and not (number == 0 and begun):
            found.append(((line[1:].split(maxsplit=1) or [b""])[0], offset))
        elif line.strip() and (begun or found or not line.startswith(b";")):
            found.append((b"", offset))
    return found


def _line_matches(start: bytes, entry: IndexEntry, file: int) -> bool:
    """Return whether a contig's first line ends where its entry says.

    ``start`` holds its first bytes, in which an earlier line break is looked for.
    """
    if b"\n" in start[: entry.bases]:
        return False
    if entry.length == entry.bases:
        return True
    ending = start[entry.bases :]
    if entry.width > len(start):
        ending = os.pread(file, entry.width - entry.bases, entry.offset + entry.bases)
    return ending.endswith(b"\n") and not ending.strip() and ending.count(b"\n") == 1
