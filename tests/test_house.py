"""Rules of the house that no other check knows: few parameters, files that one can read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Decorators of loops that numba compiles: these take columns one by one.
COMPILED = frozenset({"njit", "loop", "helper", "intrinsic"})
MOST_PARAMETERS = 6
#: Most lines of a file: about 500, as one that has just grown may need a little more.
LONGEST_FILE = 535

PACKAGES = (
    "src",
    "plugins",
    "multiqc_module",
    "workflow",
    "tests",
    "tools",
    "benchmarks",
    "integrations",
)


def sources(root: Path) -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    assert len(found) > 400
    return found


def is_compiled(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for decorator in function.decorator_list:
        node: ast.expr = decorator
        while isinstance(node, ast.Call):
            node = node.func
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        if name in COMPILED:
            return True
    return False


def crowded(tree: ast.AST) -> Iterator[tuple[int, str, int]]:
    """Yield line, name and number of parameters of functions with too many."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_compiled(node):
            continue
        given = node.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        every += [one for one in (given.vararg, given.kwarg) if one is not None]
        number = sum(one.arg not in ("self", "cls") for one in every)
        if number > MOST_PARAMETERS:
            yield node.lineno, node.name, number


def test_no_function_outside_compiled_loops_has_more_than_six_parameters(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{line} {name} has {number}"
        for path in sources(root)
        for line, name, number in crowded(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found


def test_no_file_needs_long_scrolling(root: Path) -> None:
    lengths = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(root)
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


@pytest.mark.parametrize(
    ("question", "file", "answer"),
    [
        ("where mates are paired", "counting/pairing.py", "def pair_by_name("),
        ("where mates are paired", "counting/pairing_by_position.py", "def pair_by_position("),
        ("where the QC report's calibration is made", "bias/report.py", '"calibration":'),
        ("where auto decides", "bias/auto.py", "def backend_for("),
        ("what train does", "train/run.py", "def train_files("),
        ("what compare does", "compare/run.py", "def compare_models("),
        ("what simulate does", "simulate/run.py", "def simulate("),
        ("what count does", "count.py", "def count_files("),
    ],
)
def test_questions_are_answered_where_the_map_says(
    root: Path, question: str, file: str, answer: str
) -> None:
    text = (root / "src" / "counterbias" / "pipeline" / file).read_text(encoding="utf-8")
    assert answer in text, question


def test_scripts_of_the_checks_name_tests_that_exist(root: Path) -> None:
    scripts = [path for path in (root / ".ci").iterdir() if path.is_file()]
    texts = [path.read_text(encoding="utf-8") for path in (*scripts, root / "Makefile")]
    named = {name for text in texts for name in re.findall(r"\btests/[\w/]+\.py", text)}
    assert "tests/cohort/test_slurm.py" in named
    assert [name for name in sorted(named) if not (root / name).exists()] == []
