"""A sample split into folds → its model, and for every fold a judge: a model that did not see it.

So all starts of a sample count when it is decided whether there is a bias and how large it is, and
each is judged by a model that has not learnt from its block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.errors import LONGEST, InputError
from counterbias.model import BiasModel, CrossFit, CrossFitting, Resources
from counterbias.model_file import ModelFile
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.records import FitReport, FoldedSample
from counterbias.sampling import Windows
from counterbias.scoring import score

#: Characters of a message for what happened and a remedy, a few less than there are.
_ROOM = LONGEST - 10


class BackendFault(InputError):
    """A backend failed by itself, not on the user's input.

    The message holds what it raised, its name and the sample's, on one line.
    """


@contextmanager
def blaming(backend: str, sample: str, doing: str) -> Iterator[None]:
    """Turn whatever a backend's code raises in the block into a :class:`BackendFault`.

    InputError passes through.
    """
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as problem:  # a plug-in may raise anything
        what = (
            f"backend '{backend}' failed while it {doing} {sample}: "
            f"{type(problem).__name__}: {problem}"
        )
        remedy = (
            "take another model, or tell the author of the plug-in "
            "(`counterbias models` lists where it comes from)"
        )
        if len(what) + len(remedy) > _ROOM:  # what it raised says more
            remedy = "take another model, or tell its author"
        raise BackendFault(what, remedy=remedy) from problem


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """A model of a sample and those that judge it.

    Args:
        model: what reads are weighted with.
        report: the backend's report; None for a model that comes from a file.
        judges: for each fold a model that did not see it; None where there is none. A model from a
            file judges itself.
        sample: what they learnt from, with the fold of every window.
    """

    model: BiasModel
    report: FitReport | None
    judges: tuple[BiasModel | None, ...]
    sample: FoldedSample

    def blended(self, blend: Blend) -> CrossFitted:
        """Return the same with each judge blended as the model was."""
        judges = (
            None if judge is None else Blend(judge, blend.prior, blend.own_share, blend.prior_share)
            for judge in self.judges
        )
        return replace(self, model=blend, judges=tuple(judges))

    def score(
        self, windows: Windows, *, threads: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score the sample's windows, each by a model that did not see it.

        Returns:
            scores of starts and of background, float64, nats; NaN where there is no such model.
        """
        return score_unseen(self.judges, self.sample, windows, threads=threads)


def score_unseen(
    judges: Sequence[BiasModel | None], sample: FoldedSample, windows: Windows, *, threads: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score the windows of ``sample``, each by the judge of its fold.

    Returns:
        scores of starts and of background, float64, nats; NaN where there is no judge.
    """
    sides = (
        (windows.foreground, sample.foreground_parts),
        (windows.background, sample.background_parts),
    )
    scores = [np.full(len(contexts), np.nan) for contexts, _ in sides]
    for out, (contexts, parts) in zip(scores, sides, strict=True):
        fold_of = sample.fold_of(parts)
        for fold, judge in enumerate(judges):
            rows = np.flatnonzero(fold_of == fold)
            if judge is not None and len(rows):
                out[rows] = score(judge, contexts[rows], threads=threads)
    return scores[0], scores[1]


@dataclass(frozen=True, slots=True)
class EndSample:
    """What one model of a read end is fitted to.

    Args:
        sample: windows of the read end.
        number: the first read of that end, 0 or 1.
        rng: for everything random.
    """

    sample: FoldedSample
    number: int
    rng: np.random.Generator


def cross_fit(
    choice: ModelChoice,
    sample: FoldedSample,
    number: int,
    rng: np.random.Generator,
    resources: Resources,
) -> CrossFitted:
    """Fit one model as :func:`cross_fit_together` does.

    Raises:
        InputError: there is nothing to learn from, which
            :mod:`~counterbias.pipeline.bias.learnable` tells beforehand.
    """
    (found,) = cross_fit_together(choice, [EndSample(sample, number, rng)], resources)
    return fitted_or_raise(found)


def fitted_or_raise(found: CrossFitted | InputError) -> CrossFitted:
    """Return a model that was fitted, or raise the error that stands in for it."""
    if isinstance(found, InputError):
        raise found
    return found


def cross_fit_together(
    choice: ModelChoice, ends: Sequence[EndSample], resources: Resources
) -> list[CrossFitted | InputError]:
    """Fit models and their judges, or take the models of a file, which judge themselves.

    Args:
        choice: the model.
        ends: what each is fitted to.
        resources: what fitting may use.

    Returns:
        Each model with its judges; where there is nothing to learn from, the error that says so.
    """
    if choice.fitted is not None:
        return [_from_file(choice.fitted, end) for end in ends]
    results: dict[int, CrossFitted | InputError] = {}
    fits: dict[int, CrossFitting] = {}
    for row, end in enumerate(ends):
        if end.sample.can_train():
            model = choice.model(choice.window, choice.options)
            model.resources = resources
            fits[row] = CrossFitting(model, end.sample, end.rng)
        else:
            what = "start of read 2" if end.number else "read start"
            results[row] = InputError(f"no {what} can be learnt from: there are too few")
    found = _fit_together(choice.model, list(fits.values())) if fits else []
    for (row, fit), one in zip(fits.items(), found, strict=True):
        if isinstance(one, CrossFit):
            results[row] = CrossFitted(fit.model, one.report, one.judges, fit.sample)
        else:
            results[row] = one
    return [results[row] for row in range(len(ends))]


def _from_file(file: ModelFile, end: EndSample) -> CrossFitted:
    model = file.end(end.number).model
    return CrossFitted(model, None, (model,) * end.sample.folds, end.sample)


def _fit_together(
    model: type[BiasModel], fits: Sequence[CrossFitting]
) -> Sequence[CrossFit | InputError]:
    """Return what the model's class returns for the fits, if it is what it must be.

    Raises:
        TypeError: it is not.
    """
    try:
        found = model.cross_fit_together(fits)
    except InputError as refusal:  # of all of them alike, for example for want of a device
        return [refusal] * len(fits)
    if not isinstance(found, Sequence) or len(found) != len(fits):
        raise TypeError(f"cross_fit_together() did not give a list of {len(fits)} results")
    for one in found:
        if not isinstance(one, CrossFit | InputError):
            raise TypeError(f"cross-fitting gave {type(one).__name__}, not a CrossFit")
    return found
