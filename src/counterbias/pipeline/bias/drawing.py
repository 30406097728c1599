"""Start sites of one end class → windows and tiles to learn from, and how they are split into parts of the genome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.evaluation import folds
from counterbias.records import Positions, Window
from counterbias.sampling import FoldedWindows, Starts

if TYPE_CHECKING:
    from counterbias.pipeline.bias.fitting import ReadEnd, SampleContext

#: Windows, uint8 (n, width), and which of them are whole and without N.
Contexts = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class DrawnWindows:
    """Windows of one end class, not yet split into parts.

    Args:
        sample: positions of starts and background.
        foreground, background: their contexts, and which of them are valid.
        inside: which of them lie within exons (scheme ``paper``), or None.
        tiles: tiles of consecutive positions, for models that learn from counts, or None.
        tile_positions: where the tiles begin.
    """

    sample: sampling.DrawnPositions
    foreground: Contexts
    background: Contexts
    inside: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    tiles: sampling.DrawnTiles | None = None
    tile_positions: Positions | None = None

    def fold(self, window: Window, split: folds.Folds, number: int) -> FoldedWindows:
        """Split the windows into so many folds."""
        positions = (self.sample.foreground, self.sample.background)
        pieces = tuple(split.parts(one, margin=window.margin) for one in positions)
        tile_pieces = None
        if self.tiles is not None and self.tile_positions is not None:
            tile_pieces = split.parts(
                self.tile_positions, margin=window.margin + self.tiles.length - 1
            )
        return sampling.fold(
            window,
            self.sample,
            self.foreground,
            self.background,
            (pieces[0], pieces[1]),
            folds=number,
            tiles=self.tiles,
            tile_pieces=tile_pieces,
            inside=self.inside,
        )


def draw_end(
    context: SampleContext, reads: ReadEnd, starts: Starts, rng: np.random.Generator
) -> DrawnWindows:
    """Draw windows and, for models that need them, tiles. ``starts`` are those of the end class."""
    window, kind = context.kind.window, context.kind
    drawn = sampling.draw(context.sites, rng, scheme=context.sampling, end=reads.end, starts=starts)
    inside = None
    if context.sampling == "paper":
        both = (drawn.foreground, drawn.background)
        masks = [
            sampling.inside_exons(positions, window, context.features, context.contig_of)
            for positions in both
        ]
        inside = (masks[0], masks[1])
    tiles, places = None, None
    if kind.model.needs_tiles and kind.fitted is None and sampling.tiles_fit(window):
        places, tiles = sampling.draw_tiles(
            starts.by_fragments(),
            context.features,
            context.contig_of,
            window,
            rng,
            context.extract_tiles,
        )
    foreground, background = context.extract(drawn.foreground), context.extract(drawn.background)
    if context.sampling == "local" and (kind.auto or not kind.model.compares_nearby):
        drawn = sampling.reweight_background(drawn, foreground, background, window, context.extract)
    return DrawnWindows(drawn, foreground, background, inside, tiles, places)
