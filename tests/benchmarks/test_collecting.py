"""The benchmark of `collect` writes samples, collects them and prints one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.scripts import load


def test_samples_are_collected_without_and_with_h5ad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    collecting = load("collecting")
    monkeypatch.setattr(collecting, "DISTINCT", 2)
    written = tmp_path / "figures.json"
    options = ["--samples", "3", "--features", "50", "--workdir", str(tmp_path / "work")]
    figures = collecting.main([*options, "--json", str(written)])
    assert json.loads(written.read_text()) == figures
    assert list(figures) == ["tsv", "tsv and h5ad"]
    for one in figures.values():
        assert 0 < one["own"] <= one["all"]
        assert one["cpu"] > 0.05
    assert figures["tsv and h5ad"]["written"] > 2 * figures["tsv"]["written"]
    assert "| tsv and h5ad |" in capsys.readouterr().out
    assert len(list((tmp_path / "work" / "counted").glob("*.counts.tsv"))) == 3
