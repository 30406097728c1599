"""The types of a loop as texts, for the generated table (see caller.h)."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

from numba import types
from numba.core.types.npytypes import Array

_NUMBERS = {
    types.int64: "l",
    types.uint64: "k",
    types.int32: "i",
    types.uint32: "I",
    types.int16: "h",
    types.uint16: "H",
    types.int8: "b",
    types.uint8: "B",
    types.float64: "d",
    types.float32: "f",
    types.boolean: "?",
}
#: A text has one digit for the number of an array's dimensions.
_MOST_DIMENSIONS = 9
#: numba's short names for them, which signatures use.
_NAMES = {
    **{f"{kind}{size}": getattr(types, f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)},
    "f4": types.float32,
    "f8": types.float64,
    "b1": types.boolean,
    "none": types.none,
}


def read_signature(text: str, function: FunctionType) -> tuple[Any, ...]:
    """Return the numba types that a signature means.

    Tuples are written ``(i8, f8)``; named ones as their class is called in the function's module:
    ``Pair(i8, f8)`` or ``records.Pair(i8, f8)``.

    Raises:
        TypeError: it is no signature.
    """
    names = {name: _meaning(value) for name, value in function.__globals__.items()} | _NAMES
    try:
        parts = eval(f"{text.strip()}," if text.strip() else "()", {"__builtins__": {}}, names)
        return tuple(map(_as_type, parts))
    except Exception as problem:
        reason = getattr(problem, "msg", problem)  # a SyntaxError's without the line
        raise TypeError(f"this is no list of types: {reason}") from None


class _Module:
    """A module in a signature."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        return _meaning(getattr(self.module, name))


def _meaning(value: Any) -> Any:
    """Return what a name in a function's module stands for in a signature."""
    if isinstance(value, ModuleType):
        return _Module(value)
    if isinstance(value, type) and hasattr(value, "_fields"):
        return lambda *parts: types.NamedTuple(parts, value)
    return None


def _as_type(value: Any) -> Any:
    if isinstance(value, tuple):
        return types.Tuple([_as_type(part) for part in value])
    if not isinstance(value, types.Type):
        raise TypeError(f"{value!r} is no type")
    return value


def text_of(kind: Any) -> str:
    """Return the table's text for a numba type. Raises TypeError where the caller has none."""
    kind = types.unliteral(kind)
    if isinstance(kind, types.BaseTuple):
        return f"({''.join(text_of(part) for part in kind)})"
    if isinstance(kind, types.NoneType):
        return "N"
    if (
        isinstance(kind, Array)
        and kind.dtype in _NUMBERS
        and kind.layout in "CA"
        and kind.ndim <= _MOST_DIMENSIONS
    ):
        return f"{'~' * (kind.layout == 'A')}{kind.ndim}{_NUMBERS[kind.dtype]}"
    if kind in _NUMBERS:
        return _NUMBERS[kind]
    raise TypeError(f"compiled loops cannot be called with, or return, {kind}")
