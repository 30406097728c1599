"""Reading and writing numbers at addresses, and calling C functions, from compiled loops.

Numbers are little-endian. The loops over records work on addresses instead of arrays: passing an
array to a helper costs more than the helper's own work, since numba counts references. numba caches
a compiled loop only if it refers to no address of the process, so the addresses of C functions are
passed as integer arguments too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, intrinsic

#: Bytes that must follow the last byte of any buffer: names are hashed and copied eight at a time.
SLACK = 64


def _loader(bits: int, result: str) -> Any:
    """Return an intrinsic that reads an unaligned number at an address, widened to 64 bits."""

    def load(typing_context: Any, address: Any) -> Any:
        from llvmlite import ir
        from numba import types

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(builder.inttoptr(args[0], ir.IntType(bits).as_pointer()), align=1)
            if bits == 64:
                return value
            widen = builder.sext if bits == 32 else builder.zext
            return widen(value, ir.IntType(64))

        return getattr(types, result)(types.int64), codegen

    return intrinsic(load)


load_u8 = _loader(8, "int64")
load_u16 = _loader(16, "int64")
load_i32 = _loader(32, "int64")
load_i64 = _loader(64, "int64")
load_u64 = _loader(64, "uint64")


def _storer(bits: int) -> Any:
    """Return an intrinsic that writes the lower bits of a number to an address."""

    def store(typing_context: Any, address: Any, value: Any) -> Any:
        from llvmlite import ir
        from numba import types

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            integer = ir.IntType(bits)
            value = builder.trunc(args[1], integer) if bits < 64 else args[1]
            builder.store(value, builder.inttoptr(args[0], integer.as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return intrinsic(store)


store_u8 = _storer(8)
store_i32 = _storer(32)
store_i64 = _storer(64)


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Let the processor fetch an address that will be read soon; any address is allowed."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.IntType(32)
        pointer = ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, function_type, "llvm.prefetch.p0"
        )
        builder.call(
            function, [builder.inttoptr(args[0], pointer), number(0), number(3), number(1)]
        )
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _call(result: str, arguments: tuple[str, ...], pointers: tuple[bool, ...]) -> Any:
    """Return signature and code that call the C function whose address is the first argument.

    Args:
        result, arguments: names of numba's types, the address left out.
        pointers: which arguments are addresses to the C function.
    """
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = args[1:]
        value_types = [
            ir.IntType(8).as_pointer() if pointer else value.type
            for pointer, value in zip(pointers, values, strict=True)
        ]
        result_type = context.get_value_type(signature.return_type)
        function = builder.inttoptr(args[0], ir.FunctionType(result_type, value_types).as_pointer())
        converted = [
            builder.inttoptr(value, value_type) if pointer else value
            for pointer, value_type, value in zip(pointers, value_types, values, strict=True)
        ]
        return builder.call(function, converted)

    taken = [getattr(types, name) for name in ("int64", *arguments)]
    return getattr(types, result)(*taken), codegen


@intrinsic
def call_decompress(
    typing_context: Any,
    function: Any,
    state: Any,
    source: Any,
    size: Any,
    target: Any,
    room: Any,
    got: Any,
) -> Any:
    """Call ``int f(void *, const void *, size_t, void *, size_t, size_t *)``."""
    return _call("int32", ("int64",) * 6, (True, True, False, True, False, True))


@intrinsic
def call_crc32(typing_context: Any, function: Any, start: Any, source: Any, size: Any) -> Any:
    """Call ``uint32_t f(uint32_t, const void *, size_t)``."""
    return _call("uint32", ("uint32", "int64", "int64"), (False, True, False))


@intrinsic
def call_pread(
    typing_context: Any, function: Any, file: Any, target: Any, size: Any, offset: Any
) -> Any:
    """Call ``ssize_t f(int, void *, size_t, off_t)``."""
    return _call("int64", ("int32", "int64", "int64", "int64"), (False, True, False, False))


@helper
def same_bytes(one: Any, other: Any, size: Any) -> Any:
    """Whether the ``size`` bytes at two addresses are equal; the last words may overlap.

    No byte beyond their ends is read.
    """
    if size >= 8:
        last = size - 8
        for place in range(0, last, 8):
            if load_i64(one + place) != load_i64(other + place):
                return False
        return load_i64(one + last) == load_i64(other + last)
    if size >= 4:
        last = size - 4
        return load_i32(one) == load_i32(other) and load_i32(one + last) == load_i32(other + last)
    for place in range(size):  # noqa: SIM110 (compiles faster)
        if load_u8(one + place) != load_u8(other + place):
            return False
    return True


def with_slack(size: int) -> NDArray[np.uint8]:
    """Allocate ``size`` bytes followed by the slack (:data:`SLACK`)."""
    array = np.empty(size + SLACK, dtype=np.uint8)
    array[size:] = 0
    return array
