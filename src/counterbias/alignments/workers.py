"""A few threads that share work with the thread that waits for it.

Compiled loops release the interpreter's lock, so plain threads are enough. The caller counts as one
of the threads: while it waits for a result it runs other open jobs itself, so that ``threads=2``
keeps two cores busy, not three.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class Job:
    """One call, made at most once."""

    __slots__ = ("args", "done", "error", "function", "value")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.done = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call the function and keep what it returns or raises."""
        try:
            self.value = self.function(*self.args)
        except BaseException as error:  # raised again by Workers.result
            self.error = error
        self.done.set()


class Workers:
    """Threads that run jobs: ``threads - 1`` of them and the caller's."""

    def __init__(self, threads: int) -> None:
        self._open: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(threads - 1)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., Any], *args: Any) -> Job:
        """Queue a call; jobs are started in the order in which they were submitted."""
        job = Job(function, args)
        with self._changed:
            self._open.append(job)
            self._changed.notify()
        return job

    def result(self, job: Job) -> Any:
        """Return what the job returns, or raise what it raises, working meanwhile."""
        while not job.done.is_set():
            with self._changed:
                try:
                    self._open.remove(job)
                    other: Job | None = job
                except ValueError:
                    other = self._open.popleft() if self._open else None
            if other is None:
                job.done.wait()
            else:
                other.run()
                if isinstance(other.error, KeyboardInterrupt):
                    raise other.error
        if job.error is not None:
            raise job.error
        return job.value

    def close(self) -> None:
        """Drop the jobs that were not started and wait for the others."""
        with self._changed:
            self._closed = True
            self._open.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._open and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._open.popleft()
            job.run()
