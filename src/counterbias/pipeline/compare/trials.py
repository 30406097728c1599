"""All that a comparison computes for one sample: every model as a count would use it, then trials on held-out blocks.

Models are first fitted one after the other with all threads, as a count does: this gives counts per gene, and training time and memory that
no other fit disturbs. Then come the trials, one thread each, as many at the same time as there are threads, longest first. What the
cache holds is not computed again. A model that fails is left out of what follows and never stops the others.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.model import Resources
from counterbias.options import Device
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.cross_fitting import BackendFault
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.bias.sample import SampleBias
from counterbias.pipeline.compare.cache import Cache, describe_model
from counterbias.pipeline.compare.candidates import Candidate, guarded
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, evaluate_backend

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
#: Columns of a count that are kept.
COLUMNS = (
    "raw",
    "weighted",
    "effective_length",
    "corrected",
    "fpkm_raw",
    "fpkm_weighted",
    "fpkm_corrected",
)

#: Fits a choice on the whole sample and weighs its fragments, as a count does.
Weigh = Callable[[ModelChoice], SampleBias]
#: Called with the number of steps done and what was done.
Step = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Design:
    """Which folds are held out, with which seeds and scheme of sampling, and what there is to compute with."""

    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    sampling: str = "local"
    threads: int = 1
    device: Device = "cpu"


@dataclass(slots=True)
class Outcome:
    """What became of one model in one sample.

    Args:
        candidate: the model.
        status: ``ok``, ``failed`` (the model did something wrong) or ``skipped`` (it cannot be trained here, or there is too little to
            learn from).
        reason: why, one line; also what went wrong in single folds.
        trials: one mapping per trial: ``fold``, ``seed``, ``end``, ``values``, ``reliability`` (its bins) and more.
        columns: the columns of a count, name → (features,); empty where there was none.
        count: what else the count told.
        silent: whether nothing can be learnt from the sample, as ``reason`` says.
    """

    candidate: Candidate
    status: str = OK
    reason: str = ""
    trials: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    count: dict[str, Any] = field(default_factory=dict)
    silent: bool = False

    def give_up(self, status: str, reason: str) -> None:
        """Note why the model has no row of numbers; a fault outweighs a lack of reads."""
        if self.status == FAILED:
            return
        self.status, self.reason = status, " ".join(reason.split())


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """One sample, counted.

    Args:
        digest: of all that results depend on, the model and seeds apart.
        ends: end classes, each cut into folds.
        weigh: see :data:`Weigh`.
        settings: options of the count that its numbers depend on.
    """

    digest: str
    ends: tuple[tuple[ReadEnd, FoldSample], ...]
    weigh: Weigh
    settings: Mapping[str, Any]


def steps_of(candidates: Sequence[Candidate], ends: int, design: Design) -> int:
    """Count the steps of one sample: one count and all trials per model that can be fitted."""
    able = sum(1 for one in candidates if one.choice is not None)
    return able * (1 + ends * len(design.folds) * len(design.seeds))


def run_models(
    sample: PreparedSample,
    candidates: Sequence[Candidate],
    design: Design,
    cache: Cache,
    step: Step,
) -> list[Outcome]:
    """Compute, or take from the cache, everything about every candidate in one sample."""
    outcomes = [Outcome(one) for one in candidates]
    trials = len(sample.ends) * len(design.folds) * len(design.seeds)
    for outcome in outcomes:
        if outcome.candidate.choice is None:
            outcome.give_up(SKIPPED, outcome.candidate.reason)
            continue
        _count(sample, outcome, cache)
        label = _named(outcome.candidate)
        left_out = (
            trials
            if outcome.status != OK
            else len(outcome.count["nothing"]) * trials // len(sample.ends)
        )
        step(1 + left_out, f"{label}: {'counted' if outcome.status == OK else outcome.reason}")
    _run_trials(sample, [one for one in outcomes if one.status == OK], design, cache, step)
    return outcomes


def why_left_out(outcomes: Sequence[Outcome]) -> str:
    """Say why no model can learn anything from a sample, which is then left out; empty where one can."""
    asked = [one for one in outcomes if one.candidate.choice is not None]
    return asked[0].reason if asked and all(one.silent for one in asked) else ""


def _named(candidate: Candidate) -> str:
    return f"{candidate.label} {candidate.window}"


def _attempt(outcome: Outcome, work: Callable[[], Any], place: str = "") -> Any:
    """Do something with a model; whatever it raises becomes its status. None where it failed."""
    try:
        return work()
    except BackendFault as fault:
        outcome.give_up(FAILED, f"{place}{type(fault.__cause__).__name__}: {fault.__cause__}")
    except InputError as problem:
        outcome.give_up(SKIPPED, f"{place}{problem.line()}")
    except (Exception, SystemExit) as problem:  # a plug-in may raise anything
        outcome.give_up(FAILED, f"{place}{type(problem).__name__}: {problem}")
    return None


# -- counts ------------------------------------------------------------------------------------------------------------


def _count(sample: PreparedSample, outcome: Outcome, cache: Cache) -> None:
    """Fit a model on the whole sample and correct the counts, as a count does."""
    choice = outcome.candidate.choice
    assert choice is not None
    described = _attempt(outcome, lambda: describe_model(choice))
    if described is None:
        return
    key = {
        "what": "count",
        "sample": sample.digest,
        "model": described,
        "settings": dict(sample.settings),
    }
    known = cache.load(key)
    if known is None:
        known = _attempt(outcome, lambda: _fresh_count(sample, choice))
        if known is None:
            return
        nothing = known[0]["nothing"]
        if len(nothing) == len(sample.ends):
            outcome.silent = True
            outcome.give_up(SKIPPED, "; ".join(dict.fromkeys(nothing.values())))
            return
        cache.store(key, *known)
    outcome.count, outcome.columns = known


def _fresh_count(
    sample: PreparedSample, choice: ModelChoice
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    before = _start_of_peak()
    found = sample.weigh(guarded(choice) if choice.fitted is None else choice)
    peak = _peak(before)
    report = found.report
    ends = report["ends"]
    several = len(ends) > 1
    curves: dict[str, Any] = {}
    for end in ends:
        for name, values in (end["training"]["curves"] or {}).items():
            curves[f"{end['end']}_{name}" if several else name] = values
    told = {
        "applied": any(bool(end["calibration"]["applied"]) for end in ends),
        "reasons": [
            end["calibration"]["reason"] for end in ends if not end["calibration"]["applied"]
        ],
        "starts": sum(int(end["unique_starts"] or 0) for end in ends),
        "train_seconds": report["run"]["seconds"].get("training"),
        "parameters": sum(int(end["training"]["parameters"] or 0) for end in ends),
        "memory_mb": peak,
        "curves": curves,
        "fold_change": {
            "weighted": report["fold_change"]["weighted"],
            "corrected": report["fold_change"]["corrected"],
        },
        "offsets": ends[0]["offsets"],
        "composition": {end["end"]: end["composition"] for end in ends},
        "warnings": list(found.warnings),
        "nothing": dict(found.unlearnable),
    }
    return told, {name: np.asarray(found.columns[name]) for name in COLUMNS}


def _start_of_peak() -> int | None:
    """Begin a new measurement of the peak of resident memory; the memory now, kB. None where the system does not tell (Linux does)."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return None
    return _status("VmRSS")


def _peak(before: int | None) -> float | None:
    """Give the growth of resident memory at its peak, MB."""
    peak = _status("VmHWM")
    return None if before is None or peak is None else max(peak - before, 0) / 1024


def _status(name: str) -> int | None:
    """Read a figure of this process, kB."""
    with (
        suppress(OSError, ValueError, IndexError),
        open("/proc/self/status", encoding="ascii") as file,
    ):
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return None


# -- trials ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """One trial of one model on one end class."""

    outcome: Outcome
    choice: ModelChoice
    end: ReadEnd
    folds: FoldSample
    trial: Trial
    device: Device
    key: Mapping[str, Any]


def _run_trials(
    sample: PreparedSample, outcomes: Sequence[Outcome], design: Design, cache: Cache, step: Step
) -> None:
    """Run all trials that the cache does not hold; longest first, so that threads finish together."""
    jobs = list(_jobs(sample, outcomes, design))
    results: dict[int, dict[str, Any]] = {}
    waiting = []
    for number, job in enumerate(jobs):
        known = cache.load(job.key)
        if known is None:
            waiting.append(number)
        else:
            results[number] = known[0]
    if results:
        step(len(results), f"{len(results)} trials taken from the cache")
    waiting.sort(key=lambda number: -float(jobs[number].outcome.count.get("train_seconds") or 0.0))
    notes: dict[int, str] = {}
    for number, found in _side_by_side(jobs, waiting, design.threads, step, notes):
        results[number] = found
        cache.store(jobs[number].key, found)
    _note(jobs, notes)
    for number, job in enumerate(jobs):
        if number in results and job.outcome.status == OK:
            job.outcome.trials.append(results[number])
    for outcome in outcomes:
        if outcome.status == OK and not outcome.trials:
            outcome.status = SKIPPED


def _jobs(sample: PreparedSample, outcomes: Sequence[Outcome], design: Design) -> Iterator[_Job]:
    for outcome in outcomes:
        choice = outcome.candidate.choice
        assert choice is not None
        described = describe_model(choice)
        for end, folds in sample.ends:
            if end.label in outcome.count["nothing"]:
                continue
            own = guarded(choice, number=end.numbers[0])
            for fold in design.folds:
                for seed in design.seeds:
                    trial = Trial(fold, seed, sampling=design.sampling)
                    key = {
                        "what": "trial",
                        "sample": sample.digest,
                        "model": described,
                        "end": end.label,
                        **asdict(trial),
                    }
                    yield _Job(
                        outcome,
                        own,
                        end,
                        folds,
                        trial,
                        design.device,
                        {**key, "device": design.device},
                    )


def _side_by_side(
    jobs: Sequence[_Job], order: Sequence[int], threads: int, step: Step, notes: dict[int, str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run jobs on several threads and give what came of them, in the order in which they end; ``notes`` gets why others gave nothing."""
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
                    job, found = jobs[number], _settle(jobs[number], number, future, notes)
                    step(
                        1,
                        f"{_named(job.outcome.candidate)}: fold {job.trial.fold}, seed {job.trial.seed}",
                    )
                    if found is not None:
                        yield number, found
        except BaseException:
            stop.set()
            for future in running:
                future.cancel()
            raise


def _settle(
    job: _Job, number: int, future: Future[dict[str, Any]], notes: dict[int, str]
) -> dict[str, Any] | None:
    """Take a trial's result. A lack of reads in one fold is noted; a fault of the model ends it."""
    place = f"fold {job.trial.fold}, seed {job.trial.seed}: "
    try:
        return future.result()
    except InputError as problem:
        notes[number] = " ".join((place + problem.line()).split())
    except (Exception, SystemExit) as problem:  # a plug-in may raise anything
        job.outcome.give_up(FAILED, f"{place}{type(problem).__name__}: {problem}")
    return None


def _note(jobs: Sequence[_Job], notes: Mapping[int, str]) -> None:
    """Give each outcome its first note, by the order of jobs: which of them ended first is chance."""
    for number in sorted(notes):
        jobs[number].outcome.reason = jobs[number].outcome.reason or notes[number]


def _run(job: _Job, stop: Event) -> dict[str, Any]:
    """Fit and measure once; plain numbers. A model that tells of its progress ends soon after ``stop`` is set."""

    def told(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    found = evaluate_backend(
        job.choice, job.folds, job.trial, resources=Resources(1, job.device, told)
    )
    perplexity = {
        f"perplexity_{name}": value
        for name, value in found.report.perplexity.items()
        if name in ("foreground", "background")
    }
    values = {
        **asdict(found.accuracy),
        "gain_used": found.calibrated_cap5 if math.isfinite(found.calibrated_cap5) else 0.0,
        "gate_open": float(found.calibration.applied),
        "reliability_slope": found.reliability.slope,
        "perplexity_foreground": None,
        "perplexity_background": None,
        **perplexity,
    }
    return {
        "fold": job.trial.fold,
        "seed": job.trial.seed,
        "end": job.end.label,
        "values": {name: plain(value) for name, value in values.items()},
        "reliability": found.reliability.report()["bins"],
        "seconds": found.report.seconds,
        "parameters": found.report.parameters,
        "windows_per_second": found.windows_per_second,
    }


def plain(value: Any) -> Any:
    """Give a number fit for JSON, which knows no NaN."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
