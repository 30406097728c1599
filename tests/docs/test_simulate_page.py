"""The page on simulation: what it prints shows that corrected counts are nearer to the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.running import SMALLER, Place, run_page
from tests.docs.sample_files import lay_out

PAGE = Path("docs") / "how-to" / "simulate.md"


def test_corrected_counts_are_nearer_to_the_truth(
    root: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    lay_out((root / PAGE).read_text(encoding="utf-8"), tmp_path, tmp_path_factory)
    # Fifty genes with enough reads in the sample whose truth is looked at.
    enough = {"--pairs 1000 --overlapping": "--pairs 30000 --genes 50 --overlapping"}
    names = run_page(root / PAGE, Place(tmp_path, smaller=SMALLER | enough)).names
    errors = names["errors"]
    assert len(errors["fpkm_raw"]) > 30
    assert errors["fpkm_corrected"].median() < errors["fpkm_raw"].median()
    assert names["nearer"] > 0.6
