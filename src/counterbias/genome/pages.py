"""A contig of a FASTA file as codes, read and decoded page by page, where it is asked for.

Reads of RNA lie in exons, a few hundredths of a genome: to decode the rest would take longer than to score what is there. Pages are
:data:`PAGE` bases; which ones are there is noted, and the others take no memory. Lines are checked as they are decoded.
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
from numba import njit
from numpy.typing import NDArray

from counterbias.native import call_pread, load_i64, store_i64

#: Bases per page: as many as the system gives memory for at a time.
PAGE = 4096
#: Pages that are read from the file at a time.
MOST_PAGES = 256
#: Where one in so many pages of a contig is asked for at first, nearly all of it will take memory.
DENSE = 2
#: Code of everything that is not A, C, G, T or U.
UNKNOWN = 4

#: Contigs from this length on take memory only for the pages that are there; numpy would have the system give it in large pieces.
_SPARSE = 1 << 22
_ENDED, _BREAKS, _STRANGE = 1, 2, 3
#: Bits that, while a page is decoded, mark the end of a line and what no sequence holds.
_BREAK, _OTHER = 16, 8


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a contig lies in the file: bases, offset of the first, bases per line, bytes per line."""

    length: int
    offset: int
    bases: int
    width: int

    @property
    def end(self) -> int:
        """Offset after the contig's last base."""
        if not self.length:
            return self.offset
        return (
            self.offset
            + (self.length - 1) // self.bases * self.width
            + (self.length - 1) % self.bases
            + 1
        )


class Misfit(Exception):
    """The file holds something else than the sequence that the index tells of; ``ended``: it ends within it."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__()
        self.ended = ended


class Pages:
    """Codes of one contig, some of them not there yet.

    Args:
        file: descriptor of the open file.
        entry: where the contig lies.
    """

    def __init__(self, file: int, entry: Entry) -> None:
        self._file, self._entry = file, entry
        self._lock = threading.Lock()
        self._there = np.zeros(-(-entry.length // PAGE), dtype=np.uint8)
        self._target, self._memory = _empty(entry.length)
        #: uint8 (length,), read-only; what no call has asked for may hold anything.
        self.codes = self._target.view()
        self.codes.setflags(write=False)
        #: Bytes of memory in use.
        self.held = 0

    def ensure(
        self, start: NDArray[np.int64], end: NDArray[np.int64], *, before: int = 0, after: int = 0
    ) -> bool:
        """Decode the pages of intervals, half open and each longer by ``before`` and ``after`` bases; they may leave the contig.

        Tells whether any was not there yet. Raises Misfit.
        """
        with self._lock:
            wanted = np.zeros(len(self._there), dtype=np.bool_)
            missing = bool(
                _mark(start, end, before, after, self._entry.length, PAGE, self._there, wanted)
            )
            if missing:
                self._decode(wanted)
            return missing

    def ensure_all(self) -> None:
        """Decode the whole contig. Raises Misfit."""
        with self._lock:
            wanted = self._there == 0
            if wanted.any():
                self._decode(wanted)

    def _decode(self, wanted: NDArray[np.bool_]) -> None:
        """Decode pages, those that follow each other at once, few enough at a time for the bytes read to stay in a fast cache."""
        entry = self._entry
        pages = np.flatnonzero(wanted)
        if self._memory is not None and not self.held and len(pages) * DENSE >= len(wanted):
            # The system then gives memory in large pieces, which takes a fifth of the time.
            _advise(self._memory, "MADV_HUGEPAGE")
        runs = np.flatnonzero(np.concatenate(([True], np.diff(pages) > 1, [True])))
        first, last = pages[runs[:-1]], pages[runs[1:] - 1] + 1
        most = MOST_PAGES * PAGE
        raw = np.empty(
            (most // max(1, entry.bases) + 2) * entry.width + entry.bases, dtype=np.uint8
        )
        problem = _decode_runs(
            _pread(), self._file, first * PAGE, np.minimum(last * PAGE, entry.length), most, entry.length, entry.offset, entry.bases,
            entry.width, raw, self._target,
        )  # fmt: skip
        if problem:
            raise Misfit(ended=problem == _ENDED)
        self._there[pages] = 1
        self.held = min(self.held + len(pages) * PAGE, entry.length)


def _empty(length: int) -> tuple[NDArray[np.uint8], mmap.mmap | None]:
    """Give memory that is taken page by page, when something is written there, and what it is part of."""
    if length < _SPARSE:
        return np.empty(length, dtype=np.uint8), None
    memory = mmap.mmap(-1, length)
    _advise(memory, "MADV_NOHUGEPAGE")
    return np.frombuffer(memory, dtype=np.uint8), memory


def _advise(memory: mmap.mmap, advice: str) -> None:
    """Give the system a hint, which it may not know."""
    if hasattr(mmap, advice):
        with contextlib.suppress(OSError):
            memory.madvise(getattr(mmap, advice))


@functools.cache
def _pread() -> int:
    """Give the address of the C function, for compiled code."""
    address: Any = ctypes.cast(ctypes.CDLL(None).pread, ctypes.c_void_p).value
    return int(address)


@njit(cache=True, nogil=True)
def _mark(start, end, before, after, length, page, there, wanted):  # type: ignore[no-untyped-def]
    """Mark the pages of intervals that are not there; tell how many."""
    count = 0
    for i in range(len(start)):
        first, last = max(start[i] - before, 0), min(end[i] + after, length)
        if first < last:
            for number in range(first // page, (last - 1) // page + 1):
                if there[number] == 0 and not wanted[number]:
                    wanted[number] = True
                    count += 1
    return count


@njit(cache=True, nogil=True)
def _decode_runs(pread, file, first, last, most, length, offset, bases, width, raw, codes):  # type: ignore[no-untyped-def]
    """Read and decode runs of bases; 0, or what is wrong with the file. ``raw`` is room for what is read."""
    for run in range(len(first)):
        begin = first[run]
        while begin < last[run]:
            end = min(begin + most, last[run])
            # The break after the last line is read and checked too, but not that after the contig, which may be missing.
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


@njit(cache=True, nogil=True)
def _decode(raw, column, bases, width, codes):  # type: ignore[no-untyped-def]
    """Turn the letters of lines into codes, in ``raw`` first: all of it at once is far faster than line by line."""
    _translate(raw)
    source, target = np.int64(raw.ctypes.data), np.int64(codes.ctypes.data)
    at, done = 0, 0
    while done < len(codes):
        count = min(bases - column, len(codes) - done)
        if done + count + 8 <= len(codes) and at + count + 8 <= len(raw):
            # Eight at a time; what that copies beyond the line is written over.
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


@njit(cache=True, nogil=True)
def _translate(letters):  # type: ignore[no-untyped-def]
    """Replace letters by codes, without branches; no letter of a sequence is below ``*``, or ``>``; lines may end with blanks."""
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
