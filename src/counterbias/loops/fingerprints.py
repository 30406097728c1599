"""What a compiled loop was made of, as a number: it changes where the loop must be compiled anew.

The code of the function counts, that of all helpers and intrinsics that it reaches, and the values
of all constants, in whatever files they stand; comments, and other functions beside them, do not.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

#: Packages whose functions are looked into, besides the loop's own; those of others, such as
#: numpy's, count by their names.
_OWN = ("counterbias", "counterbias_backends")


def fingerprint(
    function: FunctionType, signatures: Collection[str] = (), options: object = ()
) -> str:
    """Return eight hexadecimal digits for a function, its types and numba's options for it."""
    found = _Description(function.__module__)
    words = [*found.of(function), repr((*signatures, options))]
    # Named tuples are called there as in the function's module.
    names = set(re.findall(r"[^\W\d]\w*", " ".join(signatures)))
    words += found.of_globals(function, names)
    return f"{zlib.crc32(chr(0).join(words).encode(errors='backslashreplace')):08x}"


class _Description:
    """Describes, as texts, what a function is made of.

    Args:
        module: the module of the function.
    """

    def __init__(self, module: str) -> None:
        self._own = {*_OWN, _package(module)}
        self._seen: set[int] = set()

    def of(self, value: Any) -> Iterator[str]:
        """Describe a value that compiled code may refer to, and what it refers to itself."""
        if isinstance(value, FunctionType):
            yield from self._of_function(value)
        elif isinstance(value, CodeType):
            yield from self._of_code(value)
        elif hasattr(value, "targetoptions"):  # a loop or helper
            yield repr(sorted(value.targetoptions.items()))
            yield from self.of(value.py_func)
        elif hasattr(type(value), "_numba_type_"):  # an intrinsic
            yield from self.of(value.function)
        elif isinstance(value, np.ndarray | np.generic):
            yield f"{value.dtype}{value.shape}{zlib.crc32(value.tobytes()):08x}"
        elif isinstance(value, tuple | list):
            yield f"{type(value).__name__} of {len(value)}"
            for part in value:
                yield from self.of(part)
        elif isinstance(value, frozenset):
            yield repr(sorted(value, key=repr))
        elif isinstance(value, type | ModuleType):
            members = getattr(value, "__members__", "")  # of an enumeration
            yield f"{value.__name__}{getattr(value, '_fields', '')}{members}"
        elif isinstance(value, int | float | complex | str | bytes | np.dtype | None):
            yield repr(value)
        else:
            yield type(value).__name__

    def of_globals(self, function: FunctionType, names: Collection[str]) -> Iterator[str]:
        """Describe what names stand for in a function's module, as themselves or as attributes."""
        for name in sorted(names):
            if name in function.__globals__:
                yield name
                yield from self._of_name(function.__globals__[name], names)

    def _of_name(self, value: Any, names: Collection[str]) -> Iterator[str]:
        yield from self.of(value)
        if not isinstance(value, ModuleType) or _package(value.__name__) not in self._own:
            return
        for name in sorted(names):
            attribute = getattr(value, name, None)
            # A package's modules, but not back again.
            within = getattr(attribute, "__name__", "").startswith(f"{value.__name__}.")
            if isinstance(attribute, ModuleType) and within:
                yield from self._of_name(attribute, names)
            else:
                yield from self.of(attribute)

    def _of_function(self, function: FunctionType) -> Iterator[str]:
        if _package(function.__module__) not in self._own:
            yield function.__qualname__
        elif id(function) not in self._seen:
            self._seen.add(id(function))
            yield from self._of_code(function.__code__)
            yield from self.of(function.__defaults__ or ())
            for cell in function.__closure__ or ():
                yield from self.of(cell.cell_contents)
            names = _names(function.__code__)
            yield from self.of_globals(function, names)
            yield from self._of_imports(names)

    def _of_imports(self, names: Collection[str]) -> Iterator[str]:
        """Describe the modules that a function imports within itself, by their files.

        Only intrinsics do, of what needs numba: importing it for this would need numba too.
        """
        for name in sorted(names):
            if "." in name and _package(name) in self._own:
                found = find_spec(name)
                if found is not None and found.origin is not None:
                    with open(found.origin, "rb") as file:
                        yield f"{name} {zlib.crc32(file.read()):08x}"

    def _of_code(self, code: CodeType) -> Iterator[str]:
        yield code.co_code.hex()
        yield repr((code.co_names, code.co_varnames, code.co_argcount))
        for i, constant in enumerate(code.co_consts):
            # The first is the docstring, which no instruction uses, or None.
            if i or not isinstance(constant, str):
                yield from self.of(constant)


def _package(module: str) -> str:
    return module.partition(".")[0]


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found
