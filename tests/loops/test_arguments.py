"""The caller in C takes what a loop declares, and nothing else; results are numba's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from counterbias.loops import Loop
from tests.loops.examples import arguments as examples

Compiled = Callable[[Loop], Callable[..., Any]]

INTEGERS = {
    examples.int8: np.int8,
    examples.uint8: np.uint8,
    examples.int16: np.int16,
    examples.uint16: np.uint16,
    examples.int32: np.int32,
    examples.uint32: np.uint32,
    examples.int64: np.int64,
    examples.uint64: np.uint64,
}
#: What the example ``copied`` declares.
COPIED = {(code, 1) for code in "bBhHiIlLfd?"} | {("l", 2), ("f", 3)}


class Named(NamedTuple):
    size: int
    parts: tuple[np.ndarray, bool]


@pytest.mark.parametrize("loop", INTEGERS, ids=lambda loop: loop.key.rpartition(".")[2])
@settings(deadline=None)
@given(number=st.integers(-(2**65), 2**65) | st.integers(-300, 300))
def test_integers_are_taken_where_the_type_holds_them(
    compiled: Compiled, loop: Loop, number: int
) -> None:
    limits = np.iinfo(INTEGERS[loop])
    expected = number if limits.min <= number <= limits.max else NotImplemented
    assert compiled(loop)(number) == expected


@pytest.mark.parametrize("loop", INTEGERS, ids=lambda loop: loop.key.rpartition(".")[2])
def test_limits_of_integers(compiled: Compiled, loop: Loop) -> None:
    limits = np.iinfo(INTEGERS[loop])
    call = compiled(loop)
    for number in (limits.min, limits.max):
        for given_as in (int, INTEGERS[loop]):
            result = call(given_as(number))
            assert (result, type(result)) == (number, int)
    assert call(limits.min - 1) is NotImplemented
    assert call(limits.max + 1) is NotImplemented
    for wrong in (1.0, np.float64(1), "1", None, (1,), np.arange(3), b"1"):
        assert call(wrong) is NotImplemented, wrong


@settings(deadline=None)
@given(number=st.floats() | st.integers(-(2**60), 2**60))
def test_doubles(compiled: Compiled, number: float) -> None:
    result = compiled(examples.float64)(number)
    assert type(result) is float
    np.testing.assert_equal(result, float(number))


@settings(deadline=None)
@given(number=st.floats(width=32))
def test_single_floats(compiled: Compiled, number: float) -> None:
    call = compiled(examples.float32)
    np.testing.assert_equal(call(number), number)
    np.testing.assert_equal(call(np.float32(number)), number)


def test_single_floats_are_rounded_to_but_never_to_infinity(compiled: Compiled) -> None:
    call = compiled(examples.float32)
    assert call(0.1) == float(np.float32(0.1))
    assert call(1e39) is NotImplemented
    assert call(float("-inf")) == float("-inf")
    assert compiled(examples.float64)(10**400) is NotImplemented


def test_booleans_are_no_numbers(compiled: Compiled) -> None:
    call = compiled(examples.boolean)
    for value in (True, False):
        assert call(value) is value
        assert call(np.bool_(value)) is value
    for wrong in (0, 1, None, np.uint8(1), [], np.zeros(1, bool)):
        assert call(wrong) is NotImplemented


@pytest.mark.parametrize("arguments", [(5, None), (5, 3)])
def test_none_has_a_type_of_its_own(compiled: Compiled, arguments: tuple[Any, ...]) -> None:
    expected = examples.perhaps.dispatcher(*arguments)
    assert compiled(examples.perhaps)(*arguments) == expected
    assert compiled(examples.perhaps)(5, False) == 5
    assert compiled(examples.perhaps)(5, 3.0) is NotImplemented


@pytest.mark.parametrize("value", [True, 3, 2**62, -0.5, np.float32(1.5), np.int16(7)])
def test_first_types_that_fit_are_used(compiled: Compiled, value: float) -> None:
    result, expected = compiled(examples.kind)(value), examples.kind.dispatcher(value)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize("number", range(4))
def test_number_of_arguments(compiled: Compiled, number: int) -> None:
    result = compiled(examples.perhaps)(*[1] * number)
    assert result == (2 if number == 2 else NotImplemented)
    assert compiled(examples.nothing)(*[1] * number) == (42 if number == 0 else NotImplemented)
    with pytest.raises(TypeError, match="keyword"):
        compiled(examples.perhaps)(number=1)


def altered(values: np.ndarray, how: str) -> np.ndarray:
    """Return an array of the same items, which lies in memory in another way."""
    if how == "column order":
        return np.asfortranarray(values)
    if how == "every other":
        return np.repeat(values, 2, axis=-1)[..., ::2] if values.ndim else values
    if how == "backwards":
        return values[..., ::-1].copy()[..., ::-1] if values.ndim else values
    if how == "unaligned":
        room = np.zeros(values.nbytes + 1, dtype=np.uint8)[1:].view(values.dtype)
        room = room.reshape(values.shape)
        room[...] = values
        return room
    if how == "read-only":
        values = values.copy()
        values.flags.writeable = False
    return values


dtypes = st.sampled_from(
    [*"bBhHiIlLfd?", "q", "Q", "e", "g", "D", "S2", "U1", ">i8", ">f4", "M8[s]"]
)
shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
layouts = st.sampled_from(
    ["as it is", "column order", "every other", "backwards", "unaligned", "read-only"]
)


@settings(deadline=None)
@given(data=st.data(), dtype=dtypes, shape=shapes, layout=layouts)
def test_arrays_in_c_order(
    compiled: Compiled, data: st.DataObject, dtype: str, shape: tuple[int, ...], layout: str
) -> None:
    values = altered(data.draw(arrays.arrays(np.dtype(dtype), shape)), layout)
    flags, code = values.flags, values.dtype.char.replace("q", "l").replace("Q", "L")
    native = values.dtype.isnative
    fits = native and (code, values.ndim) in COPIED and flags.c_contiguous and flags.aligned
    result = compiled(examples.copied)(values)
    if not fits:
        assert result is NotImplemented
        return
    assert (result.dtype, result.shape) == (values.dtype, values.shape)
    assert result.flags.c_contiguous
    assert result.flags.writeable
    assert result.tobytes() == values.tobytes()
    assert not np.shares_memory(result, values)


@settings(deadline=None)
@given(
    data=st.data(),
    declared=st.sampled_from([("l", 1), ("d", 2), ("H", 3)]),
    layout=layouts,
)
def test_arrays_with_any_strides(
    compiled: Compiled, data: st.DataObject, declared: tuple[str, int], layout: str
) -> None:
    dtype, dimensions = declared
    shape = data.draw(arrays.array_shapes(min_dims=dimensions, max_dims=dimensions, min_side=0))
    items = st.integers(0, 1000)
    values = altered(data.draw(arrays.arrays(np.dtype(dtype), shape, elements=items)), layout)
    result = compiled(examples.total)(values)
    if not values.flags.aligned:
        assert result is NotImplemented
        return
    assert result == sum(place * int(one) for place, one in enumerate(values.flat, 1))


def test_strided_views_of_one_array_are_read_as_numba_reads_them(compiled: Compiled) -> None:
    block = np.arange(60.0).reshape(6, 10)
    for view in (block, block.T, block[::-2, 1::3], block[:, :1], block[2:2], block[:1, ::-1]):
        assert compiled(examples.total)(view) == examples.total.dispatcher(view)


def test_axes_of_one_item_may_have_any_stride(compiled: Compiled) -> None:
    """A column of one item is in C order whatever numpy noted as the distance to the next."""
    column = np.arange(12).reshape(3, 4)[:1, :]
    odd = np.lib.stride_tricks.as_strided(column, (1, 4), (1000, 8))
    assert compiled(examples.copied)(odd).tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    "holder",
    [b"\1\2\3", bytearray(b"\1\2\3"), memoryview(b"\1\2\3")],
    ids=["bytes", "bytearray", "memoryview"],
)
def test_bytes_are_arrays_too(compiled: Compiled, holder: Any) -> None:
    assert compiled(examples.copied)(holder).tolist() == [1, 2, 3]


def nested(number: Any, values: Any, negative: Any, pair: Any) -> tuple[Any, Any]:
    return (number, (values, negative)), pair


WEIGHTS, EVERY_OTHER = np.array([0.5, 1.5]), np.arange(6.0)[::2]


@pytest.mark.parametrize("negative", [True, False])
@pytest.mark.parametrize("weights", [WEIGHTS, EVERY_OTHER])
def test_nested_and_named_tuples(compiled: Compiled, negative: bool, weights: np.ndarray) -> None:
    call = compiled(examples.nested)
    given_now = nested(3, WEIGHTS, negative, examples.Pair(2, weights))
    expected = examples.nested.dispatcher(*given_now)
    assert call(*given_now) == expected
    as_others = Named(3, (WEIGHTS, negative)), (2, weights)
    assert call(*as_others) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        nested(3, EVERY_OTHER, True, (2, WEIGHTS)),
        nested(3, WEIGHTS, 1, (2, WEIGHTS)),
        nested(3.0, WEIGHTS, True, (2, WEIGHTS)),
        nested(3, WEIGHTS, True, (2,)),
        nested(3, WEIGHTS, True, (2, WEIGHTS, 1)),
        nested(3, WEIGHTS, True, [2, WEIGHTS]),
        nested(3, WEIGHTS, True, None),
        nested(3, WEIGHTS, True, ()),
        ((3, WEIGHTS, True), (2, WEIGHTS)),
        (3, (2, WEIGHTS)),
    ],
)
def test_other_tuples_do_not_fit(compiled: Compiled, wrong: tuple[Any, ...]) -> None:
    assert compiled(examples.nested)(*wrong) is NotImplemented
