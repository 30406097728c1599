"""Cross-fits whose models are all fitted at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from counterbias import BiasModel, CrossFit, CrossFitting, FitReport, InputError, TrainingSet

Model = TypeVar("Model", bound=BiasModel)


@dataclass(frozen=True)
class Fit(Generic[Model]):
    """One fit to be made: an untrained model, what it learns from, the source of randomness."""

    model: Model
    sample: TrainingSet
    rng: np.random.Generator


#: Fits models of one class, window and options; a refusal takes the place of a report.
FitAll = Callable[[Sequence[Fit[Model]]], list[FitReport | InputError]]


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
