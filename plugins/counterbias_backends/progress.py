"""Progress of training, reported to the core by several threads at once."""

from __future__ import annotations

import threading

from counterbias import Resources

#: Progress is reported at most this many times.
REPORTS = 100


class Steps:
    """Count the steps of all networks that are trained at the same time.

    Args:
        resources: hold the callback that progress is reported to, if any.
        stage: name of the stage, as in ``training cnn``.
        total: number of steps; 0 where it is unknown.
    """

    def __init__(self, resources: Resources, stage: str, total: int) -> None:
        self._callback, self._stage, self._total = resources.progress, stage, total
        self._interval, self._done, self._reported = max(1, total // REPORTS), 0, 0
        self._lock = threading.Lock()

    def advance(self, steps: int = 1) -> None:
        """Count steps that were taken, or that turned out not to be needed."""
        if self._callback is None:
            return
        with self._lock:
            self._done += steps
            if self._done - self._reported >= self._interval:
                self._report()

    def finish(self) -> None:
        """Report the end, even where there were fewer steps than expected."""
        if self._callback is not None:
            with self._lock:
                self._done = self._total = max(self._done, self._total, 1)
                self._report()

    def _report(self) -> None:
        assert self._callback is not None
        self._reported = self._done
        done = min(self._done, self._total) if self._total else self._done
        self._callback(self._stage, done, self._total)
