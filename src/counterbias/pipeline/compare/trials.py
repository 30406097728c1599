"""Trials: a model fitted without one fold of a sample and measured on it, several at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

from counterbias.errors import InputError
from counterbias.model import Resources
from counterbias.options import Device
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.compare.cache import Cache, describe_model
from counterbias.pipeline.compare.candidates import guarded
from counterbias.pipeline.compare.design import Design, PreparedSample, StepsDone
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, evaluate_backend
from counterbias.pipeline.compare.outcome import FAILED, OK, SKIPPED, Outcome, finite_or_none


@dataclass(frozen=True, slots=True)
class _Job:
    """One trial of one model on one read end."""

    outcome: Outcome
    choice: ModelChoice
    end: ReadEnd
    folds: FoldSample
    trial: Trial
    device: Device
    key: Mapping[str, Any]


def run_trials(
    sample: PreparedSample,
    outcomes: Sequence[Outcome],
    design: Design,
    cache: Cache,
    step: StepsDone,
) -> None:
    """Add all trials to the outcomes: from the cache, or computed.

    The longest are computed first, so that all threads finish at about the same time.
    """
    jobs = list(_jobs(sample, outcomes, design))
    results: dict[int, dict[str, Any]] = {}
    to_compute = []
    for number, job in enumerate(jobs):
        cached = cache.load(job.key)
        if cached is None:
            to_compute.append(number)
        else:
            results[number] = cached[0]
    if results:
        step(len(results), f"{len(results)} trials taken from the cache")
    to_compute.sort(
        key=lambda number: -float(jobs[number].outcome.count.get("train_seconds") or 0.0)
    )
    problems: dict[int, str] = {}
    for number, result in _side_by_side(jobs, to_compute, design.threads, step, problems):
        results[number] = result
        cache.store(jobs[number].key, result)
    _note_problems(jobs, problems)
    for number, job in enumerate(jobs):
        if number in results and job.outcome.status == OK:
            job.outcome.trials.append(results[number])
    for outcome in outcomes:
        if outcome.status == OK and not outcome.trials:
            outcome.status = SKIPPED


def _jobs(sample: PreparedSample, outcomes: Sequence[Outcome], design: Design) -> Iterator[_Job]:
    """Yield the trials of all models, except for read ends that nothing can be learnt from."""
    for outcome in outcomes:
        choice = outcome.candidate.choice
        assert choice is not None
        described = describe_model(choice)
        for end, folds in sample.ends:
            if end.label in outcome.count["nothing"]:
                continue
            guarded_choice = guarded(choice, number=end.numbers[0])
            for fold in design.folds:
                for seed in design.seeds:
                    trial = Trial(fold, seed, sampling=design.sampling)
                    key = {
                        "what": "trial",
                        "sample": sample.digest,
                        "model": described,
                        "end": end.label,
                        **asdict(trial),
                        "device": design.device,
                    }
                    yield _Job(outcome, guarded_choice, end, folds, trial, design.device, key)


def _side_by_side(
    jobs: Sequence[_Job],
    order: Sequence[int],
    threads: int,
    step: StepsDone,
    problems: dict[int, str],
) -> Iterator[tuple[int, dict[str, Any]]]:
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
        running: dict[Future[dict[str, Any]], int] = {}
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
                    result = _result_of(job, number, future, problems)
                    trial = f"fold {job.trial.fold}, seed {job.trial.seed}"
                    step(1, f"{job.outcome.candidate}: {trial}")
                    if result is not None:
                        yield number, result
        except BaseException:
            stop.set()
            for future in running:
                future.cancel()
            raise


def _result_of(
    job: _Job, number: int, future: Future[dict[str, Any]], problems: dict[int, str]
) -> dict[str, Any] | None:
    """Return a trial's result, or None.

    If the fold lacks reads, ``problems`` says so; a fault of the model is its outcome.
    """
    place = f"fold {job.trial.fold}, seed {job.trial.seed}: "
    try:
        return future.result()
    except InputError as problem:
        problems[number] = " ".join((place + problem.line()).split())
    except (Exception, SystemExit) as problem:  # a plug-in may raise anything
        job.outcome.give_up(FAILED, f"{place}{type(problem).__name__}: {problem}")
    return None


def _note_problems(jobs: Sequence[_Job], problems: Mapping[int, str]) -> None:
    """Note the first problem of each outcome, in the order of jobs: that of ending is chance."""
    for number in sorted(problems):
        jobs[number].outcome.reason = jobs[number].outcome.reason or problems[number]


def _run(job: _Job, stop: Event) -> dict[str, Any]:
    """Fit and measure once; return what JSON can hold.

    A model that reports its progress ends soon after ``stop`` is set.
    """

    def end_if_stopped(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    evaluated = evaluate_backend(
        job.choice, job.folds, job.trial, resources=Resources(1, job.device, end_if_stopped)
    )
    perplexity = {
        f"perplexity_{name}": value
        for name, value in evaluated.report.perplexity.items()
        if name in ("foreground", "background")
    }
    gain = evaluated.calibrated_cap5
    values = {
        **asdict(evaluated.accuracy),
        "gain_used": gain if math.isfinite(gain) else 0.0,
        "gate_open": float(evaluated.calibration.applied),
        "reliability_slope": evaluated.reliability.slope,
        "perplexity_foreground": None,
        "perplexity_background": None,
        **perplexity,
    }
    return {
        "fold": job.trial.fold,
        "seed": job.trial.seed,
        "end": job.end.label,
        "values": {name: finite_or_none(value) for name, value in values.items()},
        "reliability": evaluated.reliability.report()["bins"],
        "seconds": evaluated.report.seconds,
        "parameters": evaluated.report.parameters,
        "windows_per_second": evaluated.windows_per_second,
    }
