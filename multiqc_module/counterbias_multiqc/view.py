"""What a section of the report needs: the samples, their checks, and a way to add itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiqc.base_module import BaseMultiqcModule
from multiqc.types import SectionAlert

from counterbias_multiqc import DOCUMENTATION, checks, colours, problems
from counterbias_multiqc.checks import CHECKS, LEVEL_WORDS, Finding, Findings, is_weighted
from counterbias_multiqc.records import QualityReport, ReadEnd
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.sources import Source
from counterbias_multiqc.text import badge, escape, escape_html, escape_markdown, number_of_samples
from counterbias_multiqc.thresholds import Thresholds

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

    def model(self, sample: str) -> str:
        """Return the name of a sample's bias model, safe as HTML; empty if it has none."""
        report = self.reports[sample]
        used = is_weighted(report) and report.backend not in (None, "none")
        return escape_html(report.backend or "") if used else ""

    def after(self, sample: str) -> str:
        """Return the words for a sample's reads as its model weights them."""
        return f"after {self.model(sample) or 'weighting'}"

    def names_with_models(self) -> dict[str, str]:
        """Map samples to their names, with their models where these differ."""
        models = {name: self.model(name) for name in self.reports}
        differ = len({*models.values()} - {""}) > 1
        return {
            name: f"{name}, {model}" if differ and model else name for name, model in models.items()
        }

    def note_on_models(self, samples: Iterable[str]) -> str:
        """Return a sentence in markdown on these samples' models, empty if they have none."""
        uses = Counter(model for sample in dict.fromkeys(samples) if (model := self.model(sample)))
        if len(uses) == 1:
            return f" Bias model: {escape_markdown(next(iter(uses)))}."
        named = ", ".join(
            f"{escape_markdown(model)} ({number})" for model, number in uses.most_common()
        )
        return f" Bias models (samples): {named}." if named else ""

    def note_on_few_starts(self) -> str:
        """Return a sentence on the samples that are not drawn as lines, empty if there are none."""
        number = sum(
            name not in self.profiled and not report.lengths_alone
            for name, report in self.reports.items()
        )
        if not number:
            return ""
        limit = f"{self.thresholds.starts_warn:,.0f} distinct read starts"
        return f" Not shown: {number_of_samples(number)} with fewer than {limit}."

    def plot_id(self, name: str) -> str:
        """Return the id of a plot."""
        return f"{self.module.anchor}_{name}"

    def add_section(
        self, name: str, key: str, plot: Any, *, docs: str = "", **content: Any
    ) -> None:
        """Add a section, unless there is nothing to show.

        Args:
            name: title.
            key: what tells its address in the report from that of other sections.
            plot: plot or None.
            docs: part of the page on the report in the documentation; linked after the description.
            content: other arguments of MultiQC's ``add_section``.
        """
        if plot is None and "content_before_plot" not in content:
            return
        if docs:
            content["description"] = f"{content.get('description', '')} {self.link(docs)}".strip()
        anchor = f"{self.module.anchor}-{key}"
        self.module.add_section(name=name, anchor=anchor, plot=plot, **content)

    def link(self, anchor: str, words: str = "More on this section") -> str:
        """Return a link to a part of the page on the report in the documentation, as HTML."""
        address = f"{DOCUMENTATION}reference/multiqc/#{anchor}"
        return f'<a href="{escape_html(address)}" target="_blank">{escape_html(words)}</a>'

    def concerning(self, *names: str) -> frozenset[str]:
        """Return the samples that do not pass one of these checks; without names, of all checks."""
        return frozenset(
            sample
            for sample, findings in self.findings.items()
            if any(
                finding.level != "pass"
                for name, finding in findings.items()
                if not names or name in names
            )
        )

    def statuses(self, *names: str) -> dict[Any, list[str]]:
        """Sort samples into pass, warn and fail by the worst of these checks; without names, all.

        What follows from another check is not counted again.
        """
        return dict(problems.samples_by_level(self.findings, *names))

    def alerts(self, *names: str) -> list[SectionAlert]:
        """Return an alert for each of these checks that is the cause of a sample's problem.

        Each check belongs to one section, so that the report has one alert for each cause.
        """
        alerts = []
        for name in names:
            found = problems.problems_with(self.findings, name)
            if not found:
                continue
            reasons = spell_out(
                f"**{escape_markdown(problem.sample)}**: {_reason_and_advice(problem.finding)}"
                for problem in found
            )
            alerts.append(
                SectionAlert(
                    message=f"{CHECKS[name].headline}: {reasons}.",
                    level="danger" if found[0].level == "fail" else "warning",
                    affected_samples=[
                        problem.sample for problem in found if len(found) > MAX_REASONS
                    ],
                )
            )
        return alerts


def _reason_and_advice(finding: Finding) -> str:
    """Return a finding as markdown."""
    advice = f" – {escape(finding.advice)}" if finding.advice else ""
    return f"{escape(finding.reason)}{advice}"


#: Word for a level or for a consequence of another check → sign before it, and its colour. MultiQC
#: has colours of its own for cells that read "pass" or "ok".
_SIGNS = {
    LEVEL_WORDS["pass"]: ("✓", colours.PASS),
    LEVEL_WORDS["warn"]: ("!", colours.WARN),
    LEVEL_WORDS["fail"]: ("✗", colours.FAIL),
    "see": ("→", colours.NEUTRAL),
}


def summary_badge(text: Any) -> str:
    """Return a text that starts with one of the words for a result as HTML, in its colour."""
    word = str(text).split(":")[0].split(" ")[0]
    sign, background = _SIGNS.get(word, ("", colours.NEUTRAL))
    return badge(f"{sign} {escape_html(str(text))}", background, colours.WORDS[background])


def end_suffix(end: ReadEnd) -> str:
    """Return what tells the lines of a sample's two ends apart."""
    return _SUFFIXES.get(end.label, "")


def spell_out(reasons: Iterable[str]) -> str:
    """Join the first few reasons and count the others."""
    texts = list(reasons)
    more = [f"and {len(texts) - MAX_REASONS} more"] if len(texts) > MAX_REASONS else []
    return "; ".join(texts[:MAX_REASONS] + more)
