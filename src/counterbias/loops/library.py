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
#: The library and its description, JSON with ``size`` in bytes, ``crc32`` and ``fingerprints``,
#: by module and name where the installation can be edited, else empty.
LIBRARY = os.path.join(_FOLDER, "_library.abi3.so")
DESCRIPTION = os.path.join(_FOLDER, "_library.json")

_REINSTALL = "Run: pip install --force-reinstall counterbias"
_EXTRA = "install numba, which compiles them in the first run: pip install 'counterbias[jit]'"


class _Loaded(NamedTuple):
    """The library, or why there is none."""

    find: Callable[[str, str], Callable[..., Any] | None]
    fingerprints: dict[str, str]
    absent: str = ""


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
        InputError: the library is damaged.
    """
    loaded = _load()
    if loaded.absent or _changed(loop, loaded.fingerprints):
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
    loaded = _load()
    if loaded.absent:
        problem = loaded.absent
    elif _changed(loop, loaded.fingerprints):
        problem = f"{loop.key} has changed since it was compiled"
    else:
        types = ", ".join(_type_of(argument) for argument in arguments)
        problem = f"{loop.key} is not compiled for ({types})"
    if setting == COMPILED:
        remedy = f"run `make loops` in a checkout, or unset {VARIABLE}"
    else:
        remedy = _EXTRA
    raise InputError(problem, remedy=remedy)


def _changed(loop: Declared, fingerprints: dict[str, str]) -> bool:
    """Whether a loop of an installation that can be edited is no longer what was compiled."""
    return bool(fingerprints) and fingerprints.get(loop.key) != loop.fingerprint


@cache
def _load() -> _Loaded:
    """Check the library and load it."""
    setting = os.environ.get(VARIABLE, "")
    if setting not in ("", COMPILED, JIT, *LEVELS):
        raise InputError(
            f"{VARIABLE} is '{setting}'",
            remedy=f"set it to {COMPILED}, {JIT}, v2 or v3, or to nothing",
        )
    if setting == JIT:
        return _Loaded(_nothing, {}, f"{VARIABLE} is '{JIT}'")
    if not os.path.exists(DESCRIPTION) and not os.path.exists(LIBRARY):
        return _Loaded(_nothing, {}, "this installation has no compiled loops for this platform")
    description = _read_description()
    if not _is_whole(description):
        raise InputError("the compiled loops are damaged", file=LIBRARY, remedy=_REINSTALL)
    try:
        from counterbias.loops import _library  # type: ignore[attr-defined]
    except ImportError as problem:
        raise InputError(
            f"the compiled loops cannot be loaded: {problem}", file=LIBRARY, remedy=_EXTRA
        ) from None
    level = setting if setting in LEVELS else None
    if _library.choose(level) is None:
        lacking = f"level {level}" if level else "x86-64-v2 (SSE 4.2 and POPCNT)"
        return _Loaded(_nothing, {}, f"the compiled loops do not run here: they need {lacking}")
    return _Loaded(_library.find, description["fingerprints"])


def _nothing(module: str, name: str) -> None:
    return None


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
    return description.get("size") == len(content) and description.get("crc32") == zlib.crc32(
        content
    )


def _type_of(argument: Any) -> str:
    kind = type(argument).__name__
    return f"{argument.dtype} array, {argument.ndim}d" if kind == "ndarray" else kind
