"""Put the files of a run together: one main report per sample, and all models that were tried on it, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from counterbias_multiqc.parser import ComparedModel, Comparison, Estimate, Measure, Report, Truth
from counterbias_multiqc.values import Number

#: Measures of single runs, in the words that a comparison uses.
RUN_MEASURES = (
    Measure(
        "gain_cap5",
        "Gain (≤5 reads)",
        "bits/read",
        "higher",
        "Bits per read gained in held-out units, at most 5 reads per position",
    ),
    Measure(
        "reliability_slope",
        "Reliability slope",
        "",
        None,
        "Held-out reads observed against predicted; 1: the right size",
    ),
    Measure(
        "deviance_explained",
        "Deviance explained",
        "",
        "higher",
        "Median share of the Poisson deviance explained in held-out units",
    ),
    Measure(
        "auc", "AUC", "", "higher", "Held-out read starts against uniform positions of their unit"
    ),
    Measure(
        "log_loss", "Log loss", "nats", "lower", "The same, as logistic loss; 0.693 without a model"
    ),
)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One model of one sample, whether it comes from a run of its own or from a comparison."""

    label: str
    used: bool | None
    failed: str | None
    measures: Mapping[str, Estimate]
    cost: Mapping[str, float]
    curves: Mapping[str, tuple[Number, ...]]
    truth: Truth = field(default_factory=dict)

    def value(self, measure: str) -> float | None:
        """Give a measure's value."""
        found = self.measures.get(measure)
        return None if found is None else found.value


@dataclass(slots=True)
class Collection:
    """All samples of a report, by their final names."""

    #: Sample → the run that is shown for it, and all runs of it.
    main: dict[str, Report] = field(default_factory=dict)
    runs: dict[str, list[Report]] = field(default_factory=dict)
    comparisons: list[tuple[Comparison, dict[str, str]]] = field(default_factory=list)

    def add(self, name: str, report: Report) -> Report | None:
        """Add a run; give the earlier run of the same sample, model and window that it replaces, if any."""
        runs = self.runs.setdefault(name, [])
        replaced = next(
            (run for run in runs if (run.backend, run.window) == (report.backend, report.window)),
            None,
        )
        if replaced is not None:
            runs.remove(replaced)
        runs.append(report)
        self.main[name] = max(runs, key=_merit)
        return replaced

    def add_comparison(self, comparison: Comparison, names: dict[str, str]) -> None:
        """Add a comparison; ``names`` leads from its samples to their final names and lacks those that are ignored."""
        self.comparisons.append((comparison, names))

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All measures that models are compared by; the first that stands for each name wins."""
        found: dict[str, Measure] = {}
        for measure in (
            *(measure for comparison, _ in self.comparisons for measure in comparison.measures),
            *RUN_MEASURES,
        ):
            found.setdefault(measure.name, measure)
        return tuple(found.values())

    def models(self) -> dict[str, list[ModelResult]]:
        """Give, per sample, the models that were tried on it, the best first; samples come in the order of their names."""
        found: dict[str, dict[str, ModelResult]] = {}
        for name, runs in self.runs.items():
            for run in runs:
                result = _of_run(
                    run, alone=sum(other.backend == run.backend for other in runs) == 1
                )
                found.setdefault(name, {})[result.label] = result
        for comparison, names in self.comparisons:
            for sample in comparison.samples:
                if sample.sample not in names:
                    continue
                labels = _labels(sample.models)
                for label, model in zip(labels, sample.models, strict=True):
                    found.setdefault(names[sample.sample], {})[label] = _of_comparison(model, label)
        measure = next(
            (one.name for one in self.measures if one.name == "gain_cap5"), self.measures[0].name
        )
        return {
            name: sorted(found[name].values(), key=lambda result: _rank(result, measure))
            for name in sorted(found)
        }


def _merit(report: Report) -> tuple[bool, float]:
    gains = [end.gain for end in report.ends if end.gain is not None]
    return any(end.applied for end in report.ends), sum(gains) / len(gains) if gains else float(
        "-inf"
    )


def _rank(result: ModelResult, measure: str) -> tuple[bool, float, str]:
    value = result.value(measure)
    return value is None, -(value or 0.0), result.label


def mean(values: Iterable[float | None]) -> float | None:
    """Give the mean of the values that there are."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _of_run(run: Report, *, alone: bool) -> ModelResult:
    label = run.backend or "model"
    values = {
        one.name: mean(end.measures.get(one.name) for end in run.ends) for one in RUN_MEASURES
    }
    cost = {
        "train_seconds": run.train_seconds,
        "parameters": mean(end.parameters for end in run.ends),
        "windows_per_second": run.windows_per_second or None,
    }
    return ModelResult(
        label=label if alone or not run.window else f"{label} {run.window}",
        used=any(end.applied for end in run.ends) if run.ends else None,
        failed=None,
        measures={name: Estimate(value) for name, value in values.items() if value is not None},
        cost={name: value for name, value in cost.items() if value is not None},
        curves={},
    )


def _labels(models: Iterable[ComparedModel]) -> list[str]:
    """Give each model its name, with its window where one name stands for several."""
    models = list(models)
    names = [model.model for model in models]
    labels = [
        model.model
        if names.count(model.model) == 1 or not model.window
        else f"{model.model} {model.window}"
        for model in models
    ]
    return [
        label if labels.index(label) == place else f"{label} ({place + 1})"
        for place, label in enumerate(labels)
    ]


def _of_comparison(model: ComparedModel, label: str) -> ModelResult:
    failed = (
        None
        if model.status == "ok"
        else f"{model.status}: {model.reason}"
        if model.reason
        else model.status
    )
    return ModelResult(
        label, model.used, failed, model.measures, model.cost, model.curves, model.truth
    )
