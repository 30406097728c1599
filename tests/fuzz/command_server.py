"""``python -m tests.fuzz.command_server``: run commands one after the other in this process.

Each line of standard input asks for one, as JSON: its number, the folder to run it in, and its
words. Standard output and error go to files there; the answer is a line with number and status.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence

#: Seconds after which a command ends this process: the first one compiles for a minute.
LIMIT = 200


def main() -> None:
    """Answer until standard input ends."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in requests:
        asked = json.loads(line)
        os.chdir(asked["folder"])
        for number, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, number)
            os.close(file)
        # The system ends the process, for nothing interrupts a compiled loop.
        signal.alarm(LIMIT)
        status = _status(asked["words"])
        signal.alarm(0)
        os.write(answers, json.dumps([asked["number"], status]).encode() + b"\n")


def _status(words: Sequence[str]) -> int | str:
    """Run a command; return its exit status."""
    from counterbias.cli import main as run

    try:
        status: int | str = run(words)
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:
        traceback.print_exc()
        status = f"an exception: {type(error).__name__}"
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    main()
