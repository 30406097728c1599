"""``counterbias train``: many samples → one pooled bias model, and what it gains in each of them.

The order of the stages is in :mod:`.run`.
"""

from counterbias.pipeline.train.results import Cohort, SampleGain
from counterbias.pipeline.train.run import train_files

__all__ = ["Cohort", "SampleGain", "train_files"]
