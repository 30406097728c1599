"""Plug-ins that are installed for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.installed import Install


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install made-up distributions, each with metadata and one module, in its own folder."""

    def make(distribution: str, entry: str, source: str, version: str = "1.0") -> None:
        folder = tmp_path / distribution
        module = f"made_up_{distribution.replace('-', '_')}_{tmp_path.name.replace('-', '_')}"
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[counterbias]\n{entry} = {module}\n")
        (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))

    return make
