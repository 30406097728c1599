"""A few seconds of fuzzing for each target; ``make fuzz`` runs longer, with other inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.fuzz.runner import Run, run_here

#: Target → number of inputs, which take one to three seconds.
INPUTS = {
    "bam_counts": 1200,
    "bam_loops": 12_000,
    "bam_tags": 4000,
    "bgzf": 3000,
    "annotation": 2500,
    "models": 800,
    "fasta": 1200,
    "multiqc": 2000,
    "tables": 8000,
    "collect": 400,
}


#: Targets whose loops nothing can interrupt are watched from another process.
WATCHED = ("bam_counts", "bam_loops", "bam_tags")


@pytest.mark.parametrize("name", INPUTS)
def test_no_input_fails(name: str, tmp_path: Path) -> None:
    pytest.importorskip("HTSeq", reason="HTSeq is the oracle of some targets")
    if name in WATCHED:
        result = Run(name, 1, tmp_path, inputs=INPUTS[name]).run()
        assert not result.failures, result.report()
    else:
        result = run_here(name, seed=1, inputs=INPUTS[name])
    # Some inputs are refused and others are not: changes reach the readers, but do not damage all.
    refused = sum(number for outcome, number in result.outcomes.items() if "refused" in outcome)
    assert 0 < refused < result.inputs


def test_the_command_line_runs_targets_and_prints_reports(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "bgzf",
        "--inputs",
        "40",
        "--workers",
        "2",
        "--failures",
        str(tmp_path / "failures"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("bgzf: 40 inputs in ")
    assert "read alike" in done.stdout
    assert not (tmp_path / "failures").exists()
