"""What all models of a comparison are measured on: a sample, and the trials to be made with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from counterbias.options import Device
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.bias.sample import SampleBias
from counterbias.pipeline.compare.along import Track
from counterbias.pipeline.compare.evaluation import FoldSample

#: Fits a model on the whole sample and weights its fragments, as a count does.
Weigh = Callable[[ModelChoice], SampleBias]
#: Called with the number of steps done, and what was done.
StepsDone = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Design:
    """The trials of each model, and what they are computed with.

    Args:
        folds: the folds to hold out, one after the other.
        seeds: the seeds to use with each fold.
        sampling: scheme of :func:`counterbias.sampling.draw`.
        threads: number of threads.
        device: where networks are trained.
    """

    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    sampling: str
    threads: int
    device: Device


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """One sample, counted.

    Args:
        digest: of everything that results depend on, except the model and the seeds.
        ends: read ends, each split into folds.
        weigh: see :data:`Weigh`.
        settings: options of the count that its numbers depend on.
        tracks: read starts along the genes of ``--genes``; takes what models expect there.
    """

    digest: str
    ends: tuple[tuple[ReadEnd, FoldSample], ...]
    weigh: Weigh
    settings: Mapping[str, Any]
    tracks: tuple[Track, ...] = ()
