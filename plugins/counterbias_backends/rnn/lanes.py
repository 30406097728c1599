"""A vector of 32 floats as a type that numba's compiled code can calculate with.

LLVM does not find the vector instructions in loops over hidden units by itself: the same network is ten times slower in scalar
code. So the kernels here say it: 32 windows go side by side, one per lane; every value of the network is a :data:`lanes_type`.
``+ - * /`` work between vectors and between a vector and a float32. Multiplications and additions may be fused; nothing is
reordered, so that a result depends on the machine only.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

#: Windows that are calculated side by side; 32 was the fastest of 16, 32 and 64 on the one processor tried (AVX-512).
LANES = 32

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_VECTOR, _BITS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)
_FUSE = ("contract",)


class LanesType(types.Type):
    """The numba type of a vector of :data:`LANES` float32 values."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


lanes_type = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_BITS, [0] * LANES))


def _constant(value: float) -> Any:
    return ir.Constant(_VECTOR, [float(np.float32(value))] * LANES)


def _register(function: Any, instruction: str) -> None:
    """Teach numba an operator between vectors, and between a vector and a float32."""

    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and lanes_type in args and all(kind in (lanes_type, types.float32) for kind in args):
                return signature(lanes_type, *args)
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (
            value if kind == lanes_type else _splat(builder, value) for value, kind in zip(args, sig.args, strict=True)
        )
        return getattr(builder, instruction)(left, right, flags=_FUSE)

    for pair in ((lanes_type, lanes_type), (types.float32, lanes_type), (lanes_type, types.float32)):
        lower_builtin(function, *pair)(lower)


_register(operator.add, "fadd")
_register(operator.sub, "fsub")
_register(operator.mul, "fmul")
_register(operator.truediv, "fdiv")


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """``load(array, index)``: read :data:`LANES` values of a flat float32 array from ``index`` on (not checked)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig.args[0], *args), align=4)

    return lanes_type(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """``store(array, index, vector)``: write a vector into a flat float32 array from ``index`` on (not checked)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes_type), codegen


@intrinsic
def splat(typingctx: Any, value: Any) -> Any:
    """``splat(value)``: a float32 in every lane."""
    return lanes_type(types.float32), lambda context, builder, sig, args: _splat(builder, args[0])


@intrinsic
def total(typingctx: Any, value: Any) -> Any:
    """``total(vector)``: the sum of the lanes, as float32."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(_FLOAT, 0.0), args[0]], fastmath=("reassoc",))

    return types.float32(lanes_type), codegen


def _power_coefficients(degree: int = 5) -> list[float]:
    """Fit 2**x on [-0.5, 0.5] by a polynomial: at Chebyshev's points, relative error 1e-7 for degree 5."""
    points = np.cos(np.pi * (np.arange(200) + 0.5) / 200) / 2
    weights = 2.0**-points / (1 - (2 * points) ** 2 + 1e-3) ** 0.25
    return [float(value) for value in np.polynomial.polynomial.polyfit(points, 2.0**points, degree, w=weights)]


_COEFFICIENTS = _power_coefficients()
#: Added to a float32, this leaves the nearest whole number, plus the bias of the exponent, in the low bits.
_ROUND = 1.5 * 2.0**23 + 127


@intrinsic
def power2(typingctx: Any, exponent: Any, limit: Any) -> Any:
    """``power2(vector, limit)``: 2**vector with the exponent held within ± ``limit`` (at most 126); relative error 2e-7."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, limit = args[0], _splat(builder, args[1])
        lowest = builder.fsub(_constant(0.0), limit)
        value = builder.select(builder.fcmp_ordered("<", value, limit), value, limit)
        value = builder.select(builder.fcmp_ordered(">", value, lowest), value, lowest)
        shifted = builder.fadd(value, _constant(_ROUND))
        bits = builder.shl(builder.bitcast(shifted, _BITS), ir.Constant(_BITS, [23] * LANES))
        fraction = builder.fsub(value, builder.fsub(shifted, _constant(_ROUND)))
        result = _constant(_COEFFICIENTS[-1])
        for coefficient in _COEFFICIENTS[-2::-1]:
            result = builder.fadd(builder.fmul(result, fraction, flags=_FUSE), _constant(coefficient), flags=_FUSE)
        return builder.fmul(result, builder.bitcast(bits, _VECTOR))

    return lanes_type(lanes_type, types.float32), codegen
