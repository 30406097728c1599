"""The accuracy benchmark: on a small simulated set, and on the real one where it is available."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterbias.evaluation.trial_means import paired_difference, summarise, value_of
from counterbias.pipeline.compare.evaluation import Trial
from counterbias.records import Window
from tests.helpers.scripts import load as load_script


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    return load_script("accuracy")


@pytest.fixture(autouse=True)
def _use_folder(
    simulated_fly: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if "data_dir" not in request.fixturenames:
        monkeypatch.setenv("COUNTERBIAS_DATA", str(simulated_fly))


def cells(printed: str, label: str) -> list[str]:
    line = next(line for line in printed.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def named(printed: str, label: str) -> dict[str, str]:
    """Return a row of both tables, heading → cell."""
    found: dict[str, str] = {}
    for part in printed.split("| model |")[1:]:
        found |= zip(cells("| model |" + part, "model"), cells(part, label), strict=True)
    return found


def test_table_and_file(
    accuracy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "accuracy.json"
    options = [
        "--models",
        "pwm,pwm:pseudocount=50",
        "--folds",
        "1,3",
        "--seeds",
        "1,2",
        "--json",
        str(target),
    ]
    assert accuracy.main(options) == 0
    printed = capsys.readouterr().out
    rows = {
        label: named(printed, label) for label in ("none", "seqbias", "pwm", "pwm:pseudocount=50")
    }
    assert rows["none"]["gain cap5"] == "0.000 ± 0.000"
    assert rows["none"]["AUC"] == "0.500 ± 0.000"
    assert rows["seqbias"]["cap5 − seqbias"] == ""
    assert rows["pwm"]["parameters"] == "126"
    found = {
        label: [float(part) for part in rows[label]["gain cap5"].split(" ± ")] for label in rows
    }
    assert found["seqbias"][0] > found["pwm"][0] > 0.2  # here seqbias is the truth
    assert rows["none"]["slope"] == "–"
    slope, error = (float(part) for part in rows["seqbias"]["slope"].split(" ± "))
    assert slope == pytest.approx(1, abs=max(3 * error, 0.05))  # the truth has the right size
    assert rows["pwm"]["cap5 − seqbias"].startswith("−")
    assert "Standard deviation of cap5 between seeds: pwm 0.0" in printed
    content = json.loads(target.read_text())
    trials = content["results"][0]["trials"]
    assert len(trials) == 2 + 2 + 4 + 4
    own = [trial["values"]["gain_cap5"] for trial in trials if trial["label"] == "pwm"]
    assert found["pwm"][0] == pytest.approx(np.mean(own), abs=6e-4)
    by_fold = np.mean(np.reshape(own, (2, 2)), axis=1)
    assert found["pwm"][1] == pytest.approx(abs(by_fold[0] - by_fold[1]) / 2, abs=6e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["accuracy.json"]


def test_resume_adds_what_is_missing(
    accuracy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "accuracy.json"
    options = ["--models", "pwm", "--folds", "2", "--json", str(target)]
    assert accuracy.main([*options, "--seeds", "1"]) == 0
    first = json.loads(target.read_text())["results"][0]["trials"]
    capsys.readouterr()
    assert accuracy.main([*options, "--seeds", "1,2", "--resume"]) == 0
    messages = [line for line in capsys.readouterr().err.splitlines() if " fold " in line]
    assert [line.split(": cap5")[0] for line in messages] == ["fly pwm fold 2 seed 2"]
    assert json.loads(target.read_text())["results"][0]["trials"][: len(first)] == first
    assert accuracy.main([*options, "--reads", "assigned", "--resume"]) == 1
    assert "other options" in capsys.readouterr().err


def test_learning_curve(accuracy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        accuracy.main(
            ["--models", "pwm", "--folds", "1", "--seeds", "1", "--learning-curve", "300,3000"]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert cells(printed, "model") == ["model", "300 starts", "3,000 starts"]
    few, many = (
        [float(part) for part in cell.replace("−", "-").split(" / ")]
        for cell in cells(printed, "pwm")[1:]
    )
    assert few[0] < many[0]
    assert few[1] < many[1]
    assert few[1] >= min(few[0], 0)


def test_null(accuracy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert accuracy.main(["--models", "pwm", "--folds", "1", "--seeds", "1", "--null"]) == 0
    row = cells(capsys.readouterr().out, "pwm")
    assert row[1:2] + row[3:5] == ["all", "0 of 1", "0.0%"]
    assert 0 < float(row[2]) < 0.5


def test_a_model_that_fails_does_not_stop_the_others(
    accuracy: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterbias_backends import vlmm

    def fail(*_: object) -> None:
        raise ValueError("no luck")

    monkeypatch.setattr(vlmm.counterbias_backends()[0].load(), "fit", fail)
    assert accuracy.main(["--models", "vlmm,pwm", "--folds", "1", "--seeds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "vlmm: not measured: ValueError: no luck" in printed
    assert len(named(printed, "pwm")) > 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "moon"], "no set 'moon'"),
        (["--folds", "5"], "folds 0 to 4"),
        (["--seeds", "one"], "whole numbers"),
        (["--resume"], "needs --json"),
    ],
)
def test_wrong_options(
    accuracy: ModuleType, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        accuracy.main(options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "models",
    ["nosuch", "pwm:pseudocount", "pwm:size=3"],
)
def test_wrong_models(
    accuracy: ModuleType, models: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy.main(["--models", models]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_means_and_errors_by_hand() -> None:
    trials = [
        {"fold": fold, "values": {"gain_cap5": value}}
        for fold, value in ((1, 1.0), (1, 3.0), (2, 5.0), (2, 5.0))
    ]
    mean = summarise(trials, value_of("gain_cap5"))
    assert (mean.value, mean.error, mean.seeds) == (3.5, pytest.approx(1.5), pytest.approx(1.0))
    reference = [
        {"fold": 1, "values": {"gain_cap5": 1.5}},
        {"fold": 2, "values": {"gain_cap5": 4.5}},
    ]
    apart = paired_difference(trials, reference)
    assert (apart.value, apart.error) == (0.5, pytest.approx(0.0))
    assert math.isnan(summarise([], value_of("gain_cap5")).value)
    assert load_script("accuracy_tables").with_error(apart, 2, sign=True) == "+0.50 ± 0.00"


def test_the_stored_seqbias_is_as_good_as_it_was(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(data_dir))
    sample = load_script("accuracy_samples").load_sample("fly", "unique")
    trials = load_script("accuracy_trials")
    found = [
        trials.run_trial(
            trials.Row("seqbias"),
            sample,
            Trial(fold),
            window=Window(),
            threads=1,
            null=False,
        )
        for fold in (1, 2, 3, 4)
    ]
    mean = {
        name: np.mean([one["values"][name] for one in found])
        for name in ("gain_uniq", "gain_cap5", "gain_all", "r2", "auc", "ess")
    }
    expected = {
        "gain_uniq": 0.46,
        "gain_cap5": 0.67,
        "gain_all": 0.82,
        "r2": 0.195,
        "auc": 0.724,
        "ess": 0.40,
    }
    for name, value in expected.items():
        assert mean[name] == pytest.approx(value, abs=0.005)
