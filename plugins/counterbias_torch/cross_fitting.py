"""Fits and cross-fits that are made all at once, some of which may be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from counterbias import BiasModel, CrossFit, CrossFitting, FitReport, InputError, TrainingSet

Model = TypeVar("Model", bound=BiasModel)
One = TypeVar("One")
Planned = TypeVar("Planned")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Fit(Generic[Model]):
    """One fit to be made: an untrained model, what it learns from, the source of randomness."""

    model: Model
    sample: TrainingSet
    rng: np.random.Generator


#: Fits models of one class, window and options; a refusal takes the place of a report.
FitAll = Callable[[Sequence[Fit[Model]]], list[FitReport | InputError]]


def plan_each(plan: Callable[[One], Planned], fits: Iterable[One]) -> list[Planned | InputError]:
    """Plan fits, or cross-fits; a refusal takes the place of its plan."""
    plans: list[Planned | InputError] = []
    for one in fits:
        try:
            plans.append(plan(one))
        except InputError as refusal:
            plans.append(refusal)
    return plans


def accepted(plans: Iterable[Planned | InputError]) -> list[Planned]:
    """Return the plans that are no refusals."""
    return [plan for plan in plans if not isinstance(plan, InputError)]


def with_refusals(
    plans: Iterable[Planned | InputError], results: Iterable[Result]
) -> list[Result | InputError]:
    """Return the results of the accepted plans, and in their places the refusals."""
    found = iter(results)
    return [plan if isinstance(plan, InputError) else next(found) for plan in plans]


def only(results: Sequence[Result | InputError]) -> Result:
    """Return the result of a single fit. Raises InputError where it was refused."""
    (found,) = results
    if isinstance(found, InputError):
        raise found
    return found


def cross_fit_all(
    fits: Sequence[CrossFitting], fit_all: FitAll[Model]
) -> list[CrossFit | InputError]:
    """Fit the models to their whole samples, and one for each fold of each, all at once.

    Implements ``BiasModel.cross_fit_together``.
    """
    wanted: list[Fit[Model]] = []
    for one in fits:
        models = [one.model, *(_judge(one.model) for _ in range(one.sample.folds))]
        wanted += [
            Fit(model, one.sample.without(fold), one.rng)  # type: ignore[arg-type]
            for model, fold in zip(models, (None, *range(one.sample.folds)), strict=True)
        ]
    found = iter(zip(wanted, fit_all(wanted), strict=True))
    return [_joined([next(found) for _ in range(1 + one.sample.folds)]) for one in fits]


def _judge(model: BiasModel) -> BiasModel:
    judge = type(model)(model.window, model.options)
    judge.resources = model.resources
    return judge


def _joined(
    fits: Sequence[tuple[Fit[Model], FitReport | InputError]],
) -> CrossFit | InputError:
    """Join the fit to a whole sample, which comes first, and those without each fold."""
    (_, report), *judges = fits
    if isinstance(report, InputError):
        return report
    return CrossFit(
        report,
        tuple(None if isinstance(found, InputError) else one.model for one, found in judges),
    )
