"""Judge samples: which need a look, and why.

Every check gives ``pass``, ``warn`` or ``fail`` and a reason, or nothing where the file does not say. Thresholds are read from
MultiQC's configuration, ``counterbias:``; see :data:`DEFAULTS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from counterbias_multiqc.parser import End, Report
from counterbias_multiqc.values import as_number

Level = Literal["pass", "warn", "fail"]

#: Threshold → (value, meaning). These are the keys that may stand under ``counterbias:`` in ``multiqc_config.yaml``.
DEFAULTS: dict[str, tuple[float, str]] = {
    "assigned_warn": (50.0, "warn below this % of fragments assigned to a feature"),
    "assigned_fail": (25.0, "fail below this %"),
    "starts_warn": (2000.0, "warn below this many distinct read starts (of the poorer end)"),
    "starts_fail": (500.0, "fail below this many"),
    "bias_found": (
        0.05,
        "bits of divergence above noise, summed over the window, from which there is a bias to remove",
    ),
    "removed_warn": (
        50.0,
        "warn below this % of held-out divergence removed, where there is a bias",
    ),
    "removed_fail": (20.0, "fail below this %"),
    "size_warn": (
        0.1,
        "warn where the interval of the reliability slope lies farther than this from 1",
    ),
    "size_fail": (0.5, "fail where it lies farther than this from 1"),
    "outside_warn": (25.0, "warn above this % of the bias signature outside of the model's window"),
    "unmatched_warn": (
        1.0,
        "warn above this % of features on contigs that the alignments do not have",
    ),
    "unmatched_fail": (50.0, "fail above this %"),
    "clipped_warn": (1.0, "warn above this % of weights cut to the cap"),
    "clipped_fail": (5.0, "fail above this %"),
    "effective_warn": (50.0, "warn where the effective sample size is below this % of the reads"),
    "effective_fail": (25.0, "fail below this %"),
    "heatmap_above": (50.0, "above this many samples, lines become heat maps"),
}

#: Check → title of its column, in the order of the report.
TITLES = {
    "assigned": "Assigned",
    "strand": "Strandedness",
    "contigs": "Contigs",
    "starts": "Read starts",
    "trimmed": "5′ ends",
    "removed": "Bias removed",
    "size": "Size",
    "weights": "Weights",
}
#: What an alert says in front of the samples' names.
HEADLINES = {
    "assigned": "Few fragments were assigned to a feature",
    "strand": "Strandedness is doubtful",
    "contigs": "Features lie on contigs that the alignments do not have",
    "starts": "Too few distinct read starts to learn a model from",
    "trimmed": "The bias does not lie where reads start: they may have been trimmed at their 5′ ends",
    "removed": "Little or none of the bias was removed",
    "size": "The correction is too small or too large",
    "weights": "Weights were clipped, or are so uneven that they cost precision",
}
_ORDER: tuple[Level, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check of one sample."""

    level: Level
    reason: str


Findings = Mapping[str, Finding]


def thresholds(configured: object) -> dict[str, float]:
    """Take the defaults and what the user configured; values that are no numbers are ignored."""
    given = configured if isinstance(configured, Mapping) else {}
    return {
        name: value if (value := as_number(given.get(name))) is not None else default
        for name, (default, _) in DEFAULTS.items()
    }


def check(report: Report, limits: Mapping[str, float]) -> dict[str, Finding]:
    """Judge one sample; checks that the file does not allow are absent."""
    found = {
        "assigned": _assigned(report, limits),
        "strand": _strand(report),
        "contigs": _contigs(report, limits),
        "starts": _starts(report, limits),
        "trimmed": _trimmed(report, limits),
        "removed": _removed(report, limits),
        "size": _size(report, limits),
        "weights": _weights(report, limits),
    }
    return {name: finding for name, finding in found.items() if finding is not None}


def worst(findings: Findings) -> Level:
    """Give the worst level of several checks."""
    return max((finding.level for finding in findings.values()), key=_ORDER.index, default="pass")


def statuses(checked: Mapping[str, Findings], *names: str) -> dict[Level, list[str]]:
    """Sort samples by the worst of the named checks (of all, without names)."""
    sorted_: dict[Level, list[str]] = {"pass": [], "warn": [], "fail": []}
    for sample, findings in checked.items():
        chosen = {name: finding for name, finding in findings.items() if not names or name in names}
        if chosen:
            sorted_[worst(chosen)].append(sample)
    return sorted_


def concerns(checked: Mapping[str, Findings], name: str) -> Iterator[tuple[str, Finding]]:
    """Give the samples that do not pass a check."""
    for sample, findings in checked.items():
        if name in findings and findings[name].level != "pass":
            yield sample, findings[name]


def percent_assigned(report: Report) -> float | None:
    """Give the assigned share of all fragments, %."""
    total = sum(report.counts.values())
    return (
        100.0 * report.counts["assigned"] / total
        if total > 0 and "assigned" in report.counts
        else None
    )


def bias_removed(report: Report) -> float | None:
    """Give the fall of the held-out divergence by weighting, %, ends taken together."""
    pairs = [(end.divergence.mean_before, end.divergence.mean_after) for end in report.ends]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    total = sum(before for before, _ in known)
    return 100.0 * (1.0 - sum(after for _, after in known) / total) if total > 0 else None


def drawable(
    reports: Mapping[str, Report], limits: Mapping[str, float]
) -> tuple[dict[str, Report], int]:
    """Give the samples whose profiles show more than noise, and the number of the others; all, if there are no others."""
    kept = {
        name: report
        for name, report in reports.items()
        if min(
            (end.starts for end in report.ends if end.starts is not None and not end.no_model),
            default=0,
        )
        >= limits["starts_warn"]
    }
    return (kept, len(reports) - len(kept)) if kept else (dict(reports), 0)


def used(report: Report) -> bool:
    """Tell whether any weight differs from 1."""
    return any(end.applied is not False for end in report.ends)


def has_bias(report: Report, limits: Mapping[str, float]) -> bool | None:
    """Tell whether starts differ from their background by more than noise, by the signature or else by the divergence."""
    known = [end.signature.found for end in report.ends if end.signature.found is not None]
    if known:
        return any(known)
    excess = [
        end.divergence.sum_before
        - (end.divergence.noise or 0.0) * max(len(end.divergence.before), 1)
        for end in report.ends
        if end.divergence.sum_before is not None
    ]
    return any(value >= limits["bias_found"] for value in excess) if excess else None


def _grade(value: float, warn: float, fail: float, *, low_is_bad: bool) -> Level:
    if low_is_bad:
        return "fail" if value < fail else "warn" if value < warn else "pass"
    return "fail" if value > fail else "warn" if value > warn else "pass"


def _assigned(report: Report, limits: Mapping[str, float]) -> Finding | None:
    share = percent_assigned(report)
    if share is None:
        return None
    return Finding(
        _grade(share, limits["assigned_warn"], limits["assigned_fail"], low_is_bad=True),
        f"{share:.1f} % assigned",
    )


def _strand(report: Report) -> Finding | None:
    if report.stranded is None or report.verdict is None:
        return None
    if report.verdict == report.stranded:
        return Finding("pass", f"counted with -s {report.stranded}, as the reads say")
    opposite = {report.verdict, report.stranded} == {"yes", "reverse"}
    reason = f"counted with -s {report.stranded}, the reads look like -s {report.verdict}"
    return Finding("fail" if opposite else "warn", reason)


def _contigs(report: Report, limits: Mapping[str, float]) -> Finding | None:
    if report.unmatched_features is None or not report.features:
        return None
    share = 100.0 * report.unmatched_features / report.features
    level = _grade(share, limits["unmatched_warn"], limits["unmatched_fail"], low_is_bad=False)
    names = ", ".join(report.unmatched_contigs[:3]) + (
        " …" if len(report.unmatched_contigs) > 3 else ""
    )
    return Finding(
        level, f"{share:.0f} % of features, on {names}" if names else f"{share:.0f} % of features"
    )


def _starts(report: Report, limits: Mapping[str, float]) -> Finding | None:
    reasons = [f"{_of(end)}: {end.no_model}" for end in report.ends if end.no_model]
    if reasons:
        return Finding("fail", "; ".join(reasons))
    counts = [end.starts for end in report.ends if end.starts is not None]
    if not counts:
        return None
    level = _grade(min(counts), limits["starts_warn"], limits["starts_fail"], low_is_bad=True)
    return Finding(level, f"{min(counts):,} distinct read starts")


def _of(end: End) -> str:
    return "no model" if end.label == "both" else f"no model of {end.label}"


def _trimmed(report: Report, limits: Mapping[str, float]) -> Finding | None:
    known = [end.signature for end in report.ends if end.signature.found is not None]
    if not known:
        return None
    for signature in known:
        if signature.trimmed:
            place = (
                f"bias at {signature.first:+d}…{signature.last:+d}"
                if None not in (signature.first, signature.last)
                else "bias"
            )
            advice = f"; --bias-window {signature.window} would hold it" if signature.window else ""
            return Finding("fail", f"{place}, before the read start{advice}")
    for signature in known:
        if signature.found and 100.0 * (signature.outside or 0.0) > limits["outside_warn"]:
            reason = f"{100.0 * (signature.outside or 0.0):.0f} % of the bias lies outside the window {report.window or ''}"
            return Finding("warn", reason.strip())
    return Finding("pass", "bias where reads start, or none")


def _removed(report: Report, limits: Mapping[str, float]) -> Finding | None:
    share, biased = bias_removed(report), has_bias(report, limits)
    if share is None:
        return None
    if not biased:
        return Finding("pass", "no bias to remove")
    reasons = [end.reason for end in report.ends if end.applied is False and end.reason]
    if reasons and not any(end.applied for end in report.ends):
        return Finding(
            "fail" if "starts" not in reasons[0] else "warn", f"model not used: {reasons[0]}"
        )
    level = _grade(share, limits["removed_warn"], limits["removed_fail"], low_is_bad=True)
    return Finding(level, f"{share:.0f} % of the divergence removed")


def _size(report: Report, limits: Mapping[str, float]) -> Finding | None:
    """Compare the interval of the slope with 1; of several ends the worst tells. Without an interval nothing is said."""
    found: list[Finding] = []
    for end in report.ends:
        slope, low, high = end.reliability.slope, end.reliability.low, end.reliability.high
        if slope is None or low is None or high is None or end.applied is False:
            continue
        away = max(low - 1.0, 1.0 - high, 0.0)
        level = _grade(away, limits["size_warn"], limits["size_fail"], low_is_bad=False)
        said = (
            ""
            if level == "pass"
            else ": the correction is too small"
            if slope > 1.0
            else ": the correction is too large"
        )
        found.append(Finding(level, f"slope {slope:.2f} ({low:.2f} to {high:.2f}){said}"))
    return max(found, key=lambda finding: _ORDER.index(finding.level), default=None)


def _weights(report: Report, limits: Mapping[str, float]) -> Finding | None:
    clipped, effective = (
        report.weights.get("capped_share"),
        report.weights.get("effective_sample_size"),
    )
    if clipped is None and effective is None:
        return None
    clipped, effective = 100.0 * (clipped or 0.0), 100.0 * (1.0 if effective is None else effective)
    levels = (
        _grade(clipped, limits["clipped_warn"], limits["clipped_fail"], low_is_bad=False),
        _grade(effective, limits["effective_warn"], limits["effective_fail"], low_is_bad=True),
    )
    return Finding(
        max(levels, key=_ORDER.index),
        f"{clipped:.2g} % of weights clipped, effective sample size {effective:.0f} %",
    )
