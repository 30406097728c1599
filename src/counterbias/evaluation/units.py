"""Cut exons into units within which abundance is taken as constant.

A unit is an exon bin on one strand: merged exons cut at every edge of a feature's merged blocks (and at block edges of the
folds), at least 100 bases long, with at least 20 reads. Whatever differs between positions of one unit is bias or noise, not
expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.records import Features, Positions

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
        """List every position of every unit, weighted by its reads, for scoring."""
        unit = self.of_position
        within = np.arange(len(unit)) - self.offsets[unit]
        return Positions(self.contig[unit], self.start[unit] + within, self.strand[unit], self.reads)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Units:
        """Give the units chosen by a mask or by indices."""
        chosen = np.arange(len(self))[rows]
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        source = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Units(self.contig[chosen], self.start[chosen], self.end[chosen], self.strand[chosen], offsets, self.reads[source])


def make_units(
    starts: Positions,
    features: Features,
    contig_of: NDArray[np.int64],
    *,
    block: int = 50_000,
    min_length: int = MIN_LENGTH,
    min_reads: float = MIN_READS,
) -> Units:
    """Cut the features' exons into units and count the reads that start at each position.

    ``starts`` are distinct starts weighted by their reads; ``contig_of`` gives, per contig of ``features``, its index in the
    starts' contig names, or -1; ``block`` is the block size of the folds, so that each unit lies in one block.
    """
    contig, begin, end = _bins(features, contig_of, block, min_length)
    rows_c, rows_b, rows_e, rows_s, reads = [], [], [], [], []
    for strand in (0, 1):
        for number in np.unique(contig).tolist():
            bins = np.flatnonzero(contig == number)
            here = np.flatnonzero((starts.contig == number) & (starts.strand == strand))
            found = _reads_within(begin[bins], end[bins], starts.position[here], starts.weight[here])
            for row, counts in zip(bins.tolist(), found, strict=True):
                if counts is not None and counts.sum() >= min_reads:
                    rows_c.append(number)
                    rows_b.append(begin[row])
                    rows_e.append(end[row])
                    rows_s.append(strand)
                    reads.append(counts)
    lengths = np.array([len(part) for part in reads], dtype=np.int64)
    return Units(
        np.array(rows_c, np.int32),
        np.array(rows_b, np.int64),
        np.array(rows_e, np.int64),
        np.array(rows_s, np.uint8),
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        np.concatenate(reads) if reads else np.zeros(0),
    )


def _bins(
    features: Features, contig_of: NDArray[np.int64], block: int, min_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut the union of all blocks at every edge; contig, start and end of the bins that are long enough."""
    mapped = np.asarray(contig_of)[features.block_contig]
    contigs, begins, ends = [], [], []
    for contig in np.unique(mapped[mapped >= 0]).tolist():
        rows = np.flatnonzero(mapped == contig)
        start, end = features.block_start[rows], features.block_end[rows]
        last = int(end.max())
        edges = np.unique(np.concatenate((start, end, np.arange(0, last + block, block))))
        # Depth of exons over each stretch between two edges: opened before it minus closed before it.
        opened = np.searchsorted(np.sort(start), edges[:-1], side="right")
        closed = np.searchsorted(np.sort(end), edges[:-1], side="right")
        kept = (opened > closed) & (np.diff(edges) >= min_length)
        begins.append(edges[:-1][kept])
        ends.append(edges[1:][kept])
        contigs.append(np.full(int(kept.sum()), contig, np.int64))
    if not contigs:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty
    return np.concatenate(contigs), np.concatenate(begins), np.concatenate(ends)


def _reads_within(
    begin: NDArray[np.int64], end: NDArray[np.int64], position: NDArray[np.int64], weight: NDArray[np.float64]
) -> list[NDArray[np.float64] | None]:
    """Count reads per position of each bin; None where no read starts. ``position`` is ascending."""
    first = np.searchsorted(position, begin)
    last = np.searchsorted(position, end)
    found: list[NDArray[np.float64] | None] = []
    for a, b, i, j in zip(begin.tolist(), end.tolist(), first.tolist(), last.tolist(), strict=True):
        counts = np.bincount(position[i:j] - a, weights=weight[i:j], minlength=b - a).astype(np.float64)
        found.append(counts if j > i else None)
    return found
