"""Effective lengths of one sample's features, by the method that the options name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths import (
    UNEXPLAINED,
    BiasOf,
    FeatureBias,
    FragmentLayout,
    TranscriptLengths,
    effective_lengths,
    transcript_lengths,
)
from counterbias.pipeline.bias.context import CountedSample
from counterbias.records import (
    SCATTERED,
    TOO_MANY,
    UNNAMED,
    FeatureTranscripts,
    Isoforms,
    TranscriptsReport,
)


@dataclass(frozen=True, slots=True)
class MeasuredLengths:
    """Effective lengths of features, and what was found about their transcripts.

    Args:
        features: float64 (features,), effective lengths, bases.
        isoforms: the transcripts, where lengths are by transcripts; else None.
        report: in how many features transcripts were told apart; None likewise.
    """

    features: NDArray[np.float64]
    isoforms: Isoforms | None = None
    report: TranscriptsReport | None = None


def measure_lengths(
    sample: CountedSample, bias_of: BiasOf | None, layout: FragmentLayout
) -> MeasuredLengths:
    """Measure effective lengths.

    Args:
        sample: the counted sample.
        bias_of: the calibrated log bias of positions; None where no model is used.
        layout: how fragments lie on features.
    """
    features, threads = sample.features, sample.options.threads
    with_reads = np.asarray(sample.counts.counts) > 0
    if sample.transcripts is not None:
        found = transcript_lengths(
            FeatureBias(features, sample.contig_of, bias_of, layout),
            sample.transcripts,
            sample.sites,
            only=with_reads,
            threads=threads,
        )
        return MeasuredLengths(
            found.features,
            _isoforms(sample, sample.transcripts, found),
            _report(sample.transcripts, found, with_reads),
        )
    if bias_of is None:
        return MeasuredLengths(features.lengths.astype(np.float64))
    return MeasuredLengths(
        effective_lengths(
            features, sample.contig_of, bias_of, layout, only=with_reads, threads=threads
        )
    )


def _isoforms(
    sample: CountedSample, transcripts: FeatureTranscripts, found: TranscriptLengths
) -> Isoforms:
    """Divide the counts and abundances of features among their transcripts."""
    counts = np.asarray(sample.counts.counts, np.float64)
    owner = np.repeat(np.arange(len(counts)), np.diff(transcripts.offsets))
    expected = found.share * counts[owner]
    rate = np.divide(counts, found.features, out=np.zeros(len(counts)), where=found.features > 0)
    per_million = rate * (1e6 / rate.sum()) if rate.sum() > 0 else rate
    per_fragment = 1e9 / counts.sum() if counts.sum() > 0 else 0.0
    return Isoforms(
        ids=transcripts.ids,
        feature=owner,
        length=transcripts.lengths,
        effective_length=found.effective,
        expected_count=expected,
        tpm=per_million[owner] * found.molecules,
        fpkm=per_fragment * rate[owner] * found.molecules,
        iso_pct=100 * found.molecules,
        expected_count_se=found.share_se * counts[owner],
        iso_pct_se=100 * found.molecules_se,
    )


def _report(
    transcripts: FeatureTranscripts, found: TranscriptLengths, with_reads: NDArray[np.bool_]
) -> TranscriptsReport:
    """Count the features with reads by how their lengths were found."""
    reasons = np.bincount(found.fallback[with_reads], minlength=UNEXPLAINED + 1).tolist()
    by_transcripts = with_reads & (found.fallback == 0)
    return TranscriptsReport(
        transcripts=int(np.diff(transcripts.offsets)[by_transcripts].sum()),
        features=reasons[0],
        unnamed=reasons[UNNAMED],
        scattered=reasons[SCATTERED],
        too_many=reasons[TOO_MANY],
        unexplained=reasons[UNEXPLAINED],
    )
