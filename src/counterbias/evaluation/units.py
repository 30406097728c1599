"""Cut exons into units within which abundance is treated as constant.

A unit is an exon bin on one strand: merged exons cut at every edge of a feature's merged blocks
(and at block edges of the folds), at least :data:`MIN_LENGTH` bases long, with at least
:data:`MIN_READS` reads. Differences between positions of one unit are bias or noise, not
expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.records import Features, Positions, rows_by_contig

MIN_LENGTH = 100
MIN_READS = 20


@dataclass(frozen=True, slots=True)
class Units:
    """Stretches of one strand with the reads that start at each of their positions.

    Unit ``i`` owns rows ``offsets[i]:offsets[i + 1]`` of ``reads``, in genome order.

    Args:
        contig: int32 (n,). start, end: int64 (n,). strand: uint8 (n,).
        offsets: int64 (n + 1,).
        reads: float64 (positions,).
    """

    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    reads: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def of_position(self) -> NDArray[np.int64]:
        """The unit of each row of ``reads``, int64 (positions,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def positions(self) -> Positions:
        """List every position of every unit, weighted by its reads."""
        unit = self.of_position
        within = np.arange(len(unit)) - self.offsets[unit]
        return Positions(
            self.contig[unit], self.start[unit] + within, self.strand[unit], self.reads
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Units:
        """Select units by a mask or by indices."""
        chosen = np.arange(len(self))[rows]
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        source = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Units(
            self.contig[chosen],
            self.start[chosen],
            self.end[chosen],
            self.strand[chosen],
            offsets,
            self.reads[source],
        )


def make_units(
    starts: Positions,
    features: Features,
    contig_of: NDArray[np.int64],
    *,
    block: int,
) -> Units:
    """Cut the features' exons into units and count the reads that start at each position.

    Args:
        starts: distinct starts, weighted by their reads.
        features: the features.
        contig_of: per contig of ``features``, its index in the starts' contig names, or -1.
        block: block size of the folds, so that each unit lies in one block.
    """
    contig, begin, end = _bins(features, contig_of, block)
    parts = []
    starts_of, every = rows_by_contig(starts.contig), np.arange(len(contig))
    for strand in (0, 1):
        for number, own in rows_by_contig(contig).items():
            here = starts.take(starts_of.get(number, slice(0)))
            here = here.take(here.strand == strand)
            kept, reads = _reads_within(begin[own], end[own], here.position, here.weight)
            parts.append((every[own][kept], np.full(len(kept), strand, np.uint8), reads))
    if not parts:
        parts.append((np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0)))
    rows, strands, reads = (np.concatenate(column) for column in zip(*parts, strict=True))
    offsets = np.concatenate(([0], np.cumsum(end[rows] - begin[rows]))).astype(np.int64)
    return Units(contig[rows].astype(np.int32), begin[rows], end[rows], strands, offsets, reads)


def _bins(
    features: Features, contig_of: NDArray[np.int64], block: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut the union of all blocks at every edge; return contig, start, end of long enough bins."""
    mapped = np.asarray(contig_of)[features.block_contig]
    contigs, begins, ends = [], [], []
    for contig, rows in rows_by_contig(mapped).items():
        if contig < 0:
            continue
        start, end = features.block_start[rows], features.block_end[rows]
        last = int(end.max())
        start, end = np.sort(start), np.sort(end)
        edges = np.sort(np.concatenate((start, end, np.arange(0, last + block, block))))
        edges = edges[np.concatenate(([True], edges[1:] != edges[:-1]))]
        # Number of exons over each stretch between two edges: those opened minus those closed.
        opened = np.searchsorted(start, edges[:-1], side="right")
        closed = np.searchsorted(end, edges[:-1], side="right")
        kept = (opened > closed) & (np.diff(edges) >= MIN_LENGTH)
        begins.append(edges[:-1][kept])
        ends.append(edges[1:][kept])
        contigs.append(np.full(int(kept.sum()), contig, np.int64))
    if not contigs:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty
    return np.concatenate(contigs), np.concatenate(begins), np.concatenate(ends)


def _reads_within(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    position: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the bins with enough reads, and the reads that start at each of their positions.

    Bins are disjoint and ascending, as are the returned positions.
    """
    row = np.searchsorted(begin, position, side="right") - 1
    inside = row >= 0
    inside[inside] = position[inside] < end[row[inside]]
    row, position, weight = row[inside], position[inside], weight[inside]
    reads = np.bincount(row, weights=weight, minlength=len(begin))
    kept = np.flatnonzero(reads >= MIN_READS)
    first = np.full(len(begin), -1, np.int64)
    lengths = end[kept] - begin[kept]
    first[kept] = np.cumsum(lengths) - lengths
    here = first[row] >= 0
    at = first[row[here]] + position[here] - begin[row[here]]
    return kept, np.bincount(at, weights=weight[here], minlength=int(lengths.sum())).astype(
        np.float64
    )
