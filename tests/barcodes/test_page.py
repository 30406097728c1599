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
    plain, matrix, corrected = commands(page)
    load, scanpy, compare, replace = blocks(page, "python")
    assert "scanpy." in scanpy  # not a package that tests need
    names: dict[str, Any] = {}
    assert main([*plain, "-q"]) == 0
    exec(load.replace("500", "50"), names)
    assert names["cells"].shape == (6, 12)
    assert list(names["cells"].var) == ["gene_name"]
    # What Seurat's ReadMtx insists on: numbers by coordinate, a name for each row and column.
    assert main([*matrix, "-q"]) == 0
    form, _, size, *_ = Path("cells.mtx").read_text(encoding="utf-8").splitlines()
    assert form.startswith("%%MatrixMarket matrix coordinate ")
    rows, columns = map(int, size.split()[:2])
    assert rows == len(Path("cells_samples.tsv").read_text().splitlines())
    assert columns == len(Path("cells_features.tsv").read_text().splitlines()) - 1  # the header
    assert main([*corrected, "-q"]) == 0
    capsys.readouterr()
    exec(compare + replace, names)
    assert 0 < float(capsys.readouterr().out.rpartition(": ")[2]) < 1
    assert abs(names["cells"].X - names["cells"].layers["raw"]).max() > 1
