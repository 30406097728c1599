"""Plug-ins that fail, or remark on a fit: one line with their name and the sample's."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import counterbias
from counterbias import Backend, BiasModel, FitReport, hookimpl
from counterbias.cli import main
from counterbias.plugins import Manager, load_plugins
from tests.helpers.samples_without_starts import write_singles

REMARK = "batches of 256 were too large: they were halved twice"


@dataclasses.dataclass(frozen=True)
class Sized:
    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError("size must be above 0")


class Broken(BiasModel):
    """Fails in the method that its ``fault`` names, or has something to remark."""

    Options = Sized
    fault = ""

    def __init__(self, window: counterbias.Window, options: Any = None) -> None:
        super().__init__(window, options)
        if self.fault == "init":
            raise TypeError("an odd width")

    def fit(self, sample: Any, rng: np.random.Generator) -> FitReport:
        if self.fault == "fit" and len(sample.foreground) < 1600:
            raise ZeroDivisionError("division by\nzero")
        if self.fault == "exit":
            raise SystemExit("gone")
        if self.fault == "refuse" and len(sample.foreground) < 1600:
            raise counterbias.InputError("1,600 starts are needed", remedy="take another model")
        if self.fault == "remark":
            return FitReport(0.0, 1, details={"remarks": [REMARK]})
        return FitReport(0.0, 1)

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        if self.fault == "log_bias":
            raise KeyError("lost")
        return np.where(contexts[:, 10] == 0, 0.5, -0.5)

    def along(self, sequence: np.ndarray) -> np.ndarray:
        return super().along(sequence)[1:] if self.fault == "along" else super().along(sequence)

    def to_arrays(self) -> dict[str, np.ndarray]:
        if self.fault == "to_arrays":
            raise OverflowError("too\nlarge")
        return {"a name": np.zeros(3)} if self.fault == "name" else {}

    def from_arrays(self, arrays: Any) -> None:
        pass


class Plugin:
    @hookimpl
    def counterbias_backends(self) -> list[Backend]:
        return [Backend("broken", "fails", lambda: Broken)]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install the plug-in, with a fault."""

    def load(environ: object = None) -> Manager:
        manager = load_plugins()
        manager.register(Plugin(), name="broken", distribution="broken-dist", version="1")
        return manager

    monkeypatch.setattr("counterbias.plugins.load_plugins", load)
    monkeypatch.setattr("counterbias.pipeline.compare.run.load_plugins", load)
    return lambda fault: monkeypatch.setattr(Broken, "fault", fault)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    write_singles(folder)
    lines = (folder / "other.sam").read_text().splitlines()
    (folder / "fewer.sam").write_text("\n".join(lines[:1500]) + "\n")
    return folder


def argv(name: str, folder: Path, out: Path, *samples: str) -> list[str]:
    options = ["-q", "-s", "yes", "--bias-genome", str(folder / "genome.fa")]
    options += {
        "count": ["--bias-model", "broken", "--bias-output", f"{out}/", "-c", str(out / "t.tsv")],
        "train": ["--bias-model", "broken", "-o", str(out / "m.model")],
        "compare": [
            "--models",
            "broken,pwm",
            "--folds",
            "1",
            "--seeds",
            "1",
            "--no-figures",
            "-o",
            str(out / "c"),
        ],
    }[name]
    return [
        name,
        *options,
        *(str(folder / f"{sample}.sam") for sample in samples),
        str(folder / "genes.gtf"),
    ]


@pytest.mark.parametrize(
    "failure",
    [("", "0", "ValueError: size must be above 0"), ("init", "1", "TypeError: an odd width")],
)
@pytest.mark.parametrize("name", ["count", "train"])
def test_options_and_windows_that_a_backend_does_not_take_are_one_line(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[str], None],
    failure: tuple[str, str, str],
    name: str,
) -> None:
    fault, size, problem = failure
    broken(fault)
    command = argv(name, folder, tmp_path, "good")
    assert main([name, "--bias-option", f"size={size}", *command[1:]]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"counterbias: backend 'broken' does not take its options, or the window 10,10: {problem}"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "failure",
    [
        (
            "to_arrays",
            "backend 'broken' failed while its model was saved: OverflowError: too large",
        ),
        ("name", "backend 'broken' returned array 'a name' of type float64, which cannot be saved"),
    ],
)
@pytest.mark.parametrize("name", ["count", "train"])
def test_a_model_that_cannot_be_saved_leaves_no_files(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[str], None],
    failure: tuple[str, str],
    name: str,
) -> None:
    fault, message = failure
    broken(fault)
    assert main(argv(name, folder, tmp_path, "good")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [text for text in lines if not text.startswith("Warning: ")] == [
        f"counterbias: {message}"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "failure",
    [
        (
            "fit",
            "backend 'broken' failed while it was fitted to fewer: "
            "ZeroDivisionError: division by zero",
        ),
        ("exit", "backend 'broken' failed while it was fitted to good: SystemExit: gone"),
        ("log_bias", "backend 'broken' failed while it scored good: KeyError: 'lost'"),
        (
            "along",
            "backend 'broken' failed while it scored good: "
            "ValueError: Broken.along gave scores of shape",
        ),
    ],
)
@pytest.mark.parametrize("more", [(), ("--bias-threads", "2"), ("-n", "2")])
def test_count_names_backend_and_sample(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[str], None],
    failure: tuple[str, str],
    more: tuple[str, ...],
) -> None:
    method, message = failure
    broken(method)
    command = argv("count", folder, tmp_path, "good", "fewer")
    assert main([command[0], *more, *command[1:]]) == 1
    (last,) = [
        text for text in capsys.readouterr().err.splitlines() if not text.startswith("Warning: ")
    ]
    assert last.startswith(f"counterbias: {message}")
    assert last.endswith(
        "Take another model, or tell the author of the plug-in "
        "(`counterbias models` lists where it comes from)"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_sample_that_the_backend_refuses_has_no_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Callable[[str], None]
) -> None:
    broken("refuse")
    assert main(argv("count", folder, tmp_path, "good", "fewer")) == 0
    stderr = capsys.readouterr().err
    assert (
        "Warning: fewer: there is no model, all its weights are 1: "
        "1,600 starts are needed; take another model\n" in stderr
    )
    assert counterbias.load_model(tmp_path / "fewer.model", manager=_manager()).no_model
    assert (tmp_path / "good.model").exists()


def _manager() -> Manager:
    manager = load_plugins()
    manager.register(Plugin(), name="broken", distribution="broken-dist", version="1")
    return manager


def test_train_names_backend_and_sample(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Callable[[str], None]
) -> None:
    broken("fit")
    assert main(argv("train", folder, tmp_path, "fewer")) == 1
    stderr = capsys.readouterr().err
    assert (
        "fewer has no model of its own: "
        "backend 'broken' failed while it was fitted to fewer: ZeroDivisionError" in stderr
    )
    assert (
        "counterbias: "
        "backend 'broken' failed while it was fitted to all samples together: ZeroDivisionError"
        in stderr
    )
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []


def test_compare_goes_on_with_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Callable[[str], None]
) -> None:
    broken("fit")
    assert main(argv("compare", folder, tmp_path, "fewer")) == 3
    captured = capsys.readouterr()
    assert "failed: ZeroDivisionError: division by zero" in captured.out
    assert "Recommended: --bias-model pwm" in captured.out


# -- what a model remarks on its fit -----------------------------------------------------------


def remarks_in(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if REMARK in line]


def test_count_passes_on_what_a_model_remarks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Callable[[str], None]
) -> None:
    broken("remark")
    assert main(argv("count", folder, tmp_path, "good", "other")) == 0
    assert remarks_in(capsys.readouterr().err) == [
        f"Warning: {sample}: fitting broken: {REMARK}" for sample in ("good", "other")
    ]
    report = json.loads((tmp_path / "good.counterbias.json").read_text())
    assert f"fitting broken: {REMARK}" in report["warnings"]


def test_train_passes_on_what_a_model_remarks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Callable[[str], None]
) -> None:
    broken("remark")
    assert main(argv("train", folder, tmp_path, "good", "other")) == 0
    told = [f"{name}: fitting broken: {REMARK}" for name in ("good", "other", "pooled model")]
    assert remarks_in(capsys.readouterr().err) == [f"Warning: {line}" for line in told]
    (report,) = tmp_path.glob("*.json")
    assert set(told) <= set(json.loads(report.read_text())["warnings"])


def test_compare_passes_on_what_a_model_remarks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: Callable[[str], None]
) -> None:
    broken("remark")
    assert main(argv("compare", folder, tmp_path, "good")) == 0
    assert remarks_in(capsys.readouterr().err) == [
        f"Warning: good: broken: fitting broken: {REMARK}",
        f"Warning: good: broken: fold 0, seed 1: {REMARK}",
    ]


@pytest.mark.parametrize(
    ("details", "remarks"),
    [
        ({}, ()),
        ({"remarks": []}, ()),
        ({"remarks": ["one", "two\nlines"]}, ("one", "two lines")),
        ({"remarks": "not in a list"}, ("not in a list",)),
        ({"remarks": 3}, ("3",)),
    ],
)
def test_remarks_are_lines(details: dict[str, object], remarks: tuple[str, ...]) -> None:
    assert FitReport(0.0, 1, details=details).remarks == remarks
