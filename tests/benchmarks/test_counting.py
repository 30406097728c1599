"""The benchmark script and the demo run on small samples and report their measurements."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterbias import demo
from tests.helpers.scripts import load as load_script


@pytest.fixture(scope="module")
def counting() -> ModuleType:
    return load_script("counting")


def test_runner_measures_the_child_only(counting: ModuleType, tmp_path: Path) -> None:
    runner = counting.Runner(tmp_path)
    ballast = np.ones(40_000_000)  # 320 MB in this process, which must not be counted
    script = "import time; block = bytearray(50_000_000); time.sleep(0.3); print('done')"
    figures = runner.run([sys.executable, "-c", script])
    assert runner.output() == b"done\n"
    assert 0.3 <= figures["wall"] < 10
    assert figures["cpu"] < figures["wall"]
    assert 50e6 < figures["peak"] < 200e6 < ballast.nbytes
    with pytest.raises(RuntimeError, match="no such thing"):
        runner.run([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_files_are_used_again_only_if_made_alike(counting: ModuleType, tmp_path: Path) -> None:
    def files(*options: str) -> object:
        return counting.Files(tmp_path, counting.parse_arguments(["--genes", "30", *options]))

    first = files()
    assert first.make() > 100
    path = first.bam("pos", 200)
    before = path.stat().st_mtime_ns
    assert files().bam("pos", 200).stat().st_mtime_ns == before
    content = path.read_bytes()
    assert files("--seed", "2").bam("pos", 200).read_bytes() != content
    assert files().bam("pos", 200).read_bytes() == content


@pytest.mark.parametrize(
    "option", [["--order", "size"], ["--keep"], ["--skip-htseq", "--htseq-pairs", "5"]]
)
def test_wrong_options_end_with_usage(
    counting: ModuleType, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        counting.parse_arguments(option)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_benchmark_compares_and_reports(
    counting: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--pairs",
        "3000",
        "--genes",
        "60",
        "--repeats",
        "1",
        "--threads",
        "1,2",
        "--skip-compilation",
    ]
    result = counting.main(
        [
            *options,
            "--workdir",
            str(tmp_path),
            "--htseq-pairs",
            "1000",
            "--json",
            str(tmp_path / "figures.json"),
        ]
    )
    printed = capsys.readouterr().out
    assert json.loads((tmp_path / "figures.json").read_text())["programs"] == json.loads(
        json.dumps(result["programs"])
    )
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
    ours = [row for row in result["programs"] if row["name"] == "counterbias"]
    assert [(row["order"], row["threads"]) for row in ours] == [
        ("name", 1),
        ("name", 2),
        ("pos", 1),
        ("pos", 2),
    ]
    assert all(row["medians"]["wall"] > 0 and row["medians"]["peak"] > 1e7 for row in ours)
    for order in ("name", "pos"):
        assert f"{order}: output byte-identical to htseq-count's (1000 pairs)" in result["notes"]
        assert f"{order}: output byte-identical" in printed
    theirs = [row for row in result["programs"] if row["name"] == "htseq-count"]
    assert all("extrapolated" in row["note"] for row in theirs)
    has_theirs = any(row["name"] == "featureCounts" for row in result["programs"])
    assert has_theirs == (shutil.which("featureCounts") is not None)
    if not has_theirs:
        assert "featureCounts is not installed" in printed
    assert set(result["fixed"]) == {"compilation", "start_and_annotation", "annotation"}


def test_demo_counts_and_compares_with_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--directory",
        str(tmp_path),
        "--models",
        "pwm",
        "--pairs",
        "60000",
        "--genes",
        "100",
        "--threads",
        "1",
    ]
    assert demo.main(options) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.startswith("pwm")]
    errors = {row[1]: float(row[2]) for row in rows if row[1] in demo.ESTIMATES}
    assert set(errors) == set(demo.ESTIMATES)
    assert errors["corrected"] < errors["raw"]
    files = (
        "genome.fa",
        "genes.gtf",
        "biased.bam",
        "unbiased.bam",
        "trimmed.bam",
        "truth.tsv",
        "counts.tsv",
        "pwm.counts.tsv",
    )
    for name in (
        *files,
        "pwm.counterbias.json",
        "unbiased.counterbias.json",
        "trimmed.counterbias.json",
    ):
        assert (tmp_path / name).stat().st_size > 0
        assert str(tmp_path / name) in printed
    if importlib.util.find_spec("multiqc") is None:
        assert printed.splitlines()[-1].startswith("no report: MultiQC is not installed")
    else:
        assert printed.splitlines()[-1] == f"MultiQC report: {tmp_path / 'multiqc_report.html'}"
        shown = (tmp_path / "multiqc_report_data" / "multiqc_counterbias.txt").read_text()
        assert [line.split("\t")[0] for line in shown.splitlines()[1:]] == [
            "biased",
            "trimmed",
            "unbiased",
        ]


def test_demo_ends_with_the_status_of_a_run_that_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--directory",
        str(tmp_path),
        "--models",
        "no-such-model",
        "--pairs",
        "500",
        "--genes",
        "20",
    ]
    assert demo.main(options) == 1
    assert "no-such-model" in capsys.readouterr().err


def test_measures_of_the_demo() -> None:
    first, second = np.array([0.0, 1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0, 40.0])
    assert demo.rank_correlation(first, second) == pytest.approx(0.8)
    assert demo.spread(np.array([5.0, 5.0, 6.0, 4.0])) == pytest.approx(np.sqrt(0.5))
    assert demo.look_up({"a": {"b": 3}}, "a", "b") == 3
    assert demo.look_up({"a": None}, "a", "b") is None
