"""Vectors of numbers for compiled loops: shared by the networks, not a backend.

LLVM does not find the vector instructions in loops over units by itself: in scalar code, the same
network is ten times slower. So the kernels state them: :func:`vector_functions` makes a type of
several numbers side by side (:mod:`.lane_types`), with its ``load``, ``store``, ``splat`` and
``total``. ``+ - * /`` work between vectors of one type, and between a vector and a scalar of its
element type. Multiplications and additions may be fused; nothing else is reordered, so that results
depend on nothing but the level of processors that the loops were compiled for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import intrinsic

#: Bytes of a cache line.
LINE = 64

Scalar = TypeVar("Scalar", bound=np.generic)


def aligned(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Copy values, flattened, to the beginning of a cache line.

    A vector that crosses the boundary between two cache lines takes twice as long to read.
    """
    memory = np.empty(values.nbytes + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    copy = memory[first : first + values.nbytes].view(values.dtype)
    copy[:] = values.ravel()
    return copy


@dataclass(frozen=True)
class VectorFunctions:
    """The functions of a vector type for compiled loops.

    Args:
        load: ``load(array, index)``: read ``count`` values of a flat array from ``index`` on.
            Neither this nor ``store`` checks the index.
        store: ``store(array, index, vector)``: write them.
        splat: ``splat(scalar)``: a scalar in every lane.
        product: ``product(vector, vector)``: their product, which is not fused with an addition.
            Where two products are added, one of them must be this: LLVM would choose which of them
            to fuse, and choose differently for each level of processors.
        total: ``total(vector)``: the sum of the lanes, as a scalar.
        rectified: ``rectified(vector)``: negative values become 0.
        where_positive: ``where_positive(condition, vector)``: ``vector`` where ``condition`` is
            above 0, otherwise 0.
    """

    load: Any
    store: Any
    splat: Any
    product: Any
    total: Any
    rectified: Any
    where_positive: Any


def vector_functions(scalar: str, count: int) -> VectorFunctions:
    """Make the functions of vectors of ``count`` lanes of ``float32`` or ``float64``."""
    load, store = _memory_functions(scalar, count)

    @intrinsic
    def splat(typingctx: Any, value: Any) -> Any:
        from counterbias_backends.lane_types import lanes_type, splat_value

        lanes = lanes_type(scalar, count)
        return lanes(lanes.scalar), lambda context, builder, sig, args: splat_value(
            builder, args[0], lanes
        )

    @intrinsic
    def product(typingctx: Any, left: Any, right: Any) -> Any:
        from counterbias_backends.lane_types import lanes_type

        lanes = lanes_type(scalar, count)
        return lanes(lanes, lanes), lambda context, builder, sig, args: builder.fmul(*args)

    @intrinsic
    def total(typingctx: Any, value: Any) -> Any:
        from llvmlite import ir
        from numba.core import cgutils

        from counterbias_backends.lane_types import lanes_type

        lanes = lanes_type(scalar, count)
        number, suffix = lanes.number, f"f{8 * lanes.alignment}"

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(number, [number, lanes.vector]),
                f"llvm.vector.reduce.fadd.v{count}{suffix}",
            )
            return builder.call(
                function, [ir.Constant(number, 0.0), args[0]], fastmath=("reassoc",)
            )

        return lanes.scalar(lanes), codegen

    @intrinsic
    def rectified(typingctx: Any, value: Any) -> Any:
        from counterbias_backends.lane_types import lanes_type

        lanes = lanes_type(scalar, count)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            positive = builder.fcmp_ordered(">", args[0], lanes.zeros)
            return builder.select(positive, args[0], lanes.zeros)

        return lanes(lanes), codegen

    @intrinsic
    def where_positive(typingctx: Any, condition: Any, value: Any) -> Any:
        from counterbias_backends.lane_types import lanes_type

        lanes = lanes_type(scalar, count)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            positive = builder.fcmp_ordered(">", args[0], lanes.zeros)
            return builder.select(positive, args[1], lanes.zeros)

        return lanes(lanes, lanes), codegen

    return VectorFunctions(load, store, splat, product, total, rectified, where_positive)


def _memory_functions(scalar: str, count: int) -> tuple[Any, Any]:
    """Make ``load`` and ``store``."""

    @intrinsic
    def load(typingctx: Any, array: Any, index: Any) -> Any:
        from numba import types

        from counterbias_backends.lane_types import lanes_type, pointer

        lanes = lanes_type(scalar, count)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            address = pointer(context, builder, sig.args[0], args[0], (args[1], lanes))
            return builder.load(address, align=lanes.alignment)

        return lanes(array, types.intp), codegen

    @intrinsic
    def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
        from numba import types

        from counterbias_backends.lane_types import lanes_type, pointer

        lanes = lanes_type(scalar, count)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            address = pointer(context, builder, sig.args[0], args[0], (args[1], lanes))
            builder.store(args[2], address, align=lanes.alignment)
            return context.get_dummy_value()

        return types.void(array, types.intp, lanes), codegen

    return load, store
