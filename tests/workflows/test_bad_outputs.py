"""Outputs that cannot be written, interrupted runs and bad usage: nothing half-written is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pysam
import pytest

from counterbias.cli import main
from tests.workflows.small_run import HEADER, Files, read


@pytest.mark.parametrize("option", ["-c", "-o", "--bias-output"])
def test_folder_that_does_not_exist(
    files: Files, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("counted before the outputs were checked")

    monkeypatch.setattr("counterbias.pipeline.sample.count_alignments", refuse)
    more: list[object] = (
        ["--bias-model", "pwm", "--bias-genome", files.genome] if option == "--bias-output" else []
    )
    name = "none/out" if option == "--bias-output" else "none/out.tsv"
    files.fails(option, name, *more, files.bam, files.gtf, match="none")


def test_output_that_is_an_input(files: Files) -> None:
    files.fails("-o", files.bam, "-p", "BAM", files.bam, files.gtf, match=r"reads\.bam.*overwrite")


def test_unknown_format_of_the_table(files: Files) -> None:
    files.fails("-c", "counts.xlsx", files.bam, files.gtf, match=r"counts\.xlsx.*\.tsv")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("option", ["-c", "-o"])
def test_full_disk(files: Files, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (files.folder / "full.tsv").symlink_to("/dev/full")
    files.fails(option, "full.tsv", files.bam, files.gtf, match=r"full\.tsv.*[Nn]o space")


def test_full_disk_behind_standard_output(files: Files) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        command = [
            sys.executable,
            "-m",
            "counterbias",
            "count",
            "-q",
            str(files.bam),
            str(files.gtf),
        ]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"counterbias: .*[Nn]o space.*\n", done.stderr), done.stderr


def test_interrupted(files: Files) -> None:
    big = files.folder / "big.bam"
    with pysam.AlignmentFile(str(big), "wb", header=HEADER) as out:
        one = read("r", 150)
        for i in range(600_000):
            one.query_name = f"r{i}"
            out.write(one)
    # Compiled before: a signal during a compilation may be noticed late.
    assert main(["count", "-q", "-o", "first.sam", str(files.bam), str(files.gtf)]) == 0
    (files.folder / "first.sam").unlink()
    before = files.snapshot()
    command = [
        sys.executable,
        "-m",
        "counterbias",
        "count",
        "-c",
        "out.tsv",
        "-o",
        "out.sam",
        "-",
        str(files.gtf),
    ]

    def heed_interrupts() -> None:
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # shells make what runs in the background deaf to Ctrl-C

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    ) as run:
        assert run.stdin is not None
        assert run.stderr is not None
        run.stdin.write(big.read_bytes()[:-28])
        run.stdin.flush()
        deadline = time.monotonic() + 200
        while (
            not any(path.name.endswith(".partial.sam") for path in files.folder.iterdir())
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        status = run.wait(timeout=90)
        error = run.stderr.read()
    assert status == 130, error
    assert error.decode().splitlines()[-1].startswith("counterbias: interrupted"), error
    assert b"Traceback" not in error
    assert files.snapshot() == before


def test_bad_usage_exits_with_two(files: Files) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["count", "--stranded", "maybe", str(files.bam), str(files.gtf)])
    assert stopped.value.code == 2


def test_unknown_command(files: Files) -> None:
    assert main(["cuont"]) == 2
    assert "did you mean 'count'" in files.capfd.readouterr().err.lower()
