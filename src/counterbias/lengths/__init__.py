"""Effective lengths: the number of unbiased places where a fragment of a feature can lie.

In: the log bias of positions, fragment lengths and, to tell a feature's transcripts apart, start
sites. Out: lengths of features (their merged blocks, or their transcripts) and of transcripts.
"""

from __future__ import annotations

from counterbias.lengths.along_transcripts import transcript_fragment_lengths
from counterbias.lengths.distribution import FragmentLengths, assumed_lengths, fragment_lengths
from counterbias.lengths.effective import effective_lengths
from counterbias.lengths.lines import BiasOf, FeatureBias, FragmentLayout
from counterbias.lengths.transcripts import UNEXPLAINED, TranscriptLengths, transcript_lengths

__all__ = [
    "UNEXPLAINED",
    "BiasOf",
    "FeatureBias",
    "FragmentLayout",
    "FragmentLengths",
    "TranscriptLengths",
    "assumed_lengths",
    "effective_lengths",
    "fragment_lengths",
    "transcript_fragment_lengths",
    "transcript_lengths",
]
