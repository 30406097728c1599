"""The demo runs on small samples and reports its measurements."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from counterbias import demo


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
