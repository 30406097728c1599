"""Score windows and the start sites of reads with a bias model."""

from __future__ import annotations

from counterbias.scoring.sites import SiteScores
from counterbias.scoring.windows import AlongScorer, Extract, ExtractStretches, Scorer, score, score_positions, score_stretches

__all__ = ["AlongScorer", "Extract", "ExtractStretches", "Scorer", "SiteScores", "score", "score_positions", "score_stretches"]
