"""``counterbias collect``: the tables of many samples become matrices of a cohort.

:mod:`~counterbias.pipeline.collect.run` holds the order of the stages.
"""

from counterbias.pipeline.collect.run import collect_tables

__all__ = ["collect_tables"]
