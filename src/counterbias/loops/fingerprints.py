"""What a compiled loop was made of, as a number: it changes where the loop must be compiled anew.

The code of the function counts, that of all helpers and intrinsics that it reaches, and the values
of all constants, in whatever files they stand; comments, and other functions beside them, do not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

#: Packages whose functions are looked into; those of others count by their names.
_OWN = ("counterbias", "counterbias_backends")


def fingerprint(function: Callable[..., Any], options: object = ()) -> str:
    """Return eight hexadecimal digits for a function and numba's options for it."""
    text = "\0".join(_describe((function, options), set()))
    return f"{zlib.crc32(text.encode()):08x}"


def _describe(value: Any, seen: set[int]) -> Iterator[str]:
    """Describe a value that compiled code may refer to, and what it refers to itself."""
    if isinstance(value, FunctionType):
        if value.__module__.partition(".")[0] not in _OWN:
            yield value.__qualname__
        elif id(value) not in seen:
            seen.add(id(value))
            yield from _describe_function(value, seen)
    elif isinstance(value, CodeType):
        yield from _describe_code(value)
    elif hasattr(value, "targetoptions"):  # a loop or helper
        yield repr(sorted(value.targetoptions.items()))
        yield from _describe(value.py_func, seen)
    elif hasattr(type(value), "_numba_type_"):  # an intrinsic
        yield from _describe(value.function, seen)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}{zlib.crc32(value.tobytes()):08x}"
    elif isinstance(value, tuple):
        for part in value:
            yield from _describe(part, seen)
    elif isinstance(value, frozenset):
        yield repr(sorted(value, key=repr))
    elif isinstance(value, type | ModuleType):
        yield f"{value.__name__}{getattr(value, '_fields', '')}"
    elif isinstance(value, int | float | str | bytes | None):
        yield repr(value)
    else:
        yield type(value).__name__


def _describe_function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    yield from _describe_code(function.__code__)
    for cell in function.__closure__ or ():
        yield from _describe(cell.cell_contents, seen)
    names = sorted(_names(function.__code__))
    for name in names:
        value = function.__globals__.get(name)
        yield from _describe(value, seen)
        if isinstance(value, ModuleType) and value.__name__.partition(".")[0] in _OWN:
            for attribute in names:
                yield from _describe(getattr(value, attribute, None), seen)


def _describe_code(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_argcount))
    documentation = code.co_consts[:1] if code.co_flags & 2 else ()
    for constant in code.co_consts[len(documentation) :]:
        yield from _describe(constant, set())
    for constant in documentation:  # a docstring, if it is a text that no instruction uses
        if not isinstance(constant, str):
            yield from _describe(constant, set())


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found
