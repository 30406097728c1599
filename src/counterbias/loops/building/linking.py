"""From object files to the shared library, with a C compiler."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from counterbias.loops.building.compiling import Entry

_HERE = Path(__file__).parent
#: By loop: module and name; then by level.
Entries = Mapping[tuple[str, str], Mapping[str, Sequence[Entry]]]


class LinkingError(Exception):
    """There is no C compiler, or it failed."""


def link(entries: Entries, levels: Sequence[str], folder: Path, library: Path) -> None:
    """Write the library.

    Args:
        entries: all loops.
        levels: from the lowest to the highest.
        folder: for object files and the table; it exists.
        library: the file to write.

    Raises:
        LinkingError: the C compiler failed; the message is its own.
    """
    objects = []
    for by_level in entries.values():
        for entry in (entry for made in by_level.values() for entry in made):
            objects.append(folder / f"{entry.symbol}.o")
            objects[-1].write_bytes(entry.code)
    table = folder / "table.c"
    table.write_text(_table(entries, levels))
    listed = folder / "objects.txt"
    listed.write_text("\n".join(f'"{one}"' for one in objects))
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if sys.platform == "darwin":
        sharing = ["-bundle", "-undefined", "dynamic_lookup", "-Wl,-dead_strip"]
    else:
        sharing = ["-shared", "-Wl,--gc-sections", "-Wl,-s", "-Wl,--build-id=none"]
    headers = [f"-I{_HERE}", f"-I{sysconfig.get_path('include')}"]
    sources = [str(_HERE / "caller.c"), str(table)]
    options = ["-O2", "-fPIC", "-fvisibility=hidden", "-Wall"]
    _run(
        [*compiler, *options, *sharing, *headers, *sources, f"@{listed}", "-lm", "-o", str(library)]
    )


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise LinkingError(
            f"the C compiler {command[0]} cannot be run ({problem.strerror}). Install one, or name "
            "it with CC=COMPILER"
        ) from None
    if done.returncode:
        raise LinkingError(f"the C compiler {command[0]} failed:\n{done.stderr}")


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
