"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the folder of real sequencing data; skip where it is absent."""
    folder = Path(os.environ.get("COUNTERBIAS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set COUNTERBIAS_DATA)")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the project's root folder."""
    return ROOT
