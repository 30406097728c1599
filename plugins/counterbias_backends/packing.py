"""Pack bases from one byte to two bits each, eight at a time, in compiled code. Not a backend."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, intrinsic, loop

#: Bases that one pack holds at most.
MOST = 32


@intrinsic
def _eight_bytes(typing_context: Any, array: Any, index: Any) -> Any:
    """Read eight bytes of a flat array, the first one lowest, without a check of the index."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        address = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(64).as_pointer())
        value = builder.load(address, align=1)
        return builder.bswap(value) if sys.byteorder == "big" else value

    return types.uint64(array, types.intp), codegen


@helper(error_model="numpy")
def _joined(eight: np.uint64) -> np.uint64:
    """Bring the lower two bits of eight bytes together, the first byte lowest.

    Two bytes become four bits side by side; one multiplication then brings four such pairs together
    in the highest sixteen bits. Its partial products lie four bits apart, so that none carries into
    another.
    """
    eight &= np.uint64(0x0303030303030303)
    eight = (eight | (eight >> np.uint64(6))) & np.uint64(0x000F000F000F000F)
    return (eight * np.uint64(0x0001001001001000)) >> np.uint64(48)


@loop("u1[::1], i8, i8, i8, u8[::1]", error_model="numpy")
def pack(
    bases: NDArray[np.uint8], start: int, step: int, size: int, packs: NDArray[np.uint64]
) -> np.uint64:
    """Pack ``bases[start : start + size]``, then the same ``step`` bases further on, and so forth.

    Args:
        bases: flat; indices are not checked.
        start, step: where the first pack begins, and how far apart they are.
        size: bases per pack, at most 32; the first one is put lowest.
        packs: written.

    Returns the bits that no base has, 0 where all were bases; they are left out of the packs.
    """
    strange = np.uint64(0)
    packs[:] = np.uint64(0)
    if size < 8:
        for column in range(size):
            at = start + column
            for w in range(len(packs)):
                base = np.uint64(bases[at])
                strange |= base
                packs[w] |= (base & np.uint64(3)) << np.uint64(2 * column)
                at += step
        return strange & np.uint64(0xFC)
    for part in range((size + 7) // 8):
        # The last eight may overlap those before, which sets the same bits once more.
        column = min(8 * part, size - 8)
        shift = np.uint64(2 * column)
        at = start + column
        for w in range(len(packs)):
            eight = _eight_bytes(bases, at)
            strange |= eight
            packs[w] |= _joined(eight) << shift
            at += step
    return strange & np.uint64(0xFCFCFCFCFCFCFCFC)
