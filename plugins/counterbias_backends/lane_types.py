"""The numba types of vectors of numbers, and arithmetic on them: see :mod:`.lanes`. Not a backend.

Only what compiles imports this module; what runs compiled loops needs no numba.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

#: How multiplications and additions are compiled: they may be fused.
FUSE = ("contract",)
_INT = ir.IntType(32)
_SCALARS = {
    "float32": (types.float32, ir.FloatType()),
    "float64": (types.float64, ir.DoubleType()),
}
_OPERATORS = {
    operator.add: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}


class LanesType(types.Type):  # type: ignore[misc]  # numba has no types for mypy
    """The numba type of a vector of ``count`` numbers of type ``scalar``."""

    def __init__(self, scalar: Any, number: Any, count: int) -> None:
        self.scalar, self.number, self.count = scalar, number, count
        self.vector = ir.VectorType(number, count)
        super().__init__(name=f"Lanes{count}x{scalar}")

    @property
    def zeros(self) -> Any:
        """The constant with 0 in every lane."""
        return ir.Constant(self.vector, [0.0] * self.count)

    @property
    def alignment(self) -> int:
        """Bytes of a number: vectors may begin at any number of an array."""
        return 4 if self.scalar == types.float32 else 8


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]  # numba has no types for mypy
    def __init__(self, manager: Any, lanes: LanesType) -> None:
        super().__init__(manager, lanes, lanes.vector)


@cache
def lanes_type(scalar: str, count: int) -> LanesType:
    """Return the type of vectors of ``count`` numbers; ``scalar`` is float32 or float64."""
    lanes = LanesType(*_SCALARS[scalar], count)
    for function, instruction in _OPERATORS.items():
        _register_lowering(function, instruction, lanes)
    return lanes


def splat_value(builder: Any, scalar: Any, lanes: LanesType) -> Any:
    """Build the vector that has a scalar in every lane."""
    undefined = ir.Constant(lanes.vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT, 0))
    mask = ir.Constant(ir.VectorType(_INT, lanes.count), [0] * lanes.count)
    return builder.shuffle_vector(first, undefined, mask)


def pointer(context: Any, builder: Any, array_type: Any, array: Any, place: Any) -> Any:
    """Build the address of the vector that begins at an array's element.

    Args:
        place: the index of the element, and the type of the vector.
    """
    index, lanes = place
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), lanes.vector.as_pointer())


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
        return getattr(builder, instruction)(left, right, flags=FUSE)

    for pair in ((lanes, lanes), (lanes.scalar, lanes), (lanes, lanes.scalar)):
        lower_builtin(function, *pair)(lower)


for _function in _OPERATORS:
    _register_typing(_function)
