"""Start sites of one read end → windows and tiles to learn from."""

from __future__ import annotations

import numpy as np

from counterbias import sampling
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.sampling import DrawnWindows, Starts


def draw_end(
    context: SampleContext, reads: ReadEnd, starts: Starts, rng: np.random.Generator
) -> DrawnWindows:
    """Draw windows and, for models that need them, tiles; ``starts`` are those of the read end."""
    window, choice, scheme = context.choice.window, context.choice, context.options.sampling
    drawn = sampling.draw(context.sites, rng, scheme=scheme, end=reads.end, starts=starts)
    inside = None
    if scheme == "paper":
        exons = sampling.merged_exons(context.features, context.contig_of)
        inside = (
            sampling.inside_exons(drawn.foreground, window, exons),
            sampling.inside_exons(drawn.background, window, exons),
        )
    tiles, places = None, None
    if choice.model.needs_tiles and choice.fitted is None and sampling.tiles_fit(window):
        exons = sampling.merged_exons(context.features, context.contig_of)
        places, tiles = sampling.draw_tiles(
            starts.by_fragments(), exons, window, rng, context.extract_tiles
        )
    foreground, background = context.extract(drawn.foreground), context.extract(drawn.background)
    if scheme == "local" and (choice.auto or not choice.model.compares_nearby):
        drawn = sampling.reweight_background(drawn, foreground, background, window, context.extract)
    return DrawnWindows(drawn, foreground, background, inside, tiles, places)
