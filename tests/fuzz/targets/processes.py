"""Whole commands that are stopped, run out of disk space or lose their input at any moment.

After SIGTERM and SIGINT, nothing half-written is left in the folders of the output and of temporary
files. After SIGKILL, which no program can handle, the next run cleans up and writes what it would
have written anyway. If the disk is full, or an input is cut or replaced, there is a message of one
line and no output file, or the right output if all was read or written before.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from tests.fuzz import scratch
from tests.fuzz.case import Case
from tests.fuzz.timeless import timeless

#: Seconds that an input may take: several runs of a command.
HANG = 240
#: Command → arguments, with a placeholder for the output folder. It runs in the folder of inputs.
BIAS = ["--bias-genome", "genome.fa"]
COMMANDS = {
    "count": [
        "count", "-q", "--bias-model", "pwm", *BIAS, "--bias-output", "{out}/w",
        "-c", "{out}/c.tsv", "-o", "{out}/o.bam", "-p", "BAM", "sample1.name.bam", "genes.gtf",
    ],
    "count_sam": [
        "count", "-q", "-r", "pos", "-c", "{out}/c.tsv", "-o", "{out}/o.sam", "-o", "{out}/p.sam",
        "sample1.name.bam", "sample2.name.bam", "genes.gtf",
    ],
    "compare": [
        "compare", "-q", "-o", "{out}/compared", "--models", "pwm,vlmm", "--folds", "2",
        "--seeds", "1", "--no-figures", *BIAS, "sample1.name.bam", "genes.gtf",
    ],
    "train": [
        "train", "-q", "-o", "{out}/m.model", "--bias-model", "pwm", *BIAS,
        "sample1.name.bam", "sample2.name.bam", "genes.gtf",
    ],
    "simulate": [
        "simulate", "-q", "-o", "{out}/simulated", "--genes", "40", "--pairs", "2000",
        "--seed", "4", "--fastq",
    ],
}  # fmt: skip
SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "KILL": signal.SIGKILL}


def mutate(rng: random.Random) -> Case:
    """Draw a command, and an event at a share of its running time or of its largest file."""
    event = rng.choice(("TERM", "TERM", "INT", "KILL", "full", "cut", "replaced"))
    command = rng.choice(list(COMMANDS))
    while event in ("cut", "replaced") and command == "simulate":
        command = rng.choice(list(COMMANDS))
    file = rng.choice(("sample1.name.bam", "genes.gtf", "genome.fa"))
    # Half of the signals come soon after the first file has appeared.
    seen = rng.random() < 0.5
    moment = 0.1 * rng.random() if seen and event in SIGNALS else rng.random() ** 0.7
    return Case(
        [],
        {
            "command": command,
            "event": event,
            "seen": seen,
            "moment": moment,
            "file": file,
            "keep": rng.random(),
        },
    )


def _run(
    arguments: Sequence[str],
    inputs: Path,
    out: Path,
    temporary: Path,
    *,
    limit: int | None = None,
    meanwhile: Callable[[subprocess.Popen[str]], None] | None = None,
) -> tuple[int, str]:
    """Run a command in the folder of inputs. Return its exit status and stderr.

    ``meanwhile`` is called with the process, ``limit`` is the maximum size of a file in bytes.
    """

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = [argument.replace("{out}", str(out)) for argument in arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "counterbias", *words],
        cwd=inputs,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=restrict if limit is not None else None,
    )
    thread = threading.Thread(target=meanwhile, args=(process,)) if meanwhile else None
    if thread:
        thread.start()
    try:
        _, stderr = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError("it did not end within a minute") from None
    finally:
        if thread:
            thread.join()
    return process.returncode, stderr


def _files(folder: Path) -> dict[str, Path]:
    return {
        str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()
    }


@lru_cache(maxsize=1)
def _inputs() -> Path:
    """Simulate the inputs, once."""
    folder = scratch.folder("processes") / "inputs"
    words = [
        "simulate",
        "-q",
        "-o",
        str(folder),
        "--genes",
        "30",
        "--pairs",
        "3000",
        "--samples",
        "2",
        "--order",
        "name",
        "--seed",
        "3",
    ]
    subprocess.run([sys.executable, "-m", "counterbias", *words], check=True)
    return folder


@lru_cache(maxsize=len(COMMANDS))
def _reference(command: str) -> tuple[dict[str, bytes], float, int]:
    """Run a command undisturbed. Return its output, its running time and its largest file size."""
    out, temporary = _folders()
    began = time.monotonic()
    status, stderr = _run(COMMANDS[command], _inputs(), out, temporary)
    seconds = time.monotonic() - began
    assert status == 0, stderr
    files = _files(out)
    return (
        {name: timeless(path) for name, path in files.items()},
        seconds,
        max(path.stat().st_size for path in files.values()),
    )


def _folders() -> tuple[Path, Path]:
    """Return empty folders for the output and for temporary files."""
    made = []
    for name in ("out", "temporary"):
        folder = scratch.folder("processes") / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        made.append(folder)
    return made[0], made[1]


def _check_files(out: Path, expected: dict[str, bytes], *, whole: bool) -> None:
    """Check that all files are complete output, and with ``whole``, that none is missing."""
    found = _files(out)
    unknown = sorted(set(found) - set(expected))
    assert not unknown, f"left behind: {unknown}"
    assert not whole or set(found) == set(expected), (
        f"missing: {sorted(set(expected) - set(found))}"
    )
    for name, path in found.items():
        assert timeless(path) == expected[name], f"other bytes: {name}"


def _check_message(stderr: str, status: int) -> None:
    """Check that stderr ends with a message of one line."""
    lines = stderr.splitlines()
    assert "Traceback" not in stderr, f"traceback: {stderr[-600:]}"
    last = lines[-1] if lines else ""
    assert last.startswith("counterbias"), f"status {status}, stderr {stderr[-600:]!r}"


def check(case: Case) -> str:
    """Run the command, let the event happen, and check what is left."""
    command, event, moment = case.options["command"], case.options["event"], case.options["moment"]
    expected, seconds, largest = _reference(command)
    out, temporary = _folders()
    if event in SIGNALS:
        return _ended(case, seconds, expected, (out, temporary))
    if event == "full":
        limit = int(moment * largest)
        status, stderr = _run(COMMANDS[command], _inputs(), out, temporary, limit=limit)
    else:
        status, stderr = _disturbed(case, moment * seconds, out, temporary)
    assert not _files(temporary), f"left behind in TMPDIR: {sorted(_files(temporary))}"
    if status == 0 and event in ("cut", "replaced") and not case.options["file"].endswith(".bam"):
        # It cannot be seen that a text was cut, unless within a line.
        assert set(_files(out)) == set(expected), f"files: {sorted(_files(out))}"
        return f"{command}: {event}: done, perhaps with the shorter text"
    if status == 0:
        _check_files(out, expected, whole=True)
        return f"{command}: {event}: done"
    assert status == 1, f"status {status}: {stderr[-600:]}"
    _check_message(stderr, status)
    _check_files(out, expected, whole=False)
    return f"{command}: {event}: refused"


def _ended(
    case: Case, seconds: float, expected: dict[str, bytes], folders: tuple[Path, Path]
) -> str:
    """Send a signal. After SIGKILL, run the command again."""
    command, event, moment = case.options["command"], case.options["event"], case.options["moment"]
    out, temporary = folders

    def end(process: subprocess.Popen[str]) -> None:
        while case.options["seen"] and process.poll() is None and not any(out.rglob("*")):
            time.sleep(0.002)
        try:
            process.wait(moment * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(SIGNALS[event])

    began = time.monotonic()
    status, stderr = _run(COMMANDS[command], _inputs(), out, temporary, meanwhile=end)
    if status == 0:
        _check_files(out, expected, whole=True)
        return f"{command}: {event}: came too late"
    if event == "KILL":
        # simulate only writes to a folder that is not empty with this option.
        force = ["--force"] if command == "simulate" else []
        again, more = _run([*COMMANDS[command], *force], _inputs(), out, temporary)
        assert again == 0, f"the next run fails: {more[-600:]}"
        _check_files(out, expected, whole=True)
        return f"{command}: {event}: the next run is right"
    if time.monotonic() - began > 0.7:
        # Before that, the interpreter itself may still be starting.
        assert "Traceback" not in stderr, f"traceback: {stderr[-600:]}"
    assert status in (130, 143, -signal.SIGTERM, -signal.SIGINT), (
        f"status {status}: {stderr[-600:]}"
    )
    _check_files(out, expected, whole=False)
    assert not _files(temporary), f"left behind in TMPDIR: {sorted(_files(temporary))}"
    return f"{command}: {event}: ended"


def _disturbed(case: Case, delay: float, out: Path, temporary: Path) -> tuple[int, str]:
    """Cut or replace an input while the command runs."""
    copied = scratch.folder("processes") / "copied"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(_inputs(), copied)
    path = copied / case.options["file"]
    keep = int(case.options["keep"] * path.stat().st_size)

    def disturb(process: subprocess.Popen[str]) -> None:
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            if case.options["event"] == "cut":
                os.truncate(path, keep)
            else:
                other = copied / "other"
                other.write_bytes(path.read_bytes()[:keep])
                os.replace(other, path)

    return _run(COMMANDS[case.options["command"]], copied, out, temporary, meanwhile=disturb)
