"""Put all files together: the run that is shown for each sample, and the models tried on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from counterbias_multiqc.records import Comparison, QualityReport
from counterbias_multiqc.sources import NamedComparison, Source, mean, of_comparisons, of_runs


@dataclass(slots=True)
class Collection:
    """Everything that was read, under the names that samples have in the report."""

    #: All runs of a sample, and the one that is shown.
    runs: dict[str, list[QualityReport]] = field(default_factory=dict)
    shown: dict[str, QualityReport] = field(default_factory=dict)
    comparisons: list[NamedComparison] = field(default_factory=list)

    def add(self, name: str, report: QualityReport) -> QualityReport | None:
        """Add a run. Return the earlier run with the same model and window that it replaces."""
        runs = self.runs.setdefault(name, [])
        model = (report.backend, report.window)
        replaced = next((run for run in runs if (run.backend, run.window) == model), None)
        if replaced is not None:
            runs.remove(replaced)
        runs.append(report)
        self.shown[name] = max(runs, key=_used_and_gain)
        return replaced

    def add_comparison(self, comparison: Comparison, names: Mapping[str, str]) -> None:
        """Add a comparison. ``names`` maps its samples to their names in the report."""
        self.comparisons.append(NamedComparison(comparison, names))

    def names(self) -> list[str]:
        """Return the names of all samples, sorted."""
        compared = (name for entry in self.comparisons for name in entry.names.values())
        return sorted({*self.shown, *compared})

    def sources(self) -> list[Source]:
        """Return where results of models come from: comparisons first, then runs of ``count``."""
        return [*of_comparisons(self.comparisons), *of_runs(self.runs)]


def _used_and_gain(report: QualityReport) -> tuple[bool, float]:
    gain = mean(end.gain for end in report.ends)
    return any(end.applied for end in report.ends), float("-inf") if gain is None else gain
