"""Sums of tables, shared by pwm, heptamer, vlmm and bayesnet: against looking up each term."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from counterbias_backends import packing, table_lookup, tables


@njit
def pack_compiled(
    bases: NDArray[np.uint8], start: int, step: int, size: int, packs: NDArray[np.uint64]
) -> np.uint64:
    return packing.pack(bases, start, step, size, packs)


def by_hand(terms: list[tables.Term], contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
    found = np.zeros(len(contexts))
    for term in terms:
        for row, window in enumerate(contexts):
            found[row] += term.table[
                int("".join(str(window[column]) for column in term.columns), 4)
            ]
    return found


def terms_of(rng: np.random.Generator, width: int, number: int, most: int) -> list[tables.Term]:
    terms = []
    for _ in range(number):
        columns = tuple(
            rng.choice(
                width, size=int(rng.integers(1, min(width, most) + 1)), replace=False
            ).tolist()
        )
        terms.append(tables.Term(columns, rng.normal(size=4 ** len(columns))))
    return terms


@pytest.mark.parametrize("width", [1, 5, 7, 8, 9, 21, 32, 33, 40, 81])
@pytest.mark.parametrize("number", [0, 1, 12])
def test_sum_of_tables_equals_looking_up_each(width: int, number: int) -> None:
    rng = np.random.default_rng(width)
    # Not a whole number of blocks.
    windows = rng.integers(0, 4, (3 * table_lookup.BLOCK + 5, width), dtype=np.uint8)
    sequence = rng.integers(0, 4, 2 * table_lookup.BLOCK + width, dtype=np.uint8)
    for most in (8, 3, 1):  # 8: wider than a group
        terms = terms_of(rng, width, number, most)
        summed = tables.TableSum(terms, width)
        np.testing.assert_allclose(summed(windows), by_hand(terms, windows), atol=1e-12)
        views = np.lib.stride_tricks.sliding_window_view(sequence, width)
        assert np.array_equal(summed.along(sequence), summed(np.ascontiguousarray(views)))


def test_anything_but_bases_is_refused_in_every_column() -> None:
    terms = [tables.Term((column,), np.arange(4.0)) for column in range(40)]
    summed = tables.TableSum(terms, 40)
    for column in range(40):
        windows = np.zeros((200, 40), np.uint8)
        windows[150, column] = 4 + 60 * (column % 5)
        with pytest.raises(ValueError, match="not 0, 1, 2 or 3"):
            summed(windows)
        sequence = np.zeros(300, np.uint8)
        sequence[100 + column] = 255
        with pytest.raises(ValueError, match="not 0, 1, 2 or 3"):
            summed.along(sequence)


def test_windows_of_another_width_are_refused() -> None:
    summed = tables.TableSum([tables.Term((0,), np.arange(4.0))], 5)
    with pytest.raises(ValueError, match="do not fit a window of 5"):
        summed(np.zeros((3, 4), np.uint8))
    with pytest.raises(ValueError, match="holds no window of 5"):
        summed.along(np.zeros(4, np.uint8))
    assert summed(np.zeros((0, 5), np.uint8)).shape == (0,)


@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 31, 32])
def test_bases_are_packed_lowest_first(size: int) -> None:
    rng = np.random.default_rng(size)
    bases = rng.integers(0, 4, 40 * 10, dtype=np.uint8)
    packs = np.empty(10, np.uint64)
    assert pack_compiled(bases, 3, 36, size, packs) == 0
    for row, found in enumerate(packs.tolist()):
        begin = 3 + 36 * row
        assert found == sum(
            int(base) << (2 * place) for place, base in enumerate(bases[begin : begin + size])
        )
