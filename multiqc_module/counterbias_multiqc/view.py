"""What a section of the report needs: the samples, their checks, and a way to add itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiqc.base_module import BaseMultiqcModule
from multiqc.types import SectionAlert

from counterbias_multiqc import DOCUMENTATION, checks
from counterbias_multiqc.checks import Findings, Thresholds
from counterbias_multiqc.records import QualityReport, ReadEnd
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.sources import Source
from counterbias_multiqc.text import escape, escape_markdown

#: How many samples an alert names with their reasons.
MAX_REASONS = 3

#: Read end → what follows the sample in the names of lines and tabs.
_SUFFIXES = {"both": "", "read1": "", "read2": ", read 2"}


@dataclass(frozen=True, slots=True)
class View:
    """Everything that sections show. Names of samples are safe as HTML."""

    module: BaseMultiqcModule
    reports: Mapping[str, QualityReport]
    collection: Collection
    sources: Sequence[Source]
    findings: Mapping[str, Findings]
    thresholds: Thresholds
    colours: Mapping[str, str]

    @property
    def uses_heat_maps(self) -> bool:
        """Whether there are too many samples to draw lines."""
        return len(self.reports) > self.thresholds.heatmap_above

    @property
    def profiled(self) -> Mapping[str, QualityReport]:
        """The samples whose profiles are drawn as lines: those that show more than noise."""
        return checks.with_enough_starts(self.reports, self.thresholds)

    def ends(self) -> Iterator[tuple[str, ReadEnd, str]]:
        """Iterate over (sample, end, suffix of its name) of all samples that are drawn."""
        reports = self.reports if self.uses_heat_maps else self.profiled
        for name, report in reports.items():
            for end in report.ends:
                yield name, end, end_suffix(end)

    def note_on_few_starts(self) -> str:
        """Return a sentence on the samples that are not drawn as lines, empty if there are none."""
        number = sum(
            name not in self.profiled and not report.lengths_alone
            for name, report in self.reports.items()
        )
        if not number:
            return ""
        samples = "1 sample" if number == 1 else f"{number} samples"
        limit = f"{self.thresholds.starts_warn:,.0f} distinct read starts"
        return f" Not shown: {samples} with fewer than {limit}."

    def plot_id(self, name: str) -> str:
        """Return the id of a plot."""
        return f"{self.module.anchor}_{name}"

    def add_section(
        self, name: str, key: str, plot: Any, *, docs: str = "", **content: Any
    ) -> None:
        """Add a section, unless there is no plot to show."""
        if plot is not None:
            if docs:
                address = f"{DOCUMENTATION}reference/multiqc/#{docs}"
                content["description"] += f' <a href="{address}">More on this section</a>'
            anchor = f"{self.module.anchor}-{key}"
            self.module.add_section(name=name, anchor=anchor, plot=plot, **content)

    def statuses(self, *names: str) -> dict[Any, list[str]]:
        """Sort samples into pass, warn and fail by the worst of these checks."""
        return dict(checks.samples_by_level(self.findings, *names))

    def alerts(self, *names: str) -> list[SectionAlert]:
        """Return an alert for each of these checks that any sample does not pass."""
        alerts = []
        for name in names:
            found = list(checks.not_passed(self.findings, name))
            if not found:
                continue
            reasons = spell_out(
                f"**{escape_markdown(sample)}**: {escape(finding.reason)}"
                for sample, finding in found
            )
            failed = any(finding.level == "fail" for _, finding in found)
            alerts.append(
                SectionAlert(
                    message=f"{checks.CHECKS[name].headline}: {reasons}.",
                    level="danger" if failed else "warning",
                    affected_samples=[sample for sample, _ in found if len(found) > MAX_REASONS],
                )
            )
        return alerts


def end_suffix(end: ReadEnd) -> str:
    """Return what tells the lines of a sample's two ends apart."""
    return _SUFFIXES.get(end.label, "")


def spell_out(reasons: Iterable[str]) -> str:
    """Join the first few reasons and count the others."""
    texts = list(reasons)
    more = [f"and {len(texts) - MAX_REASONS} more"] if len(texts) > MAX_REASONS else []
    return "; ".join(texts[:MAX_REASONS] + more)
