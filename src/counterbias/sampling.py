"""Choose the windows that a bias model learns from.

In come the start sites of the assigned fragments; out go stranded positions: where reads start (foreground) and
places near by where they could have started (background). The pipeline turns positions into windows and gives them back
to :func:`assemble`, which leaves out what cannot be used and makes the :class:`~counterbias.records.TrainingSet`.

Everything is drawn from the generator that is passed in, over sites sorted by contig, position and strand, so that
neither the order of the alignments nor the number of threads changes a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.records import PRESENT, Features, Positions, StartSites, Tiles, TrainingSet, Window

End = Literal["both", 0, 1]

#: Schemes of :func:`draw`, as ``--bias-sampling`` names them.
SCHEMES = ("local", "paper", "seqbias")
#: Trainable reads beyond which only part of the genome is sampled.
MOST_READS = 1_000_000
#: Background windows of the scheme ``local`` lie within this many bases of their start.
LOCAL_REACH = 100
#: Standard deviation of the offset in the scheme ``seqbias``.
SEQBIAS_SIGMA = 500.0

#: Parts that :func:`assemble` tells apart.
TRAINING, VALIDATION, HELD_OUT, UNUSED = 0, 1, 2, -1


@dataclass(frozen=True, slots=True)
class Sample:
    """Foreground and background positions that belong together.

    Args:
        foreground: n positions with their training weight.
        background: m positions; each has the weight of the start that it was drawn for.
        origin: int64 (m,), the row of ``foreground`` that each background position was drawn for.
    """

    foreground: Positions
    background: Positions
    origin: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one part of a sample, with the bond between start and background kept.

    Args:
        foreground: uint8 (n, width); ``foreground_weight`` float64 (n,).
        background: uint8 (m, width); ``background_weight`` float64 (m,).
        origin: int64 (m,), the row of ``foreground`` that each background window belongs to.
        starts: the positions of the foreground windows.
    """

    foreground: NDArray[np.uint8]
    foreground_weight: NDArray[np.float64]
    background: NDArray[np.uint8]
    background_weight: NDArray[np.float64]
    origin: NDArray[np.int64]
    starts: Positions

    def __len__(self) -> int:
        return len(self.foreground)


@dataclass(frozen=True, slots=True)
class Assembled:
    """What :func:`assemble` makes of a sample.

    Args:
        training: for ``BiasModel.fit``; its ``validation`` is None where that part is empty.
        held_out: windows that no model sees, for calibration, slope and gain.
        skipped: reason → number of foreground windows left out (``invalid``: N or off the contig; ``edge``: too close to
            another part; ``outside_exon``).
    """

    training: TrainingSet
    held_out: Windows
    skipped: dict[str, int]


def read_starts(sites: StartSites, *, end: End = "both") -> Positions:
    """List the trainable read starts as they are, one row per read, sorted by contig, position and strand.

    Trainable are unclipped reads with a unique, primary alignment. ``end`` is 0 for read 1 or single reads, 1 for read 2,
    ``both`` to pool them. All weights are 1.
    """
    keys = _keys(sites, end)
    keys.sort()
    return _from_keys(keys, np.ones(len(keys)), sites)


def unique_starts(sites: StartSites, *, end: End = "both") -> Positions:
    """List the distinct trainable read starts, sorted by contig, position and strand; weight = reads that start there."""
    return _from_keys(*_distinct(_keys(sites, end)), sites)


def last_positions(sites: StartSites) -> NDArray[np.int64]:
    """Give, per contig, the last position at which a read starts, int64 (contigs,); -1 where none does."""
    reach = np.full(len(sites.contigs), -1, np.int64)
    for end in sites.ends:
        _reach(end.contig, end.position, end.bits, PRESENT, reach)
    return reach


@njit(cache=True, nogil=True)
def _reach(contig, position, bits, present, reach):  # type: ignore[no-untyped-def]
    """Note the last position per contig."""
    for i in range(len(bits)):
        if bits[i] & present and position[i] > reach[contig[i]]:
            reach[contig[i]] = position[i]


def draw(
    sites: StartSites,
    rng: np.random.Generator,
    *,
    scheme: str = "local",
    end: End = "both",
    most: int = 100_000,
    distinct: Positions | None = None,
) -> Sample:
    """Draw foreground and background positions.

    ``local``: distinct starts, weight √reads; two background positions each, at uniform ±1…100 on the same strand (measured
    best).
    ``paper`` (Zhang et al. 2017): reads as they are, duplicates included, one background position each near by (±1…100;
    leave out windows that leave the exon with :func:`inside_exons`).
    ``seqbias`` (Jones et al. 2012, its code): distinct starts, weight 1, two background positions each at a Gaussian offset
    of σ = 500.

    At most ``most`` foreground positions are kept, chosen at random. ``distinct`` are the end's :func:`unique_starts`, where they are known
    already. Positions may lie off the contig: such windows come back as invalid from the genome and are left out by :func:`assemble`.
    Raises InputError for an unknown scheme.
    """
    if scheme not in SCHEMES:
        raise InputError(f"'{scheme}' is not a sampling scheme", remedy=f"choose one of {', '.join(SCHEMES)}")
    starts = read_starts(sites, end=end) if scheme == "paper" else unique_starts(sites, end=end) if distinct is None else distinct
    if len(starts) > most:
        starts = starts.take(np.sort(rng.choice(len(starts), size=most, replace=False)))
    copies = 1 if scheme == "paper" else 2
    weight = np.sqrt(starts.weight) if scheme == "local" else np.ones(len(starts))
    foreground = Positions(starts.contig, starts.position, starts.strand, weight)
    origin = np.repeat(np.arange(len(starts), dtype=np.int64), copies)
    near = foreground.take(origin)
    offsets = _gaussian_offsets(rng, len(origin)) if scheme == "seqbias" else _local_offsets(rng, len(origin))
    background = Positions(near.contig, near.position + offsets, near.strand, near.weight)
    return Sample(foreground, background, origin)


def inside_exons(positions: Positions, window: Window, features: Features, contig_of: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which windows lie wholly within the merged exons of the annotation, on either strand; bool (n,).

    ``contig_of`` gives, per contig of ``features``, its index in the positions' contig names, or -1.
    """
    forward = positions.strand == 0
    first = positions.position - np.where(forward, window.upstream, window.downstream)
    last = positions.position + np.where(forward, window.downstream, window.upstream)
    inside = np.zeros(len(positions), dtype=bool)
    for contig, (starts, ends) in merged_exons(features, contig_of).items():
        rows = np.flatnonzero(positions.contig == contig)
        block = np.searchsorted(starts, first[rows], side="right") - 1
        inside[rows] = (block >= 0) & (last[rows] < ends[np.maximum(block, 0)])
    return inside


def merged_exons(features: Features, contig_of: NDArray[np.int64]) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Merge the blocks of all features, whatever the strand: contig index → starts and ends, ascending and disjoint."""
    mapped = np.asarray(contig_of)[features.block_contig]
    merged = {}
    for contig in np.unique(mapped[mapped >= 0]).tolist():
        rows = np.flatnonzero(mapped == contig)
        rows = rows[np.argsort(features.block_start[rows], kind="stable")]
        starts, reach = features.block_start[rows], np.maximum.accumulate(features.block_end[rows])
        opens = np.concatenate(([True], starts[1:] > reach[:-1]))
        closes = np.concatenate((opens[1:], [True]))
        merged[contig] = (starts[opens], reach[closes])
    return merged


def draw_tiles(
    starts: Positions,
    features: Features,
    contig_of: NDArray[np.int64],
    window: Window,
    rng: np.random.Generator,
    *,
    length: int = 100,
    fewest_reads: float = 2.0,
    most: int = 100_000,
) -> tuple[Positions, NDArray[np.float64], Window]:
    """Cut merged exons into tiles of ``length`` consecutive positions and keep those where reads start, ``most`` of them drawn at random.

    ``starts`` are distinct starts weighted by their reads (:func:`unique_starts`). Returns the 5' position of each tile on
    its strand (both strands are looked at), counts float64 (tiles, length), and the wider window that makes the genome give
    all bases of a tile at once. A tile ends with its exon, so exons shorter than ``length`` give none.
    """
    wide = Window(window.upstream, window.downstream + length - 1)
    found: list[tuple[Positions, _TileReads]] = []
    for contig, (begins, ends) in merged_exons(features, contig_of).items():
        per_block = (ends - begins) // length
        block = np.repeat(np.arange(len(begins)), per_block)
        number = np.arange(len(block)) - np.repeat(np.cumsum(per_block) - per_block, per_block)
        tile_start = begins[block] + number * length
        here = np.flatnonzero(starts.contig == contig)
        for strand in (0, 1):
            rows = here[starts.strand[here] == strand]
            reads = _tile_reads(tile_start, length, starts.position[rows], starts.weight[rows], fewest_reads)
            n = len(reads.kept)
            first = tile_start[reads.kept] + (length - 1 if strand else 0)
            found.append((Positions(np.full(n, contig, np.int32), first, np.full(n, strand, np.uint8), np.ones(n)), reads))
    if not found:
        return _no_positions(), np.zeros((0, length)), wide
    tiles = _join([positions for positions, _ in found])
    chosen = np.arange(len(tiles)) if len(tiles) <= most else np.sort(rng.choice(len(tiles), size=most, replace=False))
    return tiles.take(chosen), _tile_counts(found, chosen, len(tiles), length), wide


def assemble(
    window: Window,
    sample: Sample,
    foreground: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    background: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    parts: tuple[NDArray[np.int8], NDArray[np.int8]],
    *,
    tiles: Tiles | None = None,
    tile_parts: NDArray[np.int8] | None = None,
    inside: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
) -> Assembled:
    """Make training, validation and held-out windows of a sample and its contexts.

    ``foreground`` and ``background`` are contexts and validity of the sample's positions; ``parts`` says for each position
    to which part it belongs (:data:`TRAINING`, :data:`VALIDATION`, :data:`HELD_OUT`, :data:`UNUSED`). A background window is
    kept only within the part of its start. ``inside`` masks windows that leave the exon (scheme ``paper``); tiles belong to
    the part in ``tile_parts``.
    """
    keep_f, keep_b = foreground[1].copy(), background[1].copy()
    skipped = {"invalid": int((~keep_f).sum()), "outside_exon": 0, "edge": 0}
    if inside is not None:
        skipped["outside_exon"] = int((keep_f & ~inside[0]).sum())
        keep_f &= inside[0]
        keep_b &= inside[1]
    skipped["edge"] = int((keep_f & (parts[0] == UNUSED)).sum())
    keep_b &= keep_f[sample.origin] & (parts[1] == parts[0][sample.origin])

    def windows(part: int) -> Windows:
        rows_f = np.flatnonzero(keep_f & (parts[0] == part))
        rows_b = np.flatnonzero(keep_b & (parts[0][sample.origin] == part))
        row_of = np.full(len(keep_f), -1, np.int64)
        row_of[rows_f] = np.arange(len(rows_f))
        return Windows(
            foreground[0][rows_f],
            sample.foreground.weight[rows_f],
            background[0][rows_b],
            sample.background.weight[rows_b],
            row_of[sample.origin[rows_b]],
            sample.foreground.take(rows_f),
        )

    def training(part: int, validation: TrainingSet | None) -> TrainingSet:
        chosen = windows(part)
        own = None
        if tiles is not None and tile_parts is not None and (tile_parts == part).any():
            own = Tiles(tiles.sequence[tile_parts == part], tiles.counts[tile_parts == part])
        return TrainingSet(
            window=window,
            foreground=chosen.foreground,
            foreground_weight=chosen.foreground_weight,
            background=chosen.background,
            background_weight=chosen.background_weight,
            tiles=own,
            validation=validation,
            origin=chosen.origin,
        )

    check = training(VALIDATION, None)
    usable = len(check.foreground) > 0 and len(check.background) > 0
    return Assembled(training(TRAINING, check if usable else None), windows(HELD_OUT), skipped)


def _keys(sites: StartSites, end: End) -> NDArray[np.int64]:
    """Number the trainable starts so that they sort by contig, position and strand; int64 (reads,).

    Beyond :data:`MOST_READS` reads, only those of some blocks of the genome are taken, chosen by a fixed hash of the block, so that time
    and memory of sampling stop growing with the sample and coverage within a block stays what it is.
    """
    ends = sites.ends if end == "both" else sites.ends[end : end + 1]
    line = _offsets(sites)
    total = sum(int(_count_trainable(one.bits)) for one in ends)
    thousandths = 1000 if total <= MOST_READS else max(1, 1000 * MOST_READS // total)
    keys = np.empty(total, np.int64) if thousandths == 1000 else np.empty(min(total, 2 * MOST_READS), np.int64)
    used = 0
    for one in ends:
        used = int(_list_trainable(one.contig, one.position, one.bits, line, thousandths, keys, used))
    return keys[:used]


@njit(cache=True, nogil=True)
def _count_trainable(bits):  # type: ignore[no-untyped-def]
    """Count the reads that a model may learn from."""
    count = 0
    for i in range(len(bits)):
        if bits[i] & 8:
            count += 1
    return count


@njit(cache=True, nogil=True)
def _list_trainable(contig, position, bits, line, thousandths, keys, used):  # type: ignore[no-untyped-def]
    """List the keys of trainable reads in the chosen blocks, until there is no more room."""
    for i in range(len(bits)):
        if bits[i] & 8 == 0:
            continue
        place = line[contig[i]] + position[i]
        if thousandths < 1000:
            mixed = np.uint64(place // 50000) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            if (mixed >> np.uint64(33)) % np.uint64(1000) >= np.uint64(thousandths):
                continue
        if used < len(keys):
            keys[used] = 2 * place + (1 if bits[i] & 2 else 0)
            used += 1
    return used


def _distinct(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sort keys (in place) and give the distinct ones with their numbers."""
    keys.sort()
    first = np.flatnonzero(np.concatenate((np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1])))
    counts = np.diff(first, append=len(keys)).astype(np.float64)
    return keys[first], counts


def _offsets(sites: StartSites) -> NDArray[np.int64]:
    """Give each contig's first position on a line that joins all contigs."""
    return np.concatenate(([0], np.cumsum(np.asarray(sites.contig_lengths, dtype=np.int64))))


def _from_keys(keys: NDArray[np.int64], weight: NDArray[np.float64], sites: StartSites) -> Positions:
    """Turn keys back into positions."""
    offsets = _offsets(sites)
    line = keys // 2
    contig = np.searchsorted(offsets, line, side="right") - 1
    return Positions(contig.astype(np.int32), line - offsets[contig], (keys % 2).astype(np.uint8), weight)


def _local_offsets(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Draw uniform offsets from -100…-1 and 1…100."""
    offsets = rng.integers(1, 2 * LOCAL_REACH + 1, size=n)
    return np.where(offsets > LOCAL_REACH, offsets - 2 * LOCAL_REACH - 1, offsets)


def _gaussian_offsets(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Draw Gaussian offsets, rounded; 0 becomes 1, because a start is no background of itself."""
    offsets = np.rint(rng.normal(0.0, SEQBIAS_SIGMA, size=n)).astype(np.int64)
    return np.where(offsets == 0, 1, offsets)


@dataclass(frozen=True, slots=True)
class _TileReads:
    """Reads within the tiles of one contig and strand. Args: kept: the tiles; row, column, weight: of each distinct start, among them."""

    kept: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    weight: NDArray[np.float64]


def _tile_counts(
    found: Sequence[tuple[Positions, _TileReads]], chosen: NDArray[np.int64], tiles: int, length: int
) -> NDArray[np.float64]:
    """Count reads per position of the chosen ones among all tiles, float64 (chosen, length), 5'→3' on their strand."""
    row_of = np.full(tiles, -1, np.int64)
    row_of[chosen] = np.arange(len(chosen))
    cells, weights, before = [np.zeros(0, np.int64)], [np.zeros(0)], 0
    for positions, reads in found:
        row = row_of[before + reads.row]
        column = length - 1 - reads.column if len(positions) and positions.strand[0] else reads.column
        cells.append((row * length + column)[row >= 0])
        weights.append(reads.weight[row >= 0])
        before += len(positions)
    counts = np.bincount(np.concatenate(cells), np.concatenate(weights), len(chosen) * length)
    return counts.astype(np.float64, copy=False).reshape(len(chosen), length)


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


def _no_positions() -> Positions:
    return Positions(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint8), np.zeros(0))


def _join(parts: Sequence[Positions]) -> Positions:
    return Positions(
        np.concatenate([part.contig for part in parts]),
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.strand for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )
