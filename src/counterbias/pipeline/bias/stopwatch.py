"""Wall times of the stages of a run, for its report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from counterbias.messages import ProgressCallback


class Stopwatch:
    """Wall times by stage, from any thread.

    Stages may run at the same time, so their sum may exceed the run's time.

    Args:
        progress: called at the end of each stage, or None.
    """

    def __init__(self, progress: ProgressCallback | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._lock = Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Add to a stage's time."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        if self._progress is not None:
            self._progress(stage, 1, 1)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage, unless it raises."""
        begin = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - begin)
