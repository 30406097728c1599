"""Samples among which some teach a bias model nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bias.counted import count
from tests.helpers.samples_without_starts import (
    write_pairs,
    write_singles,
)


@pytest.fixture(scope="module")
def singles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("singles")
    write_singles(folder)
    count(folder, folder / "alone", "good", "other")
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    count(folder, folder / "alone", "good", "other")
    return folder
