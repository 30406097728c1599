"""Models that fail, gain nothing or cannot be trained are named, and the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pytest

import counterbias
from counterbias.cli import main
from counterbias.pipeline.compare import trials
from tests.compare.running import command, document, rows


class Sound(counterbias.BiasModel):
    """A model without any bias."""

    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        return counterbias.FitReport(0.0, 1)

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.zeros(len(contexts))

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {}

    def from_arrays(self, arrays: Any) -> None:
        pass


class Broken(Sound):
    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        raise ZeroDivisionError("no luck\ntoday")


class NotANumber(Sound):
    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(contexts)) == 3, np.nan, 0.0)


class WrongShape(Sound):
    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.zeros((len(contexts), 1))


class NotANumberAlong(Sound):
    def along(self, sequence: np.ndarray) -> np.ndarray:
        return np.full(len(sequence) - self.window.width + 1, np.nan)


class WrongShapeAlong(Sound):
    def along(self, sequence: np.ndarray) -> np.ndarray:
        return np.zeros(2)


class Reportless(Sound):
    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        return None  # type: ignore[return-value]


class BadReport(Sound):
    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        return counterbias.FitReport(0.0, 1, curves={"loss": [0.7, float("nan")]})


class BadReportOfItsOwn(Sound):
    def cross_fit(
        self, sample: counterbias.FoldedSample, rng: np.random.Generator
    ) -> counterbias.CrossFit:
        report = counterbias.FitReport(0.0, 1, perplexity={"foreground": float("inf")})
        return counterbias.CrossFit(report, (None,) * sample.folds)


class Centred(Sound):
    """Scores are centred on those given together, as in a network that normalises batches."""

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        scores = contexts[:, 10] * 0.1
        return scores - scores.mean() if len(scores) else scores


class ByPlace(Sound):
    """Scores depend on the place of a window in its batch, but not on the other windows."""

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return contexts[:, 10] * 0.1 + np.arange(len(contexts)) * 1e-3


class InBlocks(Sound):
    """Only whole blocks of eight windows are scored right."""

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        scores = contexts[:, 10] * 0.1
        scores[len(scores) // 8 * 8 :] = 0.5
        return scores


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Broken, "ZeroDivisionError: no luck today"),
        (NotANumber, "log_bias() gave NaN or infinity for 1 of"),
        (WrongShape, "log_bias() gave shape ("),
        (NotANumberAlong, "along() gave NaN or infinity for"),
        (WrongShapeAlong, "along() gave shape (2,) for"),
        (Reportless, "fit() gave NoneType, not a FitReport"),
        (BadReport, "fit() reported NaN or infinity in the curve 'loss'"),
        (BadReportOfItsOwn, "fit() reported NaN or infinity in the perplexity 'foreground'"),
        (Centred, "log_bias() depends on the other windows in the batch: of 300 windows"),
        (ByPlace, "log_bias() depends on the other windows in the batch: of 300 windows"),
        (InBlocks, "log_bias() depends on the other windows in the batch: of 300 windows"),
    ],
)
def test_a_model_that_misbehaves_is_named_and_the_others_go_on(
    model: type[counterbias.BiasModel],
    message: str,
    with_plugin: Callable[[type[counterbias.BiasModel]], None],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_plugin(model)
    assert (
        main(
            command(
                folder, tmp_path, "--folds", "2", "--seeds", "1", "--no-figures", models="mine,pwm"
            )
        )
        == 3
    )
    mine, pwm = rows(tmp_path)
    assert (mine["status"], pwm["status"]) == ("failed", "ok")
    assert message in mine["reason"]
    assert mine["gain_cap5"] == "NA"
    captured = capsys.readouterr()
    assert (
        "counterbias: these models failed, see comparison.tsv for why: mine (one)" in captured.err
    )
    assert "Recommended: --bias-model pwm" in captured.out
    genes = pd.read_csv(tmp_path / "per_gene.tsv", sep="\t")
    assert genes["mine.weighted"].isna().all()
    assert genes["pwm.weighted"].notna().all()


def test_no_model_helps_where_none_gains(
    with_plugin: Callable[[type[counterbias.BiasModel]], None],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_plugin(Sound)
    assert (
        main(
            command(folder, tmp_path, "--folds", "2", "--seeds", "1", "--no-figures", models="mine")
        )
        == 0
    )
    stdout = capsys.readouterr().out
    assert "Recommended: no correction." in stdout
    assert "No model helps" in stdout
    assert document(tmp_path)["recommendation"]["model"] is None
    (row,) = rows(tmp_path)
    assert row["used"] == "no"
    assert float(row["distance_corrected"]) == pytest.approx(0, abs=1e-12)


class Patient(Sound):
    """A model whose fits to folds, which report their progress, last a minute."""

    begun = Event()
    finished = Event()

    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        if self.resources.progress is not None:
            self.begun.set()
            for step in range(600):
                time.sleep(0.1)
                self.resources.progress("waiting", step, 600)
            self.finished.set()
        return counterbias.FitReport(0.0, 1)


def test_ctrl_c_ends_the_fits_that_are_under_way(
    with_plugin: Callable[[type[counterbias.BiasModel]], None],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_plugin(Patient)

    def interrupted(*_: object, **__: object) -> None:
        assert Patient.begun.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "wait", interrupted)
    assert (
        main(
            command(folder, tmp_path, "--folds", "2", "--seeds", "1", "--no-figures", models="mine")
        )
        == 130
    )
    assert not Patient.finished.is_set()
    assert not (tmp_path / "comparison.tsv").exists()


def test_missing_packages_are_a_reason_and_no_failure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterbias.pipeline.compare import candidates

    monkeypatch.setattr(
        candidates, "missing_modules", lambda backend: ("torch",) if backend.name == "vlmm" else ()
    )
    assert (
        main(
            command(
                folder, tmp_path, "--folds", "1", "--seeds", "1", "--no-figures", models="vlmm,pwm"
            )
        )
        == 0
    )
    vlmm, pwm = rows(tmp_path)
    assert (vlmm["status"], vlmm["reason"], pwm["status"]) == (
        "skipped",
        "training needs torch",
        "ok",
    )
