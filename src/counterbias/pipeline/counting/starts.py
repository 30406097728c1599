"""The start sites of counted fragments, in the order of the fragments."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.counting.assignment import Assigner, tally
from counterbias.pipeline.counting.fragments import FragmentBatch
from counterbias.records import EndSites, StartSites

#: Rows per chunk of start sites: small, so that little is in memory twice while chunks are joined.
CHUNK = 1 << 18

#: Types of the columns: feature, share, then contig, position and bits of read 1 and of read 2.
_DTYPES = (np.int32, np.float32, np.int32, np.int32, np.uint8, np.int32, np.int32, np.uint8)

_NO_ROWS: NDArray[np.int64] = np.empty(0, dtype=np.int64)


def _allocate(size: int, dtype: Any) -> NDArray[Any]:
    """Return an array whose memory goes back to the system as soon as it is freed.

    The heap does not promise that.
    """
    memory = mmap.mmap(
        -1, size * np.dtype(dtype).itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    return np.frombuffer(memory, dtype=dtype)


class SiteCollector:
    """Collects start sites, chunk by chunk.

    Args:
        contigs, lengths: contigs of the alignment header.
        paired: whether there are columns for read 2.
        fraction: whether there is a column for shares.
        features: number of features.
    """

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
            _allocate(self._capacity, dtype) if kept else np.empty(0, dtype=dtype)
            for kept, dtype in zip(self._kept, _DTYPES, strict=True)
        ]

    def next_chunk(self) -> None:
        """Begin another chunk."""
        self._full.append([column[: self.row] for column in self.columns])
        self.rows_before += self.row
        self.row = 0
        self.columns = self._new_columns()

    def finish(self) -> StartSites:
        """Join the chunks column by column; each column's chunks are freed before the next."""
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


#: The columns where no start sites are collected.
_NO_COLUMNS: list[NDArray[Any]] = [np.empty(0, dtype=dtype) for dtype in _DTYPES]


def count_fragments(
    assigner: Assigner,
    fragments: FragmentBatch,
    fragments_before: int,
    sites: SiteCollector | None,
    *,
    want_rows: bool,
) -> NDArray[np.int64]:
    """Add a batch's fragments to the counts and start sites.

    Args:
        assigner: has the counts.
        fragments: the batch; its outcomes are known.
        fragments_before: fragments of earlier batches.
        sites: gets the start sites, or None.
        want_rows: whether rows are returned.

    Returns:
        each fragment's first row among the start sites, -1 where it has none; empty without
        ``want_rows``.
    """
    index, count = assigner.index, fragments.count
    site_of = np.full(count, -1, dtype=np.int64) if want_rows else _NO_ROWS
    done = 0
    while done < count:
        columns = sites.columns if sites else _NO_COLUMNS
        first = done
        done, row = tally(
            fragments.table, first, count, fragments.outcomes, fragments.sets,
            assigner.nonunique, assigner.seed, fragments_before,
            index.member_offsets, index.members, fragments.pool,
            assigner.counts, assigner.parts, assigner.classes,
            sites is not None, sites.row if sites else 0, *columns, site_of,
        )  # fmt: skip
        if sites:
            sites.row = int(row)
            if want_rows:
                rows = site_of[first:done]
                rows[rows >= 0] += sites.rows_before
            if done < count:
                sites.next_chunk()
    return site_of
