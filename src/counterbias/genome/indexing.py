"""Build the index of a FASTA file: where each contig lies.

The index is that of ``samtools faidx``, which accepts the same files: with blank lines at the end
of a contig, blanks at the end of lines, line breaks of either kind. A contig whose lines differ in
length, except for a shorter last one, cannot be indexed.
"""

from __future__ import annotations

import codecs
import os
import re

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.genome.pages import IndexEntry
from counterbias.loops import helper, loop

#: Bytes read at a time.
_CHUNK = 1 << 22
#: What :func:`counterbias.genome.pages._translate` does not accept as a letter.
_INVALID = re.compile(rb"[!-)>]")

# What :func:`_scan` returns: more bytes are needed, a header is complete, or what is wrong.
_MORE, _HEADER = 0, 1
_NO_HEADER, _SHORTER, _LONGER, _BLANK, _BINARY = 2, 3, 4, 5, 6
# Its state: what line it is in; that line's offset and number; the first line that was too short,
# after which the contig may not continue; bytes and letters of the line so far; whether there is a
# contig, and the four numbers of its entry.
_MODE, _OFFSET, _LINE, _ENDED, _BYTES, _LETTERS, _CONTIG, _LENGTH, _START, _BASES, _WIDTH = range(
    11
)
_AT_START, _IN_HEADER, _IN_COMMENT, _IN_LINE = 0, 1, 2, 3


def build_index(file: int, path: str) -> dict[str, IndexEntry]:
    """Read through a FASTA file and find its contigs, with or without a sequence: name → entry.

    ``file`` is an open descriptor, ``path`` the file's name for messages.

    Raises:
        InputError: the file cannot be indexed; the error names contig and line.
    """
    state = np.zeros(_WIDTH + 1, dtype=np.int64)
    state[_LINE] = 1
    store = np.empty(_CHUNK, dtype=np.uint8)
    entries: dict[str, IndexEntry] = {}
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


def _entry(state: NDArray[np.int64]) -> IndexEntry:
    """Return the entry of the contig that has ended."""
    length, start, bases, width = (int(state[i]) for i in (_LENGTH, _START, _BASES, _WIDTH))
    return IndexEntry(length, start, bases, width)


def _begin_contig(state: NDArray[np.int64], start: int) -> None:
    """Start a contig after its header."""
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
    return as_text(words[0])


def as_text(name: bytes) -> str:
    """Decode a contig's name, the same way as names in alignments are."""
    return name.decode("utf-8", "surrogateescape")


def _refusal(file: int, path: str, name: str, event: int, state: NDArray[np.int64]) -> InputError:
    """Describe why a file is not FASTA that can be used."""
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
            f"the contig '{name}' holds something other than a sequence "
            "(a blank before or between bases)",
            file=path,
            place=place,
            remedy="remove the blanks",
        )
    if event == _LONGER:
        difference = "this one is longer"
    else:
        difference = "it goes on after this one, which is shorter"
    return InputError(
        f"not a usable FASTA file (lines of the contig '{name}' differ in length: {difference})",
        file=path,
        place=place,
        remedy="write all lines with the same number of bases, as 'seqtk seq -l 60' does",
    )


@loop("u1[::1], i8, i8, i8, i8[::1]")
def _scan(data, at, size, before, state):  # type: ignore[no-untyped-def]
    """Scan until a header ends, something is wrong, or no bytes are left; ``size`` 0 ends the file.

    ``before`` is the offset of the first byte of ``data``. Returns where to continue, and why the
    scan stopped.
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


@helper
def _whole_lines(data, at, size, state):  # type: ignore[no-untyped-def]
    """Skip lines that look like the contig's first one, as nearly all do, line by line."""
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


@helper
def _end_line(state):  # type: ignore[no-untyped-def]
    """Add a line of a sequence, or a blank one; return 0, or what is wrong."""
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


def find_invalid_letter(file: int, entry: IndexEntry) -> tuple[str, int]:
    """Find a contig's first letter that no sequence has, and its line; "" and 0 for none."""
    at = entry.offset
    while chunk := os.pread(file, min(_CHUNK, entry.end - at), at):
        found = _INVALID.search(chunk)
        if found is not None:
            at += found.start()
            lines = sum(
                os.pread(file, min(_CHUNK, at - start), start).count(b"\n")
                for start in range(0, at, _CHUNK)
            )
            return found[0].decode("ascii"), lines + 1
        at += len(chunk)
    return "", 0
