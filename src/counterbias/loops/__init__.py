"""Loops written in Python and compiled before they are installed.

``@loop("u1[::1], i8")`` declares the types with which a function is called; when the package is
built, numba compiles it for them (:mod:`.building`), and at run time it is found in a shared
library (:mod:`.library`), without numba. Where no compiled loop fits, numba compiles it then, if it
is installed (:mod:`.at_run_time`).

Loops are called from Python; helpers (``@helper``) only from loops, into which they are compiled;
intrinsics (``@intrinsic``) make single instructions.
"""

from __future__ import annotations

from counterbias.loops.declaring import Helper, Intrinsic, Loop, helper, intrinsic, loop

__all__ = ["Helper", "Intrinsic", "Loop", "helper", "intrinsic", "loop"]
