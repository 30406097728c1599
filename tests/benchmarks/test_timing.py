"""The benchmarks of training and of whole runs work on tiny samples and print their results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterbias import Window
from counterbias.testing import planted_log_bias
from tests.helpers.scripts import load as load_script


def load(name: str) -> ModuleType:
    return load_script(name)


@pytest.fixture
def whole_run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the script looks for its neighbour
    return load("whole_run")


def test_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = load("training")
    path = tmp_path / "training.json"
    options = [
        "--models",
        "pwm,bayesnet",
        "--windows",
        "400",
        "--window",
        "3,4",
        "--repeats",
        "2",
        "--json",
        str(path),
    ]
    assert training.main(options) == 0
    written = json.loads(path.read_text())
    assert [one["label"] for one in written["results"]] == ["pwm", "bayesnet"]
    for one in written["results"]:
        assert len(one["wall"]) == len(one["cpu"]) == len(one["alone"]) == 2
        assert min(one["wall"]) > min(one["alone"]) > 0, "judges are fitted besides"
        assert one["folds"] == 5
        assert one["peak"] > 5e7
    text = capsys.readouterr().out
    assert (
        "400 read starts of 8 bases, twice as many background windows, "
        "120 tiles for models that learn from them" in text
    )
    assert "Slower than the target" not in text  # the targets hold for a sample of another size


def test_what_is_trained_on_has_the_planted_bias_in_windows_and_tiles() -> None:
    training = load("training")
    window = Window(5, 5)
    sample = training.planted_folds(window, 4000, 1, 5)
    whole = sample.everything
    assert whole.tiles is not None
    assert len(whole.tiles.counts) == len(sample.tile_parts) == 1200
    assert whole.tiles.counts.sum() / 1200 == pytest.approx(3.3, rel=0.05)
    views = np.lib.stride_tricks.sliding_window_view(whole.tiles.sequence, 11, axis=1).reshape(
        -1, 11
    )
    bias, counts = np.exp(planted_log_bias(window, views)), whole.tiles.counts.ravel()
    high = bias > np.median(bias)
    assert counts[high].sum() / counts[~high].sum() == pytest.approx(
        bias[high].sum() / bias[~high].sum(), rel=0.1
    )
    sizes = np.bincount(sample.fold_of(sample.foreground_parts), minlength=5)
    assert sizes.min() > 600
    assert all(len(sample.without(fold).foreground) + sizes[fold] < 4000 for fold in range(5))


def test_training_that_takes_too_long_is_told() -> None:
    training = load("training")
    results = [
        {"label": "cnn", "wall": [21.0, 22.0, 5.0]},
        {"label": "pwm", "wall": [0.5]},
        {"label": "gru", "missing": "needs torch"},
    ]
    assert training.shortcomings(results) == ["cnn: 21.0 s, not 20"]


def test_unknown_model_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("training").main(["--models", "far"])
    assert "no model 'far'" in capsys.readouterr().err


def test_whole_run(
    whole_run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--pairs",
        "3000",
        "--genes",
        "50",
        "--models",
        "vlmm",
        "--rounds",
        "1",
        "--threads",
        "1",
        "--workdir",
        str(tmp_path),
    ]
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
        "vlmm": [
            {"wall": 8.0, "stages": {"training": 1.0}},
            {"wall": 7.0, "stages": {"training": 1.0}},
        ],
        "cnn": [
            {"wall": 20.0, "stages": {"training": 10.0}},
            {"wall": 20.0, "stages": {"training": 10.0}},
        ],
    }
    assert whole_run.ratios(runs, "vlmm") == [1.5, 1.0]
    assert whole_run.ratios(runs, "cnn") == [2.5, 2.0]
