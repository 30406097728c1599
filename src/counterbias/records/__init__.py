"""Frozen records that the stages pass to each other (numpy only).

Stages import this package and never each other; only ``counterbias.pipeline`` knows their order.
Coordinates are 0-based, half open. A *contig* is an index into the tuple of contig names in the
same record. A *strand* is 0 for ``+`` and 1 for ``-``.

:mod:`.annotation` lives as long as the run, :mod:`.counts` and :mod:`.isoforms` as long as a
sample, :mod:`.positions` and :mod:`.training` as long as the model of one read end.
"""

from counterbias.records.annotation import (
    MOST_TRANSCRIPTS,
    SCATTERED,
    TOO_MANY,
    UNNAMED,
    Annotation,
    Features,
    FeatureTranscripts,
    Steps,
)
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
from counterbias.records.isoforms import Isoforms, TranscriptsReport
from counterbias.records.positions import Positions, Stretches, rows_by_contig
from counterbias.records.training import PARTS, FitReport, FoldedSample, Tiles, TrainingSet
from counterbias.window import WIDEST, Window

__all__ = [
    "CLASSES",
    "CLIPPED",
    "MOST_TRANSCRIPTS",
    "PARTS",
    "PRESENT",
    "REVERSE",
    "SCATTERED",
    "TOO_MANY",
    "TRAINABLE",
    "UNNAMED",
    "WIDEST",
    "Annotation",
    "EndSites",
    "FeatureTranscripts",
    "Features",
    "FitReport",
    "FoldedSample",
    "Isoforms",
    "Positions",
    "SampleCounts",
    "StartSites",
    "Steps",
    "Stretches",
    "TaggedBatch",
    "Tiles",
    "TrainingSet",
    "TranscriptsReport",
    "Window",
    "rows_by_contig",
]
