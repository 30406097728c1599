"""Building the library: which loops there are, which have changed, and compiling these."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import pickle
import platform
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from counterbias.loops import library
from counterbias.loops.building.compiling import Entry, compile_loop, prepare
from counterbias.loops.building.linking import Entries, link
from counterbias.loops.declaring import Loop

#: Packages whose loops go into the library.
PACKAGES = ("counterbias", "counterbias_backends")
#: Levels of a library for other machines, separated by commas, or ``none`` for no library.
VARIABLE = "COUNTERBIAS_LEVELS"
NONE = "none"
#: Files that decide how a loop is compiled, and what is made of all of them.
_COMPILING = ("compiling.py", "types.py")
_LINKING = ("linking.py", "caller.c", "caller.h")


class _Task(NamedTuple):
    module: str
    name: str
    level: str
    kept: Path


def wanted_levels() -> tuple[str, ...]:
    """Return the levels to compile for: those asked for, else the highest of this machine."""
    asked = os.environ.get(VARIABLE, "")
    if asked:
        return tuple(one for one in asked.split(",") if one != NONE)
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ("generic",)
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    v3 = all(features.get(name) for name in ("avx2", "fma", "bmi", "bmi2"))
    return ("v3",) if v3 else ("v2",)


def build_in_place(folder: Path) -> None:
    """Build the library beside the sources, if any loop has changed.

    Raises:
        LinkingError: the C compiler failed.
    """
    build(wanted_levels(), folder, Path(library.LIBRARY).parent, editable=True)


def build(levels: Sequence[str], folder: Path, target: Path, *, editable: bool) -> None:
    """Build the library and its description.

    Args:
        levels: from the lowest to the highest.
        folder: keeps object files from one build to the next.
        target: the folder to write to.
        editable: whether loops can change after this, which is then noticed.

    Raises:
        LinkingError: the C compiler failed.
    """
    loops = list(_loops())
    fingerprints = {loop.key: loop.fingerprint for loop in loops}
    built = target / Path(library.LIBRARY).name
    description = target / Path(library.DESCRIPTION).name
    stamp = f"{_stamp(*_COMPILING, *_LINKING)} {','.join(levels)}"
    if editable and _is_current(built, description, stamp, fingerprints):
        return
    folder.mkdir(parents=True, exist_ok=True)
    link(_compile(loops, levels, folder), levels, folder, built)
    content = built.read_bytes()
    found = {
        "size": len(content),
        "crc32": zlib.crc32(content),
        "stamp": stamp,
        "fingerprints": fingerprints if editable else {},
    }
    description.write_text(json.dumps(found))


def _loops() -> Iterator[Loop]:
    """Find all loops: only modules that declare some are imported."""
    for package in PACKAGES:
        root = Path(next(iter(importlib.import_module(package).__path__)))
        for file in sorted(root.rglob("*.py")):
            if re.search(r"^@loop\(", file.read_text(), re.MULTILINE):
                parts = (package, *file.relative_to(root).with_suffix("").parts)
                module = importlib.import_module(".".join(parts))
                for _, value in sorted(vars(module).items()):
                    if isinstance(value, Loop) and value.py_func.__module__ == module.__name__:
                        yield value


def _stamp(*files: str) -> str:
    """Return what, besides the loops, decides what is compiled: numba, and files of this room."""
    import llvmlite
    import numba

    here = Path(__file__).parent
    sources = zlib.crc32(b"".join((here / name).read_bytes() for name in files))
    return f"{numba.__version__} {llvmlite.__version__} {sources:08x}"


def _is_current(
    built: Path, description: Path, stamp: str, fingerprints: Mapping[str, str]
) -> bool:
    try:
        found = json.loads(description.read_text())
        content = built.read_bytes()
    except (OSError, ValueError):
        return False
    return bool(
        found.get("stamp") == stamp
        and found.get("fingerprints") == fingerprints
        and found.get("crc32") == zlib.crc32(content)
    )


def _compile(loops: Sequence[Loop], levels: Sequence[str], folder: Path) -> Entries:
    """Compile loops, or take what was kept of them; processes work side by side."""
    entries: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    stamp = zlib.crc32(_stamp(*_COMPILING).encode())
    for level in levels:
        tasks = [_task(loop, level, folder / f"{level}-{stamp:08x}") for loop in loops]
        missing = [task for task in tasks if not task.kept.exists()]
        if missing:
            missing[0].kept.parent.mkdir(exist_ok=True)
            print(f"Compiling {len(missing)} loops for level {level}.", file=sys.stderr)
            _compile_side_by_side(missing, level)
        for task in tasks:
            made = pickle.loads(task.kept.read_bytes())
            entries.setdefault((task.module, task.name), {})[level] = made
    return entries


def _task(loop: Loop, level: str, folder: Path) -> _Task:
    function = loop.py_func
    kept = folder / f"{loop.key}-{loop.fingerprint}.entry"
    return _Task(function.__module__, function.__qualname__, level, kept)


def _compile_side_by_side(tasks: Sequence[_Task], level: str) -> None:
    with ProcessPoolExecutor(
        min(len(tasks), os.cpu_count() or 1),
        multiprocessing.get_context("spawn"),
        prepare,
        (level,),
    ) as pool:
        list(pool.map(_compile_one, tasks))


def _compile_one(task: _Task) -> None:
    made = compile_loop(task.module, task.name, task.level)
    part = task.kept.with_suffix(f".{os.getpid()}")
    part.write_bytes(pickle.dumps(made))
    part.replace(task.kept)
