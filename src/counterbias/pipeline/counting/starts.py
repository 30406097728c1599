"""Gather, in the order of the fragments, what counting leaves behind: start sites, and records to be written with ``-o``."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.counting.assignment import (
    Assigner,
    tally,
)
from counterbias.records import EndSites, StartSites

#: Rows per chunk of start sites: small chunks, so that little is held twice when they are joined.
CHUNK = 1 << 18


_DTYPES = (np.int32, np.float32, np.int32, np.int32, np.uint8, np.int32, np.int32, np.uint8)


_NO_ROWS: NDArray[np.int64] = np.empty(0, dtype=np.int64)


def _mapped(size: int, kind: Any) -> NDArray[Any]:
    """Allocate an array whose memory goes back to the system at once when it is dropped, which the heap does not promise."""
    memory = mmap.mmap(
        -1, size * np.dtype(kind).itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    return np.frombuffer(memory, dtype=kind)


class SiteCollector:
    """Start sites, filled chunk by chunk. Columns: feature, share, then contig, position and bits of read 1 and of read 2."""

    def __init__(
        self,
        contigs: tuple[str, ...],
        lengths: tuple[int, ...],
        *,
        paired: bool,
        fraction: bool,
        features: int,
    ) -> None:
        self._contigs = contigs
        self._lengths = lengths
        # A fragment's rows must fit into one chunk, and it may have one per feature.
        self._capacity = max(CHUNK, features)
        self._kept = (True, fraction, True, True, True, paired, paired, paired)
        self._full: list[list[NDArray[Any]]] = []
        self.paired = paired
        self.rows_before = 0
        self.row = 0
        self.columns = self._new_columns()

    def _new_columns(self) -> list[NDArray[Any]]:
        return [
            _mapped(self._capacity, kind) if kept else np.empty(0, dtype=kind)
            for kept, kind in zip(self._kept, _DTYPES, strict=True)
        ]

    def next_chunk(self) -> None:
        """Put the current chunk aside and begin another."""
        self._full.append([column[: self.row] for column in self.columns])
        self.rows_before += self.row
        self.row = 0
        self.columns = self._new_columns()

    def finish(self) -> StartSites:
        """Join the chunks column by column, letting go of each column's chunks before the next is joined."""
        self.next_chunk()
        self.columns = []
        joined: list[NDArray[Any]] = []
        for i in range(len(_DTYPES)):
            joined.append(np.concatenate([chunk[i] for chunk in self._full]))
            for chunk in self._full:
                chunk[i] = chunk[i][:0].copy()
        ends = [EndSites(*joined[2:5])] + ([EndSites(*joined[5:8])] if self.paired else [])
        return StartSites(
            self._contigs,
            self._lengths,
            joined[0],
            joined[1] if self._kept[1] else None,
            tuple(ends),
        )


#: Stands in for a collector where nobody wants start sites.
_NO_COLUMNS: list[NDArray[Any]] = [np.empty(0, dtype=kind) for kind in _DTYPES]


def count_fragments(
    assigner: Assigner, fragments: NDArray[np.int64], made: int, kinds: NDArray[np.uint8], result: NDArray[np.int64],
    pool: NDArray[np.int32], base: int, sites: SiteCollector | None, want_rows: bool,
) -> NDArray[np.int64]:  # fmt: skip
    """Add fragments to the counts and start sites; ``base`` is the first one's number.

    Gives, with ``want_rows``, each fragment's first row among the start sites, -1 where it has none.
    """
    index = assigner.index
    site_of = np.full(made, -1, dtype=np.int64) if want_rows else _NO_ROWS
    done = 0
    while done < made:
        columns = sites.columns if sites else _NO_COLUMNS
        begun = done
        done, row = tally(
            fragments, begun, made, kinds, result, assigner.nonunique, assigner.seed, base,
            index.member_offsets, index.members, pool, assigner.counts, assigner.parts, assigner.classes,
            sites is not None, sites.row if sites else 0, *columns, site_of,
        )  # fmt: skip
        if sites:
            sites.row = int(row)
            if want_rows:
                own = site_of[begun:done]
                own[own >= 0] += sites.rows_before
            if done < made:
                sites.next_chunk()
    return site_of
