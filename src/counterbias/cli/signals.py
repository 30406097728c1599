"""Signals that end a run: Ctrl-C, SIGTERM (a batch system ends the job), SIGHUP (no more terminal).

Each ends the run as an exception would: whatever was begun is cleaned up on the way out, one line
says so, and the exit status is 128 plus the signal's number, as shells expect. A compiled loop does
not see exceptions, and a thread in one is waited for. Therefore a separate thread receives the
signal at once; where the run has not ended :data:`GRACE` seconds later, or at a second signal, it
removes what was begun and ends the process itself.

Signals that were ignored when the program was started (``nohup``, jobs in the background) stay
ignored, and a program that calls :func:`counterbias.cli.main` keeps its own handlers.
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

#: Seconds that a run is given to end by itself.
GRACE = 1.0
#: The signals, and what the message calls them.
NAMES = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "ended by SIGTERM",
    signal.SIGHUP: "ended by SIGHUP",
}
#: The handlers of a process that has set none.
_NOT_SET = (signal.SIG_DFL, signal.default_int_handler)

Main = Callable[..., int]


class Stopped(KeyboardInterrupt):
    """A signal has ended the run; handled wherever Ctrl-C is."""


def is_ending() -> bool:
    """Whether a signal is ending the run.

    Whatever fails then fails for that reason, as does a package that was being imported.
    """
    return any(ending.received for ending in _endings)


def ends_by_signal(main: Main) -> Main:
    """Let signals end a command's ``main``, which may be called within another program.

    The decorated function returns the exit status.
    """

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
    """One run, and the signals it receives.

    Args:
        alone: whether the process ends with the run.
    """

    def __init__(self, alone: bool) -> None:
        self.alone = alone
        #: Once set, a signal comes too late to change anything.
        self.over = False
        self.received = 0
        self._reported = threading.Lock()
        self._before: dict[signal.Signals, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1
        self._hook = sys.unraisablehook

    def listen(self) -> None:
        """Set the handlers; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        handled = [number for number in NAMES if signal.getsignal(number) in _NOT_SET]
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        threading.Thread(
            target=self._watch,
            args=(self._pipe[0], frozenset(handled)),
            daemon=True,
            name="signals",
        ).start()
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        for number in handled:
            self._before[number] = signal.signal(number, self._handle)

    def close(self) -> None:
        """Restore the handlers that were there before."""
        if self._pipe is None:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._pipe[1])  # ends the thread, which closes the other side

    def end(self) -> int:
        """Clean up, report why the run ends, and return the exit status.

        A process of its own is ended at once: it would wait for threads that are still at work.
        """
        self.received = self.received or signal.SIGINT
        _abandon()
        self._report()
        if self.alone:
            os._exit(128 + self.received)
        return 128 + self.received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Turn the first signal into an exception, in the main thread."""
        if not self.over and not self.received:
            self.received = number
            raise Stopped

    def _unraisable(self, problem: Any) -> None:
        """Ignore our exception where it cannot be raised, as in a destructor.

        The thread then ends the run.
        """
        if not isinstance(problem.exc_value, Stopped):
            self._hook(problem)

    def _watch(self, pipe: int, handled: frozenset[int]) -> None:
        """Wait for a signal; end the process if it does not end by itself."""
        number = 0
        # The pipe is open for as long as signals are written to it: to the end of the run.
        while number not in handled or self.over:
            received = os.read(pipe, 1)
            if not received:
                os.close(pipe)
                return
            number = received[0]
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if poll.poll(GRACE * 1000) and not os.read(pipe, 1):
            os.close(pipe)
            return
        self.received = self.received or number
        _abandon()
        self._report()
        os._exit(128 + self.received)

    def _report(self) -> None:
        """Write once why the run ends, where somebody can read it."""
        if sys.stderr is None or not self._reported.acquire(blocking=False):
            return
        reason = NAMES[signal.Signals(self.received)]
        line = f"counterbias: {reason}; no output file was left half written\n"
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
    """Remove unfinished files. Nothing is imported: another thread may be stuck in an import."""
    partial = sys.modules.get("counterbias.files.partial")
    if partial is not None:
        partial.abandon()
