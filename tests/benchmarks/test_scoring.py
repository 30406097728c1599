"""The benchmark of scoring runs on few windows and reports its measurements."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.scripts import load as load_script

pytest.importorskip("torch", reason="the script compares with torch (extra torch)")


@pytest.fixture(scope="module")
def scoring() -> ModuleType:
    return load_script("scoring")


def test_table_and_file(
    scoring: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scoring.json"
    models = "gru,gru:objective=ratio+hidden=20,cnn,pwm"
    assert (
        scoring.main(
            [
                "--models",
                models,
                "--windows",
                "3000",
                "--repeats",
                "1",
                "--window",
                "4,5",
                "--json",
                str(path),
            ]
        )
        == 0
    )
    written = json.loads(path.read_text())
    assert [one["label"] for one in written["results"]] == models.split(",")
    assert all(min(one["per_second"], one["along_per_second"]) > 1000 for one in written["results"])
    assert all(one["difference"] < 1e-5 for one in written["results"][:3])
    text = capsys.readouterr().out
    assert "| cnn |" in text
    assert "3,000 windows of 10 bases" in text


def test_shortcomings_are_told(scoring: ModuleType) -> None:
    results = [
        {
            "label": "gru",
            "per_second": 13.0,
            "along_per_second": 20e6,
            "torch_per_second": 1.0,
            "difference": 1e-4,
        },
        {
            "label": "cnn",
            "per_second": 60.0,
            "along_per_second": 20e6,
            "torch_per_second": 1.0,
            "difference": 1e-7,
        },
        {
            "label": "cnn:distil=false",
            "per_second": 14.0,
            "along_per_second": 20e6,
            "torch_per_second": 1.0,
            "difference": 1e-7,
        },
        {"label": "pwm", "per_second": 69.0, "along_per_second": 20e6},
        {"label": "vlmm", "per_second": 71.0, "along_per_second": 20e6},
    ]
    assert scoring.shortcomings(results) == [
        "gru: 1.0e-04 from torch",
        "cnn:distil=false: 14.0 times torch, not 15",
        "pwm: 1.1 times cnn, not 5",
        "vlmm: 1.2 times cnn, not 5",
        "pwm: 4.9 times cnn:distil=false, not 5",
    ]
    assert "| pwm | 0.00 | 20.00 |  |  |  | 4.9 | 1.1 |" in scoring.table(results)


def test_unknown_model_ends_with_usage(
    scoring: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        scoring.main(["--models", "far"])
    assert "no model 'far'" in capsys.readouterr().err
