"""Decide which samples need a look, and why.

Each check of a sample gives a level (``pass``, ``warn`` or ``fail``) with a reason, or nothing if
the file lacks what the check needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Literal

from counterbias_multiqc.records import QualityReport, Signature
from counterbias_multiqc.values import as_number

Level = Literal["pass", "warn", "fail"]
#: From best to worst.
LEVELS: tuple[Level, ...] = ("pass", "warn", "fail")

#: Reads were trimmed if a larger share of the bias signature lies before the read start.
TRIMMED_SHARE = 0.7
#: How many contigs a reason names.
MAX_CONTIGS = 3


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of the report, with their defaults.

    Each may be set under its name below ``counterbias:`` in MultiQC's configuration.
    """

    #: Fragments assigned to a feature, %; warn or fail below.
    assigned_warn: float = 50.0
    assigned_fail: float = 25.0
    #: Distinct read starts, of the end that has fewer; warn or fail below.
    starts_warn: float = 2000.0
    starts_fail: float = 500.0
    #: Divergence above noise, in bits summed over the window, at which there is a bias to remove.
    #: Only used if the file does not state whether there is one.
    bias_found: float = 0.05
    #: Held-out divergence removed, %, if there is a bias; warn or fail below.
    removed_warn: float = 50.0
    removed_fail: float = 20.0
    #: Distance from 1 of the confidence interval of the reliability slope; warn or fail above.
    size_warn: float = 0.1
    size_fail: float = 0.5
    #: Bias signature outside the model's window, %; warn above.
    outside_warn: float = 25.0
    #: Features on contigs that the alignments lack, %; warn or fail above.
    unmatched_warn: float = 1.0
    unmatched_fail: float = 50.0
    #: Read weights reduced to the cap, %; warn or fail above.
    clipped_warn: float = 1.0
    clipped_fail: float = 5.0
    #: Effective sample size, % of the reads; warn or fail below.
    effective_warn: float = 50.0
    effective_fail: float = 25.0
    #: Number of samples above which heat maps replace lines.
    heatmap_above: float = 50.0
    #: The same of base composition, which has a tab for each sample.
    composition_heatmap_above: float = 12.0

    @classmethod
    def from_config(cls, configured: object) -> Thresholds:
        """Replace defaults by configured numbers; everything else in there is ignored."""
        values = configured if isinstance(configured, Mapping) else {}
        numbers = {field.name: as_number(values.get(field.name)) for field in fields(cls)}
        return cls(**{name: number for name, number in numbers.items() if number is not None})


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check of one sample."""

    level: Level
    reason: str


#: Check → finding, of one sample.
Findings = Mapping[str, Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """A question that is asked of every sample."""

    #: Heading of its column in the report.
    title: str
    #: Beginning of the alert that names the samples.
    headline: str
    find: Callable[[QualityReport, Thresholds], Finding | None]


def check_sample(report: QualityReport, thresholds: Thresholds) -> dict[str, Finding]:
    """Apply all checks that the file allows to a sample."""
    findings = {name: check.find(report, thresholds) for name, check in CHECKS.items()}
    return {name: finding for name, finding in findings.items() if finding is not None}


def worst_level(findings: Findings) -> Level:
    """Return the worst level of several checks."""
    return max((finding.level for finding in findings.values()), key=LEVELS.index, default="pass")


def samples_by_level(
    findings_by_sample: Mapping[str, Findings], *checks: str
) -> dict[Level, list[str]]:
    """Sort samples by the worst level of the named checks; without names, of all checks."""
    samples: dict[Level, list[str]] = {level: [] for level in LEVELS}
    for sample, findings in findings_by_sample.items():
        chosen = {name: found for name, found in findings.items() if not checks or name in checks}
        if chosen:
            samples[worst_level(chosen)].append(sample)
    return samples


def not_passed(
    findings_by_sample: Mapping[str, Findings], check: str
) -> Iterator[tuple[str, Finding]]:
    """Iterate over the samples that do not pass a check."""
    for sample, findings in findings_by_sample.items():
        if check in findings and findings[check].level != "pass":
            yield sample, findings[check]


def percent_assigned(report: QualityReport) -> float | None:
    """Return the fragments assigned to a feature, % of all."""
    total = sum(report.counts.values())
    if total <= 0 or "assigned" not in report.counts:
        return None
    return 100.0 * report.counts["assigned"] / total


def bias_removed(report: QualityReport) -> float | None:
    """Return by how much weighting lowers the held-out divergence, %, over both ends."""
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


def _check_assigned(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    percent = percent_assigned(report)
    if percent is None:
        return None
    level = _level_if_low(percent, thresholds.assigned_warn, thresholds.assigned_fail)
    return Finding(level, f"{percent:.1f}% assigned")


def _check_strand(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    used, fitting = report.stranded, report.strand_verdict
    if used is None or fitting is None:
        return None
    if used == fitting:
        return Finding("pass", f"counted with -s {used}, which fits the reads")
    opposite = {used, fitting} == {"yes", "reverse"}
    reason = f"counted with -s {used}, but the reads look like -s {fitting}"
    return Finding("fail" if opposite else "warn", reason)


def _check_contigs(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    if report.unmatched_features is None or not report.features:
        return None
    percent = 100.0 * report.unmatched_features / report.features
    level = _level_if_high(percent, thresholds.unmatched_warn, thresholds.unmatched_fail)
    contigs = report.unmatched_contigs
    names = ", ".join(contigs[:MAX_CONTIGS]) + (" …" if len(contigs) > MAX_CONTIGS else "")
    return Finding(level, f"{percent:.0f}% of features" + (f", on {names}" if names else ""))


def _check_starts(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    reasons = [
        f"no model: {end.no_model}"
        if end.label == "both"
        else f"no model for {end.title}: {end.no_model}"
        for end in report.ends
        if end.no_model
    ]
    if reasons:
        return Finding("fail", "; ".join(reasons))
    starts = min((end.starts for end in report.ends if end.starts is not None), default=None)
    if starts is None:
        return None
    level = _level_if_low(starts, thresholds.starts_warn, thresholds.starts_fail)
    return Finding(level, f"{starts:,} distinct read starts")


def _check_trimmed(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    known = [end.signature for end in report.ends if end.signature.found is not None]
    if not known:
        return None
    for signature in known:
        if _is_before_start(signature):
            span = (
                f" at {signature.first:+d} to {signature.last:+d}"
                if signature.first is not None and signature.last is not None
                else ""
            )
            window = signature.window
            advice = f"; --bias-window {window} would cover it" if window else ""
            return Finding("fail", f"bias{span}, before the read start{advice}")
    for signature in known:
        outside = 100.0 * (signature.outside or 0.0)
        if signature.found and outside > thresholds.outside_warn:
            window = f"window {report.window}" if report.window else "window"
            return Finding("warn", f"{outside:.0f}% of the bias lies outside the {window}")
    return Finding("pass", "bias where reads start, or no bias")


def _is_before_start(signature: Signature) -> bool:
    """Whether most of the signature lies before the read start, as in 5'-trimmed reads."""
    share, peak = signature.before_start or 0.0, signature.peak or 0
    return bool(signature.found) and share > TRIMMED_SHARE and peak < 0


def _check_removed(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    percent = bias_removed(report)
    if percent is None:
        return None
    if not has_bias(report, thresholds):
        return Finding("pass", "no bias to remove")
    reasons = [end.reason for end in report.ends if end.applied is False and end.reason]
    if reasons and not any(end.applied for end in report.ends):
        # Too few read starts are less of a problem than a model that gains nothing.
        level: Level = "warn" if "starts" in reasons[0] else "fail"
        return Finding(level, f"model not used: {reasons[0]}")
    level = _level_if_low(percent, thresholds.removed_warn, thresholds.removed_fail)
    return Finding(level, f"{percent:.0f}% of the divergence removed")


def _check_size(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    """Compare the interval of the reliability slope with 1; the worst end decides."""
    findings: list[Finding] = []
    for end in report.ends:
        slope, low, high = end.reliability.slope, end.reliability.low, end.reliability.high
        if slope is None or low is None or high is None or end.applied is False:
            continue
        distance = max(low - 1.0, 1.0 - high, 0.0)
        level = _level_if_high(distance, thresholds.size_warn, thresholds.size_fail)
        reason = f"slope {slope:.2f} ({low:.2f} to {high:.2f})"
        if level != "pass":
            reason += f": the correction is too {'small' if slope > 1.0 else 'large'}"
        findings.append(Finding(level, reason))
    return max(findings, key=lambda finding: LEVELS.index(finding.level), default=None)


def _check_weights(report: QualityReport, thresholds: Thresholds) -> Finding | None:
    capped_share = report.weights.get("capped_share")
    effective_share = report.weights.get("effective_sample_size")
    if report.lengths_alone or (capped_share is None and effective_share is None):
        return None
    capped = 100.0 * (capped_share or 0.0)
    effective = 100.0 * (1.0 if effective_share is None else effective_share)
    level = max(
        _level_if_high(capped, thresholds.clipped_warn, thresholds.clipped_fail),
        _level_if_low(effective, thresholds.effective_warn, thresholds.effective_fail),
        key=LEVELS.index,
    )
    return Finding(
        level, f"{capped:.2g}% of weights capped, effective sample size {effective:.0f}%"
    )


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
        "The bias is not where reads start: their 5′ ends may have been trimmed",
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
