"""The benchmarks of training and of whole runs work on tiny samples and report what they measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from scripts import load as load_script

ROOT = Path(__file__).resolve().parents[1]


def load(name: str) -> ModuleType:
    return load_script(name)


@pytest.fixture
def whole_run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the script looks for its neighbour
    return load("whole_run")


def test_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = load("training")
    path = tmp_path / "training.json"
    options = ["--models", "pwm,bayesnet", "--windows", "400", "--window", "3,4", "--repeats", "2", "--json", str(path)]
    assert training.main(options) == 0
    told = json.loads(path.read_text())
    assert [one["label"] for one in told["results"]] == ["pwm", "bayesnet"]
    for one in told["results"]:
        assert len(one["wall"]) == len(one["cpu"]) == 2
        assert min(one["wall"]) > 0
        assert one["peak"] > 5e7
    text = capsys.readouterr().out
    assert "400 read starts of 8 bases" in text
    assert "Slower than wanted" not in text  # the limits are those of a sample of another size


def test_training_that_takes_too_long_is_told() -> None:
    training = load("training")
    results = [{"label": "cnn", "wall": [21.0, 22.0, 5.0]}, {"label": "pwm", "wall": [0.5]}, {"label": "gru", "missing": "needs torch"}]
    assert training.shortcomings(results) == ["cnn: 21.0 s, not 20"]


def test_unknown_model_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("training").main(["--models", "far"])
    assert "no model 'far'" in capsys.readouterr().err


def test_whole_run(whole_run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--pairs", "3000", "--genes", "50", "--models", "vlmm", "--rounds", "1", "--threads", "1", "--workdir", str(tmp_path)]
    result = whole_run.main([*options, "--json", str(tmp_path / "figures.json")])
    assert json.loads((tmp_path / "figures.json").read_text())["pairs"] == 3000
    assert set(result["runs"]) == {"plain", "vlmm"}
    (run,) = result["runs"]["vlmm"]
    assert run["stages"]["counting"] > 0
    assert run["wall"] > 0
    assert "| plain |" in capsys.readouterr().out


def test_time_that_is_granted_is_taken_off(whole_run: ModuleType) -> None:
    runs = {
        "plain": [{"wall": 4.0}, {"wall": 5.0}],
        "vlmm": [{"wall": 8.0, "stages": {"training": 1.0}}, {"wall": 7.0, "stages": {"training": 1.0}}],
        "cnn": [{"wall": 20.0, "stages": {"training": 10.0}}, {"wall": 20.0, "stages": {"training": 10.0}}],
    }
    assert whole_run.ratios(runs, "vlmm") == [1.5, 1.0]
    assert whole_run.ratios(runs, "cnn") == [2.5, 2.0]
