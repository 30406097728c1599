"""Run a target on many inputs, in processes that are watched.

Input ``i`` of a run depends only on the seed of the run and on ``i``, so ``--seed 3 --only 17``
draws the same input again. A process that dies, or takes longer than :data:`~fuzz.targets.HANG`
seconds for one input, is replaced. Its input is kept like any other that fails.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzz import scratch, targets
from tests.fuzz.case import Case
from tests.fuzz.shrinking import describe_failure, flush, outcome_in_child, shrink

#: Seconds between two reports of a process, and for shrinking one failing input.
REPORT, SHRINK = 2.0, 20.0
#: How many inputs with the same failure are kept.
KEPT = 3
#: Address space of a process, in bytes.
MEMORY = 6 << 30


def draw(target: targets.Target, seed: int, number: int) -> Case:
    """Draw an input of a target."""
    return target.mutate(random.Random((seed << 40) + number))


@dataclass
class Result:
    """The result of a run: how many inputs had which outcome or failure."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)

    def report(self) -> str:
        """Return the result as text."""
        rate = f"{self.inputs / max(self.seconds, 0.01):,.0f} a second"
        lines = [f"{self.target}: {self.inputs:,} inputs in {self.seconds:.0f} s ({rate})"]
        lines += [f"{number:>10,}  {outcome}" for outcome, number in self.outcomes.most_common()]
        lines += [f"{number:>10,}  FAILED: {name}" for name, number in self.failures.most_common()]
        text = "\n".join([*lines, *(f"            {path}" for path in self.files)])
        return text.encode("utf-8", "backslashreplace").decode()


def run_here(name: str, seed: int, inputs: int) -> Result:
    """Run a target in this process, for tests. Failures are raised."""
    target = targets.load(name)
    result = Result(name)
    began = time.monotonic()
    for number in range(inputs):
        case = draw(target, seed, number)
        try:
            result.outcomes[target.check(case)] += 1
        except Exception as error:
            error.add_note(f"input {number} of seed {seed} of the target {name}")
            raise
    result.inputs, result.seconds = inputs, time.monotonic() - began
    return result


def _prepare_process(base: str) -> None:
    """Put files into the folder of the run, and limit memory: a wrong number may ask for it all."""
    scratch.use(base)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@dataclass
class _Task:
    """What a process has to do."""

    name: str
    seed: int
    first: int
    step: int
    last: int
    ends: float
    base: str


def _work(task: _Task, progress: Any, pipe: Connection) -> None:
    """Check inputs one after the other.

    ``progress`` is shared with the parent: the number of the input (-1 at the end), when it was
    begun, and how many inputs are done.
    """
    _prepare_process(task.base)
    target = targets.load(task.name)
    outcomes: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    failed_before: Counter[str] = Counter()
    reported = time.monotonic()
    for number in range(task.first, task.last, task.step):
        now = time.monotonic()
        if now > task.ends:
            break
        progress[0], progress[1] = number, now
        case = draw(target, task.seed, number)
        try:
            outcomes[target.check(case)] += 1
        except Exception as error:
            failure = describe_failure(error)
            failed[failure] += 1
            times = failed[failure] + failed_before[failure]
            if times <= KEPT:
                flush()
                if times == 1:
                    case = _smaller(target, case, failure, lambda: _show_alive(progress))
                pipe.send((number, failure, str(error)[:2000], case))
        progress[2] += 1
        if now - reported > REPORT:
            pipe.send((outcomes, failed))
            outcomes, reported = Counter(), now
            failed_before.update(failed)
            failed = Counter()
    pipe.send((outcomes, failed))
    progress[0] = -1


def _smaller(
    target: targets.Target, case: Case, failure: str, alive: Callable[[], None] = lambda: None
) -> Case:
    hang = targets.hang(target)
    seconds = SHRINK if failure != "hang" else 3 * hang
    return shrink(target.check, case, failure, seconds, hang=hang, alive=alive)


def _show_alive(progress: Any) -> None:
    progress[1] = time.monotonic()


def _shrink_crash(task: _Task, pipe: Connection) -> None:
    """Find out how an input ends a process, and shrink it. This runs in another process."""
    _prepare_process(task.base)
    target = targets.load(task.name)
    case = draw(target, task.seed, task.first)
    failure = outcome_in_child(target.check, case, targets.hang(target))
    pipe.send((failure, _smaller(target, case, failure) if failure else case))


class _Worker:
    """A process of a run, and how many of its outcomes are known."""

    def __init__(self, run: Run, first: int) -> None:
        self.run = run
        self.progress = run.context.RawArray("d", [first, time.monotonic() + 120, 0])
        self.reported = 0
        self.pipe, other = run.context.Pipe(duplex=False)
        self.process = run.context.Process(
            target=_work, args=(run.task(first), self.progress, other), daemon=True
        )
        self.process.start()
        other.close()

    @property
    def hangs(self) -> bool:
        # While the process starts, which includes compiling, this time lies in the future.
        return time.monotonic() - self.progress[1] > self.run.hang

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


class Run:
    """A run of one target."""

    def __init__(
        self,
        name: str,
        seed: int,
        folder: Path,
        *,
        inputs: int = 1 << 39,
        seconds: float = 1e9,
        workers: int = 1,
    ) -> None:
        self.name, self.seed, self.folder, self.workers = name, seed, folder, workers
        self.context = multiprocessing.get_context("spawn")
        self.last = inputs
        self.began = time.monotonic()
        self.ends = self.began + seconds
        self.result = Result(name)
        self._kept: Counter[str] = Counter()
        self._scratch = scratch.new()
        self.hang = targets.hang(targets.load(name))

    def task(self, first: int) -> _Task:
        """Return the task of the process that begins with input ``first``."""
        return _Task(
            self.name, self.seed, first, self.workers, self.last, self.ends, self._scratch.name
        )

    def run(self) -> Result:
        """Run until the inputs or the time are used up."""
        with self._scratch:
            self._run()
        return self.result

    def _run(self) -> None:
        busy = [_Worker(self, first) for first in range(min(self.workers, self.last))]
        while busy:
            for worker in list(busy):
                self._listen(worker)
                number = int(worker.progress[0])
                if worker.process.is_alive() and not worker.hangs:
                    continue
                worker.stop()
                self._listen(worker)
                busy.remove(worker)
                done = int(worker.progress[2])
                self.result.inputs += done
                if done > worker.reported:
                    self.result.outcomes[
                        "checked by a process that was lost before it reported the outcome"
                    ] += done - worker.reported
                if worker.progress[0] >= 0 and not (
                    worker.process.exitcode == 0 and time.monotonic() > self.ends
                ):
                    self._keep_fatal(number)
                    if number + self.workers < self.last and time.monotonic() < self.ends:
                        busy.append(_Worker(self, number + self.workers))
            time.sleep(0.05)
        self.result.seconds = time.monotonic() - self.began

    def _listen(self, worker: _Worker) -> None:
        try:
            while worker.pipe.poll():
                message = worker.pipe.recv()
                if len(message) == 2:
                    for counts, more in zip(
                        (self.result.outcomes, self.result.failures), message, strict=True
                    ):
                        counts.update(more)
                        worker.reported += more.total()
                else:
                    self._keep(*message)
        except EOFError:
            pass

    def _keep_fatal(self, number: int) -> None:
        """Keep an input that ended its process or took too long."""
        pipe, other = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=_shrink_crash, args=(self.task(number), other), daemon=True
        )
        process.start()
        other.close()
        try:
            failure, case = (
                pipe.recv()
                if pipe.poll(2 * SHRINK + 6 * self.hang)
                else ("hang", draw(targets.load(self.name), self.seed, number))
            )
        except EOFError:
            failure, case = (
                "crash outside the check",
                draw(targets.load(self.name), self.seed, number),
            )
        process.kill()
        process.join()
        failure = failure or "ended its process once, but not again"
        self.result.failures[failure] += 1
        self.result.inputs += 1
        self._keep(number, failure, "", case)

    def _keep(self, number: int, failure: str, message: str, case: Case) -> None:
        self._kept[failure] += 1
        if self._kept[failure] > KEPT:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}-{self.seed}-{number}.json"
        path.write_text(case.dump())
        path.with_suffix(".txt").write_text(f"{failure}\n{message}\n", errors="backslashreplace")
        self.result.files.append(path)
