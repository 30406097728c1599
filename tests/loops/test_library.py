"""A library that is damaged, does not fit or is missing: one line says so, or numba takes over."""

from __future__ import annotations

import json
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from counterbias.loops.building.compiling import Entry
from counterbias.loops.building.linking import _compiler, link
from tests.loops.conftest import loaded
from tests.loops.copies import COUNT, NO_NUMBA, copy_program, python, write

LIBRARY, DESCRIPTION = "_library.abi3.so", "_library.json"
#: A loop that no library has.
TWICE = (
    "from counterbias.loops import loop\n\n@loop('i8')\ndef twice(number):\n    return 2 * number\n"
)
CALL_TWICE = "import twice; print(twice.twice(21))"
DAMAGED = "the compiled loops are damaged. Run: pip install --force-reinstall counterbias"
EXTRA = "Install numba, which compiles them in the first run: pip install 'counterbias[jit]'"
#: What makes a Python module of a C file, with a function that is nowhere.
UNDEFINED = (
    "extern int found_nowhere(void); void *PyInit__library(void) { found_nowhere(); return 0; }\n"
)


def describe(room: Path, **changed: object) -> None:
    """Have the description fit the library, but for what is changed."""
    content = (room / LIBRARY).read_bytes()
    found = {
        "size": len(content),
        "crc32": zlib.crc32(content),
        "levels": ["v2"],
        "fingerprints": {},
        **changed,
    }
    (room / DESCRIPTION).write_text(json.dumps(found))


def truncated(room: Path) -> None:
    content = (room / LIBRARY).read_bytes()
    (room / LIBRARY).write_bytes(content[: len(content) // 2])


def one_byte_changed(room: Path) -> None:
    content = bytearray((room / LIBRARY).read_bytes())
    content[len(content) // 3] ^= 16
    (room / LIBRARY).write_bytes(content)


def empty_library(room: Path) -> None:
    (room / LIBRARY).write_bytes(b"")


def no_library(room: Path) -> None:
    (room / LIBRARY).unlink()


def no_description(room: Path) -> None:
    (room / DESCRIPTION).unlink()


def description_is_no_json(room: Path) -> None:
    (room / DESCRIPTION).write_bytes(b"\xff{")


def description_is_a_list(room: Path) -> None:
    (room / DESCRIPTION).write_text("[]")


def description_of_another_library(room: Path) -> None:
    describe(room, crc32=1)


def description_without_fingerprints(room: Path) -> None:
    describe(room, fingerprints=None)


def description_without_levels(room: Path) -> None:
    describe(room, levels=[])


DAMAGES: list[Callable[[Path], None]] = [
    truncated,
    one_byte_changed,
    empty_library,
    no_library,
    no_description,
    description_is_no_json,
    description_is_a_list,
    description_of_another_library,
    description_without_fingerprints,
    description_without_levels,
]


def undefined_symbol(room: Path) -> None:
    source = room / "undefined.c"
    source.write_text(UNDEFINED)
    command = [*_compiler(), "-shared", "-fPIC", str(source), "-o", str(room / LIBRARY)]
    subprocess.run(command, check=True)
    describe(room)


def no_files(room: Path) -> None:
    no_library(room)
    no_description(room)


@pytest.fixture
def room(tmp_path: Path, root: Path) -> Path:
    """Return the folder of the library in a copy of the program."""
    return copy_program(root, tmp_path / "a copy")


def folder_of(room: Path) -> Path:
    return room.parent.parent


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Check that a count ended with one line that has these parts, and counted nothing."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("counterbias: ")
    for part in parts:
        assert part in line


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged(damage: Callable[[Path], None], room: Path) -> None:
    damage(room)
    done = python(NO_NUMBA + COUNT, folder_of(room))
    assert_one_line(done, f"counterbias/loops/{LIBRARY}: {DAMAGED}")


def test_damaged_where_nothing_may_be_compiled(room: Path) -> None:
    truncated(room)
    done = python(COUNT, folder_of(room), "compiled")
    assert_one_line(done, "are damaged. Run `make loops` in a checkout, or unset COUNTERBIAS_LOOPS")


def test_cannot_be_loaded(room: Path) -> None:
    undefined_symbol(room)
    done = python(NO_NUMBA + COUNT, folder_of(room))
    assert_one_line(done, f"{LIBRARY}: the compiled loops cannot be loaded: ", "found_nowhere")
    assert_one_line(done, EXTRA)


def test_other_platform(room: Path) -> None:
    no_files(room)
    done = python(NO_NUMBA + COUNT, folder_of(room))
    assert_one_line(done, f"this installation has no compiled loops for this platform. {EXTRA}")


@pytest.fixture
def older_processor(
    room: Path, example_entry: Callable[[str], list[Entry]], tmp_path: Path
) -> Path:
    """Put a library there whose one level no processor has; return the folder of the program."""
    entries = {("m", "nothing"): {"v9": example_entry("nothing")}}
    (room / LIBRARY).write_bytes(link(entries, ["v9"], tmp_path))
    describe(room, levels=["v9"])
    return folder_of(room)


@pytest.mark.parametrize("setting", ["", "compiled"])
def test_loop_of_a_plugin_without_numba(room: Path, setting: str) -> None:
    write(folder_of(room), {"twice.py": TWICE})
    code = "import twice\ntry: twice.twice(21)\nexcept Exception as problem: print(problem)"
    done = python(NO_NUMBA + code, folder_of(room), setting)
    assert done.stdout.startswith("twice.twice is not among the compiled loops. ")
    assert ("make loops" in done.stdout) == (setting == "compiled")


def test_types_that_are_not_compiled(room: Path) -> None:
    code = (
        "import numpy\nfrom counterbias.writers.rendering import put_weights\n"
        "values = numpy.zeros((4, 4))\n"
        "try: put_weights(values[:, 1], 3)\nexcept Exception as problem: print(problem)"
    )
    done = python(NO_NUMBA + code, folder_of(room))
    problem = (
        "counterbias.writers.rendering.put_weights is not compiled for "
        "(float64 array, 1d, not in C order, int). "
    )
    assert done.stdout == f"{problem}{EXTRA}\n"


def test_older_processor(older_processor: Path) -> None:
    done = python(NO_NUMBA + COUNT, older_processor)
    assert_one_line(done, f"the compiled loops do not run here: they need x86-64-v9. {EXTRA}")


@pytest.mark.parametrize(
    "fault",
    [one_byte_changed, no_library, undefined_symbol, no_files],
    ids=lambda one: one.__name__,
)
def test_numba_takes_over(fault: Callable[[Path], None], room: Path) -> None:
    fault(room)
    write(folder_of(room), {"twice.py": TWICE})
    done = python(CALL_TWICE, folder_of(room))
    assert (done.stdout, done.stderr) == ("42\n", "")


def test_numba_takes_over_on_an_older_processor(older_processor: Path) -> None:
    write(older_processor, {"twice.py": TWICE})
    done = python(CALL_TWICE, older_processor)
    assert (done.stdout, done.stderr) == ("42\n", "")


def test_library_is_used_without_numba(room: Path) -> None:
    done = python(NO_NUMBA + COUNT, folder_of(room))
    assert done.stdout.splitlines()[0] == "g\t1"
    assert done.stderr.splitlines() == ["1 GFF lines processed.", "1 alignment records processed."]
    # Nor is it imported where it is installed.
    code = "import sys; from counterbias.cli import main\nmain(['count', 'reads.sam', 'genes.gtf'])"
    done = python(f"{code}\nprint('numba' in sys.modules)", folder_of(room))
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("setting", ["v1", "JIT", "no", " "])
def test_wrong_setting(setting: str, room: Path) -> None:
    assert_one_line(
        python(COUNT, folder_of(room), setting),
        f"COUNTERBIAS_LOOPS is '{setting}'. Set it to compiled, jit, v2 or v3, or to nothing",
    )


def test_only_numba_where_there_is_none(room: Path) -> None:
    done = python(NO_NUMBA + COUNT, folder_of(room), "jit")
    assert_one_line(done, "this needs numba, which is not installed. Run: pip install 'count")


def test_broken_numba(room: Path) -> None:
    write(
        folder_of(room), {"numba/__init__.py": "raise ImportError('numba needs another numpy')\n"}
    )
    no_files(room)
    done = python(COUNT, folder_of(room))
    assert_one_line(done, "cannot be imported: numba needs another numpy. Run: pip install")


def test_level_asked_for(room: Path) -> None:
    levels = json.loads((room / DESCRIPTION).read_text())["levels"]
    for level in ("v2", "v3", "v4"):
        done = python(COUNT, folder_of(room), level)
        if level in levels:
            assert done.stdout.splitlines()[0] == "g\t1"
        else:
            assert_one_line(
                done,
                f"COUNTERBIAS_LOOPS asks for the compiled loops of level {level}: there are none.",
                f"Unset it; the levels of this installation are {', '.join(levels)}",
            )


def test_level_that_this_processor_lacks(older_processor: Path) -> None:
    describe(older_processor / "counterbias" / "loops", levels=["v4"])
    assert_one_line(
        python(COUNT, older_processor, "v4"),
        "asks for the compiled loops of level v4: this processor does not run them. ",
    )


def test_two_levels(example_entry: Callable[[str], list[Entry]], tmp_path: Path) -> None:
    """Both are in one library, and each can be asked for; the highest that runs is the default."""
    low, high = example_entry("nothing"), example_entry("divided")
    entries = {("m", "nothing"): {"v2": low, "v9": high}}
    (tmp_path / LIBRARY).write_bytes(link(entries, ["v2", "v9"], tmp_path))
    module = loaded(tmp_path / LIBRARY)
    assert (module.choose(None), module.choose("v2"), module.choose("v9")) == ("v2", "v2", None)
    assert module.find("m", "nothing")() == 42
    assert module.find("m", "other") is None
    assert module.find("other", "nothing") is None
