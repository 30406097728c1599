"""Choose the windows that a bias model learns from.

In come the start sites of the assigned fragments; out go stranded positions: where reads start (foreground) and
places near by where they could have started (background). The pipeline turns positions into windows and gives them back
to :func:`assemble`, which leaves out what cannot be used and makes the :class:`~counterbias.records.TrainingSet`.

Everything is drawn from the generator that is passed in, over sites sorted by contig, position and strand, so that
neither the order of the alignments nor the number of threads changes a sample.
"""

from __future__ import annotations

from counterbias.sampling.assembling import HELD_OUT, TRAINING, UNUSED, VALIDATION, Assembled, Windows, assemble
from counterbias.sampling.starts import LOCAL_REACH, SCHEMES, End, Sample, draw, last_positions, read_starts, unique_starts
from counterbias.sampling.tiles import DrawnTiles, draw_tiles, inside_exons, merged_exons

__all__ = [
    "HELD_OUT",
    "LOCAL_REACH",
    "SCHEMES",
    "TRAINING",
    "UNUSED",
    "VALIDATION",
    "Assembled",
    "DrawnTiles",
    "End",
    "Sample",
    "Windows",
    "assemble",
    "draw",
    "draw_tiles",
    "inside_exons",
    "last_positions",
    "merged_exons",
    "read_starts",
    "unique_starts",
]
