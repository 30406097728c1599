"""The benchmarks of cells and UMIs, at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.scripts import load as load_script


def test_both_programs_and_all_threads_are_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, figures = load_script("cells"), tmp_path / "figures.json"
    size = ["--reads", "1500", "--genes", "10", "--cells", "5", "--htseq-reads", "500"]
    runs = ["--threads", "1", "--rounds", "1", "--json", str(figures)]
    assert script.main([*size, *runs, "--workdir", str(tmp_path / "work")]) == 0
    shown = capsys.readouterr().out
    assert "1,500 reads, 5 cells, 10 genes" in shown
    found = json.loads(figures.read_text())
    assert len(found["runs"]) == 3
    assert set(found["few"]) == {"counterbias", "htseq"}
    assert all(name in shown for name in found["runs"])


def test_weights_of_umis_leave_less_bias_than_raw_counts_and_mean_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        load_script("umi_weights").main(["--genes", "80", "--rates", "0.5,2", "--shapes", "2"]) == 0
    )
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 2
    for row in rows:
        raw, mean, weighted = (float(cell.strip(" |")) for cell in row[3:])
        assert weighted < min(raw, mean) / 1.5
