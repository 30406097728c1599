"""Where the contigs of a FASTA file lie: its index, read from the file beside it where that fits, and made anew where it does not.

The index is that of ``samtools faidx``, and what that indexes is indexed alike: blank lines at the end of a contig, blanks at the end of
lines, line breaks of either kind. A contig whose lines differ in length, but for a shorter last one, has no index.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from contextlib import suppress

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import is_stream, remove_leftovers, whole_stream
from counterbias.genome.pages import Entry

#: Bytes read at a time.
_CHUNK = 1 << 22
#: Bytes between two contigs, and between two lines, that are read to check an index that was found.
_MOST_BETWEEN, _MOST_BREAK = 1 << 20, 1 << 12
#: Bytes of a first line in which a line break is looked for.
_LOOKED_AT = 1 << 13
#: Bytes of an index per byte of the genome: a contig takes four or more there, and a row of the index hardly more than a hundred.
_MOST_INDEX = 32

#: What :func:`counterbias.genome.pages._translate` takes for no letter.
_STRANGE = re.compile(rb"[!-)>]")
_ROW = re.compile(rb"([^\t]+)\t(\d{1,18})\t(\d{1,18})\t(\d{1,18})\t(\d{1,18})\r?")

_LINES = re.compile(rb"[^\n]*\n|[^\n]+")

# What :func:`_scan` gives: all bytes are taken, a header is complete, or what is wrong with a line.
_MORE, _HEADER = 0, 1
_NO_HEADER, _SHORTER, _LONGER, _BLANK, _BINARY = 2, 3, 4, 5, 6
# Its state: what kind of line it is in; offset and number of that line; the line before which no more lines of the contig may come; bytes
# and letters of the line so far; and of the contig whether there is one, and the four numbers of its entry.
_MODE, _OFFSET, _LINE, _ENDED, _BYTES, _LETTERS, _CONTIG, _LENGTH, _START, _BASES, _WIDTH = range(
    11
)
_AT_START, _IN_HEADER, _IN_COMMENT, _IN_LINE = 0, 1, 2, 3


def build_index(file: int, path: str) -> dict[str, Entry]:
    """Go through a FASTA file and find its contigs, name → entry; those without a sequence too.

    ``file`` is an open descriptor, ``path`` the name for messages. Raises InputError, which names contig and line.
    """
    state = np.zeros(_WIDTH + 1, dtype=np.int64)
    state[_LINE] = 1
    store = np.empty(_CHUNK, dtype=np.uint8)
    entries: dict[str, Entry] = {}
    name = ""
    done = 0
    while True:
        size = os.preadv(file, [store.data], done)
        at = 0
        while True:
            at, event = _scan(store, at, size, done, state)
            if event == _MORE:
                break
            if event != _HEADER:
                raise _refusal(file, path, name, event, state)
            if state[_CONTIG]:
                entries[name] = _entry(state)
            name = _next_name(file, path, state, done + at)
            if name in entries:
                raise InputError(
                    f"two contigs are named '{name}'",
                    file=path,
                    place=f"line {state[_LINE]}",
                    remedy="keep one of them",
                )
            _begin_contig(state, done + at)
        if not size:
            break
        done += size
    if state[_CONTIG]:
        entries[name] = _entry(state)
    if not any(entry.length for entry in entries.values()):
        raise InputError("the genome holds no sequences", file=path)
    return entries


def _entry(state: NDArray[np.int64]) -> Entry:
    """Give the entry of the contig that has ended."""
    length, start, bases, width = (int(state[i]) for i in (_LENGTH, _START, _BASES, _WIDTH))
    return Entry(length, start, bases, width)


def _begin_contig(state: NDArray[np.int64], start: int) -> None:
    """Note that a contig begins after its header."""
    state[_CONTIG], state[_START], state[_ENDED] = 1, start, 0
    state[[_LENGTH, _BASES, _WIDTH]] = 0
    state[_MODE] = _AT_START
    state[_LINE] += 1


def _next_name(file: int, path: str, state: NDArray[np.int64], end: int) -> str:
    """Read the name of a contig from its header."""
    begin = int(state[_OFFSET])
    words = os.pread(file, min(end - begin, 1 << 16), begin)[1:].split(maxsplit=1)
    if not words:
        raise InputError(
            "this contig has no name",
            file=path,
            place=f"line {state[_LINE]}",
            remedy="write one after the '>'",
        )
    return _text(words[0])


def _text(name: bytes) -> str:
    """Give a name as text, alike wherever it is read, in alignments too."""
    return name.decode("utf-8", "surrogateescape")


def _refusal(file: int, path: str, name: str, event: int, state: NDArray[np.int64]) -> InputError:
    """Say why a file is no FASTA that can be used."""
    line = int(state[_ENDED] if event == _SHORTER else state[_LINE])
    place = f"line {line}"
    if event == _NO_HEADER:
        head = os.pread(file, 256, int(state[_OFFSET]))
        if head.startswith(codecs.BOM_UTF8):
            remedy = r"remove it, as with: sed -i '1s/^\xEF\xBB\xBF//'"
            return InputError(
                "the file begins with a byte order mark", file=path, place=place, remedy=remedy
            )
        if any(byte < 9 or byte > 126 for byte in head):
            return InputError("this is binary data, not FASTA text", file=path)
        return InputError(
            "this is not a usable FASTA file (there is text before the first contig)",
            file=path,
            place=place,
            remedy="a contig begins with a line of '>' and its name",
        )
    if event == _BINARY:
        return InputError(
            f"the contig '{name}' holds binary data, not text",
            file=path,
            place=place,
            remedy="copy or download it again",
        )
    if event == _BLANK:
        return InputError(
            f"the contig '{name}' holds something other than a sequence (a blank before or between bases)",
            file=path,
            place=place,
            remedy="remove the blanks",
        )
    longer = "this one is longer"
    shorter = "it goes on after this one, which is shorter"
    return InputError(
        f"not a usable FASTA file (lines of the contig '{name}' differ in length: {longer if event == _LONGER else shorter})",
        file=path,
        place=place,
        remedy="write all lines with the same number of bases, as 'seqtk seq -l 60' does",
    )


@njit(cache=True, nogil=True)
def _scan(data, at, size, before, state):  # type: ignore[no-untyped-def]
    """Go on until a header has ended, something is wrong, or no bytes are left; ``size`` 0 ends the file.

    ``before`` is the offset of the first byte of ``data``. Gives where to go on, and what happened.
    """
    if size == 0:
        if state[_MODE] == _IN_HEADER:
            return 0, _HEADER
        if state[_MODE] == _IN_LINE:
            # A last line without a break counts as if it had one.
            state[_BYTES] += 1
            return 0, _end_line(state)
        return 0, _MORE
    while at < size:
        if state[_MODE] == _AT_START:
            at = _whole_lines(data, at, size, state)
            if at == size:
                break
            first = data[at]
            state[_OFFSET] = before + at
            state[_BYTES] = state[_LETTERS] = 0
            if first == 62:
                state[_MODE] = _IN_HEADER
            elif first == 59 and state[_CONTIG] == 0:
                state[_MODE] = _IN_COMMENT
            elif state[_CONTIG] == 0 and not (first == 32 or 9 <= first <= 13):
                return at, _NO_HEADER
            else:
                state[_MODE] = _IN_LINE
        if state[_MODE] == _IN_LINE:
            while at < size and data[at] != 10:
                state[_BYTES] += 1
                letter = data[at]
                if 33 <= letter <= 126:
                    if state[_LETTERS] != state[_BYTES] - 1:
                        return at, _BLANK if state[_CONTIG] else _NO_HEADER
                    state[_LETTERS] += 1
                elif not (letter == 32 or 9 <= letter <= 13):
                    return at, _BINARY
                at += 1
            if at < size:
                at += 1
                state[_BYTES] += 1
                problem = _end_line(state)
                if problem:
                    return at, problem
        else:
            while at < size and data[at] != 10:
                at += 1
            if at < size:
                at += 1
                if state[_MODE] == _IN_HEADER:
                    return at, _HEADER
                state[_MODE] = _AT_START
                state[_LINE] += 1
    return at, _MORE


@njit(cache=True, nogil=True)
def _whole_lines(data, at, size, state):  # type: ignore[no-untyped-def]
    """Skip lines that are like the contig's first one, all of a line's letters at once: nearly all lines are."""
    bases, width = state[_BASES], state[_WIDTH]
    if state[_ENDED] or width == 0:
        return at
    while at + width <= size and data[at] != 62:
        odd = np.uint8(data[at + width - 1] != 10)
        for i in range(bases):
            odd |= np.uint8(np.uint8(data[at + i] - 33) > 93)
        for i in range(bases, width - 1):
            blank = data[at + i]
            odd |= np.uint8((blank == 10) | ((blank != 32) & ((blank < 9) | (blank > 13))))
        if odd:
            break
        at += width
        state[_LENGTH] += bases
        state[_LINE] += 1
    return at


@njit(cache=True, nogil=True)
def _end_line(state):  # type: ignore[no-untyped-def]
    """Take in a line of a sequence, or a blank one; give 0 or what is wrong."""
    letters, width = state[_LETTERS], state[_BYTES]
    if letters and state[_ENDED]:
        return _SHORTER
    if letters == 0 or state[_CONTIG] == 0:
        if state[_ENDED] == 0:
            state[_ENDED] = state[_LINE]
    elif state[_WIDTH] == 0:
        state[_BASES], state[_WIDTH] = letters, width
    elif width > state[_WIDTH] or letters > state[_BASES]:
        return _LONGER
    elif width < state[_WIDTH] or letters < state[_BASES]:
        state[_ENDED] = state[_LINE]
    state[_LENGTH] += letters
    state[_MODE] = _AT_START
    state[_LINE] += 1
    return 0


def find_strange(file: int, entry: Entry) -> tuple[str, int]:
    """Find the first letter of a contig that is none of a sequence's, and its line; an empty text and 0 where there is none."""
    at = entry.offset
    while chunk := os.pread(file, min(_CHUNK, entry.end - at), at):
        found = _STRANGE.search(chunk)
        if found is not None:
            at += found.start()
            lines = sum(
                os.pread(file, min(_CHUNK, at - start), start).count(b"\n")
                for start in range(0, at, _CHUNK)
            )
            return found[0].decode("ascii"), lines + 1
        at += len(chunk)
    return "", 0


# -- the file beside the genome ----------------------------------------------------------------------------------------------


def read_kept_index(file: int, path: str) -> dict[str, Entry] | None:
    """Read the index beside a FASTA file that is open as ``file``; None where there is none that fits it and is not older.

    Each contig must follow a header with its name, its first line must end where the index says, and nothing may be left over.
    """
    beside = f"{path}.fai"
    try:
        genome, index = os.fstat(file), os.stat(beside)
        if (
            not stat.S_ISREG(index.st_mode)
            or index.st_mtime < genome.st_mtime
            or index.st_size > _MOST_INDEX * genome.st_size
        ):
            return None
        with open(beside, "rb") as stream:
            rows = stream.read().split(b"\n")
        return _fitting(rows, file, genome.st_size)
    except OSError:
        return None


def keep_index(path: str, entries: dict[str, Entry]) -> None:
    """Put a new index beside its file, whole or not at all; a folder that cannot be written is no harm.

    Contigs without a sequence have no row, as with samtools. Not for compressed files, where other programs expect a second index with it.
    """
    beside = f"{path}.fai"
    if is_stream(beside):
        return  # a pipe or a device, which is nobody's index
    rows = [
        f"{name}\t{one.length}\t{one.offset}\t{one.bases}\t{one.width}\n"
        for name, one in entries.items()
        if one.length
    ]
    remove_leftovers([beside])
    with suppress(InputError, OSError), whole_stream(beside) as file:
        file.write("".join(rows).encode("utf-8", "surrogateescape"))


def _fitting(rows: list[bytes], file: int, size: int) -> dict[str, Entry] | None:
    """Give the entries of an index's rows; None where they do not fit the file."""
    entries: dict[str, Entry] = {}
    named, before = 0, 0
    for row in rows[:-1] if rows[-1] == b"" else rows:
        match = _ROW.fullmatch(row)
        if match is None:
            return None
        entry = Entry(*(int(field) for field in match.groups()[1:]))
        if entry.length and not (
            0 < entry.bases <= min(entry.length, entry.width)
            and entry.width <= entry.bases + _MOST_BREAK
        ):
            return None
        if not entry.length:
            entry = Entry(0, entry.offset, 0, 0)
        end = entry.end
        if not (before <= entry.offset <= before + _MOST_BETWEEN and end <= size):
            return None
        gap = entry.offset - before
        text = os.pread(file, gap + min(entry.width, _LOOKED_AT), before)
        headers = _headers(text[:gap], before)
        if not text[:gap].endswith(b"\n") or not headers or headers[-1] != (match[1], entry.offset):
            return None
        if not _line_fits(text[gap:], entry, file):
            return None
        named += len(headers)
        for name, start in headers[:-1]:
            entries[_text(name)] = Entry(0, start, 0, 0)
        entries[_text(match[1])] = entry
        before = end
    if size - before > _MOST_BETWEEN:
        return None
    headers = _headers(os.pread(file, size - before, before), before)
    named += len(headers)
    entries |= {_text(name): Entry(0, start, 0, 0) for name, start in headers}
    # Two contigs of one name would have been one; what is no header was given as one without a name.
    whole = (
        len(entries) == named
        and "" not in entries
        and any(entry.length for entry in entries.values())
    )
    return entries if whole else None


def _headers(between: bytes, offset: int) -> list[tuple[bytes, int]]:
    """Give name and end of each header between two sequences, ``offset`` being that of the first byte.

    An empty name stands for anything that has no place there. Comment lines may stand before the first contig.
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


def _line_fits(start: bytes, entry: Entry, file: int) -> bool:
    """Tell whether a contig's first line ends where its entry says, and not before, as far as one looks; ``start`` are its first bytes."""
    if b"\n" in start[: entry.bases]:
        return False
    if entry.length == entry.bases:
        return True
    ending = start[entry.bases :]
    if entry.width > len(start):
        ending = os.pread(file, entry.width - entry.bases, entry.offset + entry.bases)
    return ending.endswith(b"\n") and not ending.strip() and ending.count(b"\n") == 1
