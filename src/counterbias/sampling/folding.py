"""Positions and their windows → a sample split into folds: what models learn from, and what they are judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.records import FoldedSample, Positions, TrainingSet, Window
from counterbias.sampling.starts import DrawnPositions
from counterbias.sampling.tiles import DrawnTiles


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a sample, with the bond between start and background kept.

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
class FoldedWindows:
    """What :func:`fold` makes of a sample.

    Args:
        sample: for ``BiasModel.cross_fit``.
        windows: the same windows with their positions, to judge by.
        skipped: reason → number of foreground windows left out (``invalid``: N or off the contig; ``outside_exon``; ``edge``: in a block
            that belongs to no fold).
    """

    sample: FoldedSample
    windows: Windows
    skipped: dict[str, int]


def fold(
    window: Window,
    sample: DrawnPositions,
    foreground: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    background: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    pieces: tuple[NDArray[np.int8], NDArray[np.int8]],
    *,
    folds: int,
    tiles: DrawnTiles | None = None,
    tile_pieces: NDArray[np.int8] | None = None,
    inside: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
) -> FoldedWindows:
    """Make a sample that is split into folds, of a sample's positions and its contexts.

    ``foreground`` and ``background`` are contexts and validity of the sample's positions. ``pieces`` give, for each position, the parts of
    :class:`~counterbias.records.FoldedSample`, int8 (n, 2), -1 for none; ``tile_pieces`` the same for tiles. A background window is kept
    only within the part of its start. ``inside`` masks windows that leave the exon (scheme ``paper``).
    """
    keep_f, keep_b = foreground[1].copy(), background[1].copy()
    skipped = {"invalid": int((~keep_f).sum()), "outside_exon": 0, "edge": 0}
    if inside is not None:
        skipped["outside_exon"] = int((keep_f & ~inside[0]).sum())
        keep_f &= inside[0]
        keep_b &= inside[1]
    skipped["edge"] = int((keep_f & (pieces[0][:, 0] < 0)).sum())
    keep_f &= pieces[0][:, 0] >= 0
    keep_b &= keep_f[sample.origin] & (pieces[1][:, 0] == pieces[0][sample.origin, 0])
    rows_f, rows_b = np.flatnonzero(keep_f), np.flatnonzero(keep_b)
    row_of = np.cumsum(keep_f) - 1
    windows = Windows(
        foreground[0][rows_f],
        sample.foreground.weight[rows_f],
        background[0][rows_b],
        sample.background.weight[rows_b],
        row_of[sample.origin[rows_b]],
        sample.foreground.take(rows_f),
    )
    own, tile_parts = None, np.empty((0, 2), np.int8)
    if tiles is not None and tile_pieces is not None and (tile_pieces[:, 0] >= 0).any():
        kept = tile_pieces[:, 0] >= 0
        own, tile_parts = tiles.take(kept).tiles(), tile_pieces[kept]
    everything = TrainingSet(
        window,
        windows.foreground,
        windows.foreground_weight,
        windows.background,
        windows.background_weight,
        own,
        None,
        windows.origin,
    )
    folded = FoldedSample(everything, pieces[0][rows_f], pieces[1][rows_b], tile_parts, folds)
    return FoldedWindows(folded, windows, skipped)
