"""How numpy's linear algebra works in a process of the command line: in one thread."""

from __future__ import annotations

import os

#: OpenBLAS, which numpy and scipy contain, reads it when it is loaded.
_THREADS = "OPENBLAS_NUM_THREADS"


def prepare() -> None:
    """Let OpenBLAS use one thread, unless the user chose a number.

    Left to itself, it starts one per processor, each of which waits busily for 25 ms, in every run:
    a third of the time of importing numpy. And it splits a long scalar product among as many, so
    that the last digits would depend on the machine. No stage has products that are worth threads.
    """
    os.environ.setdefault(_THREADS, "1")
