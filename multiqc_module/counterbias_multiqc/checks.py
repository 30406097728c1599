"""Decide which samples need a look, and why.

Each check of a sample gives a level (``pass``, ``warn`` or ``fail``) with a reason, and what to do
if it is not passed; or nothing if the file lacks what the check needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from counterbias_multiqc.records import CATEGORIES, QualityReport, ReadEnd, Signature
from counterbias_multiqc.thresholds import Thresholds

Level = Literal["pass", "warn", "fail"]
#: From best to worst.
LEVELS: tuple[Level, ...] = ("pass", "warn", "fail")
#: Level → word that readers see.
LEVEL_WORDS: Mapping[Level, str] = {"pass": "passed", "warn": "look", "fail": "failed"}

#: Reads were trimmed if a larger share of the bias signature lies before the read start.
TRIMMED_SHARE = 0.7
#: How many contigs a reason names.
MAX_CONTIGS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check of one sample."""

    level: Level
    #: Parts of sentences, without a final full stop.
    reason: str
    #: What to do about it, empty if there is nothing to be done.
    advice: str = ""
    #: Of the samples that do not pass one check, those with the largest value are the worst.
    severity: float = 0.0


#: Check → finding, of one sample.
Findings = Mapping[str, Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """A question that is asked of every sample."""

    #: Heading of its column in the report.
    title: str
    #: What is wrong with samples that do not pass: the problem in the table, the beginning of the
    #: alert that names the samples.
    headline: str
    find: Callable[[QualityReport, Thresholds], Finding | None]


def check_sample(report: QualityReport, thresholds: Thresholds) -> dict[str, Finding]:
    """Apply all checks that the file allows to a sample."""
    findings = {name: check.find(report, thresholds) for name, check in CHECKS.items()}
    return {name: finding for name, finding in findings.items() if finding is not None}


def worst_level(findings: Findings) -> Level:
    """Return the worst level of several checks."""
    return _worst(findings.values()).level if findings else "pass"


def _worst(findings: Iterable[Finding]) -> Finding:
    return max(findings, key=lambda finding: (LEVELS.index(finding.level), finding.severity))


def percent_assigned(report: QualityReport) -> float | None:
    """Return the fragments assigned to a feature, % of all."""
    total = sum(report.counts.values())
    if total <= 0 or "assigned" not in report.counts:
        return None
    return 100.0 * report.counts["assigned"] / total


def bias_removed(report: QualityReport, thresholds: Thresholds) -> float | None:
    """Return by how much weighting lowers the held-out divergence, %, over both ends.

    None where this means nothing: there is no bias to remove, or the model is not used.
    """
    if not has_bias(report, thresholds) or not is_weighted(report):
        return None
    pairs = [(end.divergence.mean_before, end.divergence.mean_after) for end in report.ends]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    total = sum(before for before, _ in known)
    return 100.0 * (1.0 - sum(after for _, after in known) / total) if total > 0 else None


def with_enough_starts(
    reports: Mapping[str, QualityReport], thresholds: Thresholds
) -> dict[str, QualityReport]:
    """Return the samples whose profiles show more than noise; all samples if there are none."""
    kept = {}
    for name, report in reports.items():
        starts = [end.starts for end in report.ends if end.starts is not None and not end.no_model]
        if min(starts, default=0) >= thresholds.starts_warn:
            kept[name] = report
    return kept or dict(reports)


def is_weighted(report: QualityReport) -> bool:
    """Whether reads may have weights other than 1."""
    return any(end.applied is not False for end in report.ends)


def has_bias(report: QualityReport, thresholds: Thresholds) -> bool | None:
    """Whether read starts differ from their background by more than noise.

    The signature decides, or the divergence if no signature was looked for; None if the file has
    neither.
    """
    known = [end.signature.found for end in report.ends if end.signature.found is not None]
    if known:
        return any(known)
    excess = [
        end.divergence.sum_before
        - (end.divergence.noise or 0.0) * max(len(end.divergence.before), 1)
        for end in report.ends
        if end.divergence.sum_before is not None
    ]
    return any(value >= thresholds.bias_found for value in excess) if excess else None


def _level_if_low(value: float, warn: float, fail: float) -> Level:
    return "fail" if value < fail else "warn" if value < warn else "pass"


def _level_if_high(value: float, warn: float, fail: float) -> Level:
    return "fail" if value > fail else "warn" if value > warn else "pass"


def _of_end(end: ReadEnd) -> str:
    """Name the end that a reason is about, if there are two."""
    return "" if end.label == "both" else f" of {end.title}"


#: Largest category of the fragments that are not assigned → what to do.
_IF_NOT_ASSIGNED = {
    "no_feature": "most of the others lie in no gene: make sure that -s and the annotation fit the "
    "library, and count again; if they do, look for genomic DNA",
    "ambiguous": "most of the others lie in several genes: count again with "
    "-m intersection-nonempty, or with -s if the library is stranded",
    "not_unique": "most of the others align to several places: look for ribosomal RNA, or count "
    "them, too, with --nonunique fraction",
    "too_low_quality": "most of the others have a low alignment quality: count again with a "
    "smaller -a",
    "not_aligned": "most of the others are not aligned: look at the report of the aligner",
}


def _check_assigned(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    percent = percent_assigned(report)
    if percent is None:
        return None
    level = _level_if_low(percent, thresholds.assigned_warn, thresholds.assigned_fail)
    lost = max(CATEGORIES[1:], key=lambda name: report.counts.get(name, 0.0))
    return Finding(
        level, f"{percent:.1f}% of the fragments assigned", _IF_NOT_ASSIGNED[lost], -percent
    )


def _check_strand(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    used, fitting = report.stranded, report.strand_verdict
    if used is None or fitting is None:
        return None
    if used == fitting:
        return Finding("pass", f"counted with -s {used}, which fits the reads")
    opposite = {used, fitting} == {"yes", "reverse"}
    reason = f"counted with -s {used}, but the reads look like -s {fitting}"
    return Finding("fail" if opposite else "warn", reason, f"count again with -s {fitting}")


def _check_contigs(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    if report.unmatched_features is None or not report.features:
        return None
    percent = 100.0 * report.unmatched_features / report.features
    level = _level_if_high(percent, thresholds.unmatched_warn, thresholds.unmatched_fail)
    contigs = report.unmatched_contigs
    names = ", ".join(contigs[:MAX_CONTIGS]) + (" …" if len(contigs) > MAX_CONTIGS else "")
    if not report.unmatched_features:
        return Finding(level, "the alignments have all chromosomes of the annotation")
    where = f"{names}, which the alignments lack" if names else "contigs that the alignments lack"
    return Finding(
        level,
        f"{percent:.2g}% of the features are on {where}",
        "count again with the annotation of the genome that the reads were aligned to",
        percent,
    )


def _check_starts(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    advice = (
        "train a model on similar samples with more reads (counterbias train), and count again "
        "with --bias-prior and its file"
    )
    reasons = [
        f"no model: {end.no_model}"
        if end.label == "both"
        else f"no model for {end.title}: {end.no_model}"
        for end in report.ends
        if end.no_model
    ]
    if reasons:
        return Finding("fail", "; ".join(reasons), advice, math.inf)
    known = [(end.starts, end) for end in report.ends if end.starts is not None]
    if not known:
        return None
    starts, end = min(known, key=lambda entry: entry[0])
    level = _level_if_low(starts, thresholds.starts_warn, thresholds.starts_fail)
    return Finding(level, f"{starts:,} distinct read starts{_of_end(end)}", advice, -starts)


def _check_trimmed(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    """Look whether the model's window holds the bias; the worst end decides."""
    findings = [
        _judge_place(end, report.window, thresholds)
        for end in report.ends
        if end.signature.found is not None
    ]
    return _worst(findings) if findings else None


def _judge_place(end: ReadEnd, window: str | None, thresholds: Thresholds) -> Finding:
    signature = end.signature
    if not signature.found:
        return Finding("pass", f"no bias at the read starts{_of_end(end)}")
    where = (
        f"the bias{_of_end(end)} lies at {signature.first:+d} to {signature.last:+d}"
        if signature.first is not None and signature.last is not None
        else f"the bias{_of_end(end)} lies"
    )
    trimmed = _is_before_start(signature)
    if trimmed:
        where += ", before the read start"
    used = f"the window {window}" if window else "the window"
    outside = 100.0 * (signature.outside or 0.0)
    if _is_covered(signature, window, thresholds):
        return Finding("pass", f"{where}, inside {used}")
    reason = f"{where}, and {used} misses {outside:.0f}% of it" if outside else where
    wider = signature.window if signature.window != window else None
    advice = (
        f"count again with --bias-window {wider}"
        if wider
        else "count again with a wider --bias-window"
    )
    return Finding("fail" if trimmed else "warn", reason, advice, outside)


def _is_covered(signature: Signature, window: str | None, thresholds: Thresholds) -> bool:
    """Whether the window in use holds the signature."""
    if signature.covered is not None:
        return signature.covered
    if window is not None and signature.window == window:
        return True
    return 100.0 * (signature.outside or 0.0) <= thresholds.outside_warn


def _is_before_start(signature: Signature) -> bool:
    """Whether most of the signature lies before the read start, as in 5'-trimmed reads."""
    share, peak = signature.before_start or 0.0, signature.peak or 0
    return share > TRIMMED_SHARE and peak < 0


def _all_inside(report: QualityReport, thresholds: Thresholds) -> bool:
    """Whether the window holds the bias of all ends, so that what was removed is all there was."""
    return all(
        _is_covered(end.signature, report.window, thresholds)
        for end in report.ends
        if end.signature.found
    )


_TRY_OTHER_MODELS = "compare models on this sample (counterbias compare)"


def _check_removed(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    if all(end.divergence.mean_before is None for end in report.ends):
        return None
    if not has_bias(report, thresholds):
        return Finding("pass", "no bias to remove, so the counts need no correction")
    unused = [
        f"the model{_of_end(end)} is not used{f': {end.reason}' if end.reason else ''}"
        for end in report.ends
        if end.applied is False
    ]
    if not is_weighted(report):
        # Too few read starts are less of a problem than a model that gains nothing.
        level: Level = (
            "warn" if any("starts" in (end.reason or "") for end in report.ends) else "fail"
        )
        advice = f"{_TRY_OTHER_MODELS}, or use the uncorrected counts"
        return Finding(level, unused[0], advice, math.inf)
    percent = bias_removed(report, thresholds)
    if percent is None:
        return None
    level = _level_if_low(percent, thresholds.removed_warn, thresholds.removed_fail)
    where = "" if _all_inside(report, thresholds) else " inside the window"
    reason = "; ".join([f"{percent:.0f}% of the bias{where} removed", *unused])
    advice = f"{_TRY_OTHER_MODELS}, and count again with the best one and --bias-model"
    return Finding(level, reason, advice, -percent)


def _check_size(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    """Compare the interval of the reliability slope with 1; the worst end decides."""
    findings: list[Finding] = []
    for end in report.ends:
        slope, low, high = end.reliability.slope, end.reliability.low, end.reliability.high
        if slope is None or low is None or high is None or end.applied is False:
            continue
        distance = max(low - 1.0, 1.0 - high, 0.0)
        level = _level_if_high(distance, thresholds.size_warn, thresholds.size_fail)
        reason = f"slope{_of_end(end)} {slope:.2f} ({low:.2f} to {high:.2f})"
        if level != "pass":
            reason += f": the correction is too {'small' if slope > 1.0 else 'large'}"
        advice = f"{_TRY_OTHER_MODELS}, and take one whose slope is nearer to 1"
        findings.append(Finding(level, reason, advice, distance))
    return _worst(findings) if findings else None


def _check_weights(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    """Look how uneven weights are, which only matters if weighted counts are what is used."""
    capped_share = report.weights.get("capped_share")
    effective_share = report.weights.get("effective_sample_size")
    if report.lengths_alone or (capped_share is None and effective_share is None):
        return None
    capped = 100.0 * (capped_share or 0.0)
    effective = 100.0 * (1.0 if effective_share is None else effective_share)
    reason = f"{capped:.2g}% of weights capped, effective sample size {effective:.0f}%"
    if not (thresholds.weighted_counts or report.main_counts == "weighted"):
        return Finding("pass", f"{reason}; this only matters for weighted counts")
    level = max(
        _level_if_high(capped, thresholds.clipped_warn, thresholds.clipped_fail),
        _level_if_low(effective, thresholds.effective_warn, thresholds.effective_fail),
        key=LEVELS.index,
    )
    advice = (
        "use corrected instead of weighted counts (--bias-counts corrected): they do not depend "
        "on the weights of single reads"
    )
    return Finding(level, reason, advice, -effective)


#: All checks, in the order of the report.
CHECKS = {
    "assigned": Check("Assigned", "Few fragments were assigned to a feature", _check_assigned),
    "strand": Check("Strandedness", "The strandedness setting looks wrong", _check_strand),
    "contigs": Check(
        "Contigs", "Some features are on contigs that the alignments lack", _check_contigs
    ),
    "starts": Check("Read starts", "Too few distinct read starts to train a model", _check_starts),
    "trimmed": Check(
        "5′ ends",
        "The window misses bias, as where reads were trimmed at their 5′ ends",
        _check_trimmed,
    ),
    "removed": Check("Bias removed", "Little or none of the bias was removed", _check_removed),
    "size": Check("Correction size", "The correction is too small or too large", _check_size),
    "weights": Check(
        "Weights",
        "Weights were capped, or are so uneven that precision suffers",
        _check_weights,
    ),
}
