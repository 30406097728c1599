"""Inputs of whole runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflows.piped_inputs import Inputs
from tests.workflows.small_run import Files


@pytest.fixture
def files(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Files:
    """A small sound run, in the working folder."""
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path, capfd)


@pytest.fixture
def inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Inputs]:
    """Inputs for all commands, in the working folder; afterwards no temporary file may be left."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    made = Inputs(capfd)
    yield made
    for number in made.descriptors:
        os.close(number)
    assert os.listdir(folder) == []
