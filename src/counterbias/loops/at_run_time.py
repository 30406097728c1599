"""Compiling with numba while the program runs: where no loop compiled before fits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from counterbias.errors import InputError


def dispatcher(function: Callable[..., Any], **options: Any) -> Any:
    """Return numba's dispatcher of a function.

    Raises:
        InputError: numba is not installed.
    """
    return _numba().njit(**options)(function)


def intrinsic_type(function: Callable[..., Any]) -> Any:
    """Make an intrinsic and return its type, by which compiled code finds it."""
    _numba()
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic

    made = intrinsic(function)
    cpu_target.typing_context.refresh()  # so that it knows what was just registered
    return cpu_target.typing_context.resolve_value_type(made)


def _numba() -> Any:
    """Import numba without scipy's linear algebra, which costs 0.2 s and no loop of ours needs.

    numba only checks that it is there, for which an empty module will do. It imports the real one
    where a compiled function needs it, so that a plug-in may use ``np.dot``.
    """
    blas = "scipy.linalg.cython_blas"
    lent = "numba" not in sys.modules and blas not in sys.modules
    if lent:
        sys.modules[blas] = ModuleType(blas)
    try:
        import numba
        import numba.np.arraymath
    except ModuleNotFoundError as problem:
        if (problem.name or "").partition(".")[0] not in ("numba", "llvmlite"):
            raise
        raise InputError(
            "this needs numba, which is not installed", remedy="run: pip install 'counterbias[jit]'"
        ) from None
    finally:
        if lent:
            del sys.modules[blas]
    return numba
