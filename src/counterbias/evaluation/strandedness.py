"""Notice when ``--stranded`` does not match the library.

A count with the wrong strandedness still looks like a count. With ``no``, the start sites reveal
it: all reads of a stranded library lie on one strand of their features. With ``yes`` or
``reverse``, the fragments on the other strand are not counted; then part of the alignments has to
be counted again with ``no``, or, without that, an unusually high share of fragments without a
feature is the only evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterbias.loops import loop
from counterbias.records import PRESENT, REVERSE, Features, StartSites

#: Fragments needed for a verdict.
FEWEST = 200
#: A library is stranded if its share of sense fragments is above this, or below one minus this.
STRANDED_SHARE = 0.9
#: A library is unstranded if its share of sense fragments is between one minus this and this.
UNSTRANDED_SHARE = 0.7
#: A stranded count is suspicious if more than this share of fragments has no feature.
SUSPICIOUS_NO_FEATURE = 0.5


@dataclass(frozen=True, slots=True)
class StrandEvidence:
    """Fragments assigned without regard to strand, by the strand of their read 1.

    If read 1 is missing, its strand is the opposite of read 2's.

    Args:
        sense: fragments with read 1 on the feature's strand, as ``--stranded yes`` expects.
        antisense: fragments with read 1 on the other strand, as ``--stranded reverse`` expects.
    """

    sense: int
    antisense: int

    @property
    def share(self) -> float | None:
        """Share of sense fragments, or None with too few fragments."""
        total = self.sense + self.antisense
        return self.sense / total if total >= FEWEST else None

    @property
    def verdict(self) -> str | None:
        """The right ``--stranded``: ``yes``, ``reverse`` or ``no``; None if that is not clear."""
        share = self.share
        if share is None:
            return None
        if share >= STRANDED_SHARE:
            return "yes"
        if share <= 1 - STRANDED_SHARE:
            return "reverse"
        return "no" if 1 - UNSTRANDED_SHARE <= share <= UNSTRANDED_SHARE else None


def strand_evidence(sites: StartSites, features: Features) -> StrandEvidence:
    """Count sense and antisense fragments among sites counted with ``--stranded no``.

    Features without a strand, or with blocks on both, are left out.
    """
    first = features.block_offsets[:-1]
    strand = features.block_strand[first].astype(np.int64)
    owner = np.repeat(np.arange(len(features)), np.diff(features.block_offsets))
    mixed = (
        np.bincount(owner, weights=features.block_strand != strand[owner], minlength=len(features))
        > 0
    )
    strand[mixed] = 2
    first_end, last_end = sites.ends[0], sites.ends[-1]
    same, against = _agreeing(sites.feature, first_end.bits, last_end.bits, strand)
    return StrandEvidence(int(same), int(against))


@loop("i4[::1], u1[::1], u1[::1], i8[::1]")
def _agreeing(feature, first, last, strand):  # type: ignore[no-untyped-def]
    """Count fragments on their feature's strand, and on the other one."""
    same, against = 0, 0
    for i in range(len(feature)):
        if strand[feature[i]] > 1:
            continue
        if first[i] & PRESENT:
            seen = 1 if first[i] & REVERSE else 0
        elif last[i] & PRESENT:
            seen = 0 if last[i] & REVERSE else 1
        else:
            continue
        if seen == strand[feature[i]]:
            same += 1
        else:
            against += 1
    return same, against


def strandedness_hint(
    stranded: str, evidence: StrandEvidence | None, *, assigned: int = 0, no_feature: int = 0
) -> str | None:
    """Return a one-line hint, without a full stop, if ``--stranded`` looks wrong; None if not.

    Args:
        stranded: ``yes``, ``no`` or ``reverse``, as counted.
        evidence: from fragments counted with ``no``: all of them if ``stranded`` is ``no``, else
            some.
        assigned, no_feature: fragments of the whole count, used without evidence.
    """
    if evidence is not None and evidence.share is not None:
        verdict = evidence.verdict
        if verdict is None or verdict == stranded:
            return None
        total = evidence.sense + evidence.antisense
        seen = (
            f"of {total:,} fragments in features, {100 * evidence.share:.0f} % have read 1 on the "
            "feature's strand"
        )
        return f"--stranded {stranded} looks wrong: {seen}, as with --stranded {verdict}"
    if stranded == "no" or assigned + no_feature < FEWEST:
        return None
    share = no_feature / (assigned + no_feature)
    if share <= SUSPICIOUS_NO_FEATURE:
        return None
    other = "reverse" if stranded == "yes" else "yes"
    return (
        f"--stranded {stranded} may be wrong: {100 * share:.0f} % of the fragments that could be "
        f"counted lie in no feature; compare with --stranded {other} and --stranded no"
    )
