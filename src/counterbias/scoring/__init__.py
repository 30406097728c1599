"""Score windows and the start sites of reads with a bias model."""

from __future__ import annotations

from counterbias.scoring.batches import TOLERANCE, batch_dependence
from counterbias.scoring.start_sites import SiteScores
from counterbias.scoring.windows import (
    STRETCH,
    score,
    score_positions,
    score_stretches,
)

__all__ = [
    "STRETCH",
    "TOLERANCE",
    "SiteScores",
    "batch_dependence",
    "score",
    "score_positions",
    "score_stretches",
]
