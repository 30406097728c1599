"""The benchmark of start-up runs everything twice in a fresh environment and prints one table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.scripts import load


@pytest.fixture(scope="module")
def startup() -> ModuleType:
    return load("startup")


def figures(wall: float, cpu: float) -> dict[str, float]:
    return {"wall": wall, "cpu": cpu, "peak": 90e6, "load": 0.5}


def test_first_and_second_runs_stand_beside_featurecounts(
    startup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(startup, "SMALL_GENES", 20)
    monkeypatch.setattr(startup, "SMALL_PAIRS", 2000)
    options = ["--rounds", "1", "--models", "pwm", "--pairs", "500", "--genes", "60", "--home"]
    written = tmp_path / "figures.json"
    work = tmp_path / "work"
    result = startup.main([*options, "--workdir", str(work), "--json", str(written)])
    assert json.loads(written.read_text()) == json.loads(json.dumps(result))
    assert {name: len(rounds) for name, rounds in result["first"].items()} == {"count": 1, "pwm": 1}
    for rounds in result["first"].values():
        for first, second in rounds:
            assert min(first["cpu"], second["cpu"]) > 0.05
    printed = capsys.readouterr().out
    for row in ("`count`, first", "`count`, second", "`pwm`, first", "`pwm`, second"):
        assert f"| {row} | " in printed
    assert (work / "runs" / "featurecounts.txt").exists() == bool(shutil.which("featureCounts"))
    assert ("featureCounts is not installed" in printed) == (not shutil.which("featureCounts"))


def test_runs_know_no_home_and_no_cache(
    startup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in startup.FOREIGN:
        monkeypatch.setenv(name, str(tmp_path))
    for options, removed in ([], startup.FOREIGN[:-1]), (["--python", "x"], startup.FOREIGN):
        runner = startup.runner_of(startup.parse_arguments(options), tmp_path, None)
        assert runner.environment["HOME"] == startup.NO_HOME
        kept = set(startup.FOREIGN) - set(removed)
        assert {name for name in startup.FOREIGN if name in runner.environment} == kept


def test_ratios_are_those_of_a_round(startup: ModuleType) -> None:
    result = {
        "first": {"count": [[figures(9, 3), figures(8, 2)], [figures(1, 4), figures(1, 1)]]},
        "small": {
            "counterbias": [figures(1.0, 1), figures(3.0, 1)],
            "featureCounts": [figures(2.0, 1), figures(2.0, 1)],
        },
        "pairs": 25_000,
        "exon_lines": 182_777,
    }
    lines = startup.table(result).splitlines()
    assert lines[2] == (
        "| `count`, first | 5.00 (1.00–9.00) | 3.50 (3.00–4.00) | 90 "
        "| CPU, times the second's: 2.75 (1.50–4.00) |"
    )
    assert lines[4].startswith("| `count`, 25,000 pairs, 182,777 exon lines | 2.00 ")
    assert lines[4].endswith("| wall, times featureCounts': 1.00 (0.50–1.50) |")
    assert lines[5].startswith("| featureCounts, 25,000 pairs, 182,777 exon lines | 2.00 ")


def test_a_run_that_fails_is_told(startup: ModuleType, tmp_path: Path) -> None:
    arguments = startup.parse_arguments(["--rounds", "1"])
    sample = startup.Sample(tmp_path / "no.bam", tmp_path / "no.gtf", tmp_path / "no.fa")
    for path in (sample.gtf, sample.fasta, sample.bam):
        path.write_text("")
    with pytest.raises(RuntimeError, match=r"failed:\n.*no\.bam"):
        startup.measure_first(arguments, tmp_path, sample)


def test_an_interpreter_that_cannot_be_run_is_told(startup: ModuleType, tmp_path: Path) -> None:
    python = tmp_path / "python"
    arguments = startup.parse_arguments(["--python", str(python)])
    with pytest.raises(RuntimeError, match=f"{python} cannot be run: No such file"):
        startup.runner_of(arguments, tmp_path, None).run(["true"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--user", "no-such-user-here"], "no-such-user-here|only root"),
        (["--sample", "mouse"], "invalid choice"),
    ],
)
def test_wrong_options_end_with_usage(
    startup: ModuleType,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        startup.parse_arguments(options)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert any(words in error for words in message.split("|"))


def test_the_fly_sample_needs_its_data(
    startup: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(tmp_path))
    with pytest.raises(SystemExit):
        startup.parse_arguments(["--sample", "fly"])
    assert "set COUNTERBIAS_DATA" in capsys.readouterr().err
