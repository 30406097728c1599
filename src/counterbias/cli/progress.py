"""Progress of long stages on stderr: a bar on a terminal, an occasional line elsewhere.

Counting has a bar too; elsewhere it is reported by htseq-count's lines, which come by themselves.
With ``--quiet`` there is neither. rich, which draws the bar, is imported with the first step that
is reported, so that it costs ``--help`` and plain counting nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from counterbias.cli.streams import is_terminal, write_line
from counterbias.errors import LONGEST_LINE, shown
from counterbias.messages import CountingCallback, Messages, ProgressCallback

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Most characters of a stage's name: the bar has the rest of the line.
_LONGEST_STAGE = 60
#: Seconds of silence after which a line reports that a stage has finished, or is under way.
FINISHED, UNDER_WAY = 5.0, 30.0
#: Seconds of counting before a bar appears, since a short count should not wait for rich; and
#: between two changes of it. Each time that rich draws it takes milliseconds.
PATIENCE, INTERVAL = 2.0, 0.5


class ProgressBar:
    """One bar per stage that is under way, which disappears when the stage is done.

    Safe to call from any thread.

    Args:
        shown: whether to show anything.
        clock: returns the time in seconds.
    """

    def __init__(self, shown: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.shown = shown
        self._clock = clock
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._due: dict[str, float] = {}

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._stop()

    @property
    def progress(self) -> ProgressCallback | None:
        """Callback for a stage, the steps done and the steps in all; None where none is shown."""
        return self._advance if self.shown else None

    @property
    def counting(self) -> CountingCallback | None:
        """Callback for the file that is counted; None where no bar is shown."""
        return self._count if self.shown else None

    @property
    def messages(self) -> Messages:
        """What the pipeline is given: it writes its messages and reports its progress here."""
        return Messages(
            self.write, self.progress, self.step, quiet=not self.shown, counting=self.counting
        )

    def write(self, text: str) -> None:
        """Write one line to stderr, above the bars."""
        with self._lock:
            if self._bar is None:
                write_line(text)
            else:
                self._bar.console.print(
                    shown(text, LONGEST_LINE), markup=False, highlight=False, soft_wrap=True
                )

    def step(self, stage: str, done: int, total: int, text: str) -> None:
        """Report a step of a stage; what was done in it is for lines only."""
        if self.progress is not None:
            self.progress(stage, done, total)

    def _advance(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            if total and done >= total:
                self._end(stage)
                return
            amount = f"{done:{len(str(total))}d}/{total or '?'}"
            self._show(stage, stage, done, total, amount)

    def _count(self, file: str, done: int, total: int, counted: str) -> None:
        key, name = f"counting {file}", "standard input" if file == "-" else os.path.basename(file)
        with self._lock:
            now = self._clock()
            if not counted:
                self._due.pop(file, None)
                self._end(key)
            elif now >= self._due.setdefault(file, now + PATIENCE):
                self._due[file] = now + INTERVAL
                share = f"{100 * done // total}%, " if total else ""
                self._show(key, f"counting {name}", done, total, f"{share}{counted}")

    def _show(self, stage: str, name: str, done: int, total: int, amount: str) -> None:
        """Show how far a stage is: on the bar by numbers, next to it by a text."""
        bar = self._bar or self._start()
        if stage not in self._tasks:
            self._tasks[stage] = bar.add_task(
                shown(name, _LONGEST_STAGE), total=total or None, amount=amount
            )
        bar.update(self._tasks[stage], completed=done, total=total or None, amount=amount)

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
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        # Without markup: a sample's name may hold brackets.
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeRemainingColumn(),
        )
        console, per_second = Console(stderr=True), 1 / INTERVAL
        self._bar = Progress(
            *columns, console=console, transient=True, refresh_per_second=per_second
        )
        self._bar.start()
        return self._bar

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._tasks = None, {}


class ProgressLines(ProgressBar):
    """Lines for log files: after a silence, one where a stage ends or goes on, with the time left.

    Safe to call from any thread.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(True, clock)
        self._last = clock()
        self._begun: dict[str, float] = {}

    @property
    def counting(self) -> None:
        """None: htseq-count's lines report how far the counting is."""
        return None

    def write(self, text: str) -> None:
        """Write one line to stderr."""
        with self._lock:
            self._write(text)

    def step(self, stage: str, done: int, total: int, text: str) -> None:
        """Report a step of a stage, each of which is worth a line after a silence."""
        with self._lock:
            begun = self._begun.setdefault(stage, self._clock())
            if self._clock() - self._last >= FINISHED:
                remaining = _remaining(self._clock() - begun, done, total)
                self._write(f"{stage}: {done:,} of {total:,} steps done{remaining}; {text}")

    def _advance(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            now = self._clock()
            begun = self._begun.setdefault(stage, now)
            if total and done >= total:
                del self._begun[stage]
                if now - self._last >= FINISHED:
                    self._write(f"{stage}: done")
            elif now - self._last >= UNDER_WAY:
                of = f" of {total:,}" if total else ""
                self._write(
                    f"{stage}: {done:,}{of} steps done{_remaining(now - begun, done, total)}"
                )

    def _write(self, text: str) -> None:
        write_line(text)
        self._last = self._clock()


def _remaining(seconds: float, done: int, total: int) -> str:
    """Estimate how long the rest will take, as text; empty where that cannot be known."""
    if not 0 < done < total or seconds < 1:
        return ""
    left = seconds / done * (total - done)
    return f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"


def progress_display(*, quiet: bool) -> ProgressBar:
    """Return what shows progress: nothing where ``quiet``, bars on a terminal, lines elsewhere."""
    if quiet:
        return ProgressBar(False)
    return ProgressBar(True) if is_terminal() else ProgressLines()
