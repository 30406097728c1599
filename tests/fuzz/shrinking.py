"""Make a failing input small: leave parts out, then bytes, as long as it fails in the same way."""

from __future__ import annotations

import faulthandler
import os
import pickle
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator

from tests.fuzz import scratch
from tests.fuzz.case import Case


def failure_kind(error: BaseException) -> str:
    """Give what makes two failures the same: the exception's type, its first words and where it was raised."""
    words = " ".join(str(error).split())
    words = re.sub(r"-?\d[\d.e+-]*|0x[0-9a-f]+", "N", words)
    words = re.split(r"[:(\[{'\"]", words)[0][:60].strip()
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if f"{os.sep}tests{os.sep}" not in frame.filename
    ]
    place = ""
    if frames and not isinstance(error, AssertionError):
        place = f" in {os.path.basename(frames[-1].filename)}, {frames[-1].name}"
    return f"{type(error).__name__}: {words}{place}"


def outcome_in_child(check: Callable[[Case], str], case: Case, limit: float) -> str:
    """Check an input in a forked child; gives ``""`` where all is well, otherwise the kind of failure."""
    scratch.prepare()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Other threads, if there are any, wait for messages only.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        kind = ""
        try:
            os.close(reading)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(limit) + 1)
            # What a child says while it fails was said before.
            faulthandler.disable()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            check(case)
        except BaseException as error:
            kind = failure_kind(error)
        os.write(writing, pickle.dumps(kind))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "hang" if number == signal.SIGALRM else f"crash: {signal.Signals(number).name}"
    return str(pickle.loads(told)) if told else "crash: exit"


def _smaller(case: Case) -> Iterator[Case]:
    """Give candidates, the boldest first."""
    parts = case.parts
    size = len(parts) // 2
    while size >= 1:
        for start in range(0, len(parts), size):
            yield Case(parts[:start] + parts[start + size :], case.options)
        size //= 2
    for number, part in enumerate(parts):
        size = len(part) // 2
        while size >= 1:
            # At most so many places per size: this is to make reading easier, not to find the smallest there is.
            for start in range(0, len(part), max(size, len(part) // 16)):
                yield Case(
                    [*parts[:number], part[:start] + part[start + size :], *parts[number + 1 :]],
                    case.options,
                )
            size //= 2


def shrink(
    check: Callable[[Case], str],
    case: Case,
    kind: str,
    seconds: float,
    *,
    hang: float,
    alive: Callable[[], None] = lambda: None,
) -> Case:
    """Give the smallest case found in ``seconds`` that fails as ``kind`` says."""
    ends = time.monotonic() + seconds
    found = True
    while found:
        found = False
        for candidate in _smaller(case):
            alive()
            if time.monotonic() > ends:
                return case
            if outcome_in_child(check, candidate, limit=hang) == kind:
                case, found = candidate, True
                break
    return case


def flush() -> None:
    """Leave nothing in buffers that a forked child would write a second time."""
    sys.stdout.flush()
    sys.stderr.flush()
