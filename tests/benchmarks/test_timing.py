"""The benchmarks of training and of whole runs work on tiny samples and print their results."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterbias import Window
from counterbias.plugins import load_plugins
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
        assert min(*one["wall"], *one["alone"]) > 0
        assert one["folds"] == 5
        assert one["peak"] > 5e7
    text = capsys.readouterr().out
    assert (
        "400 read starts of 8 bases, twice as many background windows, "
        "120 tiles for models that learn from them" in text
    )
    assert "Slower than the target" not in text  # the targets hold for a sample of another size


def test_all_fits_of_a_run_are_timed_and_that_of_the_model_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training, now = load("training"), [0.0]
    model = load_plugins().backend("pwm").load()

    def lasts(seconds: float) -> Callable[..., None]:
        def fit(*_: object) -> None:
            now[0] += seconds

        return fit

    monkeypatch.setattr(model, "cross_fit", lasts(5))
    monkeypatch.setattr(model, "fit", lasts(1))
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    arguments = argparse.Namespace(window="3,4", windows=300, threads=1, device="cpu", repeats=2)
    found = training.measure_alone("pwm", arguments)
    assert (found["wall"], found["alone"]) == ([5, 5], [1, 1])


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


def test_whole_runs_with_lengths_of_transcripts_stand_beside_those_of_the_union(
    whole_run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--pairs", "3000", "--genes", "50", "--isoforms", "6", "--models", "none,vlmm"]
    options += ["--lengths", "union,transcripts", "--rounds", "1", "--threads", "1"]
    result = whole_run.main([*options, "--workdir", str(tmp_path)])
    labels = ["plain", "none", "none, transcripts", "vlmm", "vlmm, transcripts"]
    assert list(result["runs"]) == labels
    assert result["unions"] == {"none, transcripts": "none", "vlmm, transcripts": "vlmm"}
    for label in labels[1:]:
        (run,) = result["runs"][label]
        assert run["stages"]["effective lengths"] > 0
    for prefix in ("none", "vlmm"):
        assert not (tmp_path / f"{prefix}.isoforms.results").exists()
        assert (tmp_path / f"{prefix}-transcripts.isoforms.results").exists()
    assert (tmp_path / "genes.gtf").read_text().count("\ttranscript\t") > 3 * 50
    shown = capsys.readouterr().out
    assert "| vlmm, transcripts |" in shown
    assert "1.5 x vlmm: " in shown


def test_more_than_one_and_a_half_times_the_union_is_told(whole_run: ModuleType) -> None:
    runs = {
        "plain": [{"wall": 1.0}] * 3,
        "pwm": [{"wall": 2.0}, {"wall": 4.0}, {"wall": 2.0}],
        "pwm, transcripts": [{"wall": 3.5}, {"wall": 4.0}, {"wall": 3.2}],
        "none, transcripts": [{"wall": 9.0}] * 3,
    }
    unions = {"pwm, transcripts": "pwm", "none, transcripts": "none"}
    result = {"runs": runs, "unions": unions}
    assert whole_run.target(result, "pwm, transcripts") == (
        "1.5 x pwm: 1.75, 1.00, 1.60",
        "pwm, transcripts: 1.60 times pwm, not 1.5",
    )
    assert whole_run.target(result, "none, transcripts") == ("", ""), "the union was not run"
    assert whole_run.target(result, "pwm") == ("", "")


def test_unknown_lengths_end_with_usage(
    whole_run: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        whole_run.main(["--lengths", "union,exons"])
    assert "no lengths 'exons': choose from union, transcripts" in capsys.readouterr().err


def test_memory_per_assigned_fragment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    memory = load("bias_memory")
    peaks = {"plain": (50, 60), "pwm": (70, 140), "pwm, transcripts": (80, 180)}
    monkeypatch.setattr(memory, "simulate", lambda folder, sizes, *_: None)
    monkeypatch.setattr(memory, "assigned_fragments", lambda table: int(table) // 10)

    def peak(folder: Path, size: int, variant: object) -> int:
        (folder / f"{size}.tsv").write_text(str(size))
        label = "plain" if variant is None else variant.label  # type: ignore[attr-defined]
        return 1_000_000 * peaks[label][size == 40_000_000]

    monkeypatch.setattr(memory, "peak", peak)
    options = ["--pairs", "40000000,20000000", "--lengths", "union,transcripts"]
    growth = memory.main([*options, "--workdir", str(tmp_path)])
    assert growth == {"no model": 5.0, "pwm": 35.0, "pwm, transcripts": 50.0}
    assert "growth with pwm, transcripts: 50.0 bytes per assigned" in capsys.readouterr().out


def test_assigned_fragments_are_those_counted_for_genes() -> None:
    table = "A\t3\nB\t0\nC\t5\n__no_feature\t7\n__ambiguous\t1\n"
    assert load("shared").assigned_fragments(table) == 8


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
