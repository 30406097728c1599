"""The benchmark of counting measures children only, compares outputs, and prints its tables."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.helpers.scripts import load

#: A sample that takes seconds.
SMALL = ["--pairs", "3000", "--genes", "60", "--repeats", "1", "--threads", "1,2"]


@pytest.fixture(scope="module")
def counting() -> ModuleType:
    return load("counting")


def test_runner_measures_the_child_only(tmp_path: Path) -> None:
    runner = load("processes").Runner(tmp_path)
    ballast = np.ones(40_000_000)  # 320 MB in this process, which must not be counted
    script = "import time; block = bytearray(50_000_000); time.sleep(0.3); print('done')"
    figures = runner.run([sys.executable, "-c", script])
    assert runner.output() == b"done\n"
    assert 0.3 <= figures["wall"] < 10
    assert figures["cpu"] < figures["wall"]
    assert 50e6 < figures["peak"] < 200e6 < ballast.nbytes
    assert figures["load"] >= 0
    with pytest.raises(RuntimeError, match="no such thing"):
        runner.run([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_runner_changes_and_removes_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("KEPT", "1")
    runner = load("processes").Runner(tmp_path, environment={"HOME": None, "NEW": "2"})
    script = "import os; print([os.environ.get(name) for name in ('HOME', 'KEPT', 'NEW')])"
    runner.run([sys.executable, "-c", script])
    assert runner.output() == b"[None, '1', '2']\n"


def test_files_are_used_again_only_if_made_alike(tmp_path: Path) -> None:
    module = load("counting_files")

    def files(**options: object) -> Any:
        return module.Files(tmp_path, module.Design(genes=30, **options))

    first = files()
    assert first.make() > 100
    path = first.bam("pos", 200)
    before = path.stat().st_mtime_ns
    assert files().bam("pos", 200).stat().st_mtime_ns == before
    content = path.read_bytes()
    assert files(seed=2).bam("pos", 200).read_bytes() != content
    assert files(instrument="novaseq").bam("pos", 200).read_bytes() != content
    assert files().bam("pos", 200).read_bytes() == content


@pytest.mark.parametrize(
    "option",
    [
        ["--order", "size"],
        ["--keep"],
        ["--skip-htseq", "--htseq-pairs", "5"],
        ["--growth", "1M"],
        ["--threads", "few"],
        ["--instrument", "sanger"],
    ],
)
def test_wrong_options_end_with_usage(
    counting: ModuleType, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        counting.parse_arguments(option)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_growth_is_measured_from_an_eighth_of_the_pairs_on(counting: ModuleType) -> None:
    eighths = counting.parse_arguments(["--pairs", "8000000"]).growth
    assert eighths == [1_000_000, 2_000_000, 4_000_000, 8_000_000]
    assert counting.parse_arguments(["--growth", "1000000,32000000"]).growth == [10**6, 32 * 10**6]
    assert counting.parse_arguments(["--growth", ""]).growth == []


def test_benchmark_compares_and_reports(
    counting: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*SMALL, "--htseq-pairs", "1000", "--growth", "500,3000"]
    written = tmp_path / "figures.json"
    result = counting.main([*options, "--workdir", str(tmp_path), "--json", str(written)])
    printed = capsys.readouterr().out
    assert json.loads(written.read_text()) == json.loads(json.dumps(result))
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
    ours = [row for row in result["programs"] if row["name"] == "counterbias"]
    places = [("name", 1), ("name", 2), ("pos", 1), ("pos", 2)]
    assert [(row["order"], row["threads"]) for row in ours] == places
    assert all(row["medians"]["wall"] > 0 and row["medians"]["peak"] > 1e7 for row in ours)
    assert "outputs byte-identical for all threads and sort orders" in printed
    for order in ("name", "pos"):
        assert f"{order}: output byte-identical to htseq-count's (1000 pairs)" in printed
        assert f"| {order}, 2 | " in printed
    htseq = [row for row in result["programs"] if row["name"] == "htseq-count"]
    assert [row["order"] for row in htseq] == ["name", "pos"]
    assert all("extrapolated" in row["note"] for row in htseq)
    has_theirs = any(row["name"] == "featureCounts" for row in result["programs"])
    assert has_theirs == (shutil.which("featureCounts") is not None)
    assert has_theirs == ("featureCounts is not installed" not in printed)
    small, large = result["growth"]
    assert (small["pairs"], large["pairs"]) == (500, 3000)
    assert 0 < small["assigned"] < 500
    assert all(len(runs) == 1 for size in (small, large) for runs in size["runs"].values())
    assert set(result["bytes_per_fragment"]) == {"no model", "pwm"}


def test_benchmark_fails_where_outputs_differ(
    counting: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = load("counting_programs")

    def command(files: object, order: str, threads: int, bam: Path) -> list[str]:
        return [sys.executable, "-c", f"print('gene', {threads})"]

    monkeypatch.setattr(programs, "counterbias_command", command)
    with pytest.raises(RuntimeError, match="depends on the threads or the sort order"):
        counting.main([*SMALL, "--skip-htseq", "--growth", "", "--workdir", str(tmp_path)])


def test_growth_is_told_per_additional_fragment() -> None:
    growth = load("counting_growth")

    def runs(*peaks: int) -> list[dict[str, float]]:
        return [{"wall": 2.0, "cpu": 4.0, "peak": float(peak), "load": 0.0} for peak in peaks]

    small = growth.Size(1000, 800, {"no model": runs(50_000), "pwm": runs(60_000, 80_000, 70_000)})
    large = growth.Size(3000, 2800, {"no model": runs(54_000), "pwm": runs(130_000)})
    assert growth.bytes_per_fragment([small, large]) == {"no model": 2.0, "pwm": 30.0}
    table = growth.growth_table([small, large])
    assert "| 1,000 | 800 | 2.00 | 2000.00 | 4000.00 | 0 | 2.00 (2.00–2.00) |" in table
    assert "peak memory, pwm: 30.0 bytes for each additional assigned fragment" in table
