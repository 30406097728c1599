"""Wrong options and missing data give one clear line; rarely used options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.validation.scripts import script


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("differential", ["--scenarios", "single-odd"]),
        ("differential", ["--replicates", "1"]),
        ("differential", ["--lengths", "longest"]),
        ("differential", ["--peers", "cufflinks"]),
        ("simulated", ["--resume"]),
        ("simulated", ["--seeds", "one"]),
        ("paper", ["--taqman", "x.tsv"]),
        ("peers", ["--pairs", "many"]),
        ("peers", ["--lengths", "exons"]),
        ("peers", ["--fragment-length", "200"]),
        ("peers", ["--fragment-length", "5,1"]),
        ("peers", ["--annotation", "genes.gtf"]),
    ],
    ids=[
        "scenario",
        "replicates",
        "differential-lengths",
        "peers",
        "resume-without-json",
        "seeds",
        "taqman-without-truth",
        "pairs",
        "lengths",
        "no-deviation",
        "too-short",
        "genes-without-genome",
    ],
)
def test_wrong_options(name: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script(name).main(options)
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["real_reads", "real_lengths", "maqc", "paper"])
def test_missing_data_is_said(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(tmp_path))
    assert script(name).main([]) == 1
    assert "set COUNTERBIAS_DATA" in capsys.readouterr().err


def test_single_reads_and_copies_are_simulated_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--models",
        "pwm",
        "--pairs",
        "4000",
        "--null",
        "",
        "--seeds",
        "1",
        "--genes",
        "30",
        "--single",
        "--duplicates",
        "0.3",
    ]
    assert script("simulated").main([*words, "--json", str(tmp_path / "s.json")]) == 0
    assert "bias left, 4,000 pairs" in capsys.readouterr().out
    found = json.loads((tmp_path / "s.json").read_text())
    assert (found["settings"]["single"], found["settings"]["duplicates"]) == (True, 0.3)
    model, true = found["rows"]
    assert model["applied"]
    assert true["removed"] == pytest.approx(1, abs=0.1)
    assert true["left"] < model["left"]


def test_stranded_ends_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--model",
        "pwm",
        "--pairs",
        "6000",
        "--weaker",
        "0",
        "--seeds",
        "1",
        "--genes",
        "40",
        "--json",
        str(tmp_path / "e.json"),
    ]
    assert script("stranded_ends").main(words) == 0
    assert "| 6,000 | 0 | 1 of 1 |" in capsys.readouterr().out
    row = json.loads((tmp_path / "e.json").read_text())["rows"][0]
    assert row["passed"][0]
    assert row["left"]["as a count does"] < 0.8 * row["left"]["none"]
