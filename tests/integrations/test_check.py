"""``integrations/check`` makes the environments that the tests to be run need, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

#: In place of Python: writes down what it is to install and to test, and collects two tests.
PYTHON = """#!/usr/bin/env bash
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install "*) echo "$6" >> "$ASKED" ;;
    *--collect-only*"not galaxy_runs"*) echo test_cwl.py::test_it_is_valid ;;
    *--collect-only*) echo test_galaxy.py::test_galaxy_runs_the_tests_of_the_tool ;;
    "-m pytest "*) echo "tests ${*:5}" >> "$ASKED" ;;
esac
"""


@pytest.mark.parametrize(
    ("words", "installed"),
    [
        ([], ["requirements.txt", "requirements-galaxy.txt"]),
        (["-k", "not galaxy_runs"], ["requirements.txt"]),
    ],
)
def test_galaxy_is_installed_only_for_the_test_that_starts_it(
    root: Path, tmp_path: Path, words: list[str], installed: list[str]
) -> None:
    recipes = tmp_path / "integrations"
    recipes.mkdir()
    for name in ("check", "requirements.txt", "requirements-galaxy.txt"):
        shutil.copy(root / "integrations" / name, recipes)
    (tmp_path / "pyproject.toml").write_text("")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, code in (("python", PYTHON), ("groovy", "")):
        (programs / name).write_text(code)
        (programs / name).chmod(0o755)
    asked = tmp_path / "asked"
    subprocess.run(
        [recipes / "check", *words],
        env={
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHON": str(programs / "python"),
            "ASKED": str(asked),
        },
        capture_output=True,
        check=True,
    )
    *lists, tests = asked.read_text().splitlines()
    assert lists == [f"integrations/{name}" for name in installed]
    assert tests == " ".join(["tests", "integrations/tests", *words])
