"""A contig of a FASTA file as codes, read and decoded page by page, as far as it is needed.

Reads of RNA lie in exons, a few hundredths of a genome: decoding the rest would take longer than
scoring the exons. A page has :data:`PAGE` bases; pages not yet decoded take no memory. Lines are
checked as they are decoded.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.native import call_pread, load_i64, store_i64

#: Bases per page: the size of a memory page.
PAGE = 4096
#: Pages read from the file at a time.
MOST_PAGES = 256
#: If one in so many pages of a contig is needed at first, nearly all of it will be in the end.
DENSE = 2
#: Code of everything that is not A, C, G, T or U.
UNKNOWN = 4

#: Contigs from this length on take memory only for decoded pages, unlike a numpy array, for which
#: the system allocates in large blocks.
_SPARSE = 1 << 22
_ENDED, _BREAKS, _STRANGE = 1, 2, 3
#: Bits that, while a page is decoded, mark the end of a line and what is not part of a sequence.
_BREAK, _OTHER = 16, 8


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Where a contig lies in the file, as in a row of a .fai index.

    Args:
        length: bases.
        offset: bytes before the first base.
        bases, width: bases and bytes per line.
    """

    length: int
    offset: int
    bases: int
    width: int

    @property
    def end(self) -> int:
        """Offset of the byte after the contig's last base."""
        if not self.length:
            return self.offset
        return (
            self.offset
            + (self.length - 1) // self.bases * self.width
            + (self.length - 1) % self.bases
            + 1
        )


class IndexMismatch(Exception):
    """The file does not contain the sequence that its index describes.

    Args:
        ended: whether the file ends within that sequence.
    """

    def __init__(self, *, ended: bool) -> None:
        super().__init__()
        self.ended = ended


class Pages:
    """Codes of one contig, decoded page by page.

    Args:
        file: descriptor of the open file.
        entry: where the contig lies.
    """

    def __init__(self, file: int, entry: IndexEntry) -> None:
        self._file, self._entry = file, entry
        self._lock = threading.Lock()
        self._decoded = np.zeros(-(-entry.length // PAGE), dtype=np.uint8)
        self._target, self._memory = _empty(entry.length)
        #: uint8 (length,), read-only; pages that no call asked for may hold anything.
        self.codes = self._target.view()
        self.codes.setflags(write=False)
        #: Bytes of memory in use.
        self.bytes_held = 0

    def ensure(
        self, start: NDArray[np.int64], end: NDArray[np.int64], *, before: int = 0, after: int = 0
    ) -> bool:
        """Decode the pages of some intervals; return whether any was not decoded yet.

        Intervals are half open, each extended by ``before`` and ``after`` bases; they may leave the
        contig.

        Raises:
            IndexMismatch: the file does not contain what its index describes.
        """
        with self._lock:
            wanted = np.zeros(len(self._decoded), dtype=np.bool_)
            missing = bool(
                _mark(start, end, before, after, self._entry.length, PAGE, self._decoded, wanted)
            )
            if missing:
                self._decode(wanted)
            return missing

    def ensure_all(self) -> None:
        """Decode the whole contig; raises as :meth:`ensure` does."""
        with self._lock:
            wanted = self._decoded == 0
            if wanted.any():
                self._decode(wanted)

    def _decode(self, wanted: NDArray[np.bool_]) -> None:
        """Decode pages: adjacent ones together, but few enough to stay in a fast cache."""
        entry = self._entry
        pages = np.flatnonzero(wanted)
        if self._memory is not None and not self.bytes_held and len(pages) * DENSE >= len(wanted):
            # Memory in large blocks takes a fifth of the time.
            _advise(self._memory, "MADV_HUGEPAGE")
        runs = np.flatnonzero(np.concatenate(([True], np.diff(pages) > 1, [True])))
        first, last = pages[runs[:-1]], pages[runs[1:] - 1] + 1
        most = MOST_PAGES * PAGE
        raw = np.empty(
            (most // max(1, entry.bases) + 2) * entry.width + entry.bases, dtype=np.uint8
        )
        problem = _decode_runs(
            _pread(), self._file, first * PAGE, np.minimum(last * PAGE, entry.length), most,
            entry.length, entry.offset, entry.bases, entry.width, raw, self._target,
        )  # fmt: skip
        if problem:
            raise IndexMismatch(ended=problem == _ENDED)
        self._decoded[pages] = 1
        self.bytes_held = min(self.bytes_held + len(pages) * PAGE, entry.length)


def _empty(length: int) -> tuple[NDArray[np.uint8], mmap.mmap | None]:
    """Return an array that takes memory as it is written, page by page, and its mapping."""
    if length < _SPARSE:
        return np.empty(length, dtype=np.uint8), None
    memory = mmap.mmap(-1, length)
    _advise(memory, "MADV_NOHUGEPAGE")
    return np.frombuffer(memory, dtype=np.uint8), memory


def _advise(memory: mmap.mmap, advice: str) -> None:
    """Give the system a hint about memory, if it knows such hints."""
    if hasattr(mmap, advice):
        with contextlib.suppress(OSError):
            memory.madvise(getattr(mmap, advice))


@functools.cache
def _pread() -> int:
    """Return the address of the C function, for compiled code."""
    address: Any = ctypes.cast(ctypes.CDLL(None).pread, ctypes.c_void_p).value
    return int(address)


@loop("i8[::1], i8[::1], i8, i8, i8, i8, u1[::1], b1[::1]")
def _mark(start, end, before, after, length, page, decoded, wanted):  # type: ignore[no-untyped-def]
    """Mark the pages of intervals that are not decoded; return how many."""
    count = 0
    for i in range(len(start)):
        first, last = max(start[i] - before, 0), min(end[i] + after, length)
        if first < last:
            for number in range(first // page, (last - 1) // page + 1):
                if decoded[number] == 0 and not wanted[number]:
                    wanted[number] = True
                    count += 1
    return count


@loop("i8, i8, i8[::1], i8[::1], i8, i8, i8, i8, i8, u1[::1], u1[::1]")
def _decode_runs(pread, file, first, last, most, length, offset, bases, width, raw, codes):  # type: ignore[no-untyped-def]
    """Read runs of bases into ``raw`` and decode them; return 0, or what is wrong with the file."""
    for run in range(len(first)):
        begin = first[run]
        while begin < last[run]:
            end = min(begin + most, last[run])
            # The break after the last line is read and checked too, but not the one after the
            # contig, which may be missing.
            line, column = begin // bases, begin % bases
            final = (end - 1) // bases * width + (end - 1) % bases + 1
            size = final - (line * width + column)
            if end % bases == 0 and end < length:
                size += width - bases
            done = 0
            while done < size:
                got = call_pread(
                    pread,
                    file,
                    raw.ctypes.data + done,
                    size - done,
                    offset + line * width + column + done,
                )
                if got <= 0:
                    return _ENDED
                done += got
            problem = _decode(raw[:size], column, bases, width, codes[begin:end])
            if problem:
                return problem
            begin = end
    return 0


@helper
def _decode(raw, column, bases, width, codes):  # type: ignore[no-untyped-def]
    """Turn the letters of lines into codes, in ``raw`` first: far faster than line by line."""
    _translate(raw)
    source, target = np.int64(raw.ctypes.data), np.int64(codes.ctypes.data)
    at, done = 0, 0
    while done < len(codes):
        count = min(bases - column, len(codes) - done)
        if done + count + 8 <= len(codes) and at + count + 8 <= len(raw):
            # Eight at a time; what this copies beyond the line is overwritten.
            for i in range(0, count, 8):
                store_i64(target + done + i, load_i64(source + at + i))
        else:
            for i in range(count):
                codes[done + i] = raw[at + i]
        at += count
        done += count
        column = 0
        if at < len(raw):
            for i in range(at, min(at + width - bases, len(raw))):
                if raw[i] != _BREAK:
                    return _BREAKS
            at += width - bases
    seen = np.uint8(0)
    for i in range(len(codes)):
        seen |= codes[i]
    return _STRANGE if seen >= _OTHER else 0


@helper
def _translate(letters):  # type: ignore[no-untyped-def]
    """Replace letters by codes, without branches.

    No letter of a sequence is below ``*``, or is ``>``; lines may end with blanks.
    """
    for i in range(len(letters)):
        letter = letters[i]
        upper = letter & np.uint8(0xDF)
        code = (
            0
            if upper == 65
            else 1
            if upper == 67
            else 2
            if upper == 71
            else 3
            if (upper == 84) | (upper == 85)
            else UNKNOWN
        )
        code = (
            _BREAK
            if (letter == 32) | ((letter >= 9) & (letter <= 13))
            else _OTHER
            if (letter < 42) | (letter == 62)
            else code
        )
        letters[i] = code
