"""Start sites of one end class → windows and tiles to learn from, and how they are split into parts of the genome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from counterbias import sampling
from counterbias.sampling import DrawnWindows, Starts

if TYPE_CHECKING:
    from counterbias.pipeline.bias.fitting import ReadEnd, SampleContext


def draw_end(
    context: SampleContext, reads: ReadEnd, starts: Starts, rng: np.random.Generator
) -> DrawnWindows:
    """Draw windows and, for models that need them, tiles. ``starts`` are those of the end class."""
    window, kind = context.kind.window, context.kind
    drawn = sampling.draw(context.sites, rng, scheme=context.sampling, end=reads.end, starts=starts)
    inside = None
    if context.sampling == "paper":
        exons = sampling.merged_exons(context.features, context.contig_of)
        inside = (
            sampling.inside_exons(drawn.foreground, window, exons),
            sampling.inside_exons(drawn.background, window, exons),
        )
    tiles, places = None, None
    if kind.model.needs_tiles and kind.fitted is None and sampling.tiles_fit(window):
        exons = sampling.merged_exons(context.features, context.contig_of)
        places, tiles = sampling.draw_tiles(
            starts.by_fragments(), exons, window, rng, context.extract_tiles
        )
    foreground, background = context.extract(drawn.foreground), context.extract(drawn.background)
    if context.sampling == "local" and (kind.auto or not kind.model.compares_nearby):
        drawn = sampling.reweight_background(drawn, foreground, background, window, context.extract)
    return DrawnWindows(drawn, foreground, background, inside, tiles, places)
