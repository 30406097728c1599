"""Run htseq-count and ``counterbias count`` on one command line and compare all that they write.

The same is done with htseq-count-barcodes and ``counterbias count-barcodes``.
"""

from __future__ import annotations

import contextlib
import difflib
import gzip
import importlib
import io
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from tests.helpers.messages import FIRST_RUN

#: Placeholder in a command line for the folder where a program writes.
OUT = "{out}"
#: How lines on stderr begin that only counterbias writes.
OWN = ("counterbias", FIRST_RUN)


@dataclass(frozen=True)
class Outcome:
    """What a program left behind.

    Args:
        status: its exit status.
        stdout: as text.
        stderr: its lines, without those that begin as :data:`OWN` does.
        own: these.
        files: name → content, uncompressed, of what it wrote into its folder.
    """

    status: int
    stdout: str
    stderr: tuple[str, ...]
    own: tuple[str, ...]
    files: dict[str, bytes]


def require_oracle() -> None:
    """Skip the test where HTSeq is not installed."""
    pytest.importorskip(
        "HTSeq.scripts.count", reason="htseq-count is the oracle of the differential tests"
    )


@contextlib.contextmanager
def _captured() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Catch what is printed, and let warnings go where htseq-count's own main sends them."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        # Python's default: the same text from the same place is shown once in a run.
        warnings.filterwarnings("default", category=UserWarning)
        yield out, err


def _outcome(status: int, out: str, err: str, folder: Path) -> Outcome:
    lines = err.splitlines()
    return Outcome(
        status=status,
        stdout=out,
        stderr=tuple(line for line in lines if not line.startswith(OWN)),
        own=tuple(line for line in lines if line.startswith(OWN)),
        files={path.name: content(path) for path in sorted(folder.iterdir())},
    )


def content(path: Path) -> bytes:
    """Return a file's bytes, those of a BAM file uncompressed: compression may differ."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".bam" and data.startswith(b"\x1f\x8b") else data


def _status(stop: SystemExit) -> int:
    return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def run_theirs(argv: Sequence[str], folder: Path, script: str = "count") -> Outcome:
    """Run htseq-count, or another of HTSeq's scripts, in this process."""
    module = importlib.import_module(f"HTSeq.scripts.{script}")
    line = ["htseq-count", *(word.replace(OUT, str(folder)) for word in argv)]
    status = 0
    with _captured() as (out, err), mock.patch.object(sys, "argv", line):
        try:
            module.main()
        except SystemExit as stop:
            status = _status(stop)
        except Exception as error:
            # What its main does not catch (opening the files) would be a traceback and status 1.
            status = 1
            err.write(f"  {error}\n")
    return _outcome(status, out.getvalue(), err.getvalue(), folder)


def run_ours(argv: Sequence[str], folder: Path, command: str = "count") -> Outcome:
    """Run ``counterbias count``, or another command, in this process."""
    from counterbias.cli import main

    with _captured() as (out, err):
        try:
            status = main([command, *(word.replace(OUT, str(folder)) for word in argv)])
        except SystemExit as stop:
            status = _status(stop)
    return _outcome(status, out.getvalue(), err.getvalue(), folder)


def run_program(
    command: Sequence[str], argv: Sequence[str], folder: Path, stdin: Path | None = None
) -> Outcome:
    """Run a program as a user does."""
    with open(stdin or "/dev/null", "rb") as stream:
        done = subprocess.run(
            [*command, *(word.replace(OUT, str(folder)) for word in argv)],
            stdin=stream,
            capture_output=True,
            text=True,
            check=False,
        )
    return _outcome(done.returncode, done.stdout, done.stderr, folder)


def htseq_count() -> list[str]:
    """Return the command of the installed htseq-count; skip the test where there is none."""
    found = shutil.which("htseq-count", path=sysconfig.get_path("scripts")) or shutil.which(
        "htseq-count"
    )
    if not found:
        pytest.skip("no htseq-count is installed here")
    return [found]


def counterbias_count() -> list[str]:
    """Return the command of this project's own program."""
    return [sys.executable, "-m", "counterbias", "count"]


def differences(theirs: Outcome, ours: Outcome) -> str:
    """Describe how the two differ; empty where they do not."""
    parts = []
    if theirs.status != ours.status:
        parts.append(
            f"exit status: htseq-count {theirs.status}, counterbias {ours.status}: {ours.own}"
        )
    texts = [
        ("stdout", theirs.stdout, ours.stdout),
        ("stderr", "\n".join(theirs.stderr), "\n".join(ours.stderr)),
    ]
    if theirs.files.keys() != ours.files.keys():
        parts.append(f"files: htseq-count {sorted(theirs.files)}, counterbias {sorted(ours.files)}")
    for name in theirs.files.keys() & ours.files.keys():
        texts.append(
            (name, theirs.files[name].decode("latin-1"), ours.files[name].decode("latin-1"))
        )
    for name, expected, got in texts:
        if expected != got:
            lines = difflib.unified_diff(
                expected.splitlines(),
                got.splitlines(),
                f"htseq-count {name}",
                f"counterbias {name}",
                n=0,
            )
            parts.append(
                "\n".join(list(lines)[:40]) or f"{name}: {expected[:300]!r} against {got[:300]!r}"
            )
    return "\n".join(parts)


def compare(argv: Sequence[str], folder: Path) -> Outcome:
    """Run both, fail if they differ, and return htseq-count's outcome."""
    theirs_folder, ours_folder = folder / "theirs", folder / "ours"
    theirs_folder.mkdir(exist_ok=True)
    ours_folder.mkdir(exist_ok=True)
    theirs, ours = run_theirs(argv, theirs_folder), run_ours(argv, ours_folder)
    found = differences(theirs, ours)
    assert not found, f"{' '.join(argv)}\n{found}"
    return theirs
