"""Vectors of numbers, as types for numba's compiled code: shared by the networks, not a backend.

LLVM does not find the vector instructions in loops over units by itself: in scalar code, the same
network is ten times slower. So the kernels state them: :func:`vector_functions` makes a numba type
of several numbers side by side, with its ``load``, ``store``, ``splat`` and ``total``. ``+ - * /``
work between vectors of one type, and between a vector and a scalar of its element type.
Multiplications and additions may be fused; nothing else is reordered, so that results depend on
nothing but the machine.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numpy.typing import NDArray

#: Bytes of a cache line.
LINE = 64

Scalar = TypeVar("Scalar", bound=np.generic)

_FUSE = ("contract",)
_INT = ir.IntType(32)
_SCALARS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def aligned(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Copy values, flattened, to the beginning of a cache line.

    A vector that crosses the boundary between two cache lines takes twice as long to read.
    """
    memory = np.empty(values.nbytes + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    copy = memory[first : first + values.nbytes].view(values.dtype)
    copy[:] = values.ravel()
    return copy


class LanesType(types.Type):  # type: ignore[misc]  # numba has no types for mypy
    """The numba type of a vector of ``count`` numbers of type ``scalar``."""

    def __init__(self, scalar: Any, count: int) -> None:
        self.scalar, self.count = scalar, count
        self.vector = ir.VectorType(_SCALARS[scalar], count)
        super().__init__(name=f"Lanes{count}x{scalar}")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]  # numba has no types for mypy
    def __init__(self, manager: Any, lanes: LanesType) -> None:
        super().__init__(manager, lanes, lanes.vector)


def splat_value(builder: Any, scalar: Any, lanes: LanesType) -> Any:
    """Build the vector that has a scalar in every lane."""
    undefined = ir.Constant(lanes.vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT, 0))
    mask = ir.Constant(ir.VectorType(_INT, lanes.count), [0] * lanes.count)
    return builder.shuffle_vector(first, undefined, mask)


_OPERATORS = {
    operator.add: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}


def _fits(lanes: LanesType, args: Any) -> bool:
    return all(one in (lanes, lanes.scalar) for one in args)


def _register_typing(function: Any) -> None:
    @infer_global(function)
    class _Typing(AbstractTemplate):  # type: ignore[misc]  # numba has no types for mypy
        def generic(self, args: Any, kws: Any) -> Any:
            vectors = [one for one in args if isinstance(one, LanesType)]
            if len(args) == 2 and vectors and _fits(vectors[0], args):
                return signature(vectors[0], *args)
            return None


def _register_lowering(function: Any, instruction: str, lanes: LanesType) -> None:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (
            value if one == lanes else splat_value(builder, value, lanes)
            for value, one in zip(args, sig.args, strict=True)
        )
        return getattr(builder, instruction)(left, right, flags=_FUSE)

    for pair in ((lanes, lanes), (lanes.scalar, lanes), (lanes, lanes.scalar)):
        lower_builtin(function, *pair)(lower)


for _function in _OPERATORS:
    _register_typing(_function)


@dataclass(frozen=True)
class VectorFunctions:
    """A vector type and its functions for compiled code.

    Args:
        type: the numba type.
        load: ``load(array, index)``: read ``count`` values of a flat array from ``index`` on.
            Neither this nor ``store`` checks the index.
        store: ``store(array, index, vector)``: write them.
        splat: ``splat(scalar)``: a scalar in every lane.
        total: ``total(vector)``: the sum of the lanes, as a scalar.
        rectified: ``rectified(vector)``: negative values become 0.
        where_positive: ``where_positive(condition, vector)``: ``vector`` where ``condition`` is
            above 0, otherwise 0.
    """

    type: LanesType
    load: Any
    store: Any
    splat: Any
    total: Any
    rectified: Any
    where_positive: Any


def vector_functions(scalar: Any, count: int) -> VectorFunctions:
    """Make a vector type of ``count`` lanes of numba's float32 or float64."""
    lanes = LanesType(scalar, count)
    zeros = ir.Constant(lanes.vector, [0.0] * count)
    for function, instruction in _OPERATORS.items():
        _register_lowering(function, instruction, lanes)

    def pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
        data = context.make_array(array_type)(context, builder, array).data
        return builder.bitcast(builder.gep(data, [index]), lanes.vector.as_pointer())

    align = 4 if scalar == types.float32 else 8

    @intrinsic
    def load(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.load(pointer(context, builder, sig.args[0], *args), align=align)

        return lanes(array, types.intp), codegen

    @intrinsic
    def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            builder.store(
                args[2], pointer(context, builder, sig.args[0], args[0], args[1]), align=align
            )
            return context.get_dummy_value()

        return types.void(array, types.intp, lanes), codegen

    @intrinsic
    def splat(typingctx: Any, value: Any) -> Any:
        return lanes(scalar), lambda context, builder, sig, args: splat_value(
            builder, args[0], lanes
        )

    @intrinsic
    def total(typingctx: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            number = _SCALARS[scalar]
            suffix = "f32" if scalar == types.float32 else "f64"
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(number, [number, lanes.vector]),
                f"llvm.vector.reduce.fadd.v{count}{suffix}",
            )
            return builder.call(
                function, [ir.Constant(number, 0.0), args[0]], fastmath=("reassoc",)
            )

        return scalar(lanes), codegen

    @intrinsic
    def rectified(typingctx: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", args[0], zeros), args[0], zeros)

        return lanes(lanes), codegen

    @intrinsic
    def where_positive(typingctx: Any, condition: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", args[0], zeros), args[1], zeros)

        return lanes(lanes, lanes), codegen

    return VectorFunctions(lanes, load, store, splat, total, rectified, where_positive)
