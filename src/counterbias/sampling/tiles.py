"""Stretches of exons with the reads that start in them, and which windows lie within exons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import Features, Positions, Tiles, Window, rows_by_contig


@dataclass(frozen=True, slots=True)
class DrawnTiles:
    """Tiles whose counts are kept as the starts within them, since most positions have none.

    Args:
        sequence: uint8 (tiles, length + width − 1), 5'→3' on the tile's strand.
        length: positions per tile.
        row, column: int64 (starts,), the tile of each start, and its position there, 5'→3' on the tile's strand.
        weight: float64 (starts,), reads that start there.
    """

    sequence: NDArray[np.uint8]
    length: int
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sequence)

    def take(self, chosen: NDArray[np.bool_]) -> DrawnTiles:
        """Give the tiles chosen by a mask."""
        new = np.cumsum(chosen) - 1
        kept = chosen[self.row]
        return replace(
            self, sequence=self.sequence[chosen], row=new[self.row[kept]], column=self.column[kept], weight=self.weight[kept]
        )  # fmt: skip

    def counts(self) -> NDArray[np.float32]:
        """Give reads per position, float32 (tiles, length)."""
        counts = np.zeros((len(self), self.length), np.float32)
        _add(self.row, self.column, self.weight, counts)
        return counts

    def tiles(self) -> Tiles:
        """Give what backends learn from."""
        return Tiles(self.sequence, self.counts())


def inside_exons(positions: Positions, window: Window, features: Features, contig_of: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which windows lie wholly within the merged exons of the annotation, on either strand; bool (n,).

    ``contig_of`` gives, per contig of ``features``, its index in the positions' contig names, or -1.
    """
    forward = positions.strand == 0
    first = positions.position - np.where(forward, window.upstream, window.downstream)
    last = positions.position + np.where(forward, window.downstream, window.upstream)
    inside = np.zeros(len(positions), dtype=bool)
    rows_of = rows_by_contig(positions.contig)
    for contig, (starts, ends) in merged_exons(features, contig_of).items():
        rows = rows_of.get(contig, slice(0))
        block = np.searchsorted(starts, first[rows], side="right") - 1
        inside[rows] = (block >= 0) & (last[rows] < ends[np.maximum(block, 0)])
    return inside


def merged_exons(features: Features, contig_of: NDArray[np.int64]) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Merge the blocks of all features, whatever the strand: contig index → starts and ends, ascending and disjoint."""
    mapped = np.asarray(contig_of)[features.block_contig]
    merged = {}
    for contig, own in rows_by_contig(mapped).items():
        if contig < 0:
            continue
        order = np.argsort(features.block_start[own], kind="stable")
        starts, reach = features.block_start[own][order], np.maximum.accumulate(features.block_end[own][order])
        opens = np.concatenate(([True], starts[1:] > reach[:-1]))
        closes = np.concatenate((opens[1:], [True]))
        merged[contig] = (starts[opens], reach[closes])
    return merged


@njit(cache=True, nogil=True)
def _add(row, column, weight, counts):  # type: ignore[no-untyped-def]
    """Add weights to counts."""
    for i in range(len(row)):
        counts[row[i], column[i]] += weight[i]


#: Turns the 5' ends of tiles and the window that holds all bases of one into their sequence, uint8 (n, width), and its validity, bool (n,).
CutTiles = Callable[[Positions, Window], tuple[NDArray[np.uint8], NDArray[np.bool_]]]


def draw_tiles(
    starts: Positions,
    features: Features,
    contig_of: NDArray[np.int64],
    window: Window,
    rng: np.random.Generator,
    cut: CutTiles,
    *,
    length: int = 100,
    fewest_reads: float = 2.0,
    most: int = 100_000,
) -> tuple[Positions, DrawnTiles]:
    """Cut merged exons into tiles of ``length`` consecutive positions and keep those where reads start, ``most`` of them drawn at random.

    ``starts`` are distinct starts weighted by their reads (:func:`unique_starts`). Returns the 5' position of each tile on
    its strand (both strands are looked at), and the tiles. A tile ends with its exon, so exons shorter than ``length`` give none; tiles
    whose sequence is not valid are left out.
    """
    found: list[tuple[Positions, _TileReads]] = []
    rows_of = rows_by_contig(starts.contig)
    for contig, (begins, ends) in merged_exons(features, contig_of).items():
        per_block = (ends - begins) // length
        block = np.repeat(np.arange(len(begins)), per_block)
        number = np.arange(len(block)) - np.repeat(np.cumsum(per_block) - per_block, per_block)
        tile_start = begins[block] + number * length
        here = starts.take(rows_of.get(contig, slice(0)))
        for strand in (0, 1):
            own = here.take(here.strand == strand)
            reads = _tile_reads(tile_start, length, own.position, own.weight, fewest_reads)
            n = len(reads.kept)
            first = tile_start[reads.kept] + (length - 1 if strand else 0)
            found.append((Positions(np.full(n, contig, np.int32), first, np.full(n, strand, np.uint8), np.ones(n)), reads))
    every = _join([positions for positions, _ in found])
    chosen = np.arange(len(every)) if len(every) <= most else np.sort(rng.choice(len(every), size=most, replace=False))
    positions = every.take(chosen)
    sequence, valid = cut(positions, Window(window.upstream, window.downstream + length - 1))
    tiles = DrawnTiles(sequence, length, *_reads_of(found, chosen, len(every), length))
    return (positions, tiles) if valid.all() else (positions.take(valid), tiles.take(valid))


@dataclass(frozen=True, slots=True)
class _TileReads:
    """Reads within the tiles of one contig and strand. Args: kept: the tiles; row, column, weight: of each distinct start, among them."""

    kept: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    weight: NDArray[np.float64]


def _reads_of(
    found: Sequence[tuple[Positions, _TileReads]], chosen: NDArray[np.int64], tiles: int, length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Give row, column (5'→3') and weight of the starts within the chosen ones among all tiles."""
    row_of = np.full(tiles, -1, np.int64)
    row_of[chosen] = np.arange(len(chosen))
    rows, columns, weights, before = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)], 0
    for positions, reads in found:
        row = row_of[before + reads.row]
        column = length - 1 - reads.column if len(positions) and positions.strand[0] else reads.column
        rows.append(row[row >= 0])
        columns.append(column[row >= 0])
        weights.append(reads.weight[row >= 0])
        before += len(positions)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)


def _tile_reads(
    tile_start: NDArray[np.int64], length: int, position: NDArray[np.int64], weight: NDArray[np.float64], fewest: float
) -> _TileReads:
    """Find the tiles with at least ``fewest`` reads, in genome order, and the reads there."""
    if not len(tile_start):
        none = np.zeros(0, np.int64)
        return _TileReads(none, none, none, np.zeros(0))
    tile = np.searchsorted(tile_start, position, side="right") - 1
    column = position - tile_start[np.maximum(tile, 0)]
    within = (tile >= 0) & (column < length)
    tile, column, weight = tile[within], column[within], weight[within]
    kept = np.flatnonzero(np.bincount(tile, weight, len(tile_start)) >= fewest)
    row_of = np.full(len(tile_start), -1, np.int64)
    row_of[kept] = np.arange(len(kept))
    row = row_of[tile]
    chosen = row >= 0
    return _TileReads(kept, row[chosen], column[chosen], weight[chosen])


def _join(parts: Sequence[Positions]) -> Positions:
    nothing = Positions(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0))
    columns = ("contig", "position", "strand", "weight")
    return Positions(*(np.concatenate([getattr(part, column) for part in (nothing, *parts)]) for column in columns))
