"""Messages of commands whose stderr is no terminal: lines after a silence, warnings with ``-q``."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterbias.cli import main, progress
from counterbias.cli.progress import ProgressBar, ProgressLines, progress_display
from tests.helpers.messages import lines_of


class Clock:
    """A clock that stands still unless it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_after_a_silence(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(clock)
    assert lines.progress is not None
    for second, (stage, done, total) in enumerate(
        [("a: sampling", 1, 1), *[("a: training cnn", step, 100) for step in range(1, 101)]]
    ):
        clock.now = float(second)
        lines.progress(stage, done, total)
    assert capsys.readouterr().err.splitlines() == [
        "a: training cnn: 30 of 100 steps done, about 68 s left",
        "a: training cnn: 60 of 100 steps done, about 39 s left",
        "a: training cnn: 90 of 100 steps done, about 10 s left",
        "a: training cnn: done",
    ]


def test_quick_stages_are_silent(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLines(clock) as lines:
        for number in range(50):
            clock.now += 4.0
            lines.write(f"line {number}")  # any message counts
            assert lines.progress is not None
            lines.progress("training", 1, 2)
            lines.progress("training", 2, 2)
    assert capsys.readouterr().err.splitlines() == [f"line {number}" for number in range(50)]


def test_unknown_number_of_steps(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(clock)
    assert lines.progress is not None
    lines.progress("searching", 1, 0)
    clock.now = 200.0
    lines.progress("searching", 1234, 0)
    assert capsys.readouterr().err == "searching: 1,234 steps done\n"


def test_steps_of_a_comparison(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(clock)
    for done in range(5):
        lines.step("comparing models", done, 60, f"a: pwm: fold {done}")
        clock.now += 40.0
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == "comparing models: 4 of 60 steps done, about 37 min left; a: pwm: fold 4"
    )


def test_what_tells_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress_display(quiet=True).progress is None
    assert isinstance(progress_display(quiet=False), ProgressLines)
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    assert type(progress_display(quiet=False)) is ProgressBar


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate two samples; return the folder."""
    folder = tmp_path_factory.mktemp("study") / "out"
    small = ["--genes", "8", "--contigs", "1", "--pairs", "1500", "--samples", "2"]
    assert main(["simulate", "-q", "-o", str(folder), *small]) == 0
    return folder


COMMANDS = {
    "count": ["--bias-model", "pwm", "--bias-output", "OUT/counted", "-c", "OUT/counts.tsv"],
    "train": ["--bias-model", "pwm", "-o", "OUT/pooled.model"],
    "compare": ["--models", "pwm", "--folds", "1", "--seeds", "1", "-o", "OUT/compared"],
}


def argv(name: str, study: Path, out: Path) -> list[str]:
    inputs = [
        "-s",
        "no",
        "-r",
        "pos",
        *map(str, sorted(study.glob("*.bam"))),
        str(study / "genes.gtf"),
    ]
    options = [word.replace("OUT", str(out)) for word in COMMANDS[name]]
    return [name, *options, "--bias-genome", str(study / "genome.fa"), *inputs]


@pytest.mark.parametrize("name", COMMANDS)
def test_quiet_leaves_warnings_and_errors_only(
    name: str, study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv(name, study, tmp_path), "-q"]) == 0
    captured = capfd.readouterr()
    assert [line for line in captured.err.splitlines() if not line.startswith("Warning: ")] == []
    assert bool(captured.out) == (name != "count")  # the result is no message


def test_quiet_simulation(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "simulate",
                "-q",
                "-o",
                str(tmp_path / "out"),
                "--genes",
                "5",
                "--contigs",
                "1",
                "--pairs",
                "50",
            ]
        )
        == 0
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_finished_stage_is_told_of(
    name: str,
    study: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on large data: where no step is too short to be reported, lines come throughout a run."""
    monkeypatch.setattr(progress, "FINISHED", 0.0)
    assert main(argv(name, study, tmp_path)) == 0
    stderr = capfd.readouterr().err
    expected = {
        "count": (
            "sample1: sampling: done",
            "sample1: training: done",
            "sample2: scoring: done",
            "sample2: files: ",
        ),
        "train": (
            "sample1 (1 of 2): ",
            "fitting one pwm model to ",
            "The model of 2 samples is in ",
        ),
        "compare": ("comparing models: ", "sample2: pwm", "fits were computed, "),
    }
    assert [part for part in expected[name] if part not in stderr] == []


def test_plain_counting_has_the_lines_of_htseq_count_only(
    study: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FINISHED", 0.0)
    assert (
        main(
            ["count", "-s", "no", "-r", "pos", str(study / "sample1.bam"), str(study / "genes.gtf")]
        )
        == 0
    )
    messages = lines_of(capfd.readouterr().err)
    assert all(line.endswith(" processed.") for line in messages)
