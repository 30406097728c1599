"""A progress bar on stderr while models are fitted, where stderr is a terminal; nothing otherwise.

rich, which draws it, is imported with the first step that is told, so that ``--help`` and plain counting cost nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from counterbias.errors import shown

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Characters of a stage at most: the bar has the rest of the line.
_LONGEST_STAGE = 60


class TrainingBar:
    """One line per stage that is under way; it goes away when the stage is done. Safe to call from any thread.

    Args:
        shown: whether to show anything.
    """

    def __init__(self, shown: bool) -> None:
        self.shown = shown
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._stop()

    @property
    def progress(self) -> Callable[[str, int, int], None] | None:
        """What the pipeline is given: takes a stage, the steps done and all steps (0: not known); None where nothing is shown."""
        return self._advance if self.shown else None

    def say(self, text: str) -> None:
        """Write one line to stderr, above a bar that is there."""
        with self._lock:
            if self._bar is None:
                sys.stderr.write(shown(text) + "\n")
                sys.stderr.flush()
            else:
                self._bar.console.print(shown(text), markup=False, highlight=False, soft_wrap=True)

    def _advance(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            if total and done >= total:
                self._end(stage)
                return
            bar = self._bar or self._start()
            if stage not in self._tasks:
                self._tasks[stage] = bar.add_task(shown(stage, _LONGEST_STAGE), total=total or None)
            bar.update(self._tasks[stage], completed=done, total=total or None)

    def _end(self, stage: str) -> None:
        task = self._tasks.pop(stage, None)
        if self._bar is None or task is None:
            return
        self._bar.remove_task(task)
        if not self._tasks:
            self._stop()

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        # Without markup: a sample's name may hold brackets.
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._tasks = None, {}


def training_bar(*, quiet: bool) -> TrainingBar:
    """Make the bar of a command: shown on a terminal unless ``quiet``."""
    return TrainingBar(not quiet and sys.stderr.isatty())
