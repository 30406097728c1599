"""The Galaxy tool: planemo's linters, and its own tests in a Galaxy that is started for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def test_planemo_finds_nothing_to_complain_of(recipes: Path, run: Callable, tmp_path: Path) -> None:
    said = run(["planemo", "lint", "--fail_level", "warn", recipes / "galaxy"], tmp_path)
    assert "counterbias_count.xml" in said


def test_the_repository_is_fit_for_the_tool_shed(
    recipes: Path, run: Callable, tmp_path: Path
) -> None:
    # Whether the version is higher than the tool shed's is asked over the network.
    words = ["planemo", "shed_lint", "--skip", "version_bumped", "--fail_level", "warn"]
    assert ".shed.yml found" in run([*words, recipes / "galaxy"], tmp_path)


def test_galaxy_runs_the_tests_of_the_tool(recipes: Path, run: Callable, tmp_path: Path) -> None:
    said = run([recipes / "galaxy" / "run-in-galaxy", os.environ["COUNTERBIAS_GALAXY"]], tmp_path)
    assert "all passed" in said
