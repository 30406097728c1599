"""Tiles of exons with the reads that start in them, and which windows lie within exons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.records import WIDEST, Features, Positions, Tiles, Window, rows_by_contig
from counterbias.sampling.cutting import Cut

#: Positions per tile.
LENGTH = 100
#: Reads that a tile needs to be kept.
FEWEST_READS = 2.0

#: Contig index → starts and ends, int64 (n,) each, of merged exons, ascending and disjoint.
MergedExons = Mapping[int, tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class DrawnTiles:
    """Tiles with the read starts in them, a sparse form of counts per position.

    Args:
        sequence: uint8 (tiles, length + width − 1), 5'→3' on the tile's strand.
        length: positions per tile.
        row, column: int64 (starts,), the tile of each start, and its position there, 5'→3' on the
            tile's strand.
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
        """Select tiles by a mask."""
        new = np.cumsum(chosen) - 1
        kept = chosen[self.row]
        return replace(
            self,
            sequence=self.sequence[chosen],
            row=new[self.row[kept]],
            column=self.column[kept],
            weight=self.weight[kept],
        )

    def counts(self) -> NDArray[np.float32]:
        """Return reads per position, float32 (tiles, length)."""
        counts = np.zeros((len(self), self.length), np.float32)
        _add(self.row, self.column, self.weight, counts)
        return counts

    def tiles(self) -> Tiles:
        """Return the tiles as backends learn from them."""
        return Tiles(self.sequence, self.counts())


def inside_exons(positions: Positions, window: Window, exons: MergedExons) -> NDArray[np.bool_]:
    """Return which windows lie wholly within merged exons, bool (n,)."""
    forward = positions.strand == 0
    first = positions.position - np.where(forward, window.upstream, window.downstream)
    last = positions.position + np.where(forward, window.downstream, window.upstream)
    inside = np.zeros(len(positions), dtype=bool)
    rows_of = rows_by_contig(positions.contig)
    for contig, (starts, ends) in exons.items():
        rows = rows_of.get(contig, slice(0))
        block = np.searchsorted(starts, first[rows], side="right") - 1
        inside[rows] = (block >= 0) & (last[rows] < ends[np.maximum(block, 0)])
    return inside


def merged_exons(features: Features, contig_of: NDArray[np.int64]) -> MergedExons:
    """Merge the blocks of all features, whatever their strand.

    ``contig_of`` holds, per contig of ``features``, its index among the contigs of the alignments,
    or -1.
    """
    mapped = np.asarray(contig_of)[features.block_contig]
    merged = {}
    for contig, own in rows_by_contig(mapped).items():
        if contig < 0:
            continue
        order = np.argsort(features.block_start[own], kind="stable")
        starts, reach = (
            features.block_start[own][order],
            np.maximum.accumulate(features.block_end[own][order]),
        )
        opens = np.concatenate(([True], starts[1:] > reach[:-1]))
        closes = np.concatenate((opens[1:], [True]))
        merged[contig] = (starts[opens], reach[closes])
    return merged


@loop("i8[::1], i8[::1], f8[::1], f4[:, ::1]")
def _add(row, column, weight, counts):  # type: ignore[no-untyped-def]
    """Add weights to counts."""
    for i in range(len(row)):
        counts[row[i], column[i]] += weight[i]


def tiles_fit(window: Window) -> bool:
    """Return whether the windows of a tile's positions can be cut in one piece."""
    return window.width + LENGTH - 1 <= WIDEST


def draw_tiles(
    starts: Positions,
    exons: MergedExons,
    window: Window,
    rng: np.random.Generator,
    cut: Cut,
    *,
    most: int = 100_000,
) -> tuple[Positions, DrawnTiles]:
    """Cut exons into tiles of consecutive positions; keep those where reads start.

    A tile has :data:`LENGTH` positions of one strand, all of one exon: shorter exons have none.
    Tiles whose sequence is not valid are left out.

    Args:
        starts: distinct starts, weighted by the fragments that begin there.
        exons: :func:`merged_exons`.
        window: the window of the positions.
        rng: draws the tiles that are kept where there are more than ``most``.
        cut: called with the 5' ends of tiles and the window that holds all bases of one.
        most: tiles kept.

    Returns:
        The 5' position of each tile on its strand, and the tiles.
    """
    grids = []
    rows_of, nothing = rows_by_contig(starts.contig), slice(0)
    for contig, (begins, ends) in exons.items():
        per_block = (ends - begins) // LENGTH
        block = np.repeat(np.arange(len(begins)), per_block)
        number = np.arange(len(block)) - np.repeat(np.cumsum(per_block) - per_block, per_block)
        here = starts.take(rows_of.get(contig, nothing))
        grids.append(_Grid(contig, begins[block] + number * LENGTH, here))
    every = _join([grid.tiles(strand) for grid in grids for strand in (0, 1)])
    chosen = (
        np.arange(len(every))
        if len(every) <= most
        else np.sort(rng.choice(len(every), size=most, replace=False))
    )
    positions = every.take(chosen)
    sequence, valid = cut(positions, Window(window.upstream, window.downstream + LENGTH - 1))
    tiles = DrawnTiles(sequence, LENGTH, *_reads_of(grids, chosen, len(every)))
    return (positions, tiles) if valid.all() else (positions.take(valid), tiles.take(valid))


class _Grid:
    """All tiles of one contig, and the distinct starts there.

    Args:
        contig: its index.
        start: int64 (tiles,), ascending, where each tile begins in the genome.
        starts: the contig's distinct starts.
    """

    def __init__(self, contig: int, start: NDArray[np.int64], starts: Positions) -> None:
        self.contig, self.start, self.starts = contig, start, starts
        reads = np.zeros((2, len(start)))
        _count(starts.position, starts.strand, starts.weight, start, LENGTH, reads)
        self.kept = [np.flatnonzero(own >= FEWEST_READS) for own in reads]

    def tiles(self, strand: int) -> Positions:
        """Return the 5' ends of the tiles of a strand that are kept."""
        n = len(self.kept[strand])
        first = self.start[self.kept[strand]] + (LENGTH - 1 if strand else 0)
        return Positions(
            np.full(n, self.contig, np.int32), first, np.full(n, strand, np.uint8), np.ones(n)
        )


def _reads_of(
    grids: Sequence[_Grid], chosen: NDArray[np.int64], tiles: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return row, column (5'→3') and weight of the starts within the chosen tiles."""
    row_of, before = np.full(tiles, -1, np.int64), 0
    row_of[chosen] = np.arange(len(chosen))
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for grid in grids:
        own = np.full((2, len(grid.start)), -1, np.int64)
        for strand in (0, 1):
            kept = grid.kept[strand]
            own[strand, kept] = row_of[before : before + len(kept)]
            before += len(kept)
        starts = grid.starts
        parts.append(_list(starts.position, starts.strand, starts.weight, grid.start, LENGTH, own))
    rows, columns, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rows, columns, weights


@helper
def _tile_at(position, start, length, near):  # type: ignore[no-untyped-def]
    """Find the tile that contains a position; if none, −1 − the one before it.

    ``near`` is where to look first, since starts are sorted.
    """
    low, high = 0, len(start)
    if near < high and start[near] <= position:
        low = near
        if near + 1 < high and position < start[near + 1]:
            high = near + 1
    while low < high:
        middle = (low + high) // 2
        if start[middle] <= position:
            low = middle + 1
        else:
            high = middle
    found = max(low - 1, 0)
    return found if low > 0 and position - start[found] < length else -1 - found


@loop("i8[::1], u1[::1], f8[::1], i8[::1], i8, f8[:, ::1]")
def _count(position, strand, weight, start, length, reads):  # type: ignore[no-untyped-def]
    """Add the reads within each tile, by strand."""
    near = 0
    for i in range(len(position)):
        tile = _tile_at(position[i], start, length, near)
        near = tile if tile >= 0 else -1 - tile
        if tile >= 0:
            reads[strand[i], tile] += weight[i]


@loop("i8[::1], u1[::1], f8[::1], i8[::1], i8, i8[:, ::1]")
def _list(position, strand, weight, start, length, row_of):  # type: ignore[no-untyped-def]
    """List row, column and weight of the starts within tiles that have a row."""
    rows, columns = np.empty(len(position), np.int64), np.empty(len(position), np.int64)
    weights, used, near = np.empty(len(position), np.float64), 0, 0
    for i in range(len(position)):
        tile = _tile_at(position[i], start, length, near)
        near = tile if tile >= 0 else -1 - tile
        if tile >= 0 and row_of[strand[i], tile] >= 0:
            within = position[i] - start[tile]
            rows[used] = row_of[strand[i], tile]
            columns[used] = length - 1 - within if strand[i] else within
            weights[used] = weight[i]
            used += 1
    return rows[:used], columns[:used], weights[:used]


def _join(parts: Sequence[Positions]) -> Positions:
    nothing = Positions(
        np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0)
    )
    columns = ("contig", "position", "strand", "weight")
    return Positions(
        *(
            np.concatenate([getattr(part, column) for part in (nothing, *parts)])
            for column in columns
        )
    )
