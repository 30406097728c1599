"""From object files to the shared library, with a C compiler."""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from counterbias.loops.building.compiling import Entry
from counterbias.loops.building.errors import BuildingError

_HERE = Path(__file__).parent
_OPTIONS = ("-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")
#: By loop: module and name; then by level.
Entries = Mapping[tuple[str, str], Mapping[str, Sequence[Entry]]]


class LinkingError(BuildingError):
    """There is no C compiler, it failed, or what it made is of no use."""


def link(entries: Entries, levels: Sequence[str], folder: Path) -> bytes:
    """Return the library.

    Args:
        entries: all loops.
        levels: from the lowest to the highest.
        folder: where a folder for temporary files is made.

    Raises:
        LinkingError: the C compiler failed; the message is its own.
    """
    with TemporaryDirectory(dir=folder) as place:
        made = _link(entries, levels, Path(place))
        _check(made)
        return made.read_bytes()


def _link(entries: Entries, levels: Sequence[str], folder: Path) -> Path:
    """Run the C compiler in a folder of its own; return the library there."""
    loops = [one for by_level in entries.values() for made in by_level.values() for one in made]
    for entry in loops:
        (folder / f"{entry.symbol}.o").write_bytes(entry.code)
    (folder / "objects.txt").write_text("\n".join(f"{entry.symbol}.o" for entry in loops))
    (folder / "table.c").write_text(_table(entries, levels))
    if sys.platform == "darwin":
        sharing = ["-bundle", "-undefined", "dynamic_lookup", "-Wl,-dead_strip"]
    else:
        sharing = ["-shared", "-Wl,--gc-sections", "-Wl,-s", "-Wl,--build-id=none"]
    headers = [f"-I{_HERE}", f"-I{sysconfig.get_path('include')}"]
    sources = [str(_HERE / "caller.c"), "table.c", "@objects.txt", "-lm"]
    command = [*_compiler(), *_OPTIONS, *sharing, *_limits(loops), *headers, *sources]
    _run([*command, "-o", "library.so"], folder)
    return folder / "library.so"


def _limits(loops: Sequence[Entry]) -> list[str]:
    """Define how much room caller.c needs for the arguments and the result of one call."""
    limits = {
        "MOST_WORDS": max(_number_of_words(one.arguments) for one in loops),
        "MOST_ARRAYS": max(_number_of_arrays(one.arguments) for one in loops),
        "RESULT_WORDS": max(_number_of_words(one.result) for one in loops),
    }
    return [f"-D{name}={max(1, size)}" for name, size in limits.items()]


def _number_of_words(text: str) -> int:
    """Return how many words of 64 bits values of these types take up, at most.

    An array is a structure of memory, parent, items, item size and data, of shape and strides.
    """
    scalars = re.sub(r"~?\d.|[()]", "", text)
    return len(scalars) + sum(5 + 2 * int(dimensions) for dimensions in re.findall(r"\d", text))


def _number_of_arrays(text: str) -> int:
    """Return how many arrays there are among values of these types."""
    return len(re.findall(r"\d", text))


def _compiler() -> list[str]:
    """Return the C compiler's command: the one asked for, else that which made Python, else cc."""
    asked = os.environ.get("CC")
    made_python = shlex.split(sysconfig.get_config_var("CC") or "")
    if asked:
        return shlex.split(asked)
    return made_python if made_python and shutil.which(made_python[0]) else ["cc"]


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise LinkingError(
            f"the C compiler {command[0]} cannot be run ({problem.strerror}). Install one, or name "
            "it with CC=COMPILER"
        ) from None
    if done.returncode:
        hint = "Python's C headers are missing (Debian: python3-dev)\n"
        hint = hint if "Python.h" in done.stderr else ""
        raise LinkingError(f"the C compiler {command[0]} failed: {hint}{done.stderr.strip()}")


def _check(library: Path) -> None:
    """Load the library, without initialising it: all that it needs must be there."""
    try:
        ctypes.PyDLL(str(library), mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as problem:
        raise LinkingError(f"the library cannot be loaded: {problem}") from None


def _table(entries: Entries, levels: Sequence[str]) -> str:
    """Write the table of all loops in C."""
    rows, symbols = [], []
    for (module, name), by_level in entries.items():
        variants = by_level[levels[0]]
        for i, entry in enumerate(variants):
            found = [by_level[level][i].symbol for level in levels]
            symbols += found
            code = f"(const entry_point[]){{{', '.join(found)}}}"
            rows.append(
                f'{{"{module}", "{name}", "{entry.arguments}", "{entry.result}", '
                f"{len(variants) - 1 - i}, {code}}}"
            )
    return "\n".join(
        [
            '#include "caller.h"',
            *(f"int32_t {symbol}(const uint64_t *, void *);" for symbol in symbols),
            "const struct loop loops[] = {",
            *(f"{row}," for row in rows),
            "};",
            f"const int number_of_loops = {len(rows)};",
            "const char *const levels[] = {" + ", ".join(f'"{one}"' for one in levels) + "};",
            f"const int number_of_levels = {len(levels)};",
            "",
        ]
    )
