"""Loops that cannot be compiled are refused by name; so is a C compiler that does not work."""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias.loops import loop
from counterbias.loops.building import __main__ as program
from counterbias.loops.building import library as building
from counterbias.loops.building.compiling import Entry, compile_loop
from counterbias.loops.building.errors import BuildingError
from counterbias.loops.building.linking import LinkingError, _compiler, link


def add(first: Any, second: Any) -> Any:
    return first + second


def total(values: Any) -> Any:
    return values.sum()


def listed(number: int) -> list[int]:
    return [number, number]


def collected(number: int) -> int:
    found = []
    for i in range(number):
        found.append(i)
    return len(found)


def printed(number: int) -> int:
    print(number)
    return number


def perhaps(number: int) -> int | None:
    return number if number else None


def complex_number(number: float) -> complex:
    return number * 1j


def in_column_order(values: np.ndarray) -> np.ndarray:
    return values.T


def attribute_of_nothing(number: int) -> int:
    return number.nowhere  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "signature", "reason"),
    [
        (add, "i8, f8[::1", "was never closed"),
        (add, "i8 f8", "invalid syntax"),
        (add, "i8, f9", "name 'f9' is not defined"),
        (add, "i8, np", "is no type"),
        (add, "i8, Path", "None is no type"),
        (add, "i8, None", "None is no type"),
        (add, "i8, (f8, 1)", "1 is no type"),
        (add, "i8, __import__('os')", "is not defined"),
        (add, "i8", "1 argument types given, but function takes 2 arguments"),
        (add, "i8, i8, i8", "3 argument types given, but function takes 2 arguments"),
        (add, "f8[::1, :], i8", "cannot be called with, or return, array(float64, 2d, F)"),
        (listed, "i8", "cannot be called with, or return, list(int64)"),
        (perhaps, "i8", "cannot be called with, or return, OptionalType(int64)"),
        (complex_number, "f8", "cannot be called with, or return, complex128"),
        (in_column_order, "f8[:, ::1]", "cannot be called with, or return, array(float64, 2d, F)"),
        (collected, "i8", "use arrays instead of lists, sets, texts and other objects"),
        (printed, "i8", "use arrays instead of lists, sets, texts and other objects"),
        (attribute_of_nothing, "i8", "Unknown attribute 'nowhere' of type int64"),
    ],
)
def test_loops_that_are_refused(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], signature: str, reason: str
) -> None:
    name = function.__name__
    monkeypatch.setattr(sys.modules[__name__], name, loop(signature)(function))
    with pytest.raises(BuildingError) as caught:
        compile_loop(__name__, name, "v2")
    first, *others = str(caught.value).split(": ")
    assert first == f'{__name__}.{name}, "{signature}"'
    assert reason in ": ".join(others)


def test_loop_without_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "add", loop()(add))
    with pytest.raises(BuildingError, match=r"test_compiling\.add: it declares no types"):
        compile_loop(__name__, "add", "v2")


@pytest.fixture
def entries(example_entry: Callable[[str], list[Entry]]) -> Any:
    return {("module", "nothing"): {"v2": example_entry("nothing")}}


def script(folder: Path, text: str) -> str:
    file = folder / "compiler"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_no_c_compiler(entries: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "nowhere-cc -O1")
    expected = r"the C compiler nowhere-cc cannot be run \(No such file or directory\)\. Install"
    with pytest.raises(LinkingError, match=expected):
        link(entries, ["v2"], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo 'no space left' >&2; exit 1", "failed: no space left"),
        (
            "echo 'Python.h: No such file or directory' >&2; exit 1",
            "failed: Python's C headers are missing (Debian: python3-dev)\nPython.h: No such",
        ),
        ("exit 0", "the library cannot be loaded: "),
        ("for one; do :; done; echo nonsense > $one", "the library cannot be loaded: "),
    ],
)
def test_failing_c_compiler(
    entries: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("CC", script(tmp_path, text))
    with pytest.raises(LinkingError) as caught:
        link(entries, ["v2"], tmp_path)
    assert expected in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["compiler"]


def test_python_was_made_with_a_compiler_that_is_not_here(
    entries: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    found = sysconfig.get_config_var
    replaced = {"CC": "nowhere-cc -pthread"}
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: replaced.get(name) or found(name))
    assert link(entries, ["v2"], tmp_path)


def test_caller_compiles_without_warnings(
    entries: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", f"{shlex.join(_compiler())} -Werror")
    assert link(entries, ["v2"], tmp_path)


def test_library_that_lacks_something_is_not_written(tmp_path: Path) -> None:
    source, made = tmp_path / "lacking.c", tmp_path / "lacking.o"
    source.write_text("extern int nowhere(void); int lacking(void) { return nowhere(); }\n")
    subprocess.run(["cc", "-fPIC", "-c", str(source), "-o", str(made)], check=True)
    entry = Entry("", "l", "lacking", made.read_bytes())
    with pytest.raises(LinkingError, match=r"the library cannot be loaded: .*nowhere"):
        link({("module", "lacking"): {"v2": [entry]}}, ["v2"], tmp_path)


SMALL = {
    "small": "from counterbias.loops import loop\n\n@loop('i8')\ndef same(n):\n    return n\n",
    "wrong": "from counterbias.loops import loop\n\n@loop('i8[')\ndef same(n):\n    return n\n",
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what has the program build a small package instead."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(building.VARIABLE, raising=False)
    monkeypatch.setattr(building.library, "LIBRARY", str(tmp_path / "_library.abi3.so"))
    for name, text in SMALL.items():
        (tmp_path / f"{name}_loops").mkdir()
        (tmp_path / f"{name}_loops" / "__init__.py").write_text(text)

    def choose(name: str) -> None:
        monkeypatch.setattr(building, "PACKAGES", (f"{name}_loops",))

    return choose


def test_program_says_what_is_wrong_in_a_line(
    small: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small("wrong")
    assert program.main() == 1
    reason = "this is no list of types: invalid syntax"
    assert f'could not be compiled: wrong_loops.same, "i8[": {reason}' in capsys.readouterr().err
    small("small")
    monkeypatch.setenv("CC", "nowhere-cc")
    assert program.main() == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("The loops could not be compiled: the C compiler nowhere-cc cannot")
    assert not (tmp_path / "_library.abi3.so").exists()
    monkeypatch.delenv("CC")
    assert program.main() == 0
    assert capsys.readouterr().err == ""
    assert (tmp_path / "_library.abi3.so").exists()


def test_loops_in_the_file_of_a_package(small: Any) -> None:
    small("small")
    assert [one.key for one in building._loops()] == ["small_loops.same"]


def test_program_without_numba(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)  # type: ignore[arg-type]
    monkeypatch.setattr(building.platform, "machine", lambda: "x86_64")
    monkeypatch.delenv(building.VARIABLE, raising=False)
    assert program.main() == 1
    expected = "The loops could not be compiled: numba is not installed. Run: pip install"
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.parametrize(
    ("machine", "asked", "expected"),
    [
        ("x86_64", "v3, v2", ("v2", "v3")),
        ("x86_64", "v2,v2,", ("v2",)),
        ("AMD64", "v4", ("v4",)),
        ("aarch64", "generic", ("generic",)),
        ("aarch64", "", ("generic",)),
        ("arm64", "none", ()),
    ],
)
def test_levels(
    monkeypatch: pytest.MonkeyPatch, machine: str, asked: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(building.platform, "machine", lambda: machine)
    monkeypatch.setenv(building.VARIABLE, asked)
    assert building.wanted_levels() == expected


@pytest.mark.parametrize(
    ("features", "level"),
    [
        (dict.fromkeys(building._V3, True), "v3"),
        ({**dict.fromkeys(building._V3, True), "lzcnt": False}, "v2"),
        ({}, "v2"),
    ],
)
def test_level_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], level: str
) -> None:
    from llvmlite import binding

    monkeypatch.setattr(building.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    monkeypatch.delenv(building.VARIABLE, raising=False)
    assert building.wanted_levels() == (level,)


@pytest.mark.parametrize(
    ("machine", "asked", "wrong"),
    [
        ("x86_64", "v1", "v1"),
        ("x86_64", "v2,none", "none"),
        ("x86_64", "v2,generic", "generic"),
        ("aarch64", "v3", "v3"),
    ],
)
def test_levels_that_there_are_not(
    monkeypatch: pytest.MonkeyPatch, machine: str, asked: str, wrong: str
) -> None:
    monkeypatch.setattr(building.platform, "machine", lambda: machine)
    monkeypatch.setenv(building.VARIABLE, asked)
    with pytest.raises(BuildingError, match=f"COUNTERBIAS_LEVELS has '{wrong}'. Levels of this"):
        building.wanted_levels()
