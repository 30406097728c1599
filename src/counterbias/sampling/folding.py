"""Windows split into the folds of the genome: what models learn from and are judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterbias.records import FoldedSample, Positions, TrainingSet, Window
from counterbias.sampling.cutting import CutWindows
from counterbias.sampling.drawing import DrawnPositions
from counterbias.sampling.tiles import DrawnTiles


class Split(Protocol):
    """How the genome is split into parts: :class:`counterbias.evaluation.folds.Folds`."""

    def parts(self, positions: Positions, *, margin: int) -> NDArray[np.int8]:
        """Return the part of each position, and that of another block within ``margin`` bases.

        int8 (n, 2), -1 for none, as in :class:`~counterbias.records.FoldedSample`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows around read starts, each linked with its background windows.

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
    """Windows split into folds, without those that cannot be used.

    Args:
        sample: for ``BiasModel.cross_fit``.
        windows: the same windows with their positions, to judge models on.
        skipped: reason → number of foreground windows left out (``invalid``: an N, or off the
            contig; ``outside_exon``; ``edge``: in a block that belongs to no fold).
    """

    sample: FoldedSample
    windows: Windows
    skipped: dict[str, int]


@dataclass(frozen=True, slots=True)
class DrawnWindows:
    """Windows and tiles of one read end, not yet split into folds.

    Args:
        positions: where the windows lie.
        foreground, background: the windows there.
        inside: which of them lie within exons (scheme ``paper``), bool (n,) and (m,), or None.
        tiles: tiles of consecutive positions, for models that learn from counts, or None.
        tile_positions: where the tiles begin.
    """

    positions: DrawnPositions
    foreground: CutWindows
    background: CutWindows
    inside: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    tiles: DrawnTiles | None = None
    tile_positions: Positions | None = None

    def fold(self, window: Window, split: Split, folds: int) -> FoldedWindows:
        """Split the windows into folds, and leave out those that cannot be used.

        A background window is kept only within the part of its start.
        """
        places = self.positions
        foreground_parts, background_parts = (
            split.parts(positions, margin=window.margin)
            for positions in (places.foreground, places.background)
        )
        contexts = self.foreground[0], self.background[0]
        keep_f, keep_b = self.foreground[1].copy(), self.background[1].copy()
        skipped = {"invalid": int((~keep_f).sum()), "outside_exon": 0, "edge": 0}
        if self.inside is not None:
            skipped["outside_exon"] = int((keep_f & ~self.inside[0]).sum())
            keep_f &= self.inside[0]
            keep_b &= self.inside[1]
        in_fold = foreground_parts[:, 0] >= 0
        skipped["edge"] = int((keep_f & ~in_fold).sum())
        keep_f &= in_fold
        part_of_start = foreground_parts[places.origin, 0]
        keep_b &= keep_f[places.origin] & (background_parts[:, 0] == part_of_start)
        rows_f, rows_b = np.flatnonzero(keep_f), np.flatnonzero(keep_b)
        row_of = np.cumsum(keep_f) - 1
        windows = Windows(
            contexts[0][rows_f],
            places.foreground.weight[rows_f],
            contexts[1][rows_b],
            places.background.weight[rows_b],
            row_of[places.origin[rows_b]],
            places.foreground.take(rows_f),
        )
        tiles, tile_parts = self._fold_tiles(window, split)
        everything = TrainingSet(
            window,
            windows.foreground,
            windows.foreground_weight,
            windows.background,
            windows.background_weight,
            None if tiles is None else tiles.tiles(),
            None,
            windows.origin,
        )
        sample = FoldedSample(
            everything, foreground_parts[rows_f], background_parts[rows_b], tile_parts, folds
        )
        return FoldedWindows(sample, windows, skipped)

    def _fold_tiles(
        self, window: Window, split: Split
    ) -> tuple[DrawnTiles | None, NDArray[np.int8]]:
        """Return the tiles that belong to a fold and their parts, int8 (tiles, 2)."""
        if self.tiles is not None and self.tile_positions is not None:
            margin = window.margin + self.tiles.length - 1
            parts = split.parts(self.tile_positions, margin=margin)
            kept = parts[:, 0] >= 0
            if kept.any():
                return self.tiles.take(kept), parts[kept]
        return None, np.empty((0, 2), np.int8)
