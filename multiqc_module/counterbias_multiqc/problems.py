"""What is wrong with each sample, one problem per cause, the worst first.

One cause can make a sample fail several checks. Such consequences are folded into their cause, so
that a sample does not appear under four headings because its reads were trimmed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from counterbias_multiqc.checks import CHECKS, LEVEL_WORDS, LEVELS, Finding, Findings, Level

#: Check → the checks whose failure explains its own, the most likely cause first.
CAUSES: Mapping[str, tuple[str, ...]] = {
    "assigned": ("strand", "contigs"),
    "removed": ("starts", "trimmed"),
    "size": ("starts", "trimmed", "removed"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A check that a sample does not pass, and the checks that it fails in consequence."""

    sample: str
    check: str
    finding: Finding
    consequences: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """How bad it is: ``warn`` or ``fail``."""
        return self.finding.level

    @property
    def title(self) -> str:
        """The check, as it is called in the report."""
        return CHECKS[self.check].title


def cause(findings: Findings, check: str) -> str | None:
    """Return the check whose failure explains that this one is not passed, None without any.

    A cause explains only what is no worse than itself: a few features on missing contigs do not
    explain that hardly any fragment was assigned.
    """
    for name in CAUSES.get(check, ()):
        found = findings.get(name)
        if found and found.level != "pass" and _rank(found) >= _rank(findings[check]):
            return cause(findings, name) or name
    return None


def problems_of(sample: str, findings: Findings) -> list[Problem]:
    """Return a sample's problems, the worst first."""
    consequences: dict[str, list[str]] = {}
    for check, finding in findings.items():
        if finding.level != "pass":
            consequences.setdefault(cause(findings, check) or check, []).append(check)
    problems = [
        Problem(sample, check, findings[check], tuple(name for name in names if name != check))
        for check, names in consequences.items()
    ]
    return sorted(problems, key=lambda problem: -_rank(problem.finding))


def ranked(findings_by_sample: Mapping[str, Findings]) -> list[list[Problem]]:
    """Return the problems of each sample that has any, the worst sample first.

    Samples with a failed check precede those with warnings, and samples with more problems those
    with fewer; the others stay in order.
    """
    found = [problems_of(sample, findings) for sample, findings in findings_by_sample.items()]
    return sorted(
        filter(None, found), key=lambda problems: [-number for number in _tally(problems)]
    )


def problems_with(findings_by_sample: Mapping[str, Findings], check: str) -> list[Problem]:
    """Return the problems of all samples that have this check as their cause, the worst first."""
    found = [
        problem
        for sample, findings in findings_by_sample.items()
        if findings.get(check, _PASSED).level != "pass"
        for problem in problems_of(sample, findings)
        if problem.check == check
    ]
    return sorted(found, key=lambda problem: (-_rank(problem.finding), -problem.finding.severity))


def counts(findings_by_sample: Mapping[str, Findings], check: str) -> Counter[str]:
    """Count samples by level of a check; consequences of another check are ``explained``."""
    return Counter(
        "explained"
        if findings[check].level != "pass" and cause(findings, check)
        else findings[check].level
        for findings in findings_by_sample.values()
        if check in findings
    )


def samples_by_level(
    findings_by_sample: Mapping[str, Findings], *checks: str
) -> dict[Level, list[str]]:
    """Sort samples by the worst level of the named checks; without names, of all checks.

    Samples whose only failures are consequences of another check are left out.
    """
    samples: dict[Level, list[str]] = {level: [] for level in LEVELS}
    for sample, findings in findings_by_sample.items():
        levels = [
            finding.level
            for name, finding in findings.items()
            if (not checks or name in checks)
            and (finding.level == "pass" or cause(findings, name) is None)
        ]
        if levels:
            samples[max(levels, key=LEVELS.index)].append(sample)
    return samples


def summary(problems: Iterable[Problem]) -> str:
    """Say in a few words how a sample fares: ``passed``, ``look: Contigs``, ``failed: 5′ ends +1``.

    Sorted as text, the worst come first.
    """
    found = list(problems)
    if not found:
        return LEVEL_WORDS["pass"]
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return f"{LEVEL_WORDS[found[0].level]}: {found[0].title}{more}"


_PASSED = Finding("pass", "")


def _rank(finding: Finding) -> int:
    return LEVELS.index(finding.level)


def _tally(problems: list[Problem]) -> tuple[int, int]:
    failed = sum(problem.level == "fail" for problem in problems)
    return failed, len(problems) - failed
