"""Run programs as separate processes, and measure their time and memory."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: A separate process without numpy starts each program: on Linux, the peak memory of a child
#: process includes that of the process it was forked from. Arguments: the file for the figures, the
#: file for stdout, the command.
LAUNCHER = """
import json, os, sys, time
figures, stdout, *command = sys.argv[1:]
out = os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
started = time.perf_counter()
actions = [(os.POSIX_SPAWN_DUP2, out, 1)]
child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - started
peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
cpu = usage.ru_utime + usage.ru_stime
with open(figures, "w") as stream:
    json.dump({"wall": seconds, "cpu": cpu, "peak": peak, "status": status}, stream)
"""

#: The figures of one run: wall and CPU time (s), peak memory (bytes), load average at its start.
Figures = dict[str, float]


class Runner:
    """Run commands and measure them.

    Args:
        folder: where the folder for what the commands write is made anew.
        environment: variables that differ from those of this process; None removes one.
        user: name of the user who runs the commands; only root can choose one.
        python: interpreter that starts them, which the user has to be able to run.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str | None] | None = None,
        user: str | None = None,
        python: str = sys.executable,
    ) -> None:
        self.folder, self._python = folder / "runs", python
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self._identity: dict[str, Any] = {}
        if user is not None:
            group = pwd.getpwnam(user).pw_gid
            shutil.chown(self.folder, user, group)
            self._identity = {"user": user, "group": group, "extra_groups": []}
        # Python's own compiled modules are kept, as they are for packages installed with pip.
        changes = {"PYTHONDONTWRITEBYTECODE": None, **(environment or {})}
        kept = {name: value for name, value in os.environ.items() if name not in changes}
        self.environment = kept | {k: value for k, value in changes.items() if value is not None}

    def run(self, command: list[str], stdout: str = "stdout.txt") -> Figures:
        """Run one command and return its figures.

        Raises:
            RuntimeError: the command failed, or the user cannot run the interpreter.
        """
        figures, load = self.folder / "figures.json", os.getloadavg()[0]
        # Isolated and without site-packages, the launcher stays small.
        launcher = [self._python, "-I", "-S", "-c", LAUNCHER, str(figures)]
        with (self.folder / "stderr.txt").open("w") as stderr:
            try:
                subprocess.run(
                    [*launcher, str(self.folder / stdout), *command],
                    check=True,
                    cwd=self.folder,
                    env=self.environment,
                    stderr=stderr,
                    **self._identity,
                )
            except OSError as error:
                raise RuntimeError(f"{self._python} cannot be run: {error.strerror}") from error
        result: Figures = json.loads(figures.read_text())
        if result.pop("status"):
            tail = (self.folder / "stderr.txt").read_text().strip().splitlines()[-5:]
            raise RuntimeError(f"{' '.join(command)} failed:\n" + "\n".join(tail))
        return {**result, "load": load}

    def output(self, name: str = "stdout.txt") -> bytes:
        """Return what a command wrote to stdout."""
        return (self.folder / name).read_bytes()


def find(program: str) -> str | None:
    """Return the path of a program: next to this Python, or in the search path."""
    neighbour = Path(sys.executable).with_name(program)
    return str(neighbour) if neighbour.exists() else shutil.which(program)


def warm(path: Path) -> None:
    """Read a file once, so that every program finds it in the page cache."""
    with path.open("rb") as stream:
        while stream.read(1 << 24):
            pass


def median(runs: Sequence[Figures], key: str) -> float:
    """Return the median of one figure over runs."""
    return statistics.median(run[key] for run in runs)


def spread(runs: Sequence[Figures], key: str) -> str:
    """Return the median of one figure in seconds and, of several runs, the smallest and largest."""
    values = [run[key] for run in runs]
    text = f"{statistics.median(values):.2f}"
    return text if len(values) == 1 else f"{text} ({min(values):.2f}–{max(values):.2f})"


def loads(runs: Sequence[Figures]) -> str:
    """Return the smallest and largest load average at the start of runs."""
    values = [run["load"] for run in runs]
    return f"load average {min(values):.1f} to {max(values):.1f}"


def run_script(main: Callable[[], object]) -> None:
    """Run a benchmark's ``main``; where a program fails, end with one line that says so."""
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
