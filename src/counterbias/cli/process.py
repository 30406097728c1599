"""What a process of the command line sets before its work, and what it spares itself at its end."""

from __future__ import annotations

import gc
import os

#: OpenBLAS, which numpy and scipy contain, reads it when it is loaded.
_THREADS = "OPENBLAS_NUM_THREADS"


def prepare() -> None:
    """Let OpenBLAS use one thread, unless the user chose a number; before numpy is imported.

    Left to itself, it starts one per processor, each of which waits busily for 25 ms, in every run:
    a third of the time of importing numpy. And it splits a long scalar product among as many, so
    that the last digits would depend on the machine. No stage has products that are worth threads.
    """
    os.environ.setdefault(_THREADS, "1")


def finish() -> None:
    """Leave all objects as they are when Python ends, which would search them for garbage: 20 ms.

    Files are closed and removed by then, whatever becomes of the objects.
    """
    gc.freeze()
