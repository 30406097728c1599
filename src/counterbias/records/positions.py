"""Positions and stretches of the genome. Coordinates: 0-based, half open; strands: 0 +, 1 -."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Positions:
    """Stranded genome positions, one row each, with a weight.

    Args:
        contig: int32 (n,), index into the accompanying contig names.
        position: int64 (n,), 0-based; column ``upstream`` of the window is this base.
        strand: uint8 (n,), 0 ``+``, 1 ``-``.
        weight: float64 (n,).
    """

    contig: NDArray[np.int32]
    position: NDArray[np.int64]
    strand: NDArray[np.uint8]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.position)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Positions:
        """Return the rows selected by a mask, by indices or by a slice."""
        return Positions(
            self.contig[rows], self.position[rows], self.strand[rows], self.weight[rows]
        )


def rows_by_contig(contig: NDArray[Any]) -> dict[int, slice | NDArray[np.int64]]:
    """Return contig → its rows, both ascending; slices where the rows are sorted by contig."""
    if (contig[1:] >= contig[:-1]).all():
        edges = [0, *(np.flatnonzero(contig[1:] != contig[:-1]) + 1).tolist(), len(contig)]
        return {
            int(contig[first]): slice(first, last)
            for first, last in pairwise(edges)
            if first < last
        }
    order = np.argsort(contig, kind="stable")
    return {number: order[rows] for number, rows in rows_by_contig(contig[order]).items()}


@dataclass(frozen=True, slots=True)
class Stretches:
    """Runs of consecutive genome positions, one row each; a row lies on one strand.

    Args:
        contig: int32 (n,), index into the accompanying contig names, -1 for none of them.
        start, end: int64 (n,), 0-based and half open.
        strand: uint8 (n,), 0 ``+``, 1 ``-``.
    """

    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Positions per row, int64 (n,)."""
        return self.end - self.start

    def take(self, rows: slice) -> Stretches:
        """Return consecutive rows."""
        return Stretches(self.contig[rows], self.start[rows], self.end[rows], self.strand[rows])

    def positions(self) -> Positions:
        """List every position, row after row, each row in genome order; all weights are 1."""
        sizes = self.sizes
        row = np.repeat(np.arange(len(self)), sizes)
        within = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return Positions(
            self.contig[row], self.start[row] + within, self.strand[row], np.ones(len(row))
        )
