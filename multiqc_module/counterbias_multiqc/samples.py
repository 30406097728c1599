"""Put all files together: the run that is shown for each sample, and the models tried on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from counterbias_multiqc.records import (
    ComparedModel,
    Comparison,
    Estimate,
    Measure,
    QualityReport,
    TruthAgreement,
)

#: The measure by which models are ranked.
MAIN_MEASURE = "gain_cap5"
#: Measures of single runs. They have the same names as in comparisons.
RUN_MEASURES = (
    Measure(
        MAIN_MEASURE,
        "Gain (≤5 reads)",
        "bits/read",
        "higher",
        "Bits gained per read on held-out exons, counting at most 5 reads per position",
    ),
    Measure(
        "reliability_slope",
        "Reliability slope",
        "",
        None,
        "Slope of observed versus predicted held-out reads; 1 if the correction has the right size",
    ),
    Measure(
        "deviance_explained",
        "Deviance explained",
        "",
        "higher",
        "Median share of the Poisson deviance explained in held-out exons",
    ),
    Measure(
        "auc",
        "AUC",
        "",
        "higher",
        "How well held-out read starts are distinguished from random positions of the same exon",
    ),
    Measure(
        "log_loss",
        "Log loss",
        "nats",
        "lower",
        "Logistic loss on the same task as the AUC; 0.693 without a model",
    ),
)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model of one sample, from a run of ``count`` or from a comparison."""

    label: str
    used: bool | None
    #: Why the model has no result; None if it has one.
    failure: str | None
    measures: Mapping[str, Estimate]
    cost: Mapping[str, float]
    curves: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    truth: TruthAgreement = field(default_factory=dict)

    def value(self, measure: str) -> float | None:
        """Return the value of a measure, None if it is not known."""
        estimate = self.measures.get(measure)
        return None if estimate is None else estimate.value


@dataclass(frozen=True, slots=True)
class NamedComparison:
    """A comparison, and the name in the report of each of its samples that is not ignored."""

    comparison: Comparison
    names: Mapping[str, str]


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

    def measures(self) -> tuple[Measure, ...]:
        """Return all measures; the first description of each one counts."""
        measures: dict[str, Measure] = {}
        for entry in self.comparisons:
            for measure in entry.comparison.measures:
                measures.setdefault(measure.name, measure)
        for measure in RUN_MEASURES:
            measures.setdefault(measure.name, measure)
        return tuple(measures.values())

    def models(self) -> dict[str, list[ModelResult]]:
        """Return the models tried on each sample, the best first; samples are sorted by name."""
        results: dict[str, dict[str, ModelResult]] = {}
        for name, runs in self.runs.items():
            for run in runs:
                if run.lengths_alone:
                    continue
                same_backend = sum(other.backend == run.backend for other in runs)
                result = _result_of_run(run, with_window=same_backend > 1)
                results.setdefault(name, {})[result.label] = result
        for entry in self.comparisons:
            for sample in entry.comparison.samples:
                if sample.sample in entry.names:
                    found = results.setdefault(entry.names[sample.sample], {})
                    found.update(_results_of_comparison(sample.models))
        return {name: sorted(results[name].values(), key=_rank) for name in sorted(results)}


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are known, None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _used_and_gain(report: QualityReport) -> tuple[bool, float]:
    gain = mean(end.gain for end in report.ends)
    return any(end.applied for end in report.ends), float("-inf") if gain is None else gain


def _rank(result: ModelResult) -> tuple[bool, float, str]:
    gain = result.value(MAIN_MEASURE)
    return gain is None, -(gain or 0.0), result.label


def _result_of_run(run: QualityReport, *, with_window: bool) -> ModelResult:
    label = run.backend or "model"
    values = {
        measure.name: mean(end.measures.get(measure.name) for end in run.ends)
        for measure in RUN_MEASURES
    }
    cost = {
        "train_seconds": run.train_seconds,
        "parameters": mean(end.parameters for end in run.ends),
        "windows_per_second": run.windows_per_second or None,
    }
    return ModelResult(
        label=f"{label} {run.window}" if with_window and run.window else label,
        used=any(end.applied for end in run.ends) if run.ends else None,
        failure=None,
        measures={name: Estimate(value) for name, value in values.items() if value is not None},
        cost={name: value for name, value in cost.items() if value is not None},
    )


def _results_of_comparison(models: Sequence[ComparedModel]) -> dict[str, ModelResult]:
    """Map labels to results. A label has the window if several models share a name."""
    names = [model.model for model in models]
    labels = [
        f"{model.model} {model.window}"
        if names.count(model.model) > 1 and model.window
        else model.model
        for model in models
    ]
    unique = [
        label if labels.index(label) == position else f"{label} ({position + 1})"
        for position, label in enumerate(labels)
    ]
    return {
        label: ModelResult(
            label,
            model.used,
            _failure(model),
            model.measures,
            model.cost,
            model.curves,
            model.truth,
        )
        for label, model in zip(unique, models, strict=True)
    }


def _failure(model: ComparedModel) -> str | None:
    if model.status == "ok":
        return None
    return f"{model.status}: {model.reason}" if model.reason else model.status
