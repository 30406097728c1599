"""Three small samples that ``counterbias count`` has counted, and copies to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.collect.cohort import SAMPLES, count, simulate


@pytest.fixture(scope="session")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate three samples and count them; their tables and reports are in ``counted``."""
    folder = tmp_path_factory.mktemp("collect")
    simulate(folder)
    count(folder, folder / "counted", *SAMPLES, "--additional-attr", "gene_name")
    return folder


@pytest.fixture
def tables(counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copy the samples' tables and reports; return the tables, by names that messages show whole.

    The current folder is the test's.
    """
    shutil.copytree(counted / "counted", tmp_path / "counted")
    monkeypatch.chdir(tmp_path)
    return [Path("counted") / f"{sample}.counts.tsv" for sample in SAMPLES]
