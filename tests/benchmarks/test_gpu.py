"""The benchmark of GPUs runs in miniature without one, and tells what is missing or fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.scripts import BENCHMARKS
from tests.helpers.scripts import load as load_script

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    return load_script("gpu")


def test_all_parts_run_in_miniature_with_the_processor_in_place_of_the_gpu(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--quick", "--threads", "2", "--minutes", "30"]
    assert gpu.main([*options, "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    assert written["environment"]["torch"] == torch.__version__
    assert written["environment"]["threads"] == 2
    assert list(written["parts"]) == ["training", "large", "compare", "repeat", "memory"]
    figures = {}
    for name, part in written["parts"].items():
        assert part["problem"] == ""
        figures[name] = {one["name"]: one for one in part["figures"]}
    training = [name.partition(":")[0] for name in figures["training"]]
    assert training == ["first use of the GPU in a process", "gru", "gru", "cnn", "cnn"]
    for one in [*figures["training"].values(), *figures["compare"].values()]:
        assert one["met"] is None  # times on the same device say nothing about a GPU
    compared = figures["compare"]["compare, all of it"]
    assert len(compared["gpu"]) == len(compared["cpu"]) == 1
    assert [one["met"] for one in figures["repeat"].values()] == [True] * 6
    assert figures["memory"] == {}
    text = capsys.readouterr().out
    assert "| measured | torch's CPU device | processor | times faster | target |" in text
    assert "4,000 simulated pairs" in text
    assert text.endswith("Missed: nothing.\n")


def test_no_gpu_is_told_in_one_line(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "gpu.py: torch finds no GPU; --device cpu --quick tries this script without one\n"
    )


def test_absent_torch_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    program = (
        f"import runpy, sys; sys.path[:0] = [{str(tmp_path)!r}, {str(BENCHMARKS)!r}]; "
        f"runpy.run_path({str(BENCHMARKS / 'gpu.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "gpu.py needs the module 'torch': benchmarks/README.md says how to get it\n"
    )


def test_a_part_that_fails_or_is_cut_off_leaves_the_others(
    gpu: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measure(name: str, arguments: object, seconds: float) -> tuple[list[object], str]:
        found = [gpu.Figure("gru: one fit", [3.5], [7.0], target="≤ 3 s", met=False)]
        return found, {"large": "failed with status 1"}.get(name, "")

    monkeypatch.setattr(gpu, "measure", measure)
    path = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--quick", "--parts", "large,repeat", "--json", str(path)]
    assert gpu.main(options) == 1
    parts = json.loads(path.read_text())["parts"]
    assert [part["problem"] for part in parts.values()] == ["failed with status 1", ""]
    out = capsys.readouterr().out
    assert "large (failed with status 1)" in out
    assert "| gru: one fit | 3.5 s | 7 s | 2.0 | ≤ 3 s | MISS |  |" in out
    assert out.endswith("Missed: gru: one fit; gru: one fit.\n")


def test_a_part_is_stopped_at_its_limit(gpu: ModuleType) -> None:
    arguments = gpu.parse_arguments(["--device", "cpu", "--quick", "--threads", "1"])
    figures, problem = gpu.measure("training", arguments, 0.2)
    assert figures == []
    assert problem == "cut off after 0 s"
