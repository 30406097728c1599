"""Choose the windows that a bias model learns from.

In: the start sites of the assigned fragments. Out: stranded positions, where reads start
(foreground) and nearby places where they could have started (background). The pipeline cuts windows
at these positions and puts them into :class:`DrawnWindows`, which leaves out what cannot be used
and makes the :class:`~counterbias.records.FoldedSample`.

Everything is drawn from the generator passed in, over sites sorted by contig, position and strand,
so that neither the order of the alignments nor the number of threads changes what is drawn.
"""

from __future__ import annotations

from counterbias.sampling.drawing import DrawnPositions, draw
from counterbias.sampling.folding import DrawnWindows, FoldedWindows, Windows
from counterbias.sampling.reweighting import reweight_background
from counterbias.sampling.start_weights import LOCAL_REACH, Starts
from counterbias.sampling.starts import (
    End,
    find_starts,
    last_positions,
    read_starts,
    unique_starts,
)
from counterbias.sampling.tiles import (
    DrawnTiles,
    draw_tiles,
    inside_exons,
    merged_exons,
    tiles_fit,
)

__all__ = [
    "LOCAL_REACH",
    "DrawnPositions",
    "DrawnTiles",
    "DrawnWindows",
    "End",
    "FoldedWindows",
    "Starts",
    "Windows",
    "draw",
    "draw_tiles",
    "find_starts",
    "inside_exons",
    "last_positions",
    "merged_exons",
    "read_starts",
    "reweight_background",
    "tiles_fit",
    "unique_starts",
]
