"""Gather, in the order of the fragments, what counting leaves behind: start sites, and records to be written with ``-o``."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.counting.assignment import (
    ASSIGNED,
    LOW_QUALITY,
    MULTIMAPPED,
    NOT_ALIGNED,
    SKIPPED,
    STOPPED,
    Assigner,
    StepIndex,
    tally,
)
from counterbias.records import EndSites, StartSites, TaggedBatch

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


def tagged_batch(
    fragments: NDArray[np.int64], made: int, kinds: NDArray[np.uint8], result: NDArray[np.int64], pool: NDArray[np.int32],
    index: StepIndex, site_of: NDArray[np.int64], data: NDArray[np.uint8], offsets: NDArray[np.int64], own: int,
) -> TaggedBatch:  # fmt: skip
    """List what ``-o`` gets of fragments.

    ``offsets`` say where records start in ``data``; the first ``own`` are the batch's, then come the mates of earlier batches.
    """
    kind = kinds[:made] & 7
    multimapped = (kinds[:made] & MULTIMAPPED) != 0
    sets = result[:made]
    sizes = _sizes(sets, index, pool)
    code = np.full(made, -1, dtype=np.int32)
    code[kind == LOW_QUALITY] = -3
    code[kind == NOT_ALIGNED] = -4
    one = (kind == ASSIGNED) & (sizes == 1)
    code[one] = index.members[index.member_offsets[sets[one]]]
    ambiguous = (kind == ASSIGNED) & (sizes > 1)
    code[ambiguous] = -2

    # Four possible entries per fragment: read 1 and read 2 as multimapped, then both as what they were assigned to.
    records = fragments[:made][:, [3, 7]]
    present = records != -1
    records = np.where(records < -1, own - 2 - records, records)
    last = (kind != SKIPPED) & (kind != STOPPED)
    shown = np.concatenate((present & multimapped[:, None], present & last[:, None]), axis=1)
    entry_code = np.stack((np.full(made, -5, dtype=np.int32),) * 2 + (code,) * 2, axis=1)
    chosen = shown.ravel()
    fragment_of = np.repeat(np.arange(made), 4)[chosen]
    column = np.tile(np.arange(4), made)[chosen]
    entries = np.tile(records, 2).ravel()[chosen]
    codes = entry_code.ravel()[chosen]

    with_members = codes == -2
    counts = np.where(with_members, sizes[fragment_of], 0)
    member_offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    parts = [_members(int(sets[f]), index, pool) for f in fragment_of[with_members]]
    sizes_of_records = (
        data[offsets[:, None] + np.arange(4)].view("<i4").ravel().astype(np.int64) + 4
    )
    return TaggedBatch(
        buffer=data,
        offsets=offsets,
        lengths=sizes_of_records,
        record=entries,
        code=codes,
        repeated=(column >= 2) & multimapped[fragment_of],
        member_offsets=member_offsets,
        members=np.concatenate(parts) if parts else np.empty(0, dtype=np.int32),
        site=site_of[fragment_of],
        second=(column & 1) == 1,
    )


def _sizes(sets: NDArray[np.int64], index: StepIndex, pool: NDArray[np.int32]) -> NDArray[np.int64]:
    known = np.maximum(sets, 0)
    sizes = index.member_offsets[known + 1] - index.member_offsets[known]
    pooled = np.flatnonzero(sets < 0)
    sizes[pooled] = pool[-3 - sets[pooled]]
    return np.asarray(sizes, dtype=np.int64)


def _members(code: int, index: StepIndex, pool: NDArray[np.int32]) -> NDArray[np.int32]:
    if code < 0:
        place = -3 - code
        return pool[place + 1 : place + 1 + int(pool[place])].copy()
    return index.members[index.member_offsets[code] : index.member_offsets[code + 1]]
