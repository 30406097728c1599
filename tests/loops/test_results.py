"""What loops return, and what happens when they fail: as numba has it, without losing memory."""

from __future__ import annotations

import gc
import resource
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.loops import Loop
from tests.loops.examples import arguments, calls
from tests.loops.examples import results as examples

Compiled = Callable[[Loop], Callable[..., Any]]


def assert_same(found: Any, expected: Any) -> None:
    """Compare values, types, and whether arrays can be written to."""
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.flags.writeable == expected.flags.writeable
        np.testing.assert_array_equal(found, expected, strict=True)
    else:
        np.testing.assert_equal(found, expected)


@settings(deadline=None)  # the first one is compiled
@given(n=st.integers(0, 127))
def test_tuples_of_everything(compiled: Compiled, n: int) -> None:
    assert_same(compiled(examples.mixed)(n), examples.mixed.dispatcher(n))


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (0, 3), (3, 0), (0, 0)])
def test_matrices(compiled: Compiled, shape: tuple[int, int]) -> None:
    assert_same(compiled(examples.matrix)(*shape), examples.matrix.dispatcher(*shape))


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_views_of_one_allocation(compiled: Compiled, n: int) -> None:
    found = compiled(examples.views)(n)
    assert_same(found, examples.views.dispatcher(n))
    if n > 2:
        found[1][1] = -1  # the third item, seen from each side
        assert found[2][-3] == -1


def test_views_of_an_argument_keep_it_alive(compiled: Compiled) -> None:
    values = np.arange(1000)[::2]
    assert_same(
        compiled(examples.views_of_argument)(values),
        examples.views_of_argument.dispatcher(values),
    )
    expected, alive = values.copy(), weakref.ref(values.base)
    whole, rest, backwards, fresh = compiled(examples.views_of_argument)(values)
    del values
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(backwards, expected[::-1])
    rest[0] = -5
    assert whole[1] == backwards[-2] == -5
    del whole, rest, backwards
    gc.collect()
    assert alive() is None
    assert fresh.tolist() == [0, 0]


def test_views_of_what_cannot_be_written_to_cannot_either(compiled: Compiled) -> None:
    values = np.arange(6)
    values.flags.writeable = False
    found = compiled(examples.views_of_argument)(values)
    assert [one.flags.writeable for one in found] == [False, False, False, True]
    assert_same(compiled(examples.constant)(), examples.constant.dispatcher())
    assert not compiled(examples.constant)().flags.writeable


def test_arrays_outlive_the_call_and_each_other(compiled: Compiled) -> None:
    kept = [compiled(examples.views)(2000)[0] for _ in range(50)]
    del kept[::2]
    gc.collect()
    others = [compiled(examples.matrix)(10, 100) for _ in range(50)]
    assert all(np.array_equal(one, np.arange(1000, 2000)) for one in kept)
    assert all(one[9, 99] == 189 for one in others)


def test_nothing_is_returned_but_an_argument_filled(compiled: Compiled) -> None:
    values = np.zeros(5, dtype=np.int64)
    assert compiled(examples.fill)(values, 7) is None
    assert values.tolist() == [7] * 5


@given(values=st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_sorting_which_takes_a_list_within(compiled: Compiled, values: list[int]) -> None:
    found = compiled(examples.in_order)(np.array(values, dtype=np.int64))
    assert found.tolist() == sorted(values)


def test_what_a_loop_raises(compiled: Compiled) -> None:
    assert compiled(examples.root)(9) == 3
    with pytest.raises(RuntimeError, match=r"loop tests\.loops\.examples\.results\.root failed"):
        compiled(examples.root)(-1)
    assert compiled(examples.root)(16) == 4


@pytest.mark.parametrize(("a", "b"), [(7, 2), (-7, 2), (7, -2)])
def test_division_is_that_of_python(compiled: Compiled, a: int, b: int) -> None:
    assert compiled(examples.divided)(a, b) == a // b
    with pytest.raises(RuntimeError, match="divided failed"):
        compiled(examples.divided)(a, 0)


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (-1.0, 0.0), (0.0, 0.0), (1.0, 4.0)])
def test_division_is_that_of_numpy_where_asked_for(compiled: Compiled, a: float, b: float) -> None:
    with np.errstate(all="ignore"):
        expected = float(np.float64(a) / np.float64(b))
    np.testing.assert_equal(compiled(examples.divided_as_numpy_does)(a, b), expected)


def test_too_large_an_array(compiled: Compiled) -> None:
    assert compiled(examples.room)(100) == 100
    for size in (2**62, 2**63 - 1):
        with pytest.raises(MemoryError):
            compiled(examples.room)(size)
    with pytest.raises(RuntimeError):  # numba's ValueError: a negative length
        compiled(examples.room)(-1)
    assert compiled(examples.room)(100) == 100


def test_helpers_loops_and_intrinsics(compiled: Compiled) -> None:
    values = np.array([3.0, 4.0])
    assert compiled(calls.norm)(values) == 5
    assert compiled(calls.increased_norm)(values) == calls.increased_norm.dispatcher(values) == 6


def test_arguments_are_let_go_of(compiled: Compiled) -> None:
    """Whether a call fits, fails half-way, raises or returns: no reference is kept."""
    values, other, name = np.arange(4), np.zeros(3), "a text"
    room = bytearray(b"123")
    pair = arguments.Pair(10**6, other)
    objects = (values, other, name, pair, pair.count)
    before = [sys.getrefcount(one) for one in objects]
    for _ in range(100):
        compiled(arguments.copied)(values)
        compiled(arguments.copied)(name)
        compiled(arguments.copied)(room)
        compiled(examples.fill)(values, name)
        compiled(examples.fill)(values, 2**70)
        compiled(arguments.nested)((1, (other, True)), pair)
        compiled(arguments.nested)((1, (other, 1)), pair)
        compiled(examples.views_of_argument)(values)
        with pytest.raises(RuntimeError):
            compiled(examples.divided)(pair.count, 0)
    gc.collect()
    assert [sys.getrefcount(one) for one in objects] == before
    room.extend(b"4")  # which is refused while it is in use


def test_memory_stays_flat(compiled: Compiled) -> None:
    """A megabyte is returned, in whole and in parts, a thousand times."""

    def turn() -> None:
        values = np.arange(10_000)
        for _ in range(500):
            compiled(examples.matrix)(100, 1250)
            compiled(examples.views)(125_000)
            compiled(examples.views_of_argument)(values)
            compiled(examples.in_order)(values)

    turn()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turn()
    turn()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50_000  # KiB; 2 GB would have been lost


def test_two_calls_meet_as_the_interpreter_is_not_locked(compiled: Compiled) -> None:
    arrived = np.zeros(1, dtype=np.int64)
    met: list[bool] = []
    threads = [
        threading.Thread(target=lambda: met.append(compiled(calls.meet)(arrived, 2_000_000_000)))
        for _ in range(2)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert met == [True, True]


def test_many_threads_at_once(compiled: Compiled) -> None:
    """Each gets its own results, and its own error: running out of memory is told apart."""
    failures: list[str] = []

    def work(number: int) -> None:
        for i in range(200):
            n = 10 * number + i % 7
            if compiled(examples.matrix)(2, n + 1)[1, n] != 10 + n:
                failures.append(f"matrix {n}")
            if compiled(examples.views)(n)[2].tolist() != list(range(n))[::-1]:
                failures.append(f"views {n}")
            expected = MemoryError if number % 2 else RuntimeError
            try:
                compiled(examples.room)(2**62) if number % 2 else compiled(examples.root)(-1)
            except (MemoryError, RuntimeError) as problem:
                if type(problem) is not expected:
                    failures.append(f"{problem!r} in {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
