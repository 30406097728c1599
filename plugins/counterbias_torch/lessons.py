"""A training set → what the networks of a model learn from, by the model's objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from counterbias import TrainingSet
from counterbias_torch.options import CLASSIFICATION, LANGUAGE, TrainingOptions
from counterbias_torch.rows import (
    BASES,
    Part,
    Rows,
    check_sides,
    classified_rows,
    language_rows,
    set_rows,
    stretches,
    tile_rows,
)
from counterbias_torch.trainer import Job, Plan

#: A validation part with fewer read starts is replaced by a tenth of the rows.
LEAST_VALIDATION, HELD_OUT = 200, 0.1
#: Steps per epoch that batches are sized for, and the least: an epoch may be several passes.
STEPS, LEAST_STEPS = 150, 50
#: Limits of the windows in a batch of tiles, sets or windows; and of windows for language models,
#: which take far more steps to learn where in a window they are.
LEAST_WINDOWS, MOST_WINDOWS = 512, 8192
LEAST_LANGUAGE, MOST_LANGUAGE = 64, 256
#: Weight decay times read starts, and its limits; for language models it is the lowest.
DECAY, LEAST_DECAY, MOST_DECAY = 1e4, 0.1, 5.0

#: Makes the rows of a training set, of each part.
MakeRows = Callable[[TrainingSet], list[Rows]]


@dataclass(frozen=True)
class Lesson:
    """What the networks of one model learn from.

    Args:
        jobs: one per network.
        starts: read starts among it.
    """

    jobs: tuple[Job, ...]
    starts: int


def make_lesson(
    sample: TrainingSet,
    objective: str,
    options: TrainingOptions,
    slides: bool,
    rng: np.random.Generator,
) -> Lesson:
    """Lay out a training set for the networks of a model.

    Raises:
        InputError: it holds no read starts, or no background.
    """
    validation = sample.validation
    if validation is not None and len(validation.foreground) < LEAST_VALIDATION:
        sample, validation = sample.joined(), None
    check_sides(sample)
    jobs = tuple(
        _job(make, sample, validation, rng) for make in _makers(objective, options, slides, rng)
    )
    return Lesson(jobs, len(sample.foreground))


def _makers(
    objective: str, options: TrainingOptions, slides: bool, rng: np.random.Generator
) -> list[MakeRows]:
    """Return what makes the rows of each network."""
    if objective == LANGUAGE:
        return [
            lambda one: [
                language_rows(one.foreground, one.foreground_weight, options.max_windows, rng)
            ],
            lambda one: [
                language_rows(one.background, one.background_weight, options.max_windows, rng)
            ],
        ]
    if objective == CLASSIFICATION:
        return [lambda one: [classified_rows(one, options.max_windows, rng)]]
    return [lambda one: _conditional_rows(one, options, slides, rng)]


def _conditional_rows(
    sample: TrainingSet, options: TrainingOptions, slides: bool, rng: np.random.Generator
) -> list[Rows]:
    """Return tiles, where there are any, and sets (single windows where none are known)."""
    parts = []
    if sample.tiles is not None:
        tiles = tile_rows(sample.tiles, options.max_tiles, rng)
        if tiles is not None and not slides:
            tiles = stretches(tiles)
        if tiles is not None:
            parts.append(tiles)
    sets = set_rows(sample, options.max_windows, rng)
    return [*parts, classified_rows(sample, options.max_windows, rng) if sets is None else sets]


def _job(
    make: MakeRows, sample: TrainingSet, validation: TrainingSet | None, rng: np.random.Generator
) -> Job:
    parts = [Part.of_all(rows) for rows in make(sample)]
    seed = int(rng.integers(0, 2**62))
    if validation is not None and len(validation.foreground) and len(validation.background):
        checks = [Part.of_all(rows) for rows in make(validation)]
        if _kinds(checks) == _kinds(parts):
            return Job(tuple(parts), tuple(checks), seed)
    halves = [part.split(HELD_OUT, rng) if len(part.chosen) > 1 else (part, part) for part in parts]
    return Job(tuple(one for one, _ in halves), tuple(two for _, two in halves), seed)


def _kinds(parts: Sequence[Part]) -> list[tuple[str, int]]:
    return [(part.rows.loss, part.rows.places) for part in parts]


def kinds(job: Job) -> tuple[tuple[str, int], ...]:
    """Return the losses of a job's parts: networks that share them can be trained side by side."""
    return tuple(_kinds(job.parts))


def make_plan(job: Job, options: TrainingOptions) -> Plan:
    """Plan the training of a network; an epoch is a pass over its first part."""
    sizes = [round(rounded(len(part.chosen))) for part in job.parts]
    rows = job.parts[0].rows
    language = rows.loss == BASES
    batch = options.batch
    if not batch:
        least, most = LEAST_WINDOWS, MOST_WINDOWS
        if language:
            least, most = LEAST_LANGUAGE, MOST_LANGUAGE
        wanted = math.ceil(sizes[0] / STEPS) * rows.places
        batch = max(1, min(max(wanted, least), most) // rows.places)
    batch = min(batch, sizes[0])
    steps = max(math.ceil(sizes[0] / batch), LEAST_STEPS)
    decay = options.weight_decay
    if decay < 0:
        starts = rounded(max(1, job.parts[-1].starts))
        decay = LEAST_DECAY if language else min(max(DECAY / starts, LEAST_DECAY), MOST_DECAY)
    return Plan(
        epochs=options.epochs,
        steps=steps,
        batches=(batch, *(math.ceil(size * batch / sizes[0]) for size in sizes[1:])),
        learning_rate=options.learning_rate,
        decay=decay,
        patience=options.patience,
        mixed=options.precision != "single",
    )


def rounded(number: float) -> float:
    """Round a number to a power of the fourth root of 2, within 9%.

    So most networks that learn from much the same sample, each without another fold, have one plan
    and can be trained side by side, while none of them depends on which others there are.
    """
    return float(2 ** (round(4 * math.log2(number)) / 4))
