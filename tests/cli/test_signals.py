"""Signals that end a run: Ctrl-C, SIGTERM of a batch system, SIGHUP of a lost terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from counterbias.cli import main
from tests.helpers.output_inputs import COMMAND, MANY, bias, make_inputs, names, partials

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds that anything may take on a busy machine.
PATIENCE = 120.0
#: An option with which networks are trained for long enough to be interrupted.
LONG = "min_steps=200000"
#: A command that spends a minute where no exception is seen and the interpreter's lock is free, as
#: in a compiled loop.
DEAF = """
import hashlib, sys, types
from counterbias import cli
from counterbias.files import whole_text
def loop():
    try:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000_000)
    finally:
        open("the loop was waited for", "w").close()
def deaf(argv):
    with whole_text("x.tsv") as stream:
        stream.write("half")
        if argv:
            from concurrent.futures import ThreadPoolExecutor
            with ThreadPoolExecutor(1) as pool:
                pool.submit(loop).result()
        loop()
    return 0
sys.modules["deaf"] = types.ModuleType("deaf")
sys.modules["deaf"].main = deaf
cli.COMMANDS["deaf"] = ("deaf", "")
sys.exit(cli.main())
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with inputs; temporary files go to its folder ``t``."""
    make_inputs(tmp_path, MANY)
    (tmp_path / "t").mkdir()
    return tmp_path


def heed_all() -> None:
    """Restore the signals that the tests' own parents ignore."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)


class Run:
    """A run of the command, with standard input open and standard error caught."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        command: Sequence[str] = COMMAND,
        before: Callable[[], None] = heed_all,
    ) -> None:
        self.folder, self.inputs = folder, names(folder)
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(folder / "t")},
            preexec_fn=before,
        )

    def feed(self, content: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def await_that(self, condition: Callable[[], Any]) -> None:
        """Wait until the condition holds, or the run has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while not condition() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def await_partial(self) -> None:
        self.await_that(lambda: partials(names(self.folder)))
        assert self.process.poll() is None, (
            self.process.stderr.read() if self.process.stderr else ""
        )

    def stop(self, *numbers: int) -> str:
        """Send signals; return what the run has written to stderr by its end."""
        for number in numbers:
            self.process.send_signal(number)
        return self.end()

    def end(self) -> str:
        _, error = self.process.communicate(timeout=PATIENCE)
        return error.decode()

    def check_ended_by(self, number: int, error: str) -> None:
        """Check the status, the message and that nothing is left."""
        assert self.process.returncode == 128 + number, error
        words = {
            signal.SIGINT: "interrupted",
            signal.SIGTERM: "ended by SIGTERM",
            signal.SIGHUP: "ended by SIGHUP",
        }
        assert (
            error.splitlines()[-1]
            == f"counterbias: {words[signal.Signals(number)]}; no output file was left half written"
        ), error
        assert "Traceback" not in error
        assert error.count("counterbias: ") == 1, error
        assert names(self.folder) == self.inputs


def reads(folder: Path) -> bytes:
    return (folder / "reads.bam").read_bytes()[:-28]


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_while_alignments_are_written(files: Path, number: signal.Signals, processes: str) -> None:
    words = [
        "count",
        "-q",
        "-n",
        processes,
        "-c",
        "c.tsv",
        "-o",
        "o.sam",
        "-o",
        "o2.sam",
        *bias("p"),
        "-",
        "reads.bam",
        "genes.gtf",
    ]
    run = Run(files, *words)
    run.feed(reads(files))
    run.await_that(lambda: [name for name in partials(names(files)) if name.startswith(".o.sam")])
    # Complete files stay: the genome's index, and what another process has finished.
    (files / "genome.fa.fai").unlink()
    error = run.stop(number)
    (files / "o2.sam").unlink(missing_ok=True)
    run.check_ended_by(number, error)


def test_a_second_signal_is_no_trouble(files: Path) -> None:
    for numbers in (
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGHUP),
    ):
        run = Run(files, "count", "-q", "-c", "c.tsv", "-o", "o.sam", "-", "genes.gtf")
        run.feed(reads(files))
        run.await_partial()
        error = run.stop(*numbers)
        # Signals that are sent at once may be handled in any order.
        assert run.process.returncode - 128 in numbers
        run.check_ended_by(run.process.returncode - 128, error)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6, 1.0, 1.6])
def test_at_any_moment(files: Path, delay: float) -> None:
    """From the interpreter's start, when the system ends it, until the command is done."""
    run = Run(
        files,
        "count",
        "-q",
        "-c",
        "c.tsv",
        "-o",
        "o.bam",
        "-p",
        "BAM",
        *bias(),
        "--bias-threads",
        "2",
        "reads.bam",
        "genes.gtf",
    )
    time.sleep(delay)
    error = run.stop(signal.SIGTERM)
    assert run.process.returncode in (0, 128 + signal.SIGTERM, -signal.SIGTERM), error
    assert "Traceback" not in error
    assert "Exception ignored" not in error
    assert not partials(names(files))
    assert os.listdir(files / "t") == []


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_a_long_compiled_loop(tmp_path: Path, number: signal.Signals, where: str) -> None:
    words = ["deaf"] if where == "main" else ["deaf", "thread"]
    run = Run(tmp_path, *words, command=[sys.executable, "-c", DEAF])
    run.await_partial()
    time.sleep(0.2)
    run.check_ended_by(number, run.stop(number))


def test_while_a_cohort_is_read(files: Path) -> None:
    words = [
        "train",
        "-q",
        "--bias-model",
        "pwm",
        "--bias-genome",
        "genome.fa",
        "-o",
        "m.model",
        "reads.bam",
        "-",
        "genes.gtf",
    ]
    run = Run(files, *words)
    run.feed(reads(files))
    run.await_that((files / "genome.fa.fai").exists)
    time.sleep(0.5)
    error = run.stop(signal.SIGTERM)
    (files / "genome.fa.fai").unlink()
    run.check_ended_by(signal.SIGTERM, error)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate reads that a network takes a while to learn from."""
    folder = tmp_path_factory.mktemp("study") / "s"
    assert (
        main(
            [
                "simulate",
                "-q",
                "-o",
                str(folder),
                "--pairs",
                "30000",
                "--genes",
                "60",
                "--contigs",
                "2",
            ]
        )
        == 0
    )
    return folder


@pytest.mark.parametrize("command", ["count", "train", "compare"])
def test_while_models_are_fitted(study: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "t").mkdir()
    of_command = {
        "count": [
            "--bias-model",
            "gru",
            "--bias-option",
            LONG,
            "--bias-output",
            "p",
            "-c",
            "c.tsv",
            "-o",
            "o.bam",
            "-p",
            "BAM",
        ],
        "train": ["--bias-model", "gru", "--bias-option", LONG, "-o", "m.model"],
        "compare": ["--models", f"gru:{LONG}", "-o", "v"],
    }
    shared = [
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-threads",
        "2",
        "--bias-genome",
        str(study / "genome.fa"),
    ]
    run = Run(
        tmp_path,
        command,
        "-q",
        *of_command[command],
        *shared,
        str(study / "sample1.bam"),
        str(study / "genes.gtf"),
    )
    time.sleep(3.5)
    assert run.process.poll() is None, "it was done too soon"
    error = run.stop(signal.SIGTERM)
    assert run.process.returncode == 128 + signal.SIGTERM, error
    assert error.splitlines()[-1].startswith("counterbias: ended by SIGTERM")
    assert "Traceback" not in error
    assert [name for name in names(tmp_path) if "cache" not in name] == []


@pytest.mark.parametrize("times", [1, 2])  # at the second one, nothing is waited for
def test_while_reads_are_simulated(tmp_path: Path, times: int) -> None:
    run = Run(tmp_path, "simulate", "-q", "-o", "a/s", "--pairs", "3000000", "--genes", "300")
    run.await_partial()
    run.check_ended_by(signal.SIGTERM, run.stop(*[signal.SIGTERM] * times))
    assert not (tmp_path / "a").exists()


def children(process: int) -> list[int]:
    return [
        int(one)
        for path in Path(f"/proc/{process}/task").glob("*/children")
        for one in path.read_text().split()
    ]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="no /proc that lists child processes"
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("direct", [False, True])
def test_the_child_that_reads_sam_does_not_live_on(
    files: Path, number: signal.Signals, direct: bool
) -> None:
    line = "r\t0\tchr1\t101\t60\t20M\t*\t0\t0\tAAAAAAAAAAAAAAAAAAAA\tIIIIIIIIIIIIIIIIIIII\n"
    sam = "@SQ\tSN:chr1\tLN:3000\n" + 20_000 * line
    (files / "reads.sam").write_text(sam)
    os.mkfifo(files / "o.sam")  # nobody reads it, so that the run waits here
    run = Run(
        files,
        "count",
        "-q",
        "-c",
        "c.tsv",
        "-o",
        "o.sam",
        "reads.sam" if direct else "-",
        "genes.gtf",
    )
    if not direct:
        run.feed(sam.encode()[:200_000])
    found: list[int] = []

    def is_there() -> bool:
        found[:] = children(run.process.pid)
        return bool(found)

    run.await_that(is_there)
    time.sleep(0.5)
    error = run.stop(number)
    assert run.process.returncode == (128 + number if number == signal.SIGTERM else -number), error
    deadline = time.monotonic() + PATIENCE
    while any(map(is_running, found)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found
    assert not any(map(is_running, found))


# -- who decides ------------------------------------------------------------------------------


def ignore_hangups() -> None:
    heed_all()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_nohup(files: Path) -> None:
    run = Run(
        files, "count", "-q", "-c", "c.tsv", "-o", "o.sam", "-", "genes.gtf", before=ignore_hangups
    )
    run.feed(reads(files))
    run.await_partial()
    run.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert run.process.poll() is None
    run.feed((files / "reads.bam").read_bytes()[-28:])
    assert (run.end(), run.process.returncode) == ("", 0)
    assert (files / "o.sam").exists()


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in ENDING]


def test_a_program_keeps_its_own_handlers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, wakeup, hook = handlers(), signal.set_wakeup_fd(-1), sys.unraisablehook
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        within: list[Any] = []

        def command(argv: Sequence[str]) -> int:
            within.extend(handlers())
            os.kill(os.getpid(), signal.SIGTERM)
            return 0

        monkeypatch.setattr("counterbias.cli._dispatch", command)
        assert main([]) == 0
        assert heard == [signal.SIGTERM]
        assert within[1] is signal.getsignal(signal.SIGTERM)
        # What was ignored before, as SIGHUP under nohup, stays ignored.
        assert (within[2] is before[2]) == (before[2] is signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGTERM, before[1])
    assert (handlers(), signal.set_wakeup_fd(wakeup), sys.unraisablehook) == (before, -1, hook)
    deadline = time.monotonic() + 10
    while (
        any(thread.name == "signals" for thread in threading.enumerate())
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    assert not any(thread.name == "signals" for thread in threading.enumerate())
    assert capsys.readouterr().err == ""


def test_within_another_program_a_signal_ends_the_command_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "counterbias.cli._dispatch",
        lambda argv: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(60) or 0,
    )
    before = handlers()
    assert main([]) == 128 + signal.SIGTERM
    assert handlers() == before
    assert (
        capfd.readouterr().err
        == "counterbias: ended by SIGTERM; no output file was left half written\n"
    )
    time.sleep(1.2)  # longer than the thread would wait


def test_in_another_thread_no_handler_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    before = handlers()
    monkeypatch.setattr("counterbias.cli._dispatch", lambda argv: found.extend(handlers()) or 0)
    thread = threading.Thread(target=lambda: found.append(main([])))
    thread.start()
    thread.join()
    assert found == [*before, 0]


def test_the_library_sets_no_handler() -> None:
    code = (
        "import signal, counterbias, counterbias.cli, counterbias.api as l\n"
        "l.count_reads\n"
        "interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "print(signal.getsignal(signal.SIGTERM), interrupts)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=heed_all,
    )
    assert done.stdout.split() == ["0", "True"] or "SIG_DFL" in done.stdout


def test_a_signal_during_an_import_is_not_the_packages_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some packages turn whatever ends their import into their own ImportError."""

    def command(argv: Sequence[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(PATIENCE)
        except KeyboardInterrupt:
            raise ImportError("failed to import", name="numba") from None
        return 0

    monkeypatch.setattr("counterbias.cli._dispatch", command)
    assert main([]) == 128 + signal.SIGTERM
    assert "numba" not in capsys.readouterr().err
