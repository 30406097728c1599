"""Run a target over many inputs, in processes that are watched.

Input ``i`` of a run is drawn from a generator seeded with the run's seed and ``i``, whatever the number of processes:
``--seed 3 --only 17`` draws the same input again. A process that dies or takes longer than :data:`~fuzz.targets.HANG` seconds for
one input is replaced, and the input kept as a failure like any other.
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
from tests.fuzz.shrinking import failure_kind, flush, outcome_in_child, shrink

#: Seconds between two reports of a process, and for making one failing input small.
REPORT, SHRINK = 2.0, 20.0
#: Inputs kept per kind of failure.
KEPT = 3
#: Bytes of address space of a process.
MEMORY = 6 << 30


def draw(target: targets.Target, seed: int, number: int) -> Case:
    """Draw an input."""
    return target.mutate(random.Random((seed << 40) + number))


@dataclass
class Result:
    """What a run gave."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)

    def report(self) -> str:
        """Give it as text."""
        lines = [
            f"{self.target}: {self.inputs:,} inputs in {self.seconds:.0f} s ({self.inputs / max(self.seconds, 0.01):,.0f} a second)"
        ]
        lines += [f"{number:>10,}  {words}" for words, number in self.outcomes.most_common()]
        lines += [f"{number:>10,}  FAILED: {kind}" for kind, number in self.failures.most_common()]
        text = "\n".join([*lines, *(f"            {path}" for path in self.files)])
        return text.encode("utf-8", "backslashreplace").decode()


def run_here(name: str, seed: int, inputs: int) -> Result:
    """Run a target in this process, for tests: a failure is raised."""
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


def _settle(base: str) -> None:
    """Prepare a process: files go to the run's folder, and memory is limited, since a wrong number may ask for all there is."""
    scratch.use(base)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@dataclass
class _Task:
    """What a process is to do."""

    name: str
    seed: int
    first: int
    step: int
    last: int
    ends: float
    base: str


def _work(task: _Task, here: Any, pipe: Connection) -> None:
    """Check inputs one after the other; ``here`` (the input's number, when it was begun, how many are done) tells the parent."""
    _settle(task.base)
    target = targets.load(task.name)
    outcomes: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    failed_before: Counter[str] = Counter()
    told = time.monotonic()
    for number in range(task.first, task.last, task.step):
        now = time.monotonic()
        if now > task.ends:
            break
        here[0], here[1] = number, now
        case = draw(target, task.seed, number)
        try:
            outcomes[target.check(case)] += 1
        except Exception as error:
            kind = failure_kind(error)
            failed[kind] += 1
            known = failed[kind] + failed_before[kind]
            if known <= KEPT:
                flush()
                small = case if known > 1 else _smaller(target, case, kind, lambda: _beat(here))
                pipe.send((number, kind, str(error)[:2000], small))
        here[2] += 1
        if now - told > REPORT:
            pipe.send((outcomes, failed))
            outcomes, told = Counter(), now
            failed_before.update(failed)
            failed = Counter()
    pipe.send((outcomes, failed))
    here[0] = -1


def _smaller(
    target: targets.Target, case: Case, kind: str, alive: Callable[[], None] = lambda: None
) -> Case:
    hang = targets.hang(target)
    return shrink(
        target.check, case, kind, SHRINK if kind != "hang" else 3 * hang, hang=hang, alive=alive
    )


def _beat(here: Any) -> None:
    here[1] = time.monotonic()


def _shrink_crash(task: _Task, pipe: Connection) -> None:
    """Find out how an input ends a process, and make it small; runs in a process of its own."""
    _settle(task.base)
    target = targets.load(task.name)
    case = draw(target, task.seed, task.first)
    kind = outcome_in_child(target.check, case, targets.hang(target))
    pipe.send((kind, _smaller(target, case, kind) if kind else case))


class _Worker:
    """A process and what it was told to do."""

    def __init__(self, run: Run, first: int) -> None:
        self.run = run
        self.here = run.context.RawArray("d", [first, time.monotonic() + 120, 0])
        self.told = 0
        self.pipe, other = run.context.Pipe(duplex=False)
        self.process = run.context.Process(
            target=_work, args=(run.task(first), self.here, other), daemon=True
        )
        self.process.start()
        other.close()

    @property
    def hangs(self) -> bool:
        # While it starts, which includes compiling, the time lies ahead.
        return time.monotonic() - self.here[1] > self.run.hang

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
        """Give a process's task, from an input onwards."""
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
                number = int(worker.here[0])
                if worker.process.is_alive() and not worker.hangs:
                    continue
                worker.stop()
                self._listen(worker)
                busy.remove(worker)
                done = int(worker.here[2])
                self.result.inputs += done
                if done > worker.told:
                    self.result.outcomes[
                        "checked by a process that was lost before it told the outcome"
                    ] += done - worker.told
                if worker.here[0] >= 0 and not (
                    worker.process.exitcode == 0 and time.monotonic() > self.ends
                ):
                    self._ended_badly(number)
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
                        worker.told += more.total()
                else:
                    self._keep(*message)
        except EOFError:
            pass

    def _ended_badly(self, number: int) -> None:
        """Keep an input that ended its process or took too long."""
        pipe, other = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=_shrink_crash, args=(self.task(number), other), daemon=True
        )
        process.start()
        other.close()
        try:
            kind, case = (
                pipe.recv()
                if pipe.poll(2 * SHRINK + 6 * self.hang)
                else ("hang", draw(targets.load(self.name), self.seed, number))
            )
        except EOFError:
            kind, case = (
                "crash outside of the check",
                draw(targets.load(self.name), self.seed, number),
            )
        process.kill()
        process.join()
        kind = kind or "ended its process once, but not again"
        self.result.failures[kind] += 1
        self.result.inputs += 1
        self._keep(number, kind, "", case)

    def _keep(self, number: int, kind: str, words: str, case: Case) -> None:
        self._kept[kind] += 1
        if self._kept[kind] > KEPT:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}-{self.seed}-{number}.json"
        path.write_text(case.dump())
        path.with_suffix(".txt").write_text(f"{kind}\n{words}\n", errors="backslashreplace")
        self.result.files.append(path)
