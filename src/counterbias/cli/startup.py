"""Messages where loops are compiled while the program runs: they come with it compiled before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from counterbias.loops.numba_cache import Listeners, listening

#: Functions with whose compilation that of all counting loops begins.
#: Other loops, which only some files need, compile in about a second.
_COUNTING = frozenset({"annotation.scanner.scan", "alignments.decoding.decode"})
#: Packages whose loops every count may need.
_COUNTING_PACKAGES = ("alignments", "annotation", "native", "pipeline", "writers")

_REMEDY = "Name one that can be written to with NUMBA_CACHE_DIR=FOLDER"


@contextmanager
def compiled_loops(write: Callable[[str], None], *, quiet: bool) -> Iterator[None]:
    """Report once per group of loops that they are being compiled.

    The message says where they are kept, or why they are not.

    Args:
        write: takes one line for stderr.
        quiet: whether to write nothing.
    """
    reported: set[str] = set()

    def once(key: str, text: str) -> None:
        if key not in reported and not quiet:
            reported.add(key)
            write(text)

    def compiling(module: str, name: str, folder: str) -> None:
        group = _group(module, name)
        if group and folder:
            once(
                group,
                f"First run: compiling {group}, which takes some seconds once; they are kept in "
                f"{folder}.",
            )
        elif group:
            once(
                group,
                f"Compiling {group}, which takes some seconds in every run: there is no folder to "
                f"keep them in. {_REMEDY}.",
            )

    def unreadable(folder: str, reason: str) -> None:
        once(
            "unreadable",
            f"Compiled loops in {folder} cannot be read ({reason}): they are compiled and kept "
            "anew.",
        )

    def unwritable(folder: str, reason: str) -> None:
        once(
            "unwritable",
            f"Compiled loops cannot be kept in {folder} ({reason}): the next run compiles them "
            f"again. {_REMEDY}.",
        )

    with listening(Listeners(compiling, unreadable, unwritable)):
        yield


def _group(module: str, name: str) -> str:
    """Return what a loop belongs to; empty where its compilation is not worth a message."""
    root, _, rest = module.partition(".")
    package = rest.partition(".")[0] if root == "counterbias" else ""
    if package in _COUNTING_PACKAGES:
        return "the counting loops" if f"{rest}.{name}" in _COUNTING else ""
    return (
        "the loops of the simulation" if package == "simulation" else "the loops of the bias stages"
    )
