"""Tell the core of progress in training, from several threads at once."""

from __future__ import annotations

import threading

from counterbias import Resources

#: Steps are told in so many portions, at most.
PORTIONS = 100


class Steps:
    """Count the steps of all networks that are trained at the same time.

    Args:
        resources: who is told.
        stage: what is told, as in ``training cnn``.
        total: all steps; 0: not known.
    """

    def __init__(self, resources: Resources, stage: str, total: int) -> None:
        self._progress, self._stage, self._total = resources.progress, stage, total
        self._portion, self._done, self._told = max(1, total // PORTIONS), 0, 0
        self._lock = threading.Lock()

    def advance(self, steps: int = 1) -> None:
        """Count steps that were done, or that turned out not to be needed."""
        if self._progress is None:
            return
        with self._lock:
            self._done += steps
            if self._done - self._told >= self._portion:
                self._tell()

    def finish(self) -> None:
        """Tell the end, also where there were fewer steps than expected."""
        if self._progress is not None:
            with self._lock:
                self._done = self._total = max(self._done, self._total, 1)
                self._tell()

    def _tell(self) -> None:
        assert self._progress is not None
        self._told = self._done
        self._progress(
            self._stage, min(self._done, self._total) if self._total else self._done, self._total
        )
