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
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from counterbias.loops import library
from counterbias.loops.building.compiling import Entry, compile_loop, prepare
from counterbias.loops.building.errors import BuildingError
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
_X86 = ("x86_64", "amd64")
_GENERIC = "generic"
#: What LLVM's level v3 uses beyond v2; no processor has the others of v3 without these.
_V3 = ("avx2", "fma", "bmi", "bmi2", "f16c", "lzcnt", "movbe")
#: Most processes at once: each takes about 250 MB and a second to start.
_MOST_PROCESSES = 8


class _Task(NamedTuple):
    module: str
    name: str
    level: str
    kept: Path


def wanted_levels() -> tuple[str, ...]:
    """Return the levels to compile for, lowest first: those asked for, else this machine's highest.

    Raises:
        BuildingError: a level that was asked for does not exist here.
    """
    asked = {one.strip() for one in os.environ.get(VARIABLE, "").split(",")} - {""}
    if asked == {NONE}:
        return ()
    is_x86 = platform.machine().lower() in _X86
    if asked:
        known = [one for one in library.LEVELS if (one != _GENERIC) == is_x86]
        for one in sorted(asked - {*known}):
            raise BuildingError(
                f"{VARIABLE} has '{one}'. Levels of this machine are {', '.join(known)}; "
                f"'{NONE}' alone is for no compiled loops"
            )
        return tuple(one for one in known if one in asked)
    if not is_x86:
        return (_GENERIC,)
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return ("v3",) if all(features.get(name) for name in _V3) else ("v2",)


def build_in_place(folder: Path) -> None:
    """Build the library beside the sources, if any loop has changed.

    Raises:
        BuildingError: a loop cannot be compiled, or the C compiler failed.
    """
    levels = wanted_levels()
    if levels:
        build(levels, folder, Path(library.LIBRARY).parent, editable=True)


def build(levels: Sequence[str], folder: Path, target: Path, *, editable: bool) -> None:
    """Build the library and its description.

    The library is written first: where that is all that happened, or another build wrote one of
    them meanwhile, they do not match, which the next build mends.

    Args:
        levels: from the lowest to the highest.
        folder: keeps object files from one build to the next.
        target: the folder to write to.
        editable: whether loops can change after this, which is then noticed.

    Raises:
        BuildingError: a loop cannot be compiled, or the C compiler failed.
    """
    loops = list(_loops())
    fingerprints = {loop.key: loop.fingerprint for loop in loops}
    expected = {
        "levels": list(levels),
        "stamp": _stamp(*_COMPILING, *_LINKING),
        "fingerprints": fingerprints if editable else {},
    }
    built = target / Path(library.LIBRARY).name
    description = target / Path(library.DESCRIPTION).name
    if editable and _is_current(built, description, expected):
        return
    folder.mkdir(parents=True, exist_ok=True)
    content = link(_compile(loops, levels, folder), levels, folder)
    _write_whole(built, content)
    found = {"size": len(content), "crc32": zlib.crc32(content), **expected}
    _write_whole(description, json.dumps(found).encode())


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody sees half of it, and programs that use the old one go on."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _loops() -> Iterator[Loop]:
    """Find all loops: only modules that declare some are imported."""
    for package in PACKAGES:
        root = Path(next(iter(importlib.import_module(package).__path__)))
        for file in sorted(root.rglob("*.py")):
            if re.search(r"^@loop\(", file.read_text(encoding="utf-8"), re.MULTILINE):
                parts = (package, *file.relative_to(root).with_suffix("").parts)
                module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
                for name, value in sorted(vars(module).items()):
                    if isinstance(value, Loop) and value.key == f"{module.__name__}.{name}":
                        yield value


def _stamp(*files: str) -> str:
    """Return what, besides the loops, decides what is compiled: numba, and files of this room."""
    here = Path(__file__).parent
    sources = zlib.crc32(b"".join((here / name).read_bytes() for name in files))
    return f"{version('numba')} {version('llvmlite')} {sources:08x}"


def _is_current(built: Path, description: Path, expected: Mapping[str, object]) -> bool:
    try:
        found = json.loads(description.read_bytes())
        content = built.read_bytes()
    except (OSError, ValueError):
        return False
    return bool(found == {**expected, "size": len(content), "crc32": zlib.crc32(content)})


def _compile(loops: Sequence[Loop], levels: Sequence[str], folder: Path) -> Entries:
    """Compile loops, or take what was kept of them; processes work side by side."""
    entries: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    stamp = zlib.crc32(_stamp(*_COMPILING).encode())
    for level in levels:
        tasks = [_task(loop, level, folder / f"{level}-{stamp:08x}") for loop in loops]
        made = [read_kept(task.kept) for task in tasks]
        missing = [task for task, entry in zip(tasks, made, strict=True) if entry is None]
        if missing:
            missing[0].kept.parent.mkdir(exist_ok=True)
            number = f"{len(missing)} {'loop' if len(missing) == 1 else 'loops'}"
            print(f"Compiling {number} for level {level}.", file=sys.stderr)
            _compile_side_by_side(missing, level)
            made = [read_kept(task.kept) for task in tasks]
        for task, entry in zip(tasks, made, strict=True):
            if entry is None:
                raise BuildingError(f"{task.kept} has just been written and cannot be read")
            entries.setdefault((task.module, task.name), {})[level] = entry
    return entries


def read_kept(kept: Path) -> list[Entry] | None:
    """Return what was compiled before; None where it was not, or its file is damaged."""
    try:
        content = kept.read_bytes()
        checksum, pickled = content[:4], content[4:]
        if not pickled or zlib.crc32(pickled).to_bytes(4, "little") != checksum:
            return None
    except OSError:
        return None
    made: list[Entry] = pickle.loads(pickled)
    return made


def _task(loop: Loop, level: str, folder: Path) -> _Task:
    function = loop.py_func
    kept = folder / f"{loop.key}-{loop.fingerprint}.entry"
    return _Task(function.__module__, function.__qualname__, level, kept)


def _compile_side_by_side(tasks: Sequence[_Task], level: str) -> None:
    """Compile in fresh processes, as numba must not be imported before it knows the level."""
    number = min(len(tasks), _processors(), _MOST_PROCESSES)
    fresh = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(number, fresh, prepare, (level,)) as pool:
            list(pool.map(_compile_one, tasks))
    except BrokenProcessPool:
        raise BuildingError(
            "a process that compiled loops was ended, perhaps for want of memory"
        ) from None


def _processors() -> int:
    """Return how many processors this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compile_one(task: _Task) -> None:
    pickled = pickle.dumps(compile_loop(task.module, task.name, task.level))
    _write_whole(task.kept, zlib.crc32(pickled).to_bytes(4, "little") + pickled)
