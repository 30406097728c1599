"""Start sites of one sample → models, weights, corrected counts and the quality report.

The order of the bias stages is decided here: all read ends are fitted, those that gain too little
are settled by the others, then effective lengths are measured and reads weighted; the report on the
models is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.evaluation.strandedness import StrandEvidence
from counterbias.model_file import ModelFile, Prior, Training
from counterbias.no_model import NoModel
from counterbias.options import BiasExtras
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.deferred import Deferred
from counterbias.pipeline.bias.ends import read_ends
from counterbias.pipeline.bias.fitted_end import EndReport, FittedEnd
from counterbias.pipeline.bias.fitting import fit_ends, settle_ends
from counterbias.pipeline.bias.report import (
    Provenance,
    describe_end,
    finish_report,
    package_versions,
    sample_report,
)
from counterbias.pipeline.bias.stopwatch import Stopwatch
from counterbias.pipeline.bias.tracks import write_tracks
from counterbias.pipeline.bias.warnings import warnings_of
from counterbias.pipeline.bias.weighing import (
    ReadScores,
    Weighed,
    feature_lengths,
    known_lengths,
    read_weights,
    start_sites,
    unseen_ends,
)
from counterbias.records import Isoforms
from counterbias.weights import FragmentWeights, fragment_weights, weighted_counts


@dataclass(frozen=True, slots=True)
class SampleBias:
    """The bias of one sample, and its counts corrected for it.

    Args:
        columns: the table of ``PREFIX.counts.tsv``, name → (features,).
        model: fitted models with their calibration; None where lengths were measured alone.
        report: the quality report.
        read_weights: float32 (rows, 2), weights of reads 1 and 2 per row of start sites, for the
            tag ``ZW``.
        fragment_weights: float32 (rows,), weights of fragments, where those of reads are wanted;
            None where nothing is weighted.
        warnings: what the user should know, one line each.
        unlearnable: read end → why it cannot be learnt from; empty where all can.
        isoforms: those of the features, where lengths are by transcripts; else None.
        tracks: names of the bigWig files of the expected bias that were written.
    """

    columns: Mapping[str, NDArray[Any]]
    model: ModelFile | None
    report: dict[str, Any]
    read_weights: NDArray[np.float32]
    warnings: tuple[str, ...]
    unlearnable: Mapping[str, str]
    isoforms: Isoforms | None = None
    fragment_weights: NDArray[np.float32] | None = None
    tracks: tuple[str, ...] = ()


def weigh_sample(
    context: SampleContext,
    provenance: Provenance,
    *,
    evidence: StrandEvidence | None = None,
    warnings: tuple[str, ...] = (),
    extras: BiasExtras | None = None,
) -> SampleBias:
    """Fit (or take) the models of one sample, weight its fragments, and correct its counts.

    Args:
        context: the sample, and everything the stages need.
        provenance: where its numbers come from, for the quality report.
        evidence: reads by the strand of their gene, or None where not counted.
        warnings: warnings given so far.
        extras: what else is wanted.
    """
    extras = extras or BiasExtras()
    counts, stopwatch = context.counts, Stopwatch(context.progress)
    stopwatch.add("counting", counts.seconds)
    weighed = _fit_and_weigh(context, stopwatch)
    lengths = weighed.lengths
    columns = bias_columns(
        context.features.lengths, counts.counts, weighed.counts, lengths.features
    )
    tracks: tuple[str, ...] = ()
    not_written: tuple[str, ...] = ()
    if extras.tracks is not None:
        with stopwatch.stage("tracks"):
            tracks, not_written = write_tracks(context, weighed.ends, extras.tracks)
    problems = tuple(line for end in weighed.ends for line in end.report.problems)
    warnings = (*warnings, *warnings_of(context, weighed), *problems, *not_written)
    report = sample_report(context, weighed, columns, provenance, evidence)
    seconds = {"annotation": provenance.annotation_seconds, **stopwatch.seconds}
    single = np.ones((0, 2), np.float32)
    if extras.read_weights:
        single = read_weights(weighed.weights, weighed.read_scores)
    return SampleBias(
        columns=columns,
        model=_model_file(context, weighed.ends, weighed.weights),
        report=finish_report(report, context, warnings, seconds, read_scores=weighed.read_scores),
        read_weights=single,
        warnings=warnings,
        unlearnable={
            end.reads.label: end.calibration.reason for end in weighed.ends if not end.learnable
        },
        isoforms=lengths.isoforms,
        fragment_weights=weighed.weights.weight if extras.read_weights else None,
        tracks=tracks,
    )


def _fit_and_weigh(context: SampleContext, stopwatch: Stopwatch) -> Weighed:
    """Fit and weigh, with a second thread for what no stage waits for, where threads allow."""
    if context.options.threads <= 1:
        return _run_stages(context, stopwatch, None)
    pool = ThreadPoolExecutor(1)
    try:
        return _run_stages(context, stopwatch, pool)
    finally:
        # After an error nobody waits for what has not begun.
        pool.shutdown(cancel_futures=True)


def _run_stages(context: SampleContext, stopwatch: Stopwatch, executor: Executor | None) -> Weighed:
    sites, options = context.sites, context.options
    every_end = read_ends(sites, context.stranded)
    if options.ends == "first":
        sites = replace(sites, ends=sites.ends[:1])
    with_reads = np.asarray(context.counts.counts) > 0
    if executor is not None:
        # An error, if there is one, is met again by whoever needs these pages.
        executor.submit(context.fetch, with_reads)
    fragments = Deferred(executor, lambda: known_lengths(context))
    starts = Deferred(executor, lambda: start_sites(sites, every_end))
    ends = fit_ends(context, every_end, stopwatch, executor=executor)
    settle_ends(ends)

    def describe(end: FittedEnd) -> EndReport:
        with stopwatch.stage("evaluation"):
            return describe_end(context, end)

    for end in ends:
        end.begin_report(executor, describe)
    scores = ReadScores(context, ends, sites, starts(), unseen_ends(context, ends))
    with stopwatch.stage("effective lengths"):
        lengths = feature_lengths(scores, fragments())
    with stopwatch.stage("scoring"):
        scores.score_rest()
    with stopwatch.stage("weighting"):
        weights = fragment_weights(sites, scores.of_reads, cap=options.cap, threads=options.threads)
    # Shares of fragments are held in single precision: where nothing is weighted, counts stay as
    # they are.
    counts = np.asarray(context.counts.counts, np.float64)
    if scores.applied:
        counts = weighted_counts(sites, weights, len(context.features))
    for end in ends:
        end.finish()
    return Weighed(ends, scores, weights, counts, lengths, fragments())


def _model_file(
    context: SampleContext, ends: tuple[FittedEnd, ...], weights: FragmentWeights
) -> ModelFile:
    choice, options = context.choice, context.options
    learnt = any(not isinstance(end.model, NoModel) for end in ends)
    if choice.fitted is not None:
        training, prior = choice.fitted.training, choice.fitted.prior
    else:
        samples = (context.sample,) if learnt else ()
        version = package_versions()["counterbias"]
        training = Training(samples, options.seed, options.sampling, version)
        prior = _origin(context.prior)
    return ModelFile(
        backend=choice.backend,
        distribution=choice.distribution,
        version=choice.version,
        window=choice.window,
        ends=tuple(end.end_model() for end in ends),
        training=training,
        cap=weights.scale.cap,
        factor=weights.scale.factor,
        prior=prior if learnt else None,
    )


def _origin(prior: ModelFile | None) -> Prior | None:
    """Return the origin of the models with which the sample's own were blended."""
    if prior is None:
        return None
    return Prior(prior.backend, prior.distribution, prior.version, prior.training)
