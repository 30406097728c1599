"""Pack bases, one to a byte, into two bits each, eight at a time, for compiled code."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

#: Bases that a packed window can hold.
MOST = 32


@intrinsic
def _eight_bytes(typing_context: Any, array: Any, index: Any) -> Any:
    """Read eight bytes of a flat array of bytes, the first one lowest (not checked)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(64).as_pointer())
        value = builder.load(address, align=1)
        return builder.bswap(value) if sys.byteorder == "big" else value

    return types.uint64(array, types.intp), codegen


_inner = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_inner  # type: ignore[misc]
def _joined(eight):
    """Bring the lower two bits of eight bytes together, the first byte lowest."""
    eight &= np.uint64(0x0303030303030303)
    eight = (eight | (eight >> np.uint64(6))) & np.uint64(0x000F000F000F000F)
    eight = (eight | (eight >> np.uint64(12))) & np.uint64(0x000000FF000000FF)
    return (eight | (eight >> np.uint64(24))) & np.uint64(0xFFFF)


@_inner  # type: ignore[misc]
def packed(bases, start, width):
    """Pack ``bases[start : start + width]``, at most 32: the first base lowest; and the bits that no base has, 0 if all are bases."""
    code = np.uint64(0)
    strange = np.uint64(0)
    if width >= 8:
        # The last eight may overlap those before: the same bits once more.
        last = width - 8
        strange = _eight_bytes(bases, start + last)
        code = _joined(strange) << np.uint64(2 * last)
        for column in range(0, last, 8):
            eight = _eight_bytes(bases, start + column)
            strange |= eight
            code |= _joined(eight) << np.uint64(2 * column)
        return code, strange & np.uint64(0xFCFCFCFCFCFCFCFC)
    for column in range(width):
        base = np.uint64(bases[start + column])
        strange |= base
        code |= (base & np.uint64(3)) << np.uint64(2 * column)
    return code, strange & np.uint64(0xFC)
