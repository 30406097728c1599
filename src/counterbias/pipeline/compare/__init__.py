"""``counterbias compare``: bias models side by side on one or several samples.

The order of the stages is in :mod:`.run`.
"""

from counterbias.pipeline.compare.results import Comparison, SampleResult
from counterbias.pipeline.compare.run import compare_models

__all__ = ["Comparison", "SampleResult", "compare_models"]
