"""The progress bars of counting and training: on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from counterbias import simulation
from counterbias.cli import progress
from counterbias.cli.progress import ProgressBar

MODEL = ("members=2", "units=16", "channels=4", "min_steps=60", "max_steps=60", "distil_steps=60")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a few thousand reads; return the folder."""
    folder = tmp_path_factory.mktemp("bar")
    rng = np.random.default_rng(3)
    genome = simulation.simulate_genome(rng, {"chr1": 100_000})
    genes = simulation.simulate_annotation(rng, genome.lengths, 15)
    reads = simulation.simulate_reads(
        rng,
        genome,
        genes,
        simulation.simulate_abundance(rng, genes),
        simulation.Library(3000),
        simulation.simulate_priming_bias(rng),
    )
    simulation.write_fasta(folder / "genome.fa", genome)
    simulation.write_gtf(folder / "genes.gtf", genes)
    simulation.write_bam(folder / "a[b].bam", reads, order="pos")
    return folder


def command(folder: Path, *more: str, model: str = "cnn") -> list[str]:
    options = [word for pair in MODEL for word in ("--bias-option", pair)] if model == "cnn" else []
    files = [str(folder / "a[b].bam"), str(folder / "genes.gtf")]
    bias = [
        "--bias-model",
        model,
        "--bias-genome",
        str(folder / "genome.fa"),
        "--bias-output",
        str(folder / "out"),
        *options,
    ]
    return [
        sys.executable,
        "-m",
        "counterbias",
        "count",
        "-s",
        "no",
        "-r",
        "pos",
        *bias,
        "-c",
        str(folder / "c.tsv"),
        *more,
        *files,
    ]


def on_terminal(argv: list[str], stdin: int = subprocess.DEVNULL) -> str:
    """Run a command with stderr on a pseudo-terminal; return what it wrote there."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=follower, env=environment
    )
    os.close(follower)
    parts = []
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other side was closed
            break
        if not part:
            break
        parts.append(part)
    os.close(leader)
    assert process.wait() == 0
    return b"".join(parts).decode()


def test_bar_on_a_terminal(sample: Path) -> None:
    shown = on_terminal(command(sample))
    assert "a[b]: training cnn" in shown
    assert "/120" in shown
    # Other messages are shown as usual, and the bar is gone at the end.
    assert "alignment record pairs processed." in shown
    assert shown.rstrip().endswith(".isoforms.results, .model, .counterbias.json, .log")


#: Runs the command line with a bar from the first batch on, however quick the counting is.
IMPATIENT = """
import sys
from counterbias.cli import main, progress
progress.PATIENCE, progress.INTERVAL = 0.0, 0.01
sys.exit(main())
"""


def plain(folder: Path, alignments: str, *more: str) -> list[str]:
    files = [alignments, str(folder / "genes.gtf")]
    return [sys.executable, "-c", IMPATIENT, "count", "-s", "no", "-r", "pos", *more, *files]


def test_bar_while_counting(sample: Path) -> None:
    shown = on_terminal(plain(sample, str(sample / "a[b].bam")))
    assert "counting a[b].bam" in shown
    assert "100%, 3,000 pairs" in shown  # a file as small as this is one batch
    assert shown.rstrip().endswith("3000 alignment record pairs processed.")


def test_counting_from_a_pipe_shows_records_but_no_share(sample: Path) -> None:
    with subprocess.Popen(["cat", str(sample / "a[b].bam")], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout is not None
        shown = on_terminal(plain(sample, "-"), pipe.stdout.fileno())
    assert "counting standard input" in shown
    assert "3,000 pairs" in shown
    assert "%" not in shown


def test_no_bar_while_counting_quietly(sample: Path) -> None:
    assert on_terminal(plain(sample, str(sample / "a[b].bam"), "-q")) == ""


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_counting_bar_waits_and_moves_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 10)
    monkeypatch.setattr(progress, "INTERVAL", 4)
    clock, moves = Clock(), []
    with ProgressBar(True, clock) as bar:
        assert bar.counting is not None
        for second in range(25):
            clock.now = second
            bar.counting("reads.bam", second, 50, f"{second} reads")
            shown = [task.fields["amount"] for task in bar._bar.tasks] if bar._bar else []
            if shown and shown != moves[-1:]:
                moves += shown
        assert bar._bar is not None
        bar.counting("reads.bam", 0, 0, "")
        assert bar._bar is None
    assert moves == ["20%, 10 reads", "28%, 14 reads", "36%, 18 reads", "44%, 22 reads"]


def test_files_of_one_name_have_a_bar_each() -> None:
    clock = Clock()
    with ProgressBar(True, clock) as bar:
        assert bar.counting is not None
        for clock.now in (0.0, 2.0):
            for folder in "ab":
                bar.counting(f"{folder}/reads.bam", 1, 2, "1 read")
        assert bar._bar is not None
        assert [task.description for task in bar._bar.tasks] == ["counting reads.bam"] * 2


def test_no_bar_where_quiet(sample: Path) -> None:
    assert "training" not in on_terminal(command(sample, "-q"))


def test_no_bar_where_stderr_is_no_terminal(sample: Path) -> None:
    """The lines that replace the bar there have their own tests, ``test_progress_lines.py``."""
    done = subprocess.run(
        command(sample),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    assert "/120" not in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout == ""


def test_gpu_that_is_not_there_is_one_line_and_no_file(sample: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="without torch another message is given")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    argv = [*command(sample, "-q", "--bias-device", "cuda", "--bias-output", str(tmp_path / "gpu"))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr
        == "counterbias: --bias-device cuda: torch finds no GPU. Use --bias-device cpu\n"
    )
    assert not list(tmp_path.iterdir())


def test_device_is_nothing_to_tables(sample: Path) -> None:
    subprocess.run(command(sample, "-q", "--bias-device", "cuda", model="pwm"), check=True)


def test_bars_of_several_threads(capsys: pytest.CaptureFixture[str]) -> None:
    """Stages come and go in any order; one that never began, or ends twice, does no harm."""
    with ProgressBar(True) as bar:
        assert bar.progress is not None
        bar.progress("never begun", 5, 5)
        bar.progress("one", 1, 10)
        bar.progress("two", 1, 0)
        bar.write("a line [red]as it is")
        for stage, done, total in (
            ("two", 2, 0),
            ("one", 10, 10),
            ("one", 10, 10),
            ("two", 3, 3),
            ("three", 1, 2),
        ):
            bar.progress(stage, done, total)
    assert "a line [red]as it is" in capsys.readouterr().err
    assert ProgressBar(False).progress is None


@pytest.mark.parametrize("words", ["--help", "--version"])
def test_rich_is_not_imported_for_nothing(words: str) -> None:
    code = f"""
import sys
from counterbias.cli import main
try:
    main(["count", {words!r}])
except SystemExit:
    pass
print(sorted(name for name in ("rich", "numba", "numpy") if name in sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
