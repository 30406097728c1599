"""Progress of long stages on stderr: a bar on a terminal, a line now and then elsewhere, nothing with ``--quiet``.

rich, which draws the bar, is imported with the first step that is told, so that ``--help`` and plain counting cost nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from counterbias.cli.streams import is_terminal, say_line
from counterbias.errors import LONGEST_LINE, shown
from counterbias.messages import Messages

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Characters of a stage at most: the bar has the rest of the line.
_LONGEST_STAGE = 60


#: A finished stage is worth a line where nothing was said for so many seconds; one under way, after so many.
FINISHED, UNDER_WAY = 5.0, 30.0


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
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._stop()

    @property
    def progress(self) -> Callable[[str, int, int], None] | None:
        """What the pipeline is given: takes a stage, the steps done and all steps (0: not known); None where nothing is shown."""
        return self._advance if self.shown else None

    @property
    def messages(self) -> Messages:
        """What the pipeline is given: it writes here, and reports its progress here."""
        return Messages(self.say, self.progress, self.step, quiet=not self.shown)

    def say(self, text: str) -> None:
        """Write one line to stderr, above a bar that is there."""
        with self._lock:
            if self._bar is None:
                say_line(text)
            else:
                self._bar.console.print(
                    shown(text, LONGEST_LINE), markup=False, highlight=False, soft_wrap=True
                )

    def step(self, stage: str, done: int, total: int, text: str) -> None:
        """Tell of one step of a stage; what it was is for those who read lines."""
        if self.progress is not None:
            self.progress(stage, done, total)

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
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        # Without markup: a sample's name may hold brackets.
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._tasks = None, {}


class ProgressLines(TrainingBar):
    """Plain lines, for log files: one where a stage ends or goes on after a silence, with what remains. Safe to call from any thread.

    Args:
        clock: gives the time, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(True)
        self._clock = clock
        self._last = clock()
        self._begun: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Write one line to stderr."""
        with self._lock:
            self._say(text)

    def step(self, stage: str, done: int, total: int, text: str) -> None:
        """Tell of one step of a stage, each of which is worth a line after a silence."""
        with self._lock:
            begun = self._begun.setdefault(stage, self._clock())
            if self._clock() - self._last >= FINISHED:
                self._say(
                    f"{stage}: {done:,} of {total:,} steps done{_remaining(self._clock() - begun, done, total)}; {text}"
                )

    def _advance(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            now = self._clock()
            begun = self._begun.setdefault(stage, now)
            if total and done >= total:
                del self._begun[stage]
                if now - self._last >= FINISHED:
                    self._say(f"{stage}: done")
            elif now - self._last >= UNDER_WAY:
                of = f" of {total:,}" if total else ""
                self._say(f"{stage}: {done:,}{of} steps done{_remaining(now - begun, done, total)}")

    def _say(self, text: str) -> None:
        say_line(text)
        self._last = self._clock()


def _remaining(seconds: float, done: int, total: int) -> str:
    """Say how long the rest will take if it goes on as before; nothing where that cannot be told."""
    if not 0 < done < total or seconds < 1:
        return ""
    left = seconds / done * (total - done)
    return f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"


def training_bar(*, quiet: bool) -> TrainingBar:
    """Make what tells of a command's progress: nothing where ``quiet``, a bar on a terminal, lines elsewhere."""
    if quiet:
        return TrainingBar(False)
    return TrainingBar(True) if is_terminal() else ProgressLines()
