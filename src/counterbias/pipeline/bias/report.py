"""The quality report of one sample, ``PREFIX.counterbias.json``: every part of it is made here.

What is measured on held-out reads comes from :mod:`~counterbias.pipeline.bias.diagnostics`; the
schema is in :mod:`counterbias.writers.qc_schema`.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.evaluation.composition import Signature, composition_report, divergence_report
from counterbias.evaluation.strandedness import StrandEvidence
from counterbias.lengths import FragmentLengths
from counterbias.no_model import NoModel
from counterbias.options import NONE, TRANSCRIPTS, UNION
from counterbias.pipeline.bias.columns import fold_changes
from counterbias.pipeline.bias.context import CountedSample, SampleContext
from counterbias.pipeline.bias.diagnostics import measure, score_units
from counterbias.pipeline.bias.fitted_end import EndReport, FittedEnd
from counterbias.pipeline.bias.weighing import ReadScores, Weighed
from counterbias.plugins import PluginMetrics
from counterbias.records import CLIPPED, PRESENT, StartSites, TranscriptsReport
from counterbias.scoring import score
from counterbias.weights import FragmentWeights
from counterbias.writers.qc import build_qc

#: Packages whose versions stand in the document.
PACKAGES = ("counterbias", "numpy", "numba", "pysam", "deflate", "torch")
#: Reads looked at together, so that this needs little memory.
_READS = 1 << 20
#: Quantiles of the log2 fold changes.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Why a feature's length is that of its exons' union: fields of :class:`TranscriptsReport`.
FALLBACKS = ("unnamed", "scattered", "too_many", "unexplained")
#: The fields of a calibration that stand in the document.
CALIBRATION = ("applied", "reason", "slope", "length_slope", "constant", "gain", "gain_error")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a sample's numbers come from.

    Args:
        command_line: the command, as typed.
        inputs: what is read → file.
        options: all options that the numbers depend on.
        mode: htseq-count's ``--mode``.
        annotation_seconds: wall time of reading the annotation.
    """

    command_line: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    mode: str
    annotation_seconds: float


def sample_report(
    context: SampleContext,
    weighed: Weighed,
    columns: Mapping[str, NDArray[Any]],
    provenance: Provenance,
    evidence: StrandEvidence | None,
) -> dict[str, Any]:
    """Return the document of a sample, but for warnings and times (:func:`finish_report`).

    Args:
        context: the sample.
        weighed: its fitted models, weights, counts and lengths.
        columns: its table of corrected counts.
        provenance: command line, inputs and options.
        evidence: reads by the strand of their gene, or None where not counted.
    """
    transcripts = weighed.lengths.report
    measured = weighed.read_scores.applied or transcripts is not None
    return {
        **_basics_of_sample(context, provenance, evidence),
        "model": _model(context),
        "sampling": {"scheme": context.options.sampling, "seed": context.options.seed},
        "ends": [end.report.entry for end in weighed.ends],
        "weights": _weights(weighed.weights, _clipped_ends(weighed.read_scores)),
        "lengths": _lengths(context, weighed.fragments, transcripts, measured=measured),
        "fold_change": _fold_change(columns),
    }


def report_of_lengths(
    sample: CountedSample,
    fragments: FragmentLengths,
    columns: Mapping[str, NDArray[Any]],
    provenance: Provenance,
    evidence: StrandEvidence | None,
    transcripts: TranscriptsReport | None = None,
) -> dict[str, Any]:
    """Return the document of a sample without a bias model, as :func:`sample_report` does.

    It has no read ends, and all weights are 1.
    """
    return {
        **_basics_of_sample(sample, provenance, evidence),
        "model": {"backend": NONE},
        "weights": _all_ones(sample.sites),
        "lengths": _lengths(sample, fragments, transcripts, measured=transcripts is not None),
        "fold_change": _fold_change(columns),
    }


def finish_report(
    report: Mapping[str, Any],
    sample: CountedSample,
    warnings: tuple[str, ...],
    seconds: Mapping[str, float],
    *,
    read_scores: ReadScores | None = None,
) -> dict[str, Any]:
    """Return the document with warnings and wall times, checked against its schema."""
    counts, speed = sample.counts, None
    if read_scores is not None:
        speed = _per_second(read_scores.windows, read_scores.seconds)
    run = {
        "seconds": dict(seconds),
        "threads": sample.options.threads,
        "fragments_per_second": _per_second(counts.fragments, counts.seconds),
        "windows_per_second": speed,
    }
    return build_qc({**report, "warnings": list(warnings), "run": run})


def _per_second(number: int, seconds: float) -> float | None:
    return number / seconds if seconds > 0 else None


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _basics_of_sample(
    sample: CountedSample, provenance: Provenance, evidence: StrandEvidence | None
) -> dict[str, Any]:
    """Return what the document of any sample contains, with a model or without."""
    return {
        "sample": sample.sample,
        "versions": package_versions(),
        "command_line": provenance.command_line,
        "inputs": provenance.inputs,
        "options": provenance.options,
        "counting": _counting(sample, provenance.mode),
        "contigs": _contigs(sample),
        "strandedness": _strandedness(evidence),
    }


def _counting(sample: CountedSample, mode: str) -> dict[str, Any]:
    counts, raw = sample.counts, np.asarray(sample.counts.counts, np.float64)
    names = ("no_feature", "ambiguous", "too_low_quality", "not_aligned", "not_unique")
    return {
        "paired": counts.paired,
        "stranded": sample.stranded,
        "mode": mode,
        "fragments": counts.fragments,
        "assigned": float(raw.sum()),
        **dict(zip(names, counts.classes, strict=True)),
        "features": len(raw),
        "features_with_reads": int((raw > 0).sum()),
        "features_fingerprint": sample.features.fingerprint(),
    }


def _contigs(sample: CountedSample) -> dict[str, Any]:
    """Contigs of the features that the alignments lack."""
    features = sample.features
    missing = sample.contig_of < 0
    reachable = np.concatenate(([0], np.cumsum(~missing[features.block_contig])))
    blocks = reachable[features.block_offsets[1:]] - reachable[features.block_offsets[:-1]]
    used = np.unique(features.block_contig)
    return {
        "annotation": len(used),
        "unmatched": [features.contigs[contig] for contig in used.tolist() if missing[contig]][:20],
        "unmatched_features": int((blocks == 0).sum()),
    }


def _strandedness(evidence: StrandEvidence | None) -> dict[str, Any]:
    if evidence is None:
        return {}
    return {"sense": evidence.sense, "antisense": evidence.antisense, "verdict": evidence.verdict}


def _model(context: SampleContext) -> dict[str, Any]:
    choice = context.choice
    return {
        "backend": choice.backend,
        "distribution": choice.distribution,
        "version": choice.version,
        "options": dataclasses.asdict(choice.options),
        "upstream": choice.window.upstream,
        "downstream": choice.window.downstream,
    }


def _clipped_ends(read_scores: ReadScores) -> int:
    """Count the reads without a score because their 5' end is clipped."""
    # Where no model is used, no start was asked for: clipped ends are then not among the unscored.
    scored = [
        end
        for number, end in enumerate(read_scores.sites.ends)
        if read_scores.by_number[number].calibration.applied
    ]
    both = PRESENT | CLIPPED
    return sum(
        int(np.count_nonzero((end.bits[first : first + _READS] & both) == both))
        for end in scored
        for first in range(0, len(end.bits), _READS)
    )


def _weights(weights: FragmentWeights, clipped_ends: int) -> dict[str, Any]:
    return {
        "reads": weights.reads,
        "unscored": weights.unscored,
        "skipped": {"window": weights.unscored - clipped_ends, "clipped_end": clipped_ends},
        "capped": weights.clipped,
        "capped_share": weights.clipped / weights.reads if weights.reads else None,
        "cap": weights.scale.cap,
        "factor": weights.scale.factor,
        "effective_sample_size": weights.effective,
        "max_over_mean": weights.largest,
        "histogram": {"edges": list(weights.histogram_edges), "counts": list(weights.histogram)},
    }


def _all_ones(sites: StartSites) -> dict[str, Any]:
    """Describe weights that are all 1."""
    reads = sum(int(np.count_nonzero(end.bits & PRESENT)) for end in sites.ends)
    return {
        "reads": reads,
        "unscored": 0,
        "skipped": {"window": 0, "clipped_end": 0},
        "capped": 0,
        "capped_share": 0.0 if reads else None,
        "factor": 1.0,
        "effective_sample_size": 1.0 if reads else None,
        "max_over_mean": 1.0 if reads else None,
    }


def _lengths(
    sample: CountedSample,
    lengths: FragmentLengths,
    transcripts: TranscriptsReport | None,
    *,
    measured: bool,
) -> dict[str, Any]:
    """Return how lengths were measured; ``measured``: those of all features with reads."""
    return {
        "method": UNION if transcripts is None else TRANSCRIPTS,
        "transcripts": None if transcripts is None else transcripts.transcripts,
        "features_by_transcripts": None if transcripts is None else transcripts.features,
        "fallback": {
            reason: None if transcripts is None else getattr(transcripts, reason)
            for reason in FALLBACKS
        },
        "measured": int(np.count_nonzero(sample.counts.counts)) if measured else 0,
        "fragments": None if lengths.assumed else lengths.fragments,
        "assumed": lengths.assumed,
        "fragment_mean": lengths.mean,
        "fragment_sd": lengths.sd,
        "fragment_lengths": lengths.length,
        "fragment_shares": lengths.probability,
    }


def _fold_change(columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    raw = np.asarray(columns["raw"], np.float64)
    return {
        "quantiles": list(QUANTILES),
        "weighted": fold_changes(raw, columns["weighted"], quantiles=QUANTILES),
        "corrected": fold_changes(raw, columns["corrected"], quantiles=QUANTILES),
    }


# -- the entries of ``ends`` -----------------------------------------------------------------------


def describe_end(context: SampleContext, end: FittedEnd) -> EndReport:
    """Return a read end's entry in ``ends``, with what plug-ins did wrong."""
    if end.units is None:
        return EndReport(_without_model(context, end))
    metrics = _plugin_metrics(context, end)
    return EndReport({**_with_model(context, end), "metrics": metrics.values}, metrics.problems)


def _with_model(context: SampleContext, end: FittedEnd) -> dict[str, Any]:
    assert end.units is not None
    windows, sample, folds = end.split.folded.windows, end.split.folded.sample, end.split.folds
    bins, signature = end.units(), end.signature()
    front = (windows.foreground, windows.foreground_weight)
    back = (windows.background, windows.background_weight)
    again = score(end.model, windows.foreground, threads=context.options.threads)
    unseen = (*front, _inverse(context, end, end.scores[0]), *back)
    learnt = (*front, _inverse(context, end, again), *back)
    check = int((sample.foreground_parts[:, 0] == 1).sum())
    log_bias = score_units(context, end.fitted, folds, bins)
    report = {
        **_basics(context, end),
        "training_starts": len(windows) - check,
        "validation_starts": check,
        "held_out_starts": end.calibration.starts,
        "composition": composition_report(*unseen),
        "divergence": {
            "held_out": divergence_report(*unseen),
            "training": divergence_report(*learnt),
        },
        "training": _training(end),
        **measure(log_bias, end.calibration, bins),
    }
    return report if signature is None else {**report, "signature": _signature(signature)}


def _without_model(context: SampleContext, end: FittedEnd) -> dict[str, Any]:
    """Return the entry of a read end that no model is used for."""
    return {
        **_basics(context, end),
        "no_model": end.model.reason if isinstance(end.model, NoModel) else None,
        "training_starts": 0,
        "validation_starts": 0,
        "held_out_starts": 0,
    }


def _basics(context: SampleContext, end: FittedEnd) -> dict[str, Any]:
    """Return what the entry of any read end contains."""
    window, split = context.choice.window, end.split
    return {
        "end": end.reads.label,
        "block": split.folds.block,
        "blocks": len(split.folds.keys),
        "unique_starts": end.starts,
        "skipped": split.folded.skipped,
        "offsets": list(range(-window.upstream, window.downstream + 1)),
        "calibration": {name: getattr(end.calibration, name) for name in CALIBRATION},
    }


def _inverse(
    context: SampleContext, end: FittedEnd, scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return 1/bias of windows by their scores, capped as weights are; 1 where there is none."""
    inverse = np.exp(-end.calibration(np.nan_to_num(scores, nan=0.0)))
    cap = context.options.cap
    if cap is None or not len(inverse):
        return inverse
    return np.asarray(np.minimum(inverse, cap * np.median(inverse)))


def _plugin_metrics(context: SampleContext, end: FittedEnd) -> PluginMetrics:
    """Collect plug-ins' metrics of a model that did not see the first fold, on that fold."""
    sample, judge = end.fitted.sample, end.fitted.judges[0]
    model = judge or end.model
    own = model.own if isinstance(model, Blend) else model  # plug-ins know what they brought
    return context.manager.qc_metrics(own, sample.of_fold(0))


def _training(end: FittedEnd) -> dict[str, Any]:
    """What the backend reported of its training; nothing for a model that was loaded."""
    report = end.fitted.report
    if report is None:
        return {}
    return {
        "parameters": report.parameters,
        "curves": _plain(report.curves),
        "perplexity": _plain(report.perplexity),
        "details": _plain(report.details) | end.blended,
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "found": signature.found,
        "first": signature.first,
        "last": signature.last,
        "peak": signature.peak,
        "before_start": signature.before_start,
        "outside": signature.outside,
        "covered": signature.covered,
        "upstream": signature.window.upstream,
        "downstream": signature.window.downstream,
        "offsets": signature.offsets,
        "profile": signature.profile,
        "noise": signature.noise,
    }
