"""The benchmark of the workflow describes its cohorts as users do, and runs the plain command."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.cohort import project
from tests.helpers.scripts import load


@pytest.fixture(scope="module")
def cohort() -> ModuleType:
    return load("cohort")


def test_its_cohort_is_accepted(
    cohort: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samplesheet = project.load("samplesheet")
    schemas = project.WORKFLOW / "schemas"
    files = [tmp_path / f"t{number}.bam" for number in range(3)]
    (tmp_path / "simulated").mkdir()
    for path in (*files, *(tmp_path / "simulated" / n for n in ("genes.gtf", "genome.fa"))):
        path.touch()
    cohort.write_cohort(tmp_path, files, cohort.TINY_MODEL, cohort.TINY_OPTIONS)
    monkeypatch.chdir(tmp_path)
    config = json.loads(Path("config/config.yaml").read_text())
    samplesheet.check_config(config, "config.yaml", str(schemas / "config.schema.yaml"))
    defaults = {"samples": "config/samples.tsv", "pooled": {"by": "none"}}
    samples = samplesheet.read_samples(
        {**defaults, "compare": {"samples": []}, **config}, str(schemas / "samples.schema.yaml")
    )
    # Their files have their names, so that nothing has to be linked.
    assert [(one.name, one.is_named_alike) for one in samples] == [
        (file.stem, True) for file in files
    ]


def test_copies_stand_in_for_counts(cohort: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "plain.counts.tsv").write_text("feature\traw\n")
    (tmp_path / "plain.counterbias.json").write_text('{"sample": "sample1", "n": 1}\n')
    runner = cohort.Runner(tmp_path, environment={"PATH": os.environ["PATH"]})
    cohort.write_stand_in(tmp_path, runner)
    words = ["count", "-s", "no", "--bias-output", str(tmp_path / "t7"), "t7.bam", "genes.gtf"]
    subprocess.run(["counterbias", *words], env=runner.environment, check=True)
    assert (tmp_path / "t7.counts.tsv").read_text() == "feature\traw\n"
    assert json.loads((tmp_path / "t7.counterbias.json").read_text()) == {"sample": "t7", "n": 1}
