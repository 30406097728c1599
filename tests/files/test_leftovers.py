"""What a killed run leaves: never taken for a result, and removed by the next such run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from counterbias.cli import main
from counterbias.files import (
    abandon,
    partial,
    remove_leftovers,
    remove_leftovers_in,
    scratch_folder,
    whole_folder,
    whole_text,
)
from tests.helpers.output_inputs import COMMAND, MANY, bias, make_inputs, names, partials, run

INPUTS = ("reads.bam", "genes.gtf")
#: Endings of what is written for a sample.
RESULTS = ("counts.tsv", "genes.results", "model", "counterbias.json")


def gone() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def leftover(
    target: Path, *, machine: str | None = None, process: int | None = None, folder: bool = False
) -> Path:
    """Make what a killed run leaves behind for a target."""
    machine = machine or partial._machine()
    name = target.with_name(
        f".{target.name}.{machine}-{gone() if process is None else process}-7"
        f".partial{target.suffix}"
    )
    if folder:
        (name / partial.CONTENT).mkdir(parents=True)
        (name / partial.CONTENT / "genome.fa").write_text(">half")
        (name / partial.LOCK).touch()
    else:
        name.write_text("half")
    return name


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def killed(folder: Path, *words: str) -> list[str]:
    """Run the command with stdin open, kill it once it has begun to write, return what is left."""
    with subprocess.Popen(
        [*COMMAND, *words], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        process.stdin.write((folder / "reads.bam").read_bytes()[:-28])
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while (
            not partials(names(folder)) and process.poll() is None and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    return partials(names(folder))


def test_the_next_run_removes_what_a_killed_one_has_left(files: Path) -> None:
    make_inputs(files, MANY)
    left = killed(files, "count", "-q", "-c", "c.tsv", "-o", "o.bam", "-p", "BAM", "-", "genes.gtf")
    assert len(left) == 1
    assert left[0].startswith(".o.bam.")
    assert main(["count", "-q", "-c", "other.tsv", *INPUTS]) == 0
    assert partials(names(files)) == left, "the next run writes something else"
    assert main(["count", "-q", "-c", "c.tsv", "-o", "o.bam", "-p", "BAM", *INPUTS]) == 0
    assert not partials(names(files))


def test_a_run_that_goes_on_keeps_its_unfinished_file(files: Path) -> None:
    make_inputs(files, MANY)
    command = [*COMMAND, "count", "-q", "-c", "c.tsv", "-o", "o.sam", "-", "genes.gtf"]
    with subprocess.Popen(command, cwd=files, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        content = (files / "reads.bam").read_bytes()
        process.stdin.write(content[:-28])
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not partials(names(files)) and time.monotonic() < deadline:
            time.sleep(0.01)
        there = partials(names(files))
        assert len(there) == 1
        assert run(files, "count", "-q", "-c", "c.tsv", "-o", "o.sam", *INPUTS).returncode == 0
        assert partials(names(files)) == there
        process.stdin.write(content[-28:])
        process.stdin.close()
        assert process.wait(60) == 0
    assert not partials(names(files))


def test_all_outputs_of_all_commands(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    genome = ["--bias-genome", "genome.fa"]
    counted = [
        leftover(files / name)
        for name in ("c.mtx", "c_features.tsv", "c_samples.tsv", "o.sam", "genome.fa.fai")
    ]
    counted += [leftover(files / f"p.{ending}") for ending in RESULTS]
    assert main(["count", "-q", "-c", "c.mtx", "-o", "o.sam", *bias(), *INPUTS]) == 0
    collected = [leftover(files / "cohort", folder=True)]
    assert main(["collect", "-q", "-o", "cohort", "p.counts.tsv"]) == 0
    trained = [leftover(files / name) for name in ("m.model", "m.counterbias-train.json")]
    assert (
        main(
            [
                "train",
                "-q",
                "--bias-no-own",
                "--bias-model",
                "pwm",
                *genome,
                "-o",
                "m.model",
                *INPUTS,
            ]
        )
        == 0
    )
    simulated = [leftover(files / "s", folder=True)]
    assert (
        main(["simulate", "-q", "-o", "s", "--pairs", "200", "--genes", "4", "--contigs", "1"]) == 0
    )
    (files / "v" / "cache").mkdir(parents=True)
    compared = [
        leftover(files / "v" / name)
        for name in ("comparison.tsv", "comparison.json", "per_gene.tsv")
    ]
    compared += [leftover(files / "v" / "cache" / "0123.npz")]
    options = ["--models", "pwm", "--folds", "1", "--seeds", "1", "--no-figures"]
    assert main(["compare", "-q", *options, *genome, "-o", "v", *INPUTS]) in (0, 1, 3)
    assert [
        path.name
        for path in (*counted, *collected, *trained, *simulated, *compared)
        if path.exists()
    ] == []


def test_a_killed_simulation(files: Path) -> None:
    words = ["simulate", "-q", "-o", "s", "--pairs", "2000000", "--genes", "500"]
    with subprocess.Popen([*COMMAND, *words], cwd=files) as process:
        deadline = time.monotonic() + 60
        while not partials(names(files)) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    assert partials(names(files))
    assert (
        main(["simulate", "-q", "-o", "s", "--pairs", "200", "--genes", "4", "--contigs", "1"]) == 0
    )
    assert not partials(names(files))


def test_temporary_folders_of_killed_runs_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = leftover(tmp_path / "counterbias", folder=True)
    with scratch_folder() as folder:
        assert not left.exists()
        assert os.listdir(folder) == []
        remove_leftovers([tmp_path / "counterbias"])
        assert os.path.isdir(folder)
    assert list(tmp_path.iterdir()) == []


def test_whose_process_lives_stays(tmp_path: Path) -> None:
    target = tmp_path / "x.tsv"
    with subprocess.Popen(["sleep", "60"]) as process:
        one = leftover(target, process=process.pid)
        remove_leftovers([target])
        assert one.exists()
        process.kill()
    remove_leftovers([target])
    assert not one.exists()


def test_what_is_locked_stays_whatever_its_process_is_called(tmp_path: Path) -> None:
    """A container cannot see the processes of another with which it shares a folder."""
    target = tmp_path / "x.tsv"
    with whole_text(target) as stream:
        (held,) = tmp_path.iterdir()
        hidden = held.rename(held.with_name(held.name.replace(f"-{os.getpid()}-", f"-{gone()}-")))
        remove_leftovers([target])
        assert hidden.exists()
        hidden.rename(held)
        stream.write("whole\n")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tsv"]


def test_what_another_machine_left_must_have_lain_for_a_day(tmp_path: Path) -> None:
    target = tmp_path / "x.tsv"
    one = leftover(target, machine="0badcafe", process=1)
    remove_leftovers([target])
    assert one.exists()
    before = time.time() - 2 * partial.DAY
    os.utime(one, (before, before))
    remove_leftovers([target])
    assert not one.exists()


def test_names_that_only_look_alike_stay(tmp_path: Path) -> None:
    target = tmp_path / "x.tsv"
    machine, process = partial._machine(), gone()
    of = f"{machine}-{process}-1"
    for name in (
        f".x.tsv.{of}.tmp",
        f"x.tsv.{of}.partial",
        ".x.tsv.partial",
        f".y.tsv.{of}.partial.tsv",
    ):
        (tmp_path / name).write_text("")
    before = names(tmp_path)
    remove_leftovers([target])
    assert names(tmp_path) == before
    remove_leftovers_in(tmp_path)
    assert len(names(tmp_path)) == len(before) - 1


def test_abandoned_by_a_process_that_ends(tmp_path: Path) -> None:
    def end() -> None:
        with whole_folder(tmp_path / "s") as folder, whole_text(tmp_path / "x.tsv") as stream:
            (folder / "one").write_text("1")
            stream.write("half")
            abandon()
            assert list(tmp_path.iterdir()) == []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        end()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", ["run", "signal"])
def test_what_threads_make_while_a_process_ends_is_removed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whether the run's own clean-up or that of a second signal meets a thread at work."""
    remove, written = shutil.rmtree, []

    def disturbed(name: str, **settings: bool) -> None:
        remove(name, **settings)
        if not written:
            written.append(Path(name, "content", "late"))
            written[0].parent.mkdir(parents=True)
            written[0].write_text("from a thread")

    monkeypatch.setattr(shutil, "rmtree", disturbed)

    def end() -> None:
        with whole_folder(tmp_path / "a" / "s") as folder:
            (folder / "one").write_text("1")
            if first == "signal":
                abandon()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        end()
    if first == "run":
        assert written[0].exists()
        abandon()
    assert written
    assert list(tmp_path.iterdir()) == []


def test_reports_do_not_take_unfinished_files(files: Path) -> None:
    """A search for reports by name, as MultiQC's, does not take hidden files for a sample's."""
    assert main(["count", "-q", "-c", "c.tsv", *bias(), *INPUTS]) == 0
    left = leftover(files / "q.counterbias.json")
    assert [path.name for path in files.glob("*.counterbias.json")] == ["p.counterbias.json"]
    assert left.name.startswith(".")
    assert not left.name.endswith(".counterbias.json")
