"""Models that are best trained together are given all their trials at once, others one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import counterbias
from counterbias import BiasModel, CrossFit, CrossFitting, InputError
from counterbias.cli import main
from counterbias.pipeline.compare import together
from counterbias_backends.pwm import PositionWeightMatrix
from tests.compare.running import command, document, rows

Install = Callable[[type[BiasModel]], None]

#: Columns that time decides.
TIMED = {"model", "train_seconds", "memory_mb", "windows_per_second"}


class Crowd(PositionWeightMatrix):
    """`pwm`, said to be best trained together, which records the trials that it is given."""

    calls: ClassVar[list[Sequence[CrossFitting]]] = []

    def trains_together(self) -> bool:
        return self.resources.device == "auto"  # the default of the commands

    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        cls.calls.append(fits)
        return super().cross_fit_together(fits)


@pytest.fixture(autouse=True)
def forget() -> None:
    Crowd.calls.clear()


def trials_given() -> list[int]:
    """Return the number of trials of each call; the first call is that of the count."""
    return [len(fits) for fits in Crowd.calls[1:]]


def measured(out: Path) -> list[dict[str, str]]:
    """Return what a comparison found for each model, without its name and times."""
    return [{key: row[key] for key in row if key not in TIMED} for row in rows(out)]


def compare(folder: Path, out: Path, *more: object, models: str = "mine,pwm") -> int:
    return main(
        command(folder, out, "--folds", "2", "--seeds", "2", "--no-figures", *more, models=models)
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_all_trials_are_given_at_once_and_come_out_as_they_do_alone(
    with_plugin: Install, folder: Path, tmp_path: Path, threads: int
) -> None:
    with_plugin(Crowd)
    assert compare(folder, tmp_path, "--bias-threads", threads) == 0
    assert trials_given() == [4]
    assert {fit.model.resources.threads for fit in Crowd.calls[1]} == {threads}
    mine, pwm = measured(tmp_path)
    assert mine == pwm
    assert mine["status"] == "ok"


def test_the_trials_of_both_read_ends_are_given_together(
    with_plugin: Install, folder: Path, tmp_path: Path
) -> None:
    with_plugin(Crowd)
    assert compare(folder, tmp_path, "-s", "yes") == 0
    assert [len(fits) for fits in Crowd.calls] == [2, 8], "two ends, two folds, two seeds"
    mine, pwm = measured(tmp_path)
    assert mine == pwm


def test_many_trials_are_given_in_parts(
    with_plugin: Install, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_plugin(Crowd)
    monkeypatch.setattr(together, "ENOUGH_BYTES", 1)
    assert compare(folder, tmp_path) == 0
    assert trials_given() == [1, 1, 1, 1]
    mine, pwm = measured(tmp_path)
    assert mine == pwm


def test_what_the_cache_holds_is_not_given(
    with_plugin: Install, folder: Path, tmp_path: Path
) -> None:
    with_plugin(Crowd)
    assert compare(folder, tmp_path) == 0
    first = measured(tmp_path)
    Crowd.calls.clear()
    assert compare(folder, tmp_path, "--seeds", "3") == 0
    assert [len(fits) for fits in Crowd.calls] == [2], "the third seed of two folds"
    Crowd.calls.clear()
    assert compare(folder, tmp_path) == 0
    assert Crowd.calls == []
    assert measured(tmp_path) == first


def test_whether_a_model_trains_together_may_depend_on_the_device(
    with_plugin: Install, folder: Path, tmp_path: Path
) -> None:
    with_plugin(Crowd)
    assert compare(folder, tmp_path, "--bias-device", "cpu") == 0
    assert trials_given() == [1, 1, 1, 1]


def test_a_fold_without_reads_stays_with_its_trial(
    with_plugin: Install, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = together.prepare_trial

    def without_fold_1(choice: Any, sample: Any, trial: Any) -> Any:
        if trial.fold == 1:
            raise InputError("fold 1 holds no exon bin with enough reads to measure by")
        return prepare(choice, sample, trial)

    monkeypatch.setattr(together, "prepare_trial", without_fold_1)
    with_plugin(Crowd)
    assert compare(folder, tmp_path) == 0
    assert trials_given() == [2]
    mine, _ = rows(tmp_path)
    assert (mine["status"], mine["reason"]) == (
        "ok",
        "fold 1, seed 1: fold 1 holds no exon bin with enough reads to measure by",
    )


def test_a_refusal_stays_with_its_trial(with_plugin: Install, folder: Path, tmp_path: Path) -> None:
    class Choosy(Crowd):
        @classmethod
        def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
            found = super().cross_fit_together(fits)
            return found if len(fits) < 4 else [*found[:2], InputError("not today"), found[3]]

    with_plugin(Choosy)
    assert compare(folder, tmp_path) == 0
    mine, pwm = rows(tmp_path)
    assert (mine["status"], mine["reason"]) == ("ok", "fold 1, seed 1: not today")
    assert mine["gain_cap5"] != pwm["gain_cap5"]


class OutOfMemory(Crowd):
    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        if len(fits) == 4:
            raise MemoryError("the device is full")
        return super().cross_fit_together(fits)


class Forgetful(Crowd):
    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        return super().cross_fit_together(fits)[:3]


class Infinite(Crowd):
    """Its second trial gives a model that cannot score."""

    broken = False

    @classmethod
    def cross_fit_together(cls, fits: Sequence[CrossFitting]) -> list[CrossFit | InputError]:
        found = super().cross_fit_together(fits)
        if len(fits) == 4:
            fits[1].model.broken = True  # type: ignore[attr-defined]
        return found

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return super().log_bias(contexts) + (np.inf if self.broken else 0)


class Undecided(Crowd):
    def trains_together(self) -> bool:
        raise ValueError("who knows")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (OutOfMemory, "4 trials together: MemoryError: the device is full"),
        (
            Forgetful,
            "4 trials together: TypeError: cross_fit_together() did not give a list of 4 results",
        ),
        (
            Infinite,
            "fold 0, seed 2: ModelFault: log_bias() gave NaN or infinity for",
        ),
        (Undecided, "fold 0, seed 1: ValueError: who knows"),
    ],
)
def test_a_model_that_fails_is_named_and_the_others_go_on(
    with_plugin: Install, folder: Path, tmp_path: Path, model: type[BiasModel], reason: str
) -> None:
    with_plugin(model)
    assert compare(folder, tmp_path) == 3
    mine, pwm = rows(tmp_path)
    assert (mine["status"], pwm["status"]) == ("failed", "ok")
    assert mine["reason"].startswith(reason)


def test_the_models_of_a_file_are_not_trained(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = ["count", "-q", "-s", "no", "-r", "pos", "--bias-model", "pwm", "--bias-genome"]
    count += [str(folder / "genome.fa"), "--bias-output", str(tmp_path / "saved")]
    count += ["-c", str(tmp_path / "t.tsv"), str(folder / "two.bam"), str(folder / "genes.gtf")]
    assert main(count) == 0
    kind = counterbias.load_plugins().backends["pwm"].backend.load()

    def never(*_: Any) -> Any:
        raise AssertionError("it is fitted already")

    monkeypatch.setattr(kind, "trains_together", lambda self: True)
    monkeypatch.setattr(kind, "cross_fit_together", classmethod(never))
    assert compare(folder, tmp_path / "out", models=str(tmp_path / "saved.model")) == 0
    (row,) = rows(tmp_path / "out")
    assert (row["status"], row["used"]) == ("ok", "yes")
    assert document(tmp_path / "out")["samples"][0]["models"][0]["measures"]["gain_cap5"]["value"]
