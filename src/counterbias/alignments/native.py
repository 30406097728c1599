"""Read little-endian numbers and call C functions from compiled loops.

numba caches a compiled loop only if it refers to no address of this process. So C functions come in as plain integers,
as arguments, and the intrinsics below turn them into calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

#: Bytes that must follow the last byte that matters in any buffer: names are hashed and copied eight bytes at a time.
SLACK = 64


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: ir.Type) -> Any:
    """Give a typed pointer to byte ``index`` of a uint8 array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _loader(bits: int, result: types.Type) -> Any:
    """Make an intrinsic that reads one unaligned number, widened to int64 (or uint64)."""

    def load(typing_context: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = _element(context, builder, signature.args[0], args[0], args[1], ir.IntType(bits))
            value = builder.load(pointer, align=1)
            if bits == 64:
                return value
            widen = builder.sext if bits == 32 else builder.zext
            return widen(value, ir.IntType(64))

        return result(array, types.int64), codegen

    return intrinsic(load)


load_u8 = _loader(8, types.int64)
load_u16 = _loader(16, types.int64)
load_i32 = _loader(32, types.int64)
load_u64 = _loader(64, types.uint64)


@intrinsic
def store_u64(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write eight bytes at byte ``index`` of a uint8 array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], args[0], args[1], ir.IntType(64))
        builder.store(args[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


def _caller(result: ir.Type, signature: types.Type, pointers: tuple[bool, ...]) -> Any:
    """Give the code that calls the C function whose address is the first argument."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kinds = [ir.IntType(8).as_pointer() if pointer else arg.type for pointer, arg in zip(pointers, args[1:], strict=True)]
        function = builder.inttoptr(args[0], ir.FunctionType(result, kinds).as_pointer())
        values = [builder.inttoptr(arg, kind) if pointer else arg for pointer, kind, arg in zip(pointers, kinds, args[1:], strict=True)]
        return builder.call(function, values)

    return signature, codegen


@intrinsic
def call_decompress(typing_context: Any, function: Any, state: Any, source: Any, size: Any, target: Any, room: Any, got: Any) -> Any:
    """Call ``int f(void *, const void *, size_t, void *, size_t, size_t *)``."""
    signature = types.int32(*[types.int64] * 7)
    return _caller(ir.IntType(32), signature, (True, True, False, True, False, True))


@intrinsic
def call_crc32(typing_context: Any, function: Any, start: Any, source: Any, size: Any) -> Any:
    """Call ``uint32_t f(uint32_t, const void *, size_t)``."""
    signature = types.uint32(types.int64, types.uint32, types.int64, types.int64)
    return _caller(ir.IntType(32), signature, (False, True, False))


def with_slack(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Allocate ``size`` bytes and the slack behind them."""
    return np.zeros(size + SLACK, dtype=np.uint8) if size < 4096 else np.empty(size + SLACK, dtype=np.uint8)
