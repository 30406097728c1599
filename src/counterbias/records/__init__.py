"""Frozen records that the stages pass to each other (numpy only).

Stages import this package and never each other; ``counterbias.pipeline`` alone knows the order.
Coordinates are 0-based, half open. A *contig* index counts within the tuple of contig names that
stands in the same record. A *strand* is 0 for ``+`` and 1 for ``-``.
"""

from counterbias.records.annotation import Annotation, Features, Steps
from counterbias.records.counts import (
    CLASSES,
    CLIPPED,
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    SampleCounts,
    StartSites,
    TaggedBatch,
)
from counterbias.records.positions import Positions, Stretches, rows_by_contig
from counterbias.records.training import PARTS, FitReport, FoldedSample, Tiles, TrainingSet
from counterbias.window import WIDEST, Window

__all__ = [
    "CLASSES",
    "CLIPPED",
    "PARTS",
    "PRESENT",
    "REVERSE",
    "TRAINABLE",
    "WIDEST",
    "Annotation",
    "EndSites",
    "Features",
    "FitReport",
    "FoldedSample",
    "Positions",
    "SampleCounts",
    "StartSites",
    "Steps",
    "Stretches",
    "TaggedBatch",
    "Tiles",
    "TrainingSet",
    "Window",
    "rows_by_contig",
]
