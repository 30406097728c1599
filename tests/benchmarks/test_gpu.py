"""The benchmark of GPUs runs in miniature without one, and tells what is missing or fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers.scripts import BENCHMARKS
from tests.helpers.scripts import load as load_script

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    return load_script("gpu")


def in_miniature(gpu: ModuleType, part: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Run one part with torch's CPU device in place of the GPU; return its figures by name."""
    path = folder / "gpu.json"
    options = ["--device", "cpu", "--quick", "--threads", "2", "--minutes", "30"]
    assert gpu.main([*options, "--parts", part, "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    assert written["environment"]["torch"] == torch.__version__
    assert written["environment"]["threads"] == 2
    assert written["parts"][part]["problem"] == ""
    return {one["name"]: one for one in written["parts"][part]["figures"]}


def test_training_in_miniature(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = in_miniature(gpu, "training", tmp_path)
    first, *others = figures
    assert first == "first use of the GPU in a process"
    assert [name.partition(":")[0] for name in others] == ["gru", "gru", "cnn", "cnn"]
    for name in others:
        assert len(figures[name]["gpu"]) == len(figures[name]["cpu"]) == 1
        assert figures[name]["met"] is None  # on the same device times say nothing about a GPU
    text = capsys.readouterr().out
    assert "| measured | torch's CPU device | processor | times faster | target |" in text
    assert text.endswith("Missed: nothing.\n")


def test_a_large_network_in_miniature(gpu: ModuleType, tmp_path: Path) -> None:
    figures = in_miniature(gpu, "large", tmp_path)
    # Four convolutions of 6 channels, the first of 4 letters, and a last one of 5 bases, 5 each.
    size = (4 * 5 * 6 + 6) + 3 * (6 * 5 * 6 + 6) + (6 * 5 + 1)
    assert {name.partition(" ")[0] for name in figures} == {str(size)}
    assert all(one["met"] is None for one in figures.values())


def test_a_comparison_in_miniature(gpu: ModuleType, tmp_path: Path) -> None:
    figures = in_miniature(gpu, "compare", tmp_path)
    compared = figures["compare, all of it"]
    assert len(compared["gpu"]) == len(compared["cpu"]) == 1
    assert compared["note"] == "4,000 simulated pairs"
    gains = [one for name, one in figures.items() if name.endswith("gain on held-out folds")]
    assert [one["unit"] for one in gains] == ["bits"] * 3


def test_training_twice_in_miniature_gives_the_same_bytes(gpu: ModuleType, tmp_path: Path) -> None:
    figures = in_miniature(gpu, "repeat", tmp_path)
    assert [one["met"] for one in figures.values()] == [True] * 6


def test_nothing_is_said_of_a_gpus_memory_without_one(gpu: ModuleType, tmp_path: Path) -> None:
    assert in_miniature(gpu, "memory", tmp_path) == {}


def test_seeds_differ_by_the_root_of_twice_their_variance() -> None:
    compare = load_script("gpu_compare")
    # Two seeds are 1 apart on one fold and 3 on the other: variances 1/2 and 9/2, mean 5/2.
    gains = {(0, 1): 0.0, (0, 2): 1.0, (1, 1): 5.0, (1, 2): 2.0}
    assert compare._spread_of_seeds(gains) == pytest.approx(5**0.5)


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
