"""Loops compiled before: in a shared library beside this file, which is looked at once and checked.

:mod:`.building` makes it. Which of the loops compiled for several levels of processors are used
depends on the processor; the variable COUNTERBIAS_LOOPS can name another level, or have numba
compile everything (``jit``) or nothing (``compiled``) while the program runs.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from types import FunctionType
from typing import Any, NamedTuple, Protocol

from counterbias.errors import InputError

#: The environment variable, and its values besides names of levels.
VARIABLE = "COUNTERBIAS_LOOPS"
COMPILED, JIT = "compiled", "jit"
#: The levels of processors for which loops are compiled: of the x86-64 instruction set, and others.
LEVELS = ("v2", "v3", "v4", "generic")

_FOLDER = os.path.dirname(__file__)
#: The library and its description, JSON with ``size`` in bytes, ``crc32``, ``levels`` from the
#: lowest, and ``fingerprints`` by module and name where the installation can be edited, else empty.
LIBRARY = os.path.join(_FOLDER, "_library.abi3.so")
DESCRIPTION = os.path.join(_FOLDER, "_library.json")

_REINSTALL = "run: pip install --force-reinstall counterbias"
_EXTRA = "install numba, which compiles them in the first run: pip install 'counterbias[jit]'"
#: What processors of a level have, of what is commonly known.
_KNOWN_AS = {"v2": "SSE 4.2 and POPCNT", "v3": "AVX2, FMA and BMI2", "v4": "AVX-512"}


class _Loaded(NamedTuple):
    """The library."""

    find: Callable[[str, str], Callable[..., Any] | None]
    fingerprints: dict[str, str]


class _Absent(NamedTuple):
    """Why a compiled loop cannot be used, as InputError has it."""

    problem: str
    file: str = ""
    remedy: str = _EXTRA


class Declared(Protocol):
    """What is asked of a loop here."""

    py_func: FunctionType

    @property
    def key(self) -> str:
        """Module and name."""

    @property
    def fingerprint(self) -> str:
        """What changes where the loop must be compiled anew."""


def find(loop: Declared) -> Callable[..., Any] | None:
    """Return the compiled function of a loop; None where there is none.

    Raises:
        InputError: COUNTERBIAS_LOOPS asks for what there is not.
    """
    loaded = _load()
    if isinstance(loaded, _Absent) or _changed(loop, loaded):
        return None
    return loaded.find(loop.py_func.__module__, loop.py_func.__qualname__)


def refuse_compiling(loop: Declared, arguments: tuple[Any, ...]) -> None:
    """Pass where numba may compile a loop now, for these arguments.

    Raises:
        InputError: COUNTERBIAS_LOOPS forbids it, or numba is not installed.
    """
    setting = os.environ.get(VARIABLE)
    if setting == JIT or (setting != COMPILED and find_spec("numba") is not None):
        return
    problem, file, remedy = _why_not(loop, arguments)
    if setting == COMPILED:
        remedy = f"run `make loops` in a checkout, or unset {VARIABLE}"
    raise InputError(problem, file=file, remedy=remedy)


def _why_not(loop: Declared, arguments: tuple[Any, ...]) -> _Absent:
    """Say why no compiled loop was called."""
    loaded = _load()
    if isinstance(loaded, _Absent):
        return loaded
    if loaded.find(loop.py_func.__module__, loop.py_func.__qualname__) is None:
        return _Absent(f"{loop.key} is not among the compiled loops")
    if _changed(loop, loaded):
        return _Absent(f"{loop.key} has changed since it was compiled")
    types = ", ".join(_type_of(argument) for argument in arguments)
    return _Absent(f"{loop.key} is not compiled for ({types})")


def _changed(loop: Declared, loaded: _Loaded) -> bool:
    """Whether a loop of an installation that can be edited is no longer what was compiled."""
    found = loaded.fingerprints
    return bool(found) and found.get(loop.key) != loop.fingerprint


@cache
def _load() -> _Loaded | _Absent:
    """Check the library and load it.

    Raises:
        InputError: COUNTERBIAS_LOOPS asks for what there is not.
    """
    setting = os.environ.get(VARIABLE, "")
    if setting not in ("", COMPILED, JIT, *LEVELS):
        raise InputError(
            f"{VARIABLE} is '{setting}'",
            remedy=f"set it to {COMPILED}, {JIT}, v2 or v3, or to nothing",
        )
    if setting == JIT:
        return _Absent(f"{VARIABLE} is '{JIT}'")
    if not os.path.exists(DESCRIPTION) and not os.path.exists(LIBRARY):
        return _Absent("this installation has no compiled loops for this platform")
    description = _read_description()
    if not _is_whole(description):
        return _Absent("the compiled loops are damaged", LIBRARY, _REINSTALL)
    try:
        from counterbias.loops import _library  # type: ignore[attr-defined]
    except ImportError as problem:
        return _Absent(f"the compiled loops cannot be loaded: {problem}", LIBRARY)
    levels = description["levels"]
    wanted = setting if setting in LEVELS else None
    if wanted and _library.choose(wanted) is None:
        lacking = "this processor does not run them" if wanted in levels else "there are none"
        raise InputError(
            f"{VARIABLE} asks for the compiled loops of level {wanted}: {lacking}",
            remedy=f"unset it; the levels of this installation are {', '.join(levels)}",
        )
    if not wanted and _library.choose(None) is None:
        known = f" ({_KNOWN_AS[levels[0]]})" if levels[0] in _KNOWN_AS else ""
        return _Absent(f"the compiled loops do not run here: they need x86-64-{levels[0]}{known}")
    return _Loaded(_library.find, description["fingerprints"])


def _read_description() -> dict[str, Any]:
    try:
        with open(DESCRIPTION, "rb") as file:
            description = json.load(file)
    except (OSError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}


def _is_whole(description: dict[str, Any]) -> bool:
    """Compare the library with its description: loading half a file would end the process."""
    try:
        with open(LIBRARY, "rb") as file:
            content = file.read()
    except OSError:
        return False
    return (
        description.get("size") == len(content)
        and description.get("crc32") == zlib.crc32(content)
        and bool(description.get("levels"))
        and isinstance(description.get("fingerprints"), dict)
    )


def _type_of(argument: Any) -> str:
    kind = type(argument).__name__
    if kind != "ndarray":
        return kind
    order = "" if argument.flags.c_contiguous else ", not in C order"
    return f"{argument.dtype} array, {argument.ndim}d{order}"
