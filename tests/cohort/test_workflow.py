"""The workflow on three tiny samples: what runs, what happens to a damaged one, and the bytes."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from counterbias.cli import main
from tests.cohort.project import (
    WORKFLOW,
    need_snakemake,
    own_line,
    run,
    started,
    write_config,
    write_samples,
)

#: One file has the name of its sample; the others are linked to such names.
FILES = {"A": "first.bam", "B": "B.bam", "C": "third.bam"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three samples, one of which is damaged."""
    need_snakemake()
    folder = tmp_path_factory.mktemp("cohort")
    simulated = folder / "simulated"
    words = ["--samples", "3", "--pairs", "3000", "--genes", "40", "--stranded", "no"]
    assert main(["simulate", "-q", "-o", str(simulated), *words]) == 0
    for number, name in enumerate(FILES.values(), start=1):
        shutil.copy(simulated / f"sample{number}.bam", folder / name)
    for name in ("genes.gtf", "genome.fa"):
        shutil.copy(simulated / name, folder / name)
    whole = (folder / "B.bam").read_bytes()
    (folder / "B.bam").write_bytes(whole[:20_000])
    (folder / "whole.bam").write_bytes(whole)
    write_samples(
        folder,
        [
            {"sample": name, "alignments": file, "group": "g1", "strandedness": "no"}
            for name, file in FILES.items()
        ],
    )
    write_config(folder, counting="-r pos", model="pwm")
    return folder


def test_a_damaged_sample_stops_no_other_and_is_counted_once_it_is_mended(cohort: Path) -> None:
    results = cohort / "results"
    done = run(cohort)
    assert done.returncode == 1
    assert own_line(done).startswith(
        "counterbias workflow: 1 of 3 samples failed: B (logs/count/B.log: counterbias: B.bam, "
        "byte "
    )
    assert own_line(done).endswith("When this is mended, the same command tries them again.")
    outcomes = (results / "outcomes.tsv").read_text().splitlines()
    assert [line.split("\t")[:3] for line in outcomes[1:]] == [
        ["A", "count", "ok"],
        ["B", "count", "failed"],
        ["C", "count", "ok"],
    ]
    assert sorted(path.name for path in (results / "samples").iterdir()) == ["A", "C"]
    header = (results / "cohort" / "raw.tsv").read_text().splitlines()[0].split("\t")
    assert header[1:] == ["A", "C"]
    report = (results / "multiqc" / "multiqc_report.html").read_text()
    assert "1 of 3 samples could not be counted and are in no table." in report
    assert not (results / "complete").exists()

    shutil.copy(cohort / "whole.bam", cohort / "B.bam")
    write_config(cohort, counting="-r pos", model="pwm", multiqc={"run": False})
    done = run(cohort)
    assert done.returncode == 0, done.stderr
    assert started(done) == ["count", "outcomes", "collect", "complete", "all"]
    header = (results / "cohort" / "raw.tsv").read_text().splitlines()[0].split("\t")
    assert header[1:] == ["A", "B", "C"]
    assert (results / "lists" / "missing_mqc.tsv").read_text() == ""
    assert (results / "complete").exists()


def test_the_files_are_those_of_the_plain_command(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cohort)
    for name, file in (("B", "B.bam"), ("C", "results/alignments/C.bam")):
        words = ["-s", "no", "-r", "pos", "--bias-model", "pwm", "--bias-genome", "genome.fa"]
        prefix = str(tmp_path / name)
        assert main(["count", *words, "--bias-output", prefix, file, "genes.gtf"]) == 0
        made = cohort / "results" / "samples" / name
        assert (made / f"{name}.txt").read_text() == capfd.readouterr().out
        for ending in (".counts.tsv", ".model", ".isoforms.results"):
            plain = (tmp_path / f"{name}{ending}").read_bytes()
            assert (made / f"{name}{ending}").read_bytes() == plain, ending


def test_a_wrong_table_starts_no_job(cohort: Path, tmp_path: Path) -> None:
    write_samples(
        tmp_path,
        [{"sample": "A", "alignments": "gone.bam", "group": "g1", "strandedness": "no"}],
    )
    write_config(tmp_path)
    for name in ("genes.gtf", "genome.fa"):
        (tmp_path / name).touch()
    done = run(tmp_path)
    assert done.returncode == 1
    assert own_line(done) == (
        "counterbias workflow: config/samples.tsv, row 2: there is no file 'gone.bam'"
    )
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} - {".snakemake"} == {
        "config",
        "genes.gtf",
        "genome.fa",
    }


def test_a_pooled_model_is_trained_on_what_could_be_counted(cohort: Path, tmp_path: Path) -> None:
    for name in ("genes.gtf", "genome.fa", "first.bam", "third.bam"):
        (tmp_path / name).symlink_to(cohort / name)
    (tmp_path / "B.bam").write_bytes((cohort / "whole.bam").read_bytes()[:20_000])
    write_samples(
        tmp_path,
        [
            {"sample": name, "alignments": file, "group": "g1", "strandedness": "no"}
            for name, file in FILES.items()
        ],
    )
    write_config(
        tmp_path,
        counting="-r pos",
        model="pwm",
        pooled={"by": "cohort", "options": "--bias-no-own"},
        multiqc={"run": False},
    )
    done = run(tmp_path)
    assert done.returncode == 1
    assert "1 of 3 samples failed: B (logs/screen/B.log: " in own_line(done)
    results = tmp_path / "results"
    gains = (results / "models" / "cohort" / "gains.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in gains[1:]] == ["A", "C"]
    # `count` calibrates the shared model on each sample, and says which it was.
    report = (results / "samples" / "A" / "A.counterbias.json").read_text()
    assert "results/models/cohort/cohort.model" in report


def test_a_sample_that_is_killed_each_time_is_missing_in_the_end(
    cohort: Path, tmp_path: Path
) -> None:
    """The scheduler kills whole jobs, which then leave no record: a last try makes it."""
    for name in ("genes.gtf", "genome.fa"):
        (tmp_path / name).symlink_to(cohort / name)
    shutil.copy(cohort / "whole.bam", tmp_path / "A.bam")
    write_samples(
        tmp_path, [{"sample": "A", "alignments": "A.bam", "group": "g1", "strandedness": "no"}]
    )
    write_config(tmp_path, multiqc={"run": False})
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "counterbias").write_text(f"#!/bin/sh\nkill -{int(signal.SIGKILL)} $PPID\n")
    (programs / "counterbias").chmod(0o755)
    done = run(tmp_path, "results/outcomes.tsv", programs=programs)
    assert done.stderr.count("Trying to restart job") == 2
    (record,) = (tmp_path / "results" / "outcomes.tsv").read_text().splitlines()[1:]
    assert record == (
        "A\tcount\tfailed\tlogs/count/A.log\t"
        "it was killed in each of 2 tries: out of memory or time?"
    )


def test_snakemakes_own_checks_pass(cohort: Path) -> None:
    done = run(cohort, "--lint")
    assert done.returncode == 0, done.stderr
    assert "your workflow is in a good condition" in done.stderr


def test_rules_are_formatted_as_snakefmt_does() -> None:
    pytest.importorskip("snakefmt", reason="snakefmt is not installed (extra `dev`)")
    from snakefmt.snakefmt import main as snakefmt

    with pytest.raises(SystemExit) as ended:
        snakefmt(["--check", str(WORKFLOW)])
    assert ended.value.code == 0
