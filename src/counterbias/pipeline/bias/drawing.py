"""Start sites of one read end → windows and tiles to learn from, split by parts of the genome."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.evaluation.folds import Folds
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.records import Positions, Window
from counterbias.sampling import FoldedWindows, Starts

#: Windows, uint8 (n, width), and which of them are whole and without N.
Contexts = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class DrawnWindows:
    """Windows drawn for one read end, not yet split into folds.

    Args:
        sample: positions of starts and background.
        foreground, background: the windows there, and which of them are valid.
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

    def fold(self, window: Window, folds: Folds, number: int) -> FoldedWindows:
        """Split the windows into this many folds."""
        positions = (self.sample.foreground, self.sample.background)
        pieces = tuple(folds.parts(one, margin=window.margin) for one in positions)
        tile_pieces = None
        if self.tiles is not None and self.tile_positions is not None:
            tile_pieces = folds.parts(
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
    """Draw windows and, for models that need them, tiles; ``starts`` are those of the read end."""
    window, choice, scheme = context.choice.window, context.choice, context.options.sampling
    drawn = sampling.draw(context.sites, rng, scheme=scheme, end=reads.end, starts=starts)
    inside = None
    if scheme == "paper":
        masks = [
            sampling.inside_exons(positions, window, context.features, context.contig_of)
            for positions in (drawn.foreground, drawn.background)
        ]
        inside = (masks[0], masks[1])
    tiles, places = None, None
    if choice.model.needs_tiles and choice.fitted is None and sampling.tiles_fit(window):
        places, tiles = sampling.draw_tiles(
            starts.by_fragments(),
            context.features,
            context.contig_of,
            window,
            rng,
            context.extract_tiles,
        )
    foreground, background = context.extract(drawn.foreground), context.extract(drawn.background)
    if scheme == "local" and (choice.auto or not choice.model.compares_nearby):
        drawn = sampling.reweight_background(drawn, foreground, background, window, context.extract)
    return DrawnWindows(drawn, foreground, background, inside, tiles, places)
