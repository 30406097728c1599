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
from counterbias.errors import InputError
from counterbias.model import BiasModel, Resources
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.records import FitReport, FoldedSample
from counterbias.sampling import Windows
from counterbias.scoring import score


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


def cross_fit(
    choice: ModelChoice,
    sample: FoldedSample,
    number: int,
    rng: np.random.Generator,
    resources: Resources,
) -> CrossFitted:
    """Fit a model and its judges, or take the model of a file, which judges itself.

    Args:
        choice: the model.
        sample: windows of one read end.
        number: the first read of that end, 0 or 1.
        rng: for everything random.
        resources: what fitting may use.

    Raises:
        InputError: there is nothing to learn from, which
            :mod:`~counterbias.pipeline.bias.learnable` tells beforehand.
    """
    if choice.fitted is not None:
        model = choice.fitted.end(number).model
        return CrossFitted(model, None, (model,) * sample.folds, sample)
    if not sample.can_train():
        what = "start of read 2" if number else "read start"
        raise InputError(f"no {what} can be learnt from: there are too few")
    model = choice.model(choice.window, choice.options)
    model.resources = resources
    found = model.cross_fit(sample, rng)
    return CrossFitted(model, found.report, found.judges, sample)
