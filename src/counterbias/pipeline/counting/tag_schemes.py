"""The tags in which other counters leave what they assigned alignments to, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from counterbias.options import XF, XT
from counterbias.pipeline.counting.assignment import (
    AMBIGUOUS,
    ASSIGNED,
    LISTED,
    LOW_QUALITY,
    MULTIMAPPED,
    NOT_ALIGNED,
    SKIPPED,
    STOPPED,
)

#: featureCounts' status of an alignment whose features are in ``XT``, each of which it has counted.
LISTED_STATUS = "Assigned"
#: How htseq-count's ``XF`` begins where several features follow, as in ``__ambiguous[a+b]``.
SEVERAL = "__ambiguous["


@dataclass(frozen=True, slots=True)
class TagScheme:
    """Where a counter leaves its assignments.

    Args:
        writer: what writes the tags.
        features: the tag with the features, a text.
        separator: what separates several.
        same_annotation: what a user is told to give where a feature is unknown.
        status: the tag with the status, a text; None where there is none.
        number: the tag with the number of features, an integer; None where there is none.
        statuses: status → outcome, as in :mod:`.assignment`.
    """

    writer: str
    features: str
    separator: str
    same_annotation: str
    status: str | None = None
    number: str | None = None
    statuses: Mapping[str, int] = field(default_factory=dict)


_ANNOTATION = "give the annotation that {} had, and its {} as -t and -i"

#: ``featureCounts -R BAM``. What it leaves out for reasons that htseq-count does not have is
#: skipped here too.
_FEATURECOUNTS = TagScheme(
    writer="featureCounts",
    features=XT,
    separator=",",
    same_annotation=_ANNOTATION.format("featureCounts", "-t and -g"),
    status="XS",
    number="XN",
    statuses={
        LISTED_STATUS: LISTED,
        "Unassigned_Unmapped": NOT_ALIGNED,
        "Unassigned_MappingQuality": LOW_QUALITY,
        "Unassigned_MultiMapping": STOPPED | MULTIMAPPED,
        "Unassigned_NoFeatures": ASSIGNED,
        "Unassigned_Overlapping_Length": ASSIGNED,
        "Unassigned_Ambiguity": AMBIGUOUS,
        "Unassigned_Read_Type": SKIPPED,
        "Unassigned_Singleton": SKIPPED,
        "Unassigned_Chimera": SKIPPED,
        "Unassigned_FragmentLength": SKIPPED,
        "Unassigned_Duplicate": SKIPPED,
        "Unassigned_Secondary": SKIPPED,
        "Unassigned_Split": SKIPPED,
        "Unassigned_NonSplit": SKIPPED,
    },
)

#: ``htseq-count -o``, and ours.
_HTSEQ = TagScheme(
    writer="htseq-count",
    features=XF,
    separator="+",
    same_annotation=_ANNOTATION.format("htseq-count", "-t and -i"),
    status=XF,
    statuses={
        "__no_feature": ASSIGNED,
        "__ambiguous": AMBIGUOUS,
        "__too_low_aQual": LOW_QUALITY,
        "__not_aligned": NOT_ALIGNED,
        "__alignment_not_unique": STOPPED | MULTIMAPPED,
    },
)


def tag_scheme(tag: str) -> TagScheme:
    """Return what one of :data:`~counterbias.options.ASSIGNED` means."""
    for scheme in (_FEATURECOUNTS, _HTSEQ):
        if scheme.features == tag:
            return scheme
    attribute = "gene_id" if tag == "GX" else "gene_name"
    return TagScheme(
        writer="STARsolo or Cell Ranger",
        features=tag,
        separator=";",
        same_annotation=f"give the annotation that the reads were aligned with, and -i {attribute}",
    )
