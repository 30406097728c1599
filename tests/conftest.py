"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile the counting loops before any test compares messages: the very first run says that it compiles."""
    import contextlib
    import io

    from counterbias.cli import main

    folder = tmp_path_factory.mktemp("first")
    (folder / "genes.gtf").write_text('c\tt\texon\t1\t90\t.\t+\t.\tgene_id "g";\n')
    (folder / "reads.sam").write_text("@SQ\tSN:c\tLN:99\nr\t0\tc\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["count", str(folder / "reads.sam"), str(folder / "genes.gtf")]) == 0


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
