"""Lengths of one sample without a bias model: fragments → effective lengths, counts, report.

No model is fitted and no genome is read; all weights are 1.
"""

from __future__ import annotations

import numpy as np

from counterbias.evaluation.strandedness import StrandEvidence
from counterbias.lengths import FragmentLayout
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.bias.context import CountedSample
from counterbias.pipeline.bias.measured_lengths import measure_lengths
from counterbias.pipeline.bias.report import Provenance, finish_report, report_of_lengths
from counterbias.pipeline.bias.sample import SampleBias
from counterbias.pipeline.bias.stopwatch import Stopwatch
from counterbias.pipeline.bias.warnings import warnings_of_fragments
from counterbias.pipeline.bias.weighing import known_lengths


def correct_for_lengths(
    sample: CountedSample,
    provenance: Provenance,
    *,
    evidence: StrandEvidence | None = None,
    warnings: tuple[str, ...] = (),
) -> SampleBias:
    """Measure the effective lengths of a sample, and correct its counts for them.

    Args:
        sample: the sample.
        provenance: where its numbers come from, for the quality report.
        evidence: reads by the strand of their gene, or None where not counted.
        warnings: warnings given so far.
    """
    counts, stopwatch = sample.counts, Stopwatch()
    stopwatch.add("counting", counts.seconds)
    with stopwatch.stage("effective lengths"):
        fragments = known_lengths(sample)
        lengths = measure_lengths(sample, None, FragmentLayout(sample.stranded, fragments))
    raw = np.asarray(counts.counts, np.float64)
    columns = bias_columns(sample.features.lengths, counts.counts, raw, lengths.features)
    if sample.transcripts is not None:
        warnings = (*warnings, *warnings_of_fragments(sample.options, fragments))
    report = report_of_lengths(sample, fragments, columns, provenance, evidence, lengths.report)
    seconds = {"annotation": provenance.annotation_seconds, **stopwatch.seconds}
    return SampleBias(
        columns=columns,
        model=None,
        report=finish_report(report, sample, warnings, seconds),
        read_weights=np.ones((0, 2), np.float32),
        warnings=warnings,
        unlearnable={},
        isoforms=lengths.isoforms,
    )
