"""Signals that end a run: Ctrl-C, SIGTERM (how batch systems end a job) and SIGHUP (the terminal is gone).

Each ends the run as an exception would: whatever was begun is cleaned up on the way out, one line says so, and the exit status is 128 plus
the signal's number, as shells expect. A compiled loop does not see exceptions, and a thread in one is waited for. So a thread of its own
hears of the signal at once, and where the run has not ended :data:`GRACE` seconds later, or at a second signal, it removes what was begun
and ends the process itself.

Signals that were ignored when the program was started (``nohup``, jobs in the background) stay ignored, and so do the handlers of a program
that calls :func:`counterbias.cli.main`.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from types import FrameType
from typing import Any

#: Seconds that a run has to end by itself.
GRACE = 1.0
#: The signals, and what a user calls them; what stands in for a handler where nobody has set one.
NAMES = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "ended by SIGTERM",
    signal.SIGHUP: "ended by SIGHUP",
}
_NOT_SET = (signal.SIG_DFL, signal.default_int_handler)

Main = Callable[..., int]


class Stopped(KeyboardInterrupt):
    """A signal has ended the run; handled wherever Ctrl-C is."""


def have_come() -> bool:
    """Tell whether a signal is ending the run: whatever fails then fails for that reason, as a package does that was being imported."""
    return any(ending.received for ending in _endings)


def ends_by_signal(main: Main) -> Main:
    """Let signals end a command's ``main``, which gives the exit status. It may be called within another program."""

    @wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        ending = _Ending(alone=argv is None)
        _endings.append(ending)
        try:
            ending.listen()
            status = main(argv)
            ending.over = True
            return status
        except KeyboardInterrupt:
            return ending.end()
        finally:
            ending.over = True
            ending.close()
            _endings.remove(ending)

    return run


class _Ending:
    """One run, and the signals that it gets. ``alone``: whether the process ends with it."""

    def __init__(self, alone: bool) -> None:
        self.alone = alone
        #: Once set, a signal comes too late to change anything.
        self.over = False
        self.received = 0
        self._told = threading.Lock()
        self._before: dict[signal.Signals, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1
        self._hook = sys.unraisablehook

    def listen(self) -> None:
        """Set the handlers; in another thread than the main one there can be none."""
        if threading.current_thread() is not threading.main_thread():
            return
        heard = [number for number in NAMES if signal.getsignal(number) in _NOT_SET]
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        threading.Thread(
            target=self._watch, args=(self._pipe[0], frozenset(heard)), daemon=True, name="signals"
        ).start()
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        for number in heard:
            self._before[number] = signal.signal(number, self._handle)

    def close(self) -> None:
        """Put back what was there before."""
        if self._pipe is None:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._pipe[1])  # ends the thread, which closes the other side

    def end(self) -> int:
        """Clean up, say why the run ends, and give the exit status, or end the process: threads may be at work that it would wait for."""
        self.received = self.received or signal.SIGINT
        _abandon()
        self._tell()
        if self.alone:
            os._exit(128 + self.received)
        return 128 + self.received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Turn the first signal into an exception, in the main thread."""
        if not self.over and not self.received:
            self.received = number
            raise Stopped

    def _unraisable(self, problem: Any) -> None:
        """Keep quiet of an exception of ours that came where none can be raised, as in a destructor: the thread ends the run."""
        if not isinstance(problem.exc_value, Stopped):
            self._hook(problem)

    def _watch(self, pipe: int, heard: frozenset[int]) -> None:
        """Wait for a signal, in a thread of its own; end the process where it does not end by itself."""
        number = 0
        # The pipe is open for as long as signals are written to it: to the end of the run.
        while number not in heard or self.over:
            told = os.read(pipe, 1)
            if not told:
                os.close(pipe)
                return
            number = told[0]
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if poll.poll(GRACE * 1000) and not os.read(pipe, 1):
            os.close(pipe)
            return
        self.received = self.received or number
        _abandon()
        self._tell()
        os._exit(128 + self.received)

    def _tell(self) -> None:
        """Say once why the run ends, unless nobody can hear it."""
        if sys.stderr is None or not self._told.acquire(blocking=False):
            return
        line = f"counterbias: {NAMES[signal.Signals(self.received)]}; no output file was left half written\n"
        with suppress(OSError, ValueError):
            if sys.stderr.isatty():
                line = f"\x1b[?25h{line}"  # a progress bar may have hidden the cursor
            descriptor = sys.stderr.fileno()
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            if poll.poll(0):  # a full pipe would be waited for
                os.write(descriptor, line.encode())


#: The runs under way: a program may call one within another.
_endings: list[_Ending] = []


def _abandon() -> None:
    """Remove what was begun to be written. Nothing is imported: another thread may be importing and never go on."""
    partial = sys.modules.get("counterbias.files.partial")
    if partial is not None:
        partial.abandon()
