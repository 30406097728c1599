"""Figures of ``counterbias compare``: all are there, byte for byte, and none without matplotlib."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterbias.cli import main
from tests.compare.running import QUICK, command


def test_figures_are_there(done: Path) -> None:
    pytest.importorskip("matplotlib")
    names = (
        "composition",
        "fold_change",
        "before_after",
        "gain_cost",
        "reliability",
        "truth",
        "truth_difference",
    )
    wanted = {f"one.{name}.{suffix}" for name in names for suffix in ("svg", "png")}
    assert {path.name for path in (done / "figures").iterdir()} == wanted
    text = (done / "figures" / "one.truth_difference.svg").read_text()
    assert "<dc:date>" not in text
    assert all(name in text for name in QUICK.split(","))


def test_figures_have_the_same_bytes_again(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from counterbias.figures import ModelFigures, SampleFigures, draw_sample

    fpkm = np.linspace(1.0, 2000.0, 50)
    shares = {base: [0.25] * 3 for base in "ACGT"}
    expression = {"raw": fpkm, "weighted": fpkm * 1.1, "corrected": fpkm[::-1].copy()}
    difference = {
        name: {"rmse": (-0.1, -0.2, 0.0), "pearson": (0.1, 0.0, 0.2)}
        for name in ("weighted", "corrected")
    }
    composition = {"both": dict.fromkeys(("before", "after", "background"), shares)}
    points = {
        "predicted": (-1.0, 0.0, 1.0),
        "observed": (-1.2, 0.1, np.nan),
        "error": (0.1, 0.1, np.nan),
    }
    model = ModelFigures(
        "a $model_1$",
        True,
        0.5,
        0.1,
        2.0,
        (-1, 0, 1),
        composition,
        expression,
        expression,
        difference,
        points,
    )
    sample = SampleFigures("<s>", np.full(50, 20.0), [model], fpkm, "A")
    content = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        written = draw_sample(sample, tmp_path / name)
        content.append({Path(path).name: Path(path).read_bytes() for path in written})
    assert len(content[0]) == 14
    assert content[0] == content[1]
    assert b"a $model_1$" in content[0]["<s>.gain_cost.svg"]


# -- models that misbehave ---------------------------------------------------------------------


def test_without_matplotlib_all_but_figures_is_written(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from counterbias import figures

    monkeypatch.setattr(figures, "is_available", lambda: False)
    assert main(command(folder, tmp_path, "--folds", "1", "--seeds", "1", models="heptamer")) == 0
    assert "pip install 'counterbias[compare]'" in capsys.readouterr().err
    assert list((tmp_path / "figures").iterdir()) == []
    assert (tmp_path / "comparison.json").exists()
