"""Sums of small tables: what ``heptamer``, ``vlmm`` and ``bayesnet`` share. This module is no backend.

A *term* is a table over a few of a window's columns: its value for a window is the entry that the bases there spell. Many tables of
few columns are added up into few tables of :data:`COLUMNS` columns before scoring, so that a window costs few look-ups whatever the
model. Entry ``Σ base(columns[k]) · 4^(K − 1 − k)`` of a term of K columns: the last column changes fastest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Columns per table when scoring: 4^7 numbers are 128 KB, and the handful that a model needs stays in the cache.
COLUMNS = 7
#: Windows that all tables are applied to before the next ones are looked at: their bases and sums stay in the fastest cache.
ROWS = 512


@dataclass(frozen=True, slots=True)
class Term:
    """A table over some columns of a window. Args: columns: distinct columns; table: float64 (4 ** columns,)."""

    columns: tuple[int, ...]
    table: NDArray[np.float64]


class TableSum:
    """Add up terms over windows; unchanging, so safe in several threads."""

    def __init__(self, terms: Sequence[Term]) -> None:
        groups = _group(terms, COLUMNS)
        size = max([COLUMNS, *(len(columns) for columns, _ in groups)])
        self._columns = np.zeros((len(groups), size), np.uint64)
        self._tables = np.zeros((len(groups), 4**size))
        for number, (columns, members) in enumerate(groups):
            # Column 0 fills up what is too narrow; of a table's entries for it all are alike.
            self._columns[number, size - len(columns) :] = columns
            joined = np.zeros(4 ** len(columns))
            for term in members:
                joined += _spread(term, columns)
            self._tables[number] = np.tile(joined, 4 ** (size - len(columns)))

    def __call__(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Add up the terms of each window: C-contiguous uint8 (n, width) → float64 (n,). Raises ValueError on a base that is none."""
        if contexts.size and contexts.max() > 3:  # bases are used as addresses
            raise ValueError("contexts hold a value that is not 0, 1, 2 or 3")
        sums = np.zeros(len(contexts))
        _kernel()(contexts, self._columns, self._tables, sums)
        return sums


    def along(self, sequence: NDArray[np.uint8], width: int) -> NDArray[np.float64]:
        """Add up the terms of the windows at consecutive places: uint8 (n + width - 1,) → float64 (n,), as for the windows themselves."""
        if len(sequence) < width:
            raise ValueError(f"a sequence of {len(sequence)} bases holds no window of {width}")
        if sequence.max() > 3:  # bases are used as addresses
            raise ValueError("the sequence holds a value that is not 0, 1, 2 or 3")
        sums = np.empty(len(sequence) - width + 1)
        _along_kernel()(np.ascontiguousarray(sequence), self._columns, self._tables, sums)
        return sums


def codes(columns: NDArray[np.uint8], chosen: Sequence[int]) -> NDArray[np.int64]:
    """Number the words that windows spell in some columns. Args: columns: uint8 (width, n), the windows' transpose."""
    code = np.zeros(columns.shape[1], np.int64)
    for column in chosen:
        code <<= 2
        code |= columns[column]
    return code


def count_words(columns: NDArray[np.uint8], chosen: Sequence[int], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the weight of each word in some columns, float64 (4 ** chosen,). Raises ValueError on a base that is none."""
    if columns.shape[1] and max(columns[column].max() for column in chosen) > 3:
        raise ValueError("contexts hold a value that is not 0, 1, 2 or 3")
    return np.bincount(codes(columns, chosen), weights, 4 ** len(chosen))


def _group(terms: Sequence[Term], limit: int) -> list[tuple[tuple[int, ...], list[Term]]]:
    """Join terms that together span at most ``limit`` columns; wider ones stand alone."""
    groups: list[tuple[tuple[int, ...], list[Term]]] = []
    for term in sorted(terms, key=lambda one: (min(one.columns), max(one.columns))):
        best, least = -1, limit + 1
        for number, (columns, _) in enumerate(groups):
            united = len(set(columns) | set(term.columns))
            # The group that grows least; of equals the fullest.
            if united <= limit and (grown := united - len(columns)) <= least:
                best, least = number, grown
        if best < 0:
            groups.append((tuple(sorted(term.columns)), [term]))
        else:
            columns, members = groups[best]
            groups[best] = (tuple(sorted({*columns, *term.columns})), [*members, term])
    return groups


def _spread(term: Term, columns: tuple[int, ...]) -> NDArray[np.float64]:
    """Give a term's value for each word of more columns, float64 (4 ** columns,)."""
    words = np.arange(4 ** len(columns))
    index = np.zeros(len(words), np.int64)
    for column in term.columns:
        index = index << 2 | words >> 2 * (len(columns) - 1 - columns.index(column)) & 3
    return term.table[index]


def _add_up(contexts, columns, tables, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums`` each table's entry for each window; 7 columns (:data:`COLUMNS`) are written out, which halves the time."""
    windows, size, two = contexts.shape[0], columns.shape[1], np.uint64(2)
    for first in range(0, windows, ROWS):
        last = min(first + ROWS, windows)
        for group in range(columns.shape[0]):
            if size == 7:
                a, b, c, d = columns[group, 0], columns[group, 1], columns[group, 2], columns[group, 3]
                e, f, g = columns[group, 4], columns[group, 5], columns[group, 6]
                for row in range(first, last):
                    code = np.uint64(contexts[row, a]) << np.uint64(12) | np.uint64(contexts[row, b]) << np.uint64(10)
                    code |= np.uint64(contexts[row, c]) << np.uint64(8) | np.uint64(contexts[row, d]) << np.uint64(6)
                    code |= np.uint64(contexts[row, e]) << np.uint64(4) | np.uint64(contexts[row, f]) << two
                    code |= np.uint64(contexts[row, g])
                    sums[row] += tables[group, code]
            else:
                for row in range(first, last):
                    code = np.uint64(0)
                    for k in range(size):
                        code = code << two | np.uint64(contexts[row, columns[group, k]])
                    sums[row] += tables[group, code]


def _add_along(sequence, columns, tables, sums):  # type: ignore[no-untyped-def]
    """Fill ``sums``; first the words that a block of windows spell in a table's columns, side by side, then the look-ups."""
    size = columns.shape[1]
    words = np.empty(ROWS, np.uint32)
    for first in range(0, len(sums), ROWS):
        count = min(ROWS, len(sums) - first)
        part = sums[first : first + count]
        for group in range(columns.shape[0]):
            words[:] = 0
            for k in range(size):
                bases = sequence[first + columns[group, k] : first + columns[group, k] + count]
                for row in range(count):
                    words[row] = words[row] << np.uint32(2) | bases[row]
            table = tables[group]
            if group:
                for row in range(count):
                    part[row] += table[words[row]]
            else:
                for row in range(count):
                    part[row] = table[words[row]]


@functools.cache
def _along_kernel() -> Callable[..., Any]:
    """Compile the loop on first use."""
    from numba import njit

    compiled: Callable[..., Any] = njit(cache=True, nogil=True)(_add_along)
    return compiled


@functools.cache
def _kernel() -> Callable[..., Any]:
    """Compile the loop on first use: listing backends must not import numba."""
    from numba import njit

    compiled: Callable[..., Any] = njit(cache=True, nogil=True)(_add_up)
    return compiled
