"""Choose the windows that a bias model learns from.

In come the start sites of the assigned fragments; out go stranded positions: where reads start (foreground) and
places near by where they could have started (background). The pipeline turns positions into windows and gives them back
to :func:`fold`, which leaves out what cannot be used and makes the :class:`~counterbias.records.FoldedSample`.

Everything is drawn from the generator that is passed in, over sites sorted by contig, position and strand, so that
neither the order of the alignments nor the number of threads changes a sample.
"""

from __future__ import annotations

from counterbias.sampling.folding import FoldedWindows, Windows, fold
from counterbias.sampling.reweighting import reweight_background
from counterbias.sampling.start_weights import LOCAL_REACH, Starts
from counterbias.sampling.starts import (
    DrawnPositions,
    End,
    draw,
    find_starts,
    last_positions,
    read_starts,
    unique_starts,
)
from counterbias.sampling.tiles import DrawnTiles, draw_tiles, inside_exons, merged_exons, tiles_fit

__all__ = [
    "LOCAL_REACH",
    "DrawnPositions",
    "DrawnTiles",
    "End",
    "FoldedWindows",
    "Starts",
    "Windows",
    "draw",
    "draw_tiles",
    "find_starts",
    "fold",
    "inside_exons",
    "last_positions",
    "merged_exons",
    "read_starts",
    "reweight_background",
    "tiles_fit",
    "unique_starts",
]
