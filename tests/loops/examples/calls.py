"""Loops that use helpers, other loops and intrinsics; two that run at the same time meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterbias.loops import helper, intrinsic, loop


@intrinsic
def add_at_once(context: Any, values: Any, number: Any) -> Any:
    """Add a number to the first item in one step for all threads; return what it was before."""
    from numba.core import cgutils, types

    def make(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        place = cgutils.get_item_pointer(
            target,
            builder,
            signature.args[0],
            array,
            [target.get_constant(types.intp, 0)],
            wraparound=False,
        )
        return builder.atomic_rmw("add", place, arguments[1], "seq_cst")

    return types.int64(values, types.int64), make


@helper
def squared(value: float) -> float:
    return value * value


@helper(inline=True)
def increased(value: float) -> float:
    return value + 1


@loop("f8[::1]")
def norm(values: np.ndarray) -> float:
    found = 0.0
    for value in values:
        found += squared(value)
    return np.sqrt(found)


@loop("f8[::1]")
def increased_norm(values: np.ndarray) -> float:
    return increased(norm(values))


@loop("i8[::1], i8")
def meet(arrived: np.ndarray, patience: int) -> bool:
    """Wait until another thread has come here too; return whether it came."""
    add_at_once(arrived, 1)
    for _ in range(patience):  # noqa: SIM110 - numba has no any
        if add_at_once(arrived, 0) == 2:
            return True
    return False
