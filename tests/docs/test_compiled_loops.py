"""The pages on compiled loops: examples run, and tables say what the code does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import NamedTuple

import pytest

from counterbias import loops
from counterbias.loops import library
from counterbias.loops.building import compiling
from tests.docs.pages import blocks, section

DEVELOPMENT = "docs/development/compiled-loops.md"
REFERENCE = "docs/reference/environment.md"
PLUGINS = "docs/reference/plugin-api.md"


def read(root: Path, page: str) -> str:
    return (root / page).read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """Return the first cell of each row of the tables of a text, headings left out."""
    cells = re.findall(r"^\| (.+?) \|", text, flags=re.MULTILINE)
    return [cell for cell in cells if "`" in cell]


def run_with_numba(code: str, folder: Path, more: str) -> str:
    """Run an example and more code as a plug-in's module would be; return its stdout."""
    (folder / "example.py").write_text(code)
    environment = {
        **os.environ,
        "COUNTERBIAS_LOOPS": "jit",
        "NUMBA_CACHE_DIR": str(folder),
        "PYTHONPATH": str(folder),
    }
    command = [sys.executable, "-W", "error", "-c", f"import numpy as np, example\n{more}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- examples --------------------------------------------------------------------------------------


def test_example_for_developers_adds_capped_weights(root: Path, tmp_path: Path) -> None:
    (code,) = blocks(read(root, DEVELOPMENT), "python")
    printed = run_with_numba(
        code,
        tmp_path,
        "sums = np.zeros(3)\n"
        "weights = np.array([0.5, 4.0, 1.0, 9.0])\n"
        "print(example.add_weights(np.array([0, 2, 2, 0]), weights, 2.5, sums), *sums)",
    )
    assert printed == "2 3.0 0.0 3.5\n"


def test_example_for_plugins_scores_windows(root: Path, tmp_path: Path) -> None:
    example, method = blocks(section(read(root, PLUGINS), "Compiled loops"), "python")
    printed = run_with_numba(
        f"import numpy as np\n{example}\n\n{method}",
        tmp_path,
        "class Model:\n"
        "    table = np.array([[0.0, 1.0, 2.0, 3.0], [0.0, 10.0, 20.0, 30.0]])\n"
        "    as_contexts = staticmethod(np.ascontiguousarray)\n"
        "    log_bias = example.log_bias\n"
        "print(*Model().log_bias(np.array([[0, 0], [1, 3], [3, 2]], np.uint8)))",
    )
    assert printed == "0.0 31.0 23.0\n"


@pytest.mark.parametrize("page", [DEVELOPMENT, PLUGINS])
def test_declared_types_of_the_examples_are_those_of_their_arguments(root: Path, page: str) -> None:
    from counterbias.loops.building.types import read_signature, text_of

    code = section(read(root, page), "Compiled loops" if page == PLUGINS else "Write a loop")
    names: dict[str, object] = {}
    exec(compile(blocks(code, "python")[0], page, "exec"), names)
    (loop,) = (value for value in names.values() if isinstance(value, loops.Loop))
    (types,) = loop.signatures
    texts = [text_of(kind) for kind in read_signature(types, loop.py_func)]
    assert len(texts) == loop.py_func.__code__.co_argcount
    assert texts == (["2B", "2d", "1d"] if page == PLUGINS else ["1l", "1d", "d", "1d"])


# -- tables ----------------------------------------------------------------------------------------


class Pair(NamedTuple):
    first: int
    second: float


#: What the table of notations writes → the same in the table for the caller (caller.h).
TEXTS = {
    "i8": "l",
    "i4": "i",
    "i2": "h",
    "i1": "b",
    "u8": "k",
    "u4": "I",
    "u2": "H",
    "u1": "B",
    "f8": "d",
    "f4": "f",
    "b1": "?",
    "none": "N",
    "u1[::1]": "1B",
    "f8[:, ::1]": "2d",
    "i4[:, :, ::1]": "3i",
    "f8[:]": "~1d",
    "f8[:, :]": "~2d",
    "(i8, f8)": "(ld)",
    "Pair(i8, f8)": "(ld)",
    "records.Pair(i8, f8)": "(ld)",
}


def test_every_notation_of_the_table_can_be_declared(root: Path) -> None:
    from counterbias.loops.building.types import read_signature, text_of

    rows = first_cells(section(read(root, DEVELOPMENT), "Write a loop"))
    written = [code for row in rows for code in re.findall(r"`([^`]+)`", row)]
    assert sorted(written) == sorted(TEXTS)
    records = ModuleType("records")
    records.Pair = Pair  # type: ignore[attr-defined]
    function = FunctionType((lambda: None).__code__, {"Pair": Pair, "records": records})
    for code, text in TEXTS.items():
        (kind,) = read_signature(code, function)
        assert text_of(kind) == text, code


def test_types_that_the_page_excludes_are_refused() -> None:
    from numba import types

    from counterbias.loops.building.types import text_of

    for kind in (types.float64[::1, :], types.complex128[::1], types.Optional(types.int64)):
        with pytest.raises(TypeError, match="cannot be called with, or return"):
            text_of(kind)


def test_levels_and_settings_are_those_of_the_code(root: Path) -> None:
    page = read(root, REFERENCE)
    items = re.compile(r"^- (`.+?`):", re.MULTILINE)
    levels = [f"`{level}`" for level in library.LEVELS]
    assert items.findall(section(page, "Levels of processors")) == levels
    assert set(library.LEVELS) == set(compiling.PROCESSORS)
    settings = [f"`{library.COMPILED}`", f"`{library.JIT}`"]
    found = items.findall(section(page, "Compiled code"))
    assert found[:2] == settings
    assert re.findall(r"`\w+`", found[2]) == levels
    table = section(read(root, DEVELOPMENT), "How a loop is found and called")
    assert first_cells(table) == levels


def test_functions_of_numbas_run_time_are_those_that_the_caller_defines(root: Path) -> None:
    source = (Path(compiling.__file__).parent / "caller.c").read_text(encoding="utf-8")
    defined = set(re.findall(r"^\w+ \*?(NRT_\w+)\(", source, flags=re.MULTILINE))
    page = section(read(root, DEVELOPMENT), "What is taken from numba's inside")
    assert set(re.findall(r"`(NRT_\w+)`", page)) == defined != set()


def test_files_of_numba_that_the_page_names_exist(root: Path) -> None:
    import numba

    page = section(read(root, DEVELOPMENT), "What is taken from numba's inside")
    paths = set(re.findall(r"`((?:core|np)/[\w/.]+)`", page))
    assert len(paths) > 8
    inside = Path(numba.__file__).parent
    assert [path for path in paths if not (inside / path).exists()] == []


def test_modules_of_the_room_are_those_of_the_page(root: Path) -> None:
    page = section(read(root, DEVELOPMENT), "Loops, helpers, intrinsics")
    named = set(re.findall(r"`(\w+\.(?:py|c))`", page))
    room = Path(loops.__file__).parent
    files = {*room.glob("*.py"), *room.glob("building/*.py"), *room.glob("building/*.c")}
    assert named == {file.name for file in files if not file.name.startswith("__")}
