"""The commands and code of the page on cells run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterbias.cli import main
from tests.docs.pages import blocks, commands


def test_the_page_on_cells_runs(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (root / "docs" / "how-to" / "single-cell.md").read_text(encoding="utf-8")
    monkeypatch.chdir(folder)
    plain, corrected = commands(page)
    load, scanpy, compare, replace = blocks(page, "python")
    assert "scanpy." in scanpy  # not a package that tests need
    names: dict[str, Any] = {}
    assert main([*plain, "-q"]) == 0
    exec(load.replace("500", "50"), names)
    assert names["cells"].shape == (6, 12)
    assert list(names["cells"].var) == ["gene_name"]
    assert main([*corrected, "-q"]) == 0
    capsys.readouterr()
    exec(compare + replace, names)
    assert 0 < float(capsys.readouterr().out.rpartition(": ")[2]) < 1
    assert abs(names["cells"].X - names["cells"].layers["raw"]).max() > 1
