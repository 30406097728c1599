"""Trials of a model that is best trained together: all windows are drawn, then all models fitted.

Which models these are, :meth:`~counterbias.model.BiasModel.trains_together` says: networks on a
GPU, for example, which a single small network would leave idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from counterbias.errors import InputError
from counterbias.model import Resources
from counterbias.pipeline.bias.cross_fitting import (
    CrossFitted,
    cross_fit_together,
    fitted_or_raise,
)
from counterbias.pipeline.compare.design import Design, StepsDone
from counterbias.pipeline.compare.evaluation import (
    Evaluated,
    PreparedTrial,
    measure_trial,
    prepare_trial,
)
from counterbias.pipeline.compare.jobs import Job, Kept, noting, result_of
from counterbias.pipeline.compare.outcome import FAILED

#: Trials are fitted in parts. No windows are drawn for a part once they have this size, bytes; as
#: many trials as there are threads are drawn at the same time.
ENOUGH_BYTES = 1 << 30


def trains_together(job: Job, design: Design) -> bool:
    """Whether the trials of a job's model are to be fitted together."""
    choice = job.choice
    model = choice.model(choice.window, choice.options)
    model.resources = Resources(design.threads, design.device)
    return model.trains_together()


def fit_together(
    jobs: Sequence[Job],
    order: Sequence[int],
    design: Design,
    step: StepsDone,
    problems: dict[int, str],
) -> Iterator[tuple[int, Kept]]:
    """Run all trials of one model; yield (job, result) as they are measured.

    Args:
        jobs: all jobs.
        order: those of the model, in this order.
        design: threads and device.
        step: called after each.
        problems: gets (job → problem) of those that lack reads.
    """
    outcome, queue = jobs[order[0]].outcome, deque(order)
    with ThreadPoolExecutor(design.threads) as pool:
        while queue and outcome.status != FAILED:
            drawn = _draw(jobs, queue, pool, design, step, problems)
            if drawn and outcome.status != FAILED:
                yield from _fit(jobs, drawn, pool, design, step, problems)
            elif drawn:
                step(len(drawn), "")
    if queue:
        step(len(queue), "")


def _draw(
    jobs: Sequence[Job],
    queue: deque[int],
    pool: Executor,
    design: Design,
    step: StepsDone,
    problems: dict[int, str],
) -> dict[int, PreparedTrial]:
    """Take jobs from the queue, and draw their windows until there are enough.

    A trial that lacks reads is done with.
    """
    drawn: dict[int, PreparedTrial] = {}
    while queue and sum(one.bytes for one in drawn.values()) < ENOUGH_BYTES:
        numbers = [queue.popleft() for _ in range(min(design.threads, len(queue)))]
        futures = {
            number: pool.submit(prepare_trial, job.choice, job.folds, job.trial)
            for number, job in ((number, jobs[number]) for number in numbers)
        }
        for number, future in futures.items():
            with noting(jobs[number], number, problems):
                drawn[number] = future.result()
            if number not in drawn:
                step(1, f"{jobs[number].outcome.candidate}: {jobs[number].place}")
    return drawn


def _fit(
    jobs: Sequence[Job],
    drawn: dict[int, PreparedTrial],
    pool: Executor,
    design: Design,
    step: StepsDone,
    problems: dict[int, str],
) -> Iterator[tuple[int, Kept]]:
    """Fit the model to the windows of all trials with one call, and measure each."""
    first = next(iter(drawn))
    job = jobs[first]
    what = f"{len(drawn)} trials together" if len(drawn) > 1 else job.place
    step(0, f"{job.outcome.candidate}: fitting {what}")
    fitted: Sequence[CrossFitted | InputError] = ()
    with noting(job, first, problems, what):
        fitted = cross_fit_together(
            job.choice,
            [one.to_fit for one in drawn.values()],
            Resources(design.threads, design.device),
        )
    if not fitted:
        step(len(drawn), "")
        return
    futures = {
        number: pool.submit(_measure, prepared, one)
        for (number, prepared), one in zip(drawn.items(), fitted, strict=True)
    }
    for number, future in futures.items():
        job, evaluated = jobs[number], None
        with noting(job, number, problems):
            evaluated = future.result()
        step(1, f"{job.outcome.candidate}: {job.place}")
        if evaluated is not None:
            yield number, result_of(job, evaluated)


def _measure(prepared: PreparedTrial, fitted: CrossFitted | InputError) -> Evaluated:
    """Measure a model, or raise the InputError that stands in for it."""
    return measure_trial(prepared, fitted_or_raise(fitted))
