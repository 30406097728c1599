"""What can be passed to loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from counterbias.loops import loop


class Pair(NamedTuple):
    count: int
    weights: np.ndarray


@loop("i1")
def int8(value: int) -> int:
    return value


@loop("u1")
def uint8(value: int) -> int:
    return value


@loop("i2")
def int16(value: int) -> int:
    return value


@loop("u2")
def uint16(value: int) -> int:
    return value


@loop("i4")
def int32(value: int) -> int:
    return value


@loop("u4")
def uint32(value: int) -> int:
    return value


@loop("i8")
def int64(value: int) -> int:
    return value


@loop("u8")
def uint64(value: int) -> int:
    return value


@loop("f4")
def float32(value: float) -> float:
    return value


@loop("f8")
def float64(value: float) -> float:
    return value


@loop("b1")
def boolean(value: bool) -> bool:
    return value


@loop("")
def nothing() -> int:
    return 42


@loop("i8, none", "i8, i8")
def perhaps(number: int, added: int | None) -> int:
    if added is None:
        return -number
    return number + added


@loop("b1", "i8", "f8")
def kind(value: float) -> int:
    return 2 * value


@loop(
    "i1[::1]",
    "u1[::1]",
    "i2[::1]",
    "u2[::1]",
    "i4[::1]",
    "u4[::1]",
    "i8[::1]",
    "u8[::1]",
    "f4[::1]",
    "f8[::1]",
    "b1[::1]",
    "i8[:, ::1]",
    "f4[:, :, ::1]",
)
def copied(values: np.ndarray) -> np.ndarray:
    """Copy arrays in C order."""
    return values.copy()


@loop("i8[:]", "f8[:, :]", "u2[:, :, :]")
def total(values: np.ndarray) -> float:
    """Sum up arrays with any strides, each item times its place."""
    found, place = 0.0, 1
    for value in values.flat:
        found += place * value
        place += 1
    return found


@loop("(i8, (f8[::1], b1)), Pair(i8, f8[:])")
def nested(outer: tuple[int, tuple[np.ndarray, bool]], pair: Pair) -> Any:
    """Use tuples in tuples, and named ones."""
    number, (values, negative) = outer
    found = number * values.sum() + pair.count * pair.weights.sum()
    return -found if negative else found
