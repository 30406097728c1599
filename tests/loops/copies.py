"""Copies of the program and small packages, in which something is changed or missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

#: Code that makes numba seem not to be installed.
NO_NUMBA = "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None\n"
COUNT = (
    "from counterbias.cli import main; raise SystemExit(main(['count', 'reads.sam', 'genes.gtf']))"
)


def copy_program(root: Path, folder: Path) -> Path:
    """Copy the core, with its library; add one gene and its one read. Return the room's folder."""
    shutil.copytree(
        root / "src" / "counterbias",
        folder / "counterbias",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (folder / "genes.gtf").write_text('c\tt\texon\t1\t90\t.\t+\t.\tgene_id "g";\n')
    (folder / "reads.sam").write_text("@SQ\tSN:c\tLN:99\nr\t0\tc\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
    return folder / "counterbias" / "loops"


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write Python modules and the folders they are in."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def python(
    code: str | list[str], folder: Path, setting: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run code, or Python with these words, in a folder whose modules come first.

    Args:
        setting: COUNTERBIAS_LOOPS.
    """
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(folder / "kept by numba"),
        "COUNTERBIAS_LOOPS": setting,
        **variables,
    }
    command = code if isinstance(code, list) else ["-c", code]
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )
