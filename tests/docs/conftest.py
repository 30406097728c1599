"""Fixtures for the tests of pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.sample_files import make_sample_files


@pytest.fixture(scope="session")
def sample_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the files that pages name."""
    folder = tmp_path_factory.mktemp("sample_files")
    make_sample_files(folder)
    return folder
