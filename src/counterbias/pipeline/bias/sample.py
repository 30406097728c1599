"""Start sites of one sample → models, weights, corrected counts and the QC document."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.evaluation.strandedness import StrandEvidence
from counterbias.genome import Genome
from counterbias.model_file import ModelFile, Prior, Training
from counterbias.no_model import NoModel
from counterbias.pipeline.bias.columns import bias_columns, fold_changes
from counterbias.pipeline.bias.fitting import FEW_STARTS, FittedEnd, SampleContext
from counterbias.pipeline.bias.weighing import (
    ReadScores,
    Stopwatch,
    Weighed,
    fit_and_weigh,
    read_weights,
)
from counterbias.records import CLIPPED, PRESENT, Features, SampleCounts, StartSites
from counterbias.sampling import last_positions
from counterbias.weights import FragmentLengths, FragmentWeights
from counterbias.writers.qc import build_qc

#: Packages whose versions stand in the QC file.
PACKAGES = ("counterbias", "numpy", "numba", "pysam", "deflate", "torch")
#: Quantiles of the log fold changes in the QC file.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class SampleBias:
    """What the bias stage gives for one sample.

    Args:
        columns: the table of ``PREFIX.counts.tsv``, name → (features,).
        model: fitted models with their calibration.
        report: the QC document.
        read_weights: float32 (rows, 2), weights of reads 1 and 2 per row of start sites, for the tag ``ZW``.
        warnings: what the user should know, one line each.
        nothing: end → why its reads teach nothing; empty where all ends can be learnt from.
    """

    columns: Mapping[str, NDArray[Any]]
    model: ModelFile
    report: dict[str, Any]
    read_weights: NDArray[np.float32]
    warnings: tuple[str, ...]
    nothing: Mapping[str, str]


def check_genome(genome: Genome, sites: StartSites, sample: str) -> None:
    """Refuse a genome that lacks a contig with counted reads of a sample, or ends before one of them."""
    last = last_positions(sites)
    used = np.flatnonzero(last >= 0)
    try:
        genome.check([sites.contigs[i] for i in used], [int(last[i]) + 1 for i in used])
    except InputError as error:
        problem = f"{error.problem}; reads of {sample} are counted there"
        raise InputError(problem, file=error.file, place=error.place, remedy=error.remedy) from None


def weigh_sample(
    context: SampleContext,
    result: SampleCounts,
    *,
    stranded: str,
    sample: str,
    about: Mapping[str, Any],
    evidence: StrandEvidence | None,
    warnings: tuple[str, ...],
    want_read_weights: bool = False,
    ends: str = "both",
) -> SampleBias:
    """Fit (or take) the models of one sample, weigh its fragments, and correct its counts.

    Args:
        context: everything the steps need.
        result: the sample's counts.
        stranded: htseq-count's option.
        sample: the sample's name.
        about: ``command_line``, ``inputs``, ``options``, ``mode`` and ``annotation_seconds`` for the QC file.
        evidence: what start sites tell of strandedness, or None.
        warnings: warnings given so far.
        want_read_weights: whether weights of single reads are needed (``-o``).
        ends: ``both`` reads weigh a pair, or the ``first`` alone; models learn from both all the same.
    """
    watch = Stopwatch(context.progress)
    watch.add("counting", result.seconds)
    weighed = fit_and_weigh(context, result, stranded=stranded, ends=ends, watch=watch)
    columns = bias_columns(context.features.lengths, result.counts, weighed.counts, weighed.lengths)
    every = (*warnings, *_warnings(context, weighed, sample), *context.manager.problems)
    context.manager.problems.clear()
    report = _report(
        context,
        result,
        weighed,
        columns,
        stranded=stranded,
        sample=sample,
        about=about,
        evidence=evidence,
    )
    report["warnings"] = list(every)
    report["run"] = _run(
        context,
        result,
        weighed.weighing,
        {"annotation": about["annotation_seconds"], **watch.seconds},
    )
    model = _model_file(context, weighed.ends, weighed.weights, sample)
    single = (
        read_weights(weighed.weights, weighed.weighing)
        if want_read_weights
        else np.ones((0, 2), np.float32)
    )
    nothing = {end.reads.label: end.calibration.reason for end in weighed.ends if end.silent}
    return SampleBias(columns, model, build_qc(report), single, every, nothing)


def _report(
    context: SampleContext,
    result: SampleCounts,
    weighed: Weighed,
    columns: Mapping[str, NDArray[Any]],
    *,
    stranded: str,
    sample: str,
    about: Mapping[str, Any],
    evidence: StrandEvidence | None,
) -> dict[str, Any]:
    """Gather what the QC document tells, but for warnings and times."""
    raw = np.asarray(result.counts, dtype=np.float64)
    measured = int((raw > 0).sum()) if weighed.weighing.applied else 0
    return {
        "sample": sample,
        "versions": _versions(),
        "command_line": about["command_line"],
        "inputs": about["inputs"],
        "options": about["options"],
        "counting": _counting(result, stranded, about["mode"], raw),
        "contigs": _contigs(context),
        "strandedness": _strandedness(evidence),
        "model": _model(context),
        "sampling": {"scheme": context.sampling, "seed": context.seed},
        "ends": [end.report for end in weighed.ends],
        "weights": _weights(weighed.weights, weighed.weighing),
        "lengths": _length_report(weighed.fragments, measured),
        "fold_change": {
            "quantiles": list(QUANTILES),
            "weighted": fold_changes(raw, weighed.counts, quantiles=QUANTILES),
            "corrected": fold_changes(raw, np.asarray(columns["corrected"]), quantiles=QUANTILES),
        },
    }


def _run(
    context: SampleContext, result: SampleCounts, weighing: ReadScores, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Tell how long the stages took."""
    return {
        "seconds": dict(seconds),
        "threads": context.threads,
        "fragments_per_second": result.fragments / result.seconds if result.seconds > 0 else None,
        "windows_per_second": weighing.windows / weighing.seconds if weighing.seconds > 0 else None,
    }


def _model_file(
    context: SampleContext, ends: tuple[FittedEnd, ...], weights: FragmentWeights, sample: str
) -> ModelFile:
    kind, learnt = context.kind, any(not isinstance(end.model, NoModel) for end in ends)
    if kind.fitted is not None:
        training = kind.fitted.training
    else:
        training = Training(
            (sample,) if learnt else (), context.seed, context.sampling, _versions()["counterbias"]
        )
    return ModelFile(
        backend=kind.backend,
        distribution=kind.distribution,
        version=kind.version,
        window=kind.window,
        ends=tuple(end.end_model() for end in ends),
        training=training,
        cap=weights.scale.cap,
        factor=weights.scale.factor,
        prior=None
        if not learnt
        else kind.fitted.prior
        if kind.fitted is not None
        else _origin(context.prior),
    )


def _origin(prior: ModelFile | None) -> Prior | None:
    """Tell where the models come from that the sample's own were blended with."""
    return (
        None
        if prior is None
        else Prior(prior.backend, prior.distribution, prior.version, prior.training)
    )


def _warnings(context: SampleContext, weighed: Weighed, sample: str) -> list[str]:
    """Say what a user should know of the fit, one line each."""
    lines = []
    if context.assumed is not None and not weighed.fragments.assumed:
        shown = f"{weighed.fragments.fragments:,} pairs show fragments of {weighed.fragments.mean:.0f} ± {weighed.fragments.sd:.0f} bases"
        lines.append(f"--bias-fragment-length is not used: {shown}")
    nothing = [end for end in weighed.ends if isinstance(end.model, NoModel)]
    if len(nothing) == len(weighed.ends):
        reasons = "; ".join(dict.fromkeys(end.calibration.reason for end in nothing))
        return [*lines, f"there is no model, all its weights are 1: {reasons}"]
    if context.prior is not None and context.prior.training.includes(sample):
        lines.append(
            f"the prior has learnt from '{sample}' itself: its share and the gain of the blend are overrated"
        )
    for end in weighed.ends:
        unused = _unused(context, weighed, end)
        if unused or isinstance(end.model, NoModel):
            lines.append(
                unused
                or f"there is no model of {end.reads.label}, whose reads count as unbiased: {end.calibration.reason}"
            )
            continue
        of = "" if end.reads.label == "both" else f" of {end.reads.label}"
        if end.starts < FEW_STARTS and context.kind.fitted is None:
            told = f"only {end.starts:,} distinct read starts{of} to learn from (fewer than {FEW_STARTS:,})"
            help_ = (
                "" if context.prior else "; one of other samples steadies it (--bias-prior FILE)"
            )
            lines.append(f"{told}: expect a noisy model{help_}")
        signature = end.signature
        if signature is not None and signature.precedes_start:
            lines.append(
                f"the bias signature{of} lies at {signature.first:+d}…{signature.last:+d}, before the read start, as in reads whose 5' end "
                f"was trimmed; --bias-window {signature.window} would hold it"
            )
        elif signature is not None and signature.found and signature.outside > 0.25:
            lines.append(
                f"much of the bias signature{of} lies outside the window; --bias-window {signature.window} would hold it"
            )
        if end.calibration.applied and end.calibration.reason:
            lines.append(
                f"the model{of} would not be used by itself ({end.calibration.reason}); since the other read is biased, it is used with "
                f"the slope {end.calibration.slope:.2f} that its starts ask for"
            )
        if not end.calibration.applied:
            lines.append(
                f"the model{of} is not used, all its weights are 1: {end.calibration.reason}"
            )
    return lines


def _unused(context: SampleContext, weighed: Weighed, end: FittedEnd) -> str:
    """Say what becomes of an end that teaches nothing where another model stands in for effective lengths; empty where none does."""
    if not weighed.weighing.applied or end.reads.numbers[0] not in weighed.weighing.unseen:
        return ""
    source = "the prior" if context.kind.fitted is None else context.kind.path
    return f"all weights of {end.reads.label} are 1, while effective lengths take its model in {source} as it is: {end.calibration.reason}"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _counting(
    result: SampleCounts, stranded: str, mode: str, raw: NDArray[np.float64]
) -> dict[str, Any]:
    names = ("no_feature", "ambiguous", "too_low_quality", "not_aligned", "not_unique")
    return {
        "paired": result.paired,
        "stranded": stranded,
        "mode": mode,
        "fragments": result.fragments,
        "assigned": float(raw.sum()),
        **dict(zip(names, result.classes, strict=True)),
        "features": len(raw),
        "features_with_reads": int((raw > 0).sum()),
    }


def _contigs(context: SampleContext) -> dict[str, Any]:
    """Tell which contigs of the features the alignments do not have."""
    features = context.features
    missing = context.contig_of < 0
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
    kind = context.kind
    return {
        "backend": kind.backend,
        "distribution": kind.distribution,
        "version": kind.version,
        "options": dataclasses.asdict(kind.options),
        "upstream": kind.window.upstream,
        "downstream": kind.window.downstream,
    }


def _weights(weights: FragmentWeights, weighing: ReadScores) -> dict[str, Any]:
    # Where no model is used, no start was asked for: clipped ends are then not among the unscored.
    scored = [
        end
        for number, end in enumerate(weighing.sites.ends)
        if weighing.by_number[number].calibration.applied
    ]
    clipped_ends = sum(
        int(((end.bits & (PRESENT | CLIPPED)) == (PRESENT | CLIPPED)).sum()) for end in scored
    )
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


def _length_report(lengths: FragmentLengths, measured: int) -> dict[str, Any]:
    return {
        "measured": measured,
        "fragments": None if lengths.assumed else lengths.fragments,
        "assumed": lengths.assumed,
        "fragment_mean": lengths.mean,
        "fragment_sd": lengths.sd,
        "fragment_lengths": lengths.length,
        "fragment_shares": lengths.probability,
    }


def contig_index(features: Features, contigs: tuple[str, ...]) -> NDArray[np.int64]:
    """Give, per contig of the features, its index among the alignments' contigs, or -1."""
    number = {name: i for i, name in enumerate(contigs)}
    return np.array([number.get(name, -1) for name in features.contigs], dtype=np.int64)


def open_genome(path: str, aliases: Mapping[str, str]) -> Genome:
    """Open the genome, with the aliases that it can use."""
    genome = Genome(path)
    useful = {
        name: target for name, target in aliases.items() if name not in genome and target in genome
    }
    if not useful:
        return genome
    genome.close()
    return Genome(path, useful)


def check_common(genome: Genome, contigs: tuple[str, ...], *, alignments: str) -> None:
    """Refuse a genome that shares no contig with the alignments, before anything is counted."""
    if contigs and not any(name in genome for name in contigs):
        raise InputError(
            f"the genome has no contig in common with {alignments}: it has '{genome.names[0]}' …, the alignments '{contigs[0]}' …",
            file=genome.path,
            remedy="give the genome that the reads were aligned to, or --bias-contig-alias FILE",
        )


def lacking_contigs(genome: Genome, shared: Mapping[str, Sequence[str]]) -> list[str]:
    """Name contigs with features that alignments have and the genome lacks, once each; ``shared``: alignment file → such contigs.

    A read that is counted there ends the run (:func:`check_genome`), which only counting tells.
    """
    lines: dict[tuple[str, ...], str] = {}
    for path, contigs in shared.items():
        lacking = tuple(name for name in contigs if name not in genome)
        if lacking and lacking not in lines:
            more = f", {lacking[1]} …" if len(lacking) > 1 else ""
            lines[lacking] = (
                f"{genome.path}: the genome lacks {lacking[0]}{more}, which the annotation and {os.path.basename(path)} have: a read that "
                "is counted there ends the run with an error; the genome that the reads were aligned to has all contigs"
            )
    return list(lines.values())
