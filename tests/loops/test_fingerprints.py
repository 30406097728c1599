"""Fingerprints change where what is compiled changes, wherever that stands, and nowhere else."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.loops.copies import write

PACKAGE = "fingerprinted"
FILES = {
    f"{PACKAGE}/__init__.py": "",
    f"{PACKAGE}/loops.py": '''
"""Loops."""

from typing import NamedTuple

import numpy as np

from counterbias.loops import loop
from fingerprinted import constants, helpers
from fingerprinted.constants import LIMIT, WEIGHTS
from fingerprinted.helpers import twice


class Pair(NamedTuple):
    first: int
    second: int


@loop("f8[::1], i8", "f4[::1], i8")
def total(values, number):
    """Add up."""
    found = 0.0
    for value in values:  # each of them
        found += twice(value) * WEIGHTS[0] + LIMIT + constants.SHIFT + constants.STEPS[0]
    return found if number in {1, 2, 3} else helpers.deep(found)


@loop("Pair(i8, i8)")
def difference(pair):
    return pair[0] - pair[1]


def beside():
    return 1
''',
    f"{PACKAGE}/helpers.py": '''
from counterbias.loops import helper, intrinsic
from fingerprinted import deeper


@intrinsic
def instruction(context, value):
    from fingerprinted.types_of_numba import FLAGS

    def make(target, builder, signature, arguments):
        return builder.add(arguments[0], arguments[0])

    return value(value), make


@helper
def twice(value):
    """Double."""
    return 2 * value


@helper
def deep(value):
    return deeper.deeper(value) + instruction(3)


@helper
def unused(value):
    return value
''',
    f"{PACKAGE}/deeper.py": """
from enum import IntEnum

import numpy as np

from counterbias.loops import helper

SEED = np.uint64(12345)
PARTS = (1, (2, 3))


class Kind(IntEnum):
    NEAR = 1
    FAR = 2


@helper
def deeper(value):
    return value + SEED + PARTS[0] + Kind.FAR
""",
    f"{PACKAGE}/types_of_numba.py": """
import no_such_package

FLAGS = ("contract",)
""",
    f"{PACKAGE}/constants.py": """
import numpy as np

LIMIT = 10
SHIFT = 1.5
WEIGHTS = np.array([1.0, 2.0])
STEPS = [1, 2]
OTHER = 3
""",
}
LOOPS, HELPERS = f"{PACKAGE}/loops.py", f"{PACKAGE}/helpers.py"
DEEPER, CONSTANTS = f"{PACKAGE}/deeper.py", f"{PACKAGE}/constants.py"
#: What an intrinsic imports within itself; numba may be absent where fingerprints are compared.
IMPORTED = f"{PACKAGE}/types_of_numba.py"

Fingerprints = Callable[..., tuple[str, str]]


@pytest.fixture
def fingerprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fingerprints]:
    """Return what writes the package with changes, and returns its loops' fingerprints."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        for name in [one for one in sys.modules if one.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def find(*changes: tuple[str, str, str]) -> tuple[str, str]:
        files = dict(FILES)
        for file, old, new in changes:
            assert files[file].count(old) == 1
            files[file] = files[file].replace(old, new)
        write(tmp_path, files)
        forget()
        loops = importlib.import_module(f"{PACKAGE}.loops")
        return loops.total.fingerprint, loops.difference.fingerprint

    yield find
    forget()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (LOOPS, "# each of them", "# every one, in order"),
        (LOOPS, '"""Add up."""', '"""Return the sum, at length."""'),
        (LOOPS, '"""Loops."""', '"""Loops."""\n\n\n\n# moved down\n'),
        (LOOPS, "return 1\n", "return 2\n"),
        (LOOPS, "{1, 2, 3}", "{3, 1, 2}"),
        (HELPERS, '"""Double."""', '"""Twice."""'),
        (HELPERS, "return value\n", "return -value\n"),
        (CONSTANTS, "OTHER = 3", "OTHER = 4"),
    ],
)
def test_what_is_not_compiled_does_not_count(
    fingerprints: Fingerprints, file: str, old: str, new: str
) -> None:
    assert fingerprints((file, old, new)) == fingerprints()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (LOOPS, "found = 0.0", "found = 1.0"),
        (LOOPS, "+ LIMIT", "- LIMIT"),
        (LOOPS, "{1, 2, 3}", "{1, 2, 4}"),
        (LOOPS, '"f4[::1], i8"', '"f4[:], i8"'),
        (LOOPS, ', "f4[::1], i8")', ")"),
        (LOOPS, '"f4[::1], i8")', '"f4[::1], i8", error_model="numpy")'),
        (LOOPS, "WEIGHTS[0]", "WEIGHTS[1]"),
        (HELPERS, "2 * value", "3 * value"),
        (HELPERS, "@helper\ndef twice", "@helper(error_model='numpy')\ndef twice"),
        (HELPERS, "@helper\ndef twice", "@helper(inline=True)\ndef twice"),
        (HELPERS, "builder.add", "builder.mul"),
        (HELPERS, "instruction(3)", "instruction(4)"),
        (DEEPER, "value + SEED", "value - SEED"),
        (DEEPER, "uint64(12345)", "uint64(12346)"),
        (DEEPER, "uint64(12345)", "uint32(12345)"),
        (DEEPER, "(1, (2, 3))", "((1, 2), 3)"),
        (DEEPER, "FAR = 2", "FAR = 3"),
        (CONSTANTS, "LIMIT = 10", "LIMIT = 11"),
        (CONSTANTS, "LIMIT = 10", "LIMIT = 10.0"),
        (CONSTANTS, "SHIFT = 1.5", "SHIFT = 2.5"),
        (CONSTANTS, "[1.0, 2.0]", "[1.0, 2.5]"),
        (CONSTANTS, "[1, 2]", "[1, 3]"),
        (IMPORTED, '("contract",)', "()"),
        (CONSTANTS, "np.array([1.0, 2.0])", "np.array([[1.0, 2.0]])"),
    ],
)
def test_what_is_compiled_counts(fingerprints: Fingerprints, file: str, old: str, new: str) -> None:
    before, beside = fingerprints()
    total, difference = fingerprints((file, old, new))
    assert total != before
    assert difference == beside


def test_named_tuples_in_types_count(fingerprints: Fingerprints) -> None:
    """Their fields are compiled in, though only the types may name them."""
    before, pair = fingerprints()
    fields = "    first: int\n    second: int\n"
    total, difference = fingerprints((LOOPS, fields, "    second: int\n    first: int\n"))
    assert total == before
    assert difference != pair


def test_same_in_every_process(fingerprints: Fingerprints, tmp_path: Path) -> None:
    expected = fingerprints()
    code = "from fingerprinted.loops import *; print(total.fingerprint, difference.fingerprint)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert tuple(done.stdout.split()) == expected
