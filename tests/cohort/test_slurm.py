"""Cohorts on SLURM: the same bytes as without it, also when jobs and the run are killed.

``.ci/slurm`` starts a cluster of one node and runs these tests on it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from counterbias.cli import main
from tests.cohort.project import (
    WORKFLOW,
    command,
    contents,
    environment,
    need_snakemake,
    run,
    started,
    write_config,
    write_samples,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

#: Status is asked for often, as these jobs take a second.
SLURM = (
    "--profile",
    str(WORKFLOW / "profiles" / "slurm"),
    "--jobs",
    "60",
    "--slurm-no-account",
    "--slurm-status-command",
    "squeue",
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--seconds-between-status-checks",
    "2",
    "--latency-wait",
    "10",
)
#: Simulated samples.
MANY = 60


@pytest.fixture(scope="module", autouse=True)
def cluster() -> None:
    need_snakemake("snakemake_executor_plugin_slurm")
    if not os.environ.get("COUNTERBIAS_SLURM"):
        pytest.skip("no SLURM is running (.ci/slurm starts one)")


def on_slurm(folder: Path) -> subprocess.Popen[str]:
    """Start the workflow on SLURM; it writes what happens to ``run.log``."""
    with open(folder / "run.log", "w") as log:
        return subprocess.Popen(
            command(*SLURM),
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=log,
            text=True,
            # A shell has commands in its background ignore Ctrl-C, and what these start as well.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def finish(folder: Path, process: subprocess.Popen[str]) -> str:
    """Wait for a run; check that it has succeeded and return what it wrote."""
    status = process.wait(1800)
    text = (folder / "run.log").read_text()
    assert status == 0, text[-5000:]
    return text


def wait_until(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """Wait until something has happened in a run."""
    for _ in range(6000):
        if happened():
            return
        assert process.poll() is None, "the run has ended before"
        time.sleep(0.2)
    pytest.fail("it does not happen")


def counted(folder: Path) -> list[str]:
    """List the samples that are counted."""
    return sorted(path.parent.name for path in folder.glob("results/samples/*/outcome.tsv"))


def running(rule: str) -> list[str]:
    """List the jobs of a rule that run."""
    squeue = ["squeue", "--noheader", "--states=RUNNING", "--format=%i|%k"]
    lines = subprocess.run(squeue, capture_output=True, text=True, check=True).stdout.split("\n")
    return [line.split("|")[0] for line in lines if f"rule_{rule}" in line]


def test_six_real_samples_are_the_same_bytes(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "human_maqc_chr22"
    rows = [
        {
            "sample": f"{group}_{number}",
            "alignments": str(source / f"{group}_Rep{number}.bam"),
            "group": group,
            "strandedness": "no",
            "batch": group,
        }
        for group in ("UHR", "HBR")
        for number in (1, 2, 3)
    ]
    folders = [tmp_path / "here", tmp_path / "slurm"]
    for folder in folders:
        folder.mkdir()
        for name in ("genes.gtf", "genome.fa"):
            shutil.copy(source / name, folder / name)
        write_samples(folder, rows)
        write_config(
            folder,
            groups=["UHR", "HBR"],
            counting="-r pos",
            model="pwm",
            pooled={"by": "batch", "use": "prior", "options": "--bias-no-own"},
            compare={"samples": ["UHR_1", "HBR_1"], "options": "--models pwm --seeds 1"},
        )
    done = run(folders[0], "--cores", "2")
    assert done.returncode == 0, done.stderr
    finish(folders[1], on_slurm(folders[1]))
    here, there = (contents(folder / "results") for folder in folders)
    assert here == there
    assert {f"samples/{row['sample']}/{row['sample']}.counts.tsv" for row in rows} < set(here)


def test_a_killed_job_and_an_interrupted_run_go_on(tmp_path: Path) -> None:
    folders = [tmp_path / "here", tmp_path / "slurm"]
    for folder in folders:
        folder.mkdir()
    simulated = tmp_path / "simulated"
    words = ["--samples", str(MANY), "--pairs", "3000", "--genes", "40", "--stranded", "no"]
    assert main(["simulate", "-q", "-o", str(simulated), *words]) == 0
    rows = [
        {
            "sample": f"s{number}",
            "alignments": str(simulated / f"sample{number}.bam"),
            "group": f"g{1 + number % 2}",
            "strandedness": "no",
        }
        for number in range(1, MANY + 1)
    ]
    for folder in folders:
        for name in ("genes.gtf", "genome.fa"):
            shutil.copy(simulated / name, folder / name)
        write_samples(folder, rows)
        write_config(folder, counting="-r pos", model="pwm")
    done = run(folders[0], "--cores", "2")
    assert done.returncode == 0, done.stderr

    there = folders[1]
    process = on_slurm(there)
    wait_until(process, lambda: len(counted(there)) > 5 and bool(running("count")))
    killed = running("count")[0]
    subprocess.run(["scancel", "--signal=KILL", killed], check=True)
    subprocess.run(["scancel", killed], check=True)
    wait_until(process, lambda: "Trying to restart job" in (there / "run.log").read_text())
    wait_until(process, lambda: len(counted(there)) > MANY / 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) != 0
    before = counted(there)
    assert len(before) < MANY

    text = finish(there, on_slurm(there))
    again = started(subprocess.CompletedProcess([], 0, "", text)).count("count")
    # What had been counted but was still thought to run is counted again.
    assert MANY - len(before) <= again <= MANY - len(before) + 10
    here, now = (contents(folder / "results") for folder in folders)
    assert here == now
    assert len(counted(there)) == MANY
