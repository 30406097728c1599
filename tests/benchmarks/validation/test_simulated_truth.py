"""Corrected counts against a simulated truth: known answers by hand, and a tiny run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.validation.scripts import number, parsed, script

# -- reporting ---------------------------------------------------------------------------------


def test_mean_and_error_by_hand() -> None:
    rep = script("reporting")
    mean = rep.mean([1.0, 3.0, None, float("nan")])
    assert (mean.value, mean.error, mean.number) == (2.0, pytest.approx(1.0), 2)
    assert mean.text(1, sign=True) == "+2.0 ± 1.0"
    assert rep.mean([-0.5]).text(2) == "−0.50"
    assert rep.mean([]).text() == "–"


def test_json_holds_no_nan(tmp_path: Path) -> None:
    rep = script("reporting")
    rep.write_json(
        tmp_path / "x.json",
        "x.py",
        ["--seeds", "1"],
        {"a": [float("nan"), np.float64(2), np.bool_(True)], "b": np.arange(2)},
    )
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["command"] == "python benchmarks/validation/x.py --seeds 1"
    assert (content["a"], content["b"]) == ([None, 2.0, True], [0, 1])


# -- simulated truth ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """Run the script on two tiny samples; return its file, its output and its folder."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("simulated")
    options = [
        "--models",
        "pwm",
        "--pairs",
        "6000,15000",
        "--null",
        "6000",
        "--seeds",
        "1",
        "--genes",
        "60",
        "--fewest",
        "20",
    ]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert (
            script("simulated").main(
                [*options, "--json", str(folder / "s.json"), "--figures", str(folder)]
            )
            == 0
        )
    return json.loads((folder / "s.json").read_text()), out.getvalue(), folder


def test_corrected_counts_lie_between_raw_and_chance(
    simulated: tuple[dict[str, Any], str, Path],
) -> None:
    content, printed, _ = simulated
    table = parsed(printed, "By depth")
    errors = {label: number(row["15,000 pairs"]) for label, row in table.items()}
    assert errors["chance"] < errors["corrected, true bias"] < errors["raw"]
    assert errors["corrected, pwm"] < errors["raw"]
    assert {row["model"] for row in content["rows"] if row["biased"]} == {"pwm", "true bias"}
    difference = parsed(printed, "By depth, difference to raw")["corrected, pwm"]["15,000 pairs"]
    assert number(difference) == pytest.approx(errors["corrected, pwm"] - errors["raw"], abs=0.0011)


def test_without_bias_nothing_changes(simulated: tuple[dict[str, Any], str, Path]) -> None:
    table = parsed(simulated[1], "Without bias")
    assert table["raw"] == {**table["corrected, pwm"], "RMSE log2": "raw"}
    gate = parsed(simulated[1], "Gain, part of the bias that is removed, gate")["pwm"]
    assert (gate["used, biased"], gate["used, unbiased"]) == ("2 of 2", "0 of 1")


def test_the_true_bias_removes_all_of_it(simulated: tuple[dict[str, Any], str, Path]) -> None:
    table = parsed(simulated[1], "Gain, part of the bias that is removed, gate")
    assert number(table["true bias"]["bias removed, 15,000 pairs"]) == pytest.approx(1, abs=0.1)
    assert number(table["pwm"]["bias removed, 15,000 pairs"]) == pytest.approx(0.98, abs=0.1)


def test_the_bias_of_a_model_file_is_simulated(tmp_path: Path) -> None:
    from counterbias import EndModel, ModelFile, TrainingSet, Window, load_plugins, save_models

    window, rng = Window(3, 4), np.random.default_rng(1)
    foreground, background = (rng.integers(0, 4, (400, 8)).astype(np.uint8) for _ in range(2))
    foreground[:250, 3] = 0
    model = load_plugins().registration("pwm").backend.load()(window)
    model.fit(TrainingSet(window, foreground, np.ones(400), background, np.ones(400)), rng)
    save_models(
        tmp_path / "x.model",
        ModelFile("pwm", "", "", window, (EndModel("both", model, offset=0.25, slope=0.5),)),
    )
    world = script("simulated").make_world(1, 20, 0.9, tmp_path / "x.model")
    assert world.log_bias(foreground) == pytest.approx(0.5 * model.log_bias(foreground) + 0.25)
    assert world.genome.lengths == script("simulated").make_world(1, 20, 0.9).genome.lengths


def test_share_removed_by_hand() -> None:
    class Truth:
        unbiased_fragments = np.array([100.0, 100.0, 100.0, 100.0, 1.0])
        mean_bias = np.array([2.0, 4.0, 1.0, 0.5, 64.0])

    raw = np.array([10.0, 5.0, 4.0, 3.0, 1.0])
    found = {"raw": raw, "corrected": raw / np.sqrt(Truth.mean_bias) * 3}
    # Half of the bias is removed; half of its standard deviation over four genes, √(5/4), remains.
    assert script("simulated").share_removed(found, Truth, 50) == (
        pytest.approx(0.5),
        pytest.approx(0.5 * np.sqrt(5 / 4)),
    )


def test_resume_adds_nothing_twice_and_figures_repeat(
    simulated: tuple[dict[str, Any], str, Path], tmp_path: Path
) -> None:
    content, _, folder = simulated
    shutil.copy(folder / "s.json", tmp_path / "s.json")
    options = [
        "--models",
        "pwm",
        "--pairs",
        "6000,15000",
        "--null",
        "6000",
        "--seeds",
        "1",
        "--genes",
        "60",
        "--fewest",
        "20",
    ]
    assert (
        script("simulated").main(
            [*options, "--json", str(tmp_path / "s.json"), "--resume", "--figures", str(tmp_path)]
        )
        == 0
    )
    assert json.loads((tmp_path / "s.json").read_text())["rows"] == content["rows"]
    assert (tmp_path / "simulated.svg").read_bytes() == (folder / "simulated.svg").read_bytes()
    other = ["--genes", "61", "--json", str(tmp_path / "s.json"), "--resume"]
    assert script("simulated").main(other) == 1
