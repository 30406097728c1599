"""Frozen records that the stages pass to each other (numpy only).

Stages import this package and never each other; only ``counterbias.pipeline`` knows their order.
Coordinates are 0-based, half open. A *contig* is an index into the tuple of contig names in the
same record. A *strand* is 0 for ``+`` and 1 for ``-``.

:mod:`.annotation` lives as long as the run, :mod:`.counts` and :mod:`.isoforms` as long as a
sample, :mod:`.positions` and :mod:`.training` as long as the model of one read end. All but the
first two are imported when they are first needed, so that counting alone does without them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

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
from counterbias.window import WIDEST, Window

if TYPE_CHECKING:
    from counterbias.records.isoforms import Isoforms, TranscriptsReport
    from counterbias.records.positions import Positions, Stretches, rows_by_contig
    from counterbias.records.training import PARTS, FitReport, FoldedSample, Tiles, TrainingSet

#: Module → what is imported from it when it is first asked for.
_LATER = {
    "isoforms": ("Isoforms", "TranscriptsReport"),
    "positions": ("Positions", "Stretches", "rows_by_contig"),
    "training": ("PARTS", "FitReport", "FoldedSample", "Tiles", "TrainingSet"),
}

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


def __getattr__(name: str) -> object:
    """Import a record when it is first asked for (PEP 562)."""
    for module, names in _LATER.items():
        if name in names:
            value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
