"""Fixtures for the tests of several packages.

None is used automatically, so that a single test starts within seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT

# That a shipped path passes what no loop is compiled for, which numba would mend, is a fault.
os.environ.setdefault("COUNTERBIAS_LOOPS", "compiled")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real sequencing data; skips where it is absent."""
    folder = Path(os.environ.get("COUNTERBIAS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set COUNTERBIAS_DATA)")
    return folder


@pytest.fixture(scope="session")
def r_packages() -> tuple[str, ...]:
    """The R packages that tests of differential expression need; skips where one is missing."""
    debian = {
        "DESeq2": "r-bioc-deseq2",
        "edgeR": "r-bioc-edger",
        "limma": "r-bioc-limma",
        "statmod": "r-cran-statmod",
        "tximport": "r-bioc-tximport",
    }
    if shutil.which("Rscript") is None:
        pytest.skip(f"R is not installed (Debian packages {' '.join(debian.values())})")
    names = ", ".join(f'"{name}"' for name in debian)
    code = f"for (p in c({names})) if (!nzchar(system.file(package = p))) cat(p, '\\n')"
    missing = subprocess.run(
        ["Rscript", "-e", code], capture_output=True, text=True, check=True
    ).stdout.split()
    if missing:
        pytest.skip(
            f"R lacks {', '.join(missing)} "
            f"(Debian packages {' '.join(debian[name] for name in missing)})"
        )
    return tuple(debian)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT
