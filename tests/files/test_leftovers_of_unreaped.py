"""What a killed run leaves where no parent reaps it, as with a container's first process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from counterbias.files import partial, remove_leftovers


def test_a_run_that_has_ended_and_is_not_waited_for_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(
            os.P_PID, process.pid, os.WEXITED | os.WNOWAIT
        )  # it has ended, and stays in the table of processes
        left = tmp_path / f".counts.tsv.{partial._machine()}-{process.pid}-7.partial.tsv"
        left.write_text("half")
        remove_leftovers([tmp_path / "counts.tsv"])
        assert not left.exists()


def test_a_run_that_goes_on_keeps_its_file(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        left = tmp_path / f".counts.tsv.{partial._machine()}-{process.pid}-7.partial.tsv"
        left.write_text("half")
        remove_leftovers([tmp_path / "counts.tsv"])
        assert left.exists()
        process.kill()
