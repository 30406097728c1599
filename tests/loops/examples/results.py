"""What loops can return."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterbias.loops import loop

#: A constant in the library.
TABLE = np.arange(5, dtype=np.int16)


@loop("i8")
def mixed(n: int) -> Any:
    """Return parts of all sizes, so that every one must be looked for at its own place."""
    small = (np.uint8(n), n % 2 == 0, np.float32(n) / np.float32(3))
    return n > 3, np.int8(n), n, np.uint16(n), small, np.arange(n), np.int32(n), (n * 0.5, n < 0)


@loop("i8, i8")
def matrix(rows: int, columns: int) -> np.ndarray:
    found = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            found[i, j] = 10 * i + j
    return found


@loop("i8")
def views(n: int) -> Any:
    """Return parts of one bigger array."""
    big = np.arange(n)
    return big[n // 2 :], big[::2], big[::-1], big[n:]


@loop("i8[:]")
def views_of_argument(values: np.ndarray) -> Any:
    return values, values[1:], values[::-1], np.full(2, values[0])


@loop("")
def constant() -> np.ndarray:
    return TABLE


@loop("i8[::1], i8")
def fill(values: np.ndarray, value: int) -> None:
    for i in range(values.size):
        values[i] = value


@loop("i8[::1]")
def in_order(values: np.ndarray) -> np.ndarray:
    """Sort, for which numba makes a list of what is to be sorted."""
    return np.sort(values)


@loop("i8")
def root(n: int) -> float:
    if n < 0:
        raise ValueError("negative")
    return np.sqrt(n)


@loop("i8, i8")
def divided(a: int, b: int) -> int:
    return a // b


@loop("f8, f8", error_model="numpy")
def divided_as_numpy_does(a: float, b: float) -> float:
    return a / b


@loop("i8")
def room(n: int) -> int:
    return np.empty(n, dtype=np.uint8).size
