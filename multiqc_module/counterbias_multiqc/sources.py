"""Where results of models come from. Only results of one source can be compared with each other.

Runs of ``count`` hold out parts of a sample by cross-fitting within the run; ``compare`` measures
by folds and seeds of its own. Their gains differ even for the same model of the same sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from counterbias_multiqc.records import (
    ComparedModel,
    ComparedSample,
    Comparison,
    Estimate,
    QualityReport,
    Truth,
)

#: The measure by which models are ranked.
MAIN_MEASURE = "gain_cap5"
#: What correction changes in the evenness of coverage, and between replicates.
EVENNESS, REPLICATES = "evenness", "replicates"
#: Measures of ``count`` and of ``compare`` → their names here.
_MEASURES = {
    MAIN_MEASURE: MAIN_MEASURE,
    "reliability_slope": "reliability_slope",
    "deviance_explained": "deviance",
    "deviance": "deviance",
    "auc": "auc",
    "replicate_rmse_corrected_minus_raw": REPLICATES,
}


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model of one sample, from a run of ``count`` or from a comparison."""

    label: str
    #: Whether its weights are used, in words; empty if the file does not say.
    used: str
    #: Why the model has no result; None if it has one.
    failure: str | None
    measures: Mapping[str, Estimate]
    cost: Mapping[str, float]
    curves: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    truth: Truth = field(default_factory=Truth)

    def value(self, measure: str) -> float | None:
        """Return the value of a measure, None if it is not known."""
        estimate = self.measures.get(measure)
        return None if estimate is None else estimate.value


@dataclass(frozen=True, slots=True)
class NamedComparison:
    """A comparison, and the name in the report of each of its samples that is not ignored."""

    comparison: Comparison
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """Results that were measured in the same way.

    Args:
        key: what tells its sections and its columns from those of other sources.
        title: where the results are from, as in "measured by `compare`"; markdown.
        models: sample → models tried on it, the best first; samples are sorted by name.
        comparisons: the files of ``compare``; none for runs of ``count``.
    """

    key: str
    title: str
    models: Mapping[str, Sequence[ModelResult]]
    comparisons: Sequence[NamedComparison] = ()

    @property
    def is_count(self) -> bool:
        """Whether the results are from runs of ``count``."""
        return not self.comparisons

    def choice(self) -> Mapping[str, Sequence[ModelResult]]:
        """Return the samples on which several models were tried."""
        return {name: models for name, models in self.models.items() if len(models) > 1}

    def measured_labels(self) -> set[str]:
        """Return the models that have a gain in any sample with a choice."""
        return {
            model.label
            for models in self.choice().values()
            for model in models
            if model.value(MAIN_MEASURE) is not None
        }

    def common(self) -> list[str]:
        """Return the samples in which every model of the source that has a gain at all has one."""
        labels = self.measured_labels()
        return [
            name
            for name, models in self.choice().items()
            if labels <= {one.label for one in models if one.value(MAIN_MEASURE) is not None}
        ]

    def by_label(self) -> dict[str, list[ModelResult]]:
        """Map models to their results in the common samples, the best first by mean gain."""
        results: dict[str, list[ModelResult]] = {label: [] for label in self.measured_labels()}
        for name in self.common():
            for model in self.models[name]:
                if model.label in results:
                    results[model.label].append(model)
        gains = {label: mean_gain(models) for label, models in results.items()}

        def rank(label: str) -> tuple[float, str]:
            gain = gains[label]
            return float("inf") if gain is None else -gain, label

        return {label: results[label] for label in sorted(results, key=rank)}


def of_comparisons(entries: Sequence[NamedComparison]) -> list[Source]:
    """Sort comparisons into sources, one for each design (folds, seeds, windows …)."""
    designs: dict[str, list[NamedComparison]] = {}
    for entry in entries:
        designs.setdefault(entry.comparison.design, []).append(entry)
    titles = _titles([of_design[0].comparison for of_design in designs.values()])
    return [
        Source(
            key=f"compare{number}" if number > 1 else "compare",
            title=title,
            models=_ranked(_compared_models(of_design)),
            comparisons=of_design,
        )
        for number, (title, of_design) in enumerate(
            zip(titles, designs.values(), strict=True), start=1
        )
    ]


def of_runs(runs_by_sample: Mapping[str, Sequence[QualityReport]]) -> list[Source]:
    """Return the source of all runs of ``count`` with a model; nothing if there are none."""
    results: dict[str, dict[str, ModelResult]] = {}
    for name, runs in runs_by_sample.items():
        for run in runs:
            if run.lengths_alone:
                continue
            same_backend = sum(other.backend == run.backend for other in runs)
            result = _result_of_run(run, with_window=same_backend > 1)
            results.setdefault(name, {})[result.label] = result
    return [Source("count", "from runs of `count`", _ranked(results))] if results else []


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are known, None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def mean_gain(models: Iterable[ModelResult]) -> float | None:
    """Return the mean of the main measure."""
    return mean(model.value(MAIN_MEASURE) for model in models)


def _titles(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a title for each design; they differ, by a number if need be."""
    if len(comparisons) == 1:
        return ["measured by `compare`"]
    described = [
        f"measured by `compare` with {one.settings or 'unknown settings'}" for one in comparisons
    ]
    uses = Counter(described)
    return [
        title if uses[title] == 1 else f"{title}, design {number}"
        for number, title in enumerate(described, start=1)
    ]


def _ranked(
    results: Mapping[str, Mapping[str, ModelResult]],
) -> dict[str, list[ModelResult]]:
    return {name: sorted(results[name].values(), key=_rank) for name in sorted(results)}


def _rank(result: ModelResult) -> tuple[bool, float, str]:
    gain = result.value(MAIN_MEASURE)
    return gain is None, -(gain or 0.0), result.label


def _result_of_run(run: QualityReport, *, with_window: bool) -> ModelResult:
    label = run.backend or "model"
    known = {name for end in run.ends for name in end.measures if name in _MEASURES}
    values = {
        _MEASURES[name]: mean(end.measures.get(name) for end in run.ends) for name in sorted(known)
    }
    cost = {
        "train_seconds": run.train_seconds,
        "parameters": mean(end.parameters for end in run.ends),
    }
    return ModelResult(
        label=f"{label} {run.window}" if with_window and run.window else label,
        used=_used_by_run(run),
        failure=None,
        measures={name: Estimate(value) for name, value in values.items() if value is not None},
        cost={name: value for name, value in cost.items() if value is not None},
    )


def _used_by_run(run: QualityReport) -> str:
    if not run.ends:
        return ""
    if any(end.applied for end in run.ends):
        return "yes"
    if all(end.signature.found is False for end in run.ends):
        return "not needed"
    return "no gain"


def _compared_models(entries: Sequence[NamedComparison]) -> dict[str, dict[str, ModelResult]]:
    results: dict[str, dict[str, ModelResult]] = {}
    for entry in entries:
        for sample in entry.comparison.samples:
            if sample.sample in entry.names:
                found = results.setdefault(entry.names[sample.sample], {})
                found.update(_results_of_comparison(sample))
    return results


def _results_of_comparison(sample: ComparedSample) -> dict[str, ModelResult]:
    """Map labels to results. A label has the window if several models share a name."""
    names = [model.model for model in sample.models]
    labels = [
        f"{model.model} {model.window}"
        if names.count(model.model) > 1 and model.window
        else model.model
        for model in sample.models
    ]
    unique = [
        label if labels.index(label) == position else f"{label} ({position + 1})"
        for position, label in enumerate(labels)
    ]
    return {
        label: ModelResult(
            label,
            _used_by_compare(model),
            _failure(model),
            _measures(model, sample.uneven_raw),
            model.cost,
            model.curves,
            model.truth,
        )
        for label, model in zip(unique, sample.models, strict=True)
    }


def _measures(model: ComparedModel, uneven_raw: float | None) -> dict[str, Estimate]:
    measures = {
        _MEASURES[name]: estimate for name, estimate in model.measures.items() if name in _MEASURES
    }
    uneven = model.measures.get("half_effective")
    if uneven is not None and uneven_raw is not None:
        measures[EVENNESS] = Estimate(uneven.value - uneven_raw)
    return measures


def _used_by_compare(model: ComparedModel) -> str:
    if model.status != "ok":
        return model.status
    return {True: "yes", False: "no gain", None: ""}[model.used]


def _failure(model: ComparedModel) -> str | None:
    if model.status == "ok":
        return None
    return f"{model.status}: {model.reason}" if model.reason else model.status
