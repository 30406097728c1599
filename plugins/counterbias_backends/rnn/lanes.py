"""A vector of 32 floats, one per window: each value of the network for 32 windows side by side.

See :mod:`counterbias_backends.lanes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from counterbias.loops import intrinsic
from counterbias_backends.lanes import vector_functions

#: Windows that are calculated side by side; of 16, 32 and 64, 32 was the fastest on the one
#: processor tried (AVX-512).
LANES = 32

_VECTORS = vector_functions("float32", LANES)
load, store, splat = _VECTORS.load, _VECTORS.store, _VECTORS.splat
product, total = _VECTORS.product, _VECTORS.total


def _power_coefficients(degree: int = 5) -> list[float]:
    """Fit 2**x on [-0.5, 0.5] by a polynomial at Chebyshev's points.

    The relative error is 1e-7 for degree 5.
    """
    points = np.cos(np.pi * (np.arange(200) + 0.5) / 200) / 2
    weights = 2.0**-points / (1 - (2 * points) ** 2 + 1e-3) ** 0.25
    found = np.polynomial.polynomial.polyfit(points, 2.0**points, degree, w=weights)
    return [float(value) for value in found]


_COEFFICIENTS = _power_coefficients()
#: Added to a float32, this leaves the nearest integer, plus the bias of the exponent, in the low
#: bits.
_ROUND = 1.5 * 2.0**23 + 127


@intrinsic
def power2(typingctx: Any, exponent: Any, limit: Any) -> Any:
    """``power2(vector, limit)``: 2**vector, with the exponent kept within ± ``limit``.

    The limit is 126 at most; the relative error is 2e-7.
    """
    from llvmlite import ir

    from counterbias_backends.lane_types import FUSE, lanes_type, splat_value

    lanes = lanes_type("float32", LANES)
    integers = ir.VectorType(ir.IntType(32), LANES)

    def constant(value: float) -> Any:
        return ir.Constant(lanes.vector, [float(np.float32(value))] * LANES)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, limit = args[0], splat_value(builder, args[1], lanes)
        lowest = builder.fsub(constant(0.0), limit)
        value = builder.select(builder.fcmp_ordered("<", value, limit), value, limit)
        value = builder.select(builder.fcmp_ordered(">", value, lowest), value, lowest)
        shifted = builder.fadd(value, constant(_ROUND))
        bits = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * LANES))
        fraction = builder.fsub(value, builder.fsub(shifted, constant(_ROUND)))
        result = constant(_COEFFICIENTS[-1])
        for coefficient in _COEFFICIENTS[-2::-1]:
            result = builder.fadd(
                builder.fmul(result, fraction, flags=FUSE), constant(coefficient), flags=FUSE
            )
        return builder.fmul(result, builder.bitcast(bits, lanes.vector))

    return lanes(lanes, lanes.scalar), codegen
