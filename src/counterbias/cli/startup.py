"""What precedes the work of a command: numba without what no loop needs, and a word where its loops have to be compiled first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from counterbias.compiled_code import Listeners, listening

#: Functions whose compilation begins that of all counting loops. Others, which only some files need, compile in about a second.
_COUNTING = frozenset({"annotation.scanner.scan", "alignments.decoding.decode"})
#: Rooms whose loops every count may need.
_PLAIN = ("alignments", "annotation", "assignment", "native", "pipeline", "writers")


@contextmanager
def compiled_loops(say: Callable[[str], None], *, quiet: bool) -> Iterator[None]:
    """Import numba, and say once for each group of loops that they are compiled, where they are kept, or why they are not.

    Args:
        say: takes one line for stderr.
        quiet: whether to say nothing.
    """
    told: set[str] = set()

    def once(key: str, text: str) -> None:
        if key not in told and not quiet:
            told.add(key)
            say(text)

    def compiling(module: str, name: str, folder: str) -> None:
        what = _group(module, name)
        if what and folder:
            once(
                what,
                f"First run: compiling {what}, which takes some seconds once; they are kept in {folder}.",
            )
        elif what:
            once(
                what,
                f"Compiling {what}, which takes some seconds in every run: there is no folder to keep them in. {_REMEDY}.",
            )

    def unreadable(folder: str, reason: str) -> None:
        once(
            "unreadable",
            f"Compiled loops in {folder} cannot be read ({reason}): they are compiled and kept anew.",
        )

    def unwritable(folder: str, reason: str) -> None:
        once(
            "unwritable",
            f"Compiled loops cannot be kept in {folder} ({reason}): the next run compiles them again. {_REMEDY}.",
        )

    _import_numba()
    with listening(Listeners(compiling, unreadable, unwritable)):
        yield


_REMEDY = "Name one that can be written to with NUMBA_CACHE_DIR=FOLDER"


def _group(module: str, name: str) -> str:
    """Say what a loop belongs to; empty for one whose compilation is not worth a word."""
    root, _, rest = module.partition(".")
    room = rest.partition(".")[0] if root == "counterbias" else ""
    if room in _PLAIN:
        return "the counting loops" if f"{rest}.{name}" in _COUNTING else ""
    return "the loops of the simulation" if room == "simulation" else "the loops of the bias stages"


def _import_numba() -> None:
    """Import numba without scipy's linear algebra, which it looks for at once, costs 0.2 s, and no counting loop needs.

    numba looks again where a compiled function does need it, so a plug-in that uses ``np.dot`` is not touched.
    """
    absent = "scipy.linalg.cython_blas"
    if "numba" in sys.modules or absent in sys.modules:
        return
    sys.modules[absent] = None  # type: ignore[assignment]
    try:
        from numba.np import arraymath
    finally:
        del sys.modules[absent]
    arraymath._HAVE_BLAS = True
