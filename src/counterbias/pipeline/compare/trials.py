"""Trials: a model fitted without one fold of a sample and measured on it, several at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, groupby
from threading import Event

from counterbias.model import Resources
from counterbias.pipeline.compare.cache import Cache
from counterbias.pipeline.compare.design import Design, PreparedSample, StepsDone
from counterbias.pipeline.compare.evaluation import evaluate_backend
from counterbias.pipeline.compare.expected import expect_along
from counterbias.pipeline.compare.jobs import Job, Kept, jobs_of, noting, result_of
from counterbias.pipeline.compare.outcome import FAILED, OK, SKIPPED, Outcome
from counterbias.pipeline.compare.together import fit_together, trains_together


def run_trials(
    sample: PreparedSample,
    outcomes: Sequence[Outcome],
    design: Design,
    cache: Cache,
    step: StepsDone,
) -> None:
    """Add all trials to the outcomes: from the cache, or computed.

    Models that are best trained together come first (:mod:`.together`). Of the others, the longest
    trials are computed first, so that all threads finish at about the same time.
    """
    jobs = list(jobs_of(sample, outcomes, design))
    results: dict[int, Kept] = {}
    to_compute = []
    for number, job in enumerate(jobs):
        cached = cache.load(job.key)
        if cached is None:
            to_compute.append(number)
        else:
            results[number] = cached
    if results:
        step(len(results), f"{len(results)} trials taken from the cache")
    problems: dict[int, str] = {}
    groups, single = _divided(jobs, to_compute, design, problems)
    single.sort(key=lambda number: -float(jobs[number].outcome.count.get("train_seconds") or 0.0))
    for number, result in chain(
        *(fit_together(jobs, group, design, step, problems) for group in groups),
        _side_by_side(jobs, single, design.threads, step, problems),
    ):
        results[number] = result
        cache.store(jobs[number].key, *result)
    for number in sorted(results) if sample.tracks else ():
        with noting(jobs[number], number, problems, f"{jobs[number].place}, along genes"):
            expect_along(sample.tracks, jobs[number], results[number])
    _note_problems(jobs, problems)
    for number, job in enumerate(jobs):
        if number in results and job.outcome.status == OK:
            job.outcome.trials.append(results[number][0])
    for outcome in outcomes:
        if outcome.status == OK and not outcome.trials:
            outcome.status = SKIPPED


def _divided(
    jobs: Sequence[Job], order: Sequence[int], design: Design, problems: dict[int, str]
) -> tuple[list[list[int]], list[int]]:
    """Return the trials of each model that is best trained together, and all other trials."""
    groups: list[list[int]] = []
    single = []
    for _, group in groupby(order, key=lambda number: id(jobs[number].outcome)):
        numbers = list(group)
        together = False
        with noting(jobs[numbers[0]], numbers[0], problems):
            together = trains_together(jobs[numbers[0]], design)
        if together:
            groups.append(numbers)
        else:
            single += numbers
    return groups, single


def _side_by_side(
    jobs: Sequence[Job],
    order: Sequence[int],
    threads: int,
    step: StepsDone,
    problems: dict[int, str],
) -> Iterator[tuple[int, Kept]]:
    """Run jobs, one thread each; yield (job, result) as they end.

    Args:
        jobs: all jobs.
        order: which of them to run, in this order.
        threads: how many to run at the same time.
        step: called after each.
        problems: gets (job → problem) of those that lack reads.
    """
    queue = deque(order)
    stop = Event()
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        running: dict[Future[Kept], int] = {}
        try:
            while queue or running:
                while queue and len(running) < max(threads, 1):
                    number = queue.popleft()
                    if jobs[number].outcome.status == FAILED:
                        step(1, "")
                    else:
                        running[pool.submit(_run, jobs[number], stop)] = number
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda one: running[one]):
                    number = running.pop(future)
                    job = jobs[number]
                    result = None
                    with noting(job, number, problems):
                        result = future.result()
                    step(1, f"{job.outcome.candidate}: {job.place}")
                    if result is not None:
                        yield number, result
        except BaseException:
            stop.set()
            for future in running:
                future.cancel()
            raise


def _note_problems(jobs: Sequence[Job], problems: Mapping[int, str]) -> None:
    """Note the first problem of each outcome, in the order of jobs: that of ending is chance."""
    for number in sorted(problems):
        jobs[number].outcome.reason = jobs[number].outcome.reason or problems[number]


def _run(job: Job, stop: Event) -> Kept:
    """Fit and measure once.

    A model that reports its progress ends soon after ``stop`` is set.
    """

    def end_if_stopped(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    resources = Resources(1, job.device, end_if_stopped)
    return result_of(job, evaluate_backend(job.choice, job.folds, job.trial, resources=resources))
