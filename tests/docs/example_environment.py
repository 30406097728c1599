"""Virtual environments into which the example plug-ins of the docs are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.docs.running import Place


def make_environment(root: Path, folder: Path) -> Path:
    """Make a virtual environment, and return its Python.

    Dependencies are not downloaded again: a .pth file lends it those of this environment,
    counterbias among them.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    purelib = sysconfig.get_path("purelib")
    Path(where.stdout.strip(), "lent.pth").write_text(
        f"{root}/src\n{root}/plugins\nimport site; site.addsitedir({purelib!r})\n"
    )
    return python


def install_example(python: Path, example: Path, folder: Path) -> None:
    """Install an example, from a copy, so that building leaves nothing in the source folder."""
    flags = [
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--quiet",
        "--disable-pip-version-check",
    ]
    copy = folder / "source"
    shutil.copytree(example, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *flags, str(copy)],
        check=True,
    )


def make_place(python: Path, example: Path, folder: Path, warnings: Sequence[str] = ()) -> Place:
    """Make a copy of an example, in whose environment commands are run.

    Args:
        python: of the environment.
        example: the example's folder.
        folder: where copy and programs go.
        warnings: filters for pytest's warnings, which are errors otherwise.
    """
    project = folder / "project"
    shutil.copytree(example, project)
    programs = folder / "programs"
    programs.mkdir()
    for name in ("counterbias", "pytest"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{python}" -m {name} "$@"\n')
        program.chmod(0o755)
    settings = {
        "PIP_PYTHON": str(python),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",  # all are lent
        # As a variable, the option means the opposite of what it says.
        "PIP_NO_BUILD_ISOLATION": "0",
        "PYTHONPATH": "",
        "PYTEST_ADDOPTS": " ".join(f"-W {one}" for one in ("error", *warnings)),
    }
    return Place(project, [programs], settings)
