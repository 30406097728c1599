"""Sums of small tables, shared by ``pwm``, ``heptamer``, ``vlmm`` and ``bayesnet``. Not a backend.

A *term* is a table over a few of a window's columns: its value for a window is the entry that the
bases there spell. Before scoring, many tables of few columns are added up into few tables of
:data:`COLUMNS` columns, so that a window costs few look-ups whatever the model. The index of an
entry of a term of K columns is ``Σ base(columns[k]) · 4^(K − 1 − k)``: the last column changes
fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Columns per table when scoring: 4^7 numbers are 128 KB, and the handful of tables that a model
#: needs stays in the cache.
COLUMNS = 7
#: Bases that are packed at a time.
AT_ONCE = 8

#: Columns of a table in use, and the terms that it is the sum of.
Group = tuple[tuple[int, ...], list["Term"]]


@dataclass(frozen=True, slots=True)
class Term:
    """A table over some columns of a window.

    Args:
        columns: distinct columns.
        table: float64 (4 ** columns,).
    """

    columns: tuple[int, ...]
    table: NDArray[np.float64]


class TableSum:
    """Add up terms over windows of ``width`` bases; immutable, so safe in several threads."""

    def __init__(self, terms: Sequence[Term], width: int) -> None:
        groups = _group(terms, COLUMNS)
        used = sorted({column for columns, _ in groups for column in columns})
        low, high = (used[0], used[-1] + 1) if used else (0, 0)
        # Eight bases are packed as fast as one.
        missing = max(min(AT_ONCE, width) - (high - low), 0)
        self._high = min(high + missing, width)
        self._low = max(min(low, self._high - min(AT_ONCE, width)), 0)
        self._width = width
        runs = [_runs([column - self._low for column in columns]) for columns, _ in groups]
        self._runs = np.array([run for table in runs for run in table], np.uint64).reshape(-1, 4)
        self._groups = np.cumsum([0, *(len(table) for table in runs)]).astype(np.int64)
        tables = [
            sum((_spread(term, columns) for term in members), np.zeros(4 ** len(columns)))
            for columns, members in groups
        ]
        self._columns = np.array([column for columns, _ in groups for column in columns], np.int64)
        self._bounds = np.cumsum([0, *(len(columns) for columns, _ in groups)]).astype(np.int64)
        self._begins = np.cumsum([0, *(len(table) for table in tables)])[:-1].astype(np.uint64)
        self._tables = np.concatenate([np.zeros(0), *tables])

    def __call__(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Add up the terms of each window: C-contiguous uint8 (n, width) → float64 (n,).

        Raises ValueError for anything but bases in the columns that terms use.
        """
        from counterbias_backends.table_lookup import add_windows

        if contexts.ndim != 2 or contexts.shape[1] != self._width:
            raise ValueError(
                f"contexts of shape {contexts.shape} do not fit a window of {self._width} bases"
            )
        sums = np.empty(len(contexts))
        flat = np.ascontiguousarray(contexts, np.uint8).reshape(-1)
        runs = (self._low, self._high, self._runs, self._groups)
        if not add_windows(flat, self._width, *runs, self._begins, self._tables, sums):
            raise ValueError("contexts hold a value that is not 0, 1, 2 or 3")
        return sums

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Add up the terms of each window of a sequence: uint8 (n + width - 1,) → float64 (n,).

        The sums are those of the windows themselves.
        """
        from counterbias_backends.table_lookup import add_along

        if sequence.ndim != 1 or len(sequence) < self._width:
            raise ValueError(
                f"a sequence of {len(sequence)} bases holds no window of {self._width}"
            )
        if sequence.max() > 3:  # bases are used as addresses
            raise ValueError("the sequence holds a value that is not 0, 1, 2 or 3")
        sums = np.empty(len(sequence) - self._width + 1)
        add_along(
            np.ascontiguousarray(sequence, np.uint8),
            self._columns,
            self._bounds,
            self._begins,
            self._tables,
            sums,
        )
        return sums


def codes(columns: NDArray[np.uint8], chosen: Sequence[int]) -> NDArray[np.int64]:
    """Number the words that windows spell in some columns.

    Args:
        columns: uint8 (width, n), the windows' transpose.
        chosen: the columns of the word, in order.
    """
    code = np.zeros(columns.shape[1], np.int64)
    for column in chosen:
        code <<= 2
        code |= columns[column]
    return code


def count_words(
    columns: NDArray[np.uint8], chosen: Sequence[int], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weight of each word in some columns, float64 (4 ** chosen,).

    Raises ValueError for anything but bases.
    """
    if columns.shape[1] and max(columns[column].max() for column in chosen) > 3:
        raise ValueError("contexts hold a value that is not 0, 1, 2 or 3")
    words = np.bincount(codes(columns, chosen), weights, 4 ** len(chosen))
    return np.asarray(words, dtype=np.float64)


def _group(terms: Sequence[Term], limit: int) -> list[Group]:
    """Join terms that together use at most ``limit`` columns; larger ones stay alone."""
    groups: list[Group] = []
    for term in sorted(terms, key=lambda one: (min(one.columns), max(one.columns))):
        best, least = -1, limit + 1
        for number, (columns, _) in enumerate(groups):
            united = len(set(columns) | set(term.columns))
            # The group that grows least; of equals the last.
            if united <= limit and (grown := united - len(columns)) <= least:
                best, least = number, grown
        if best < 0:
            groups.append((tuple(sorted(term.columns)), [term]))
        else:
            columns, members = groups[best]
            groups[best] = (tuple(sorted({*columns, *term.columns})), [*members, term])
    return groups


def _runs(columns: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Cut ascending columns into runs of neighbours within one pack.

    A run is the index of the pack, the shift down, the mask and the shift up.
    """
    from counterbias_backends.packing import MOST

    found: list[tuple[int, int, int, int]] = []
    first = 0
    for place in range(1, len(columns) + 1):
        ends = (
            place == len(columns)
            or columns[place] != columns[place - 1] + 1
            or columns[place] % MOST == 0
        )
        if ends:
            pack, within = divmod(columns[first], MOST)
            found.append((pack, 2 * within, 4 ** (place - first) - 1, 2 * first))
            first = place
    return found


def _spread(term: Term, columns: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a term's value for each word of more columns, float64 (4 ** columns,).

    The first column changes fastest.
    """
    words = np.arange(4 ** len(columns))
    index = np.zeros(len(words), np.int64)
    for column in term.columns:
        index = index << 2 | words >> 2 * columns.index(column) & 3
    return term.table[index]
