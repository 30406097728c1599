"""Building compiles what has changed, heals what is damaged, and nothing stale is ever called."""

from __future__ import annotations

import ast
import json
import shutil
import zipfile
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from counterbias.loops import library
from counterbias.loops.building import library as building
from tests.loops.copies import COUNT, NO_NUMBA, copy_program, python, write

LIBRARY, DESCRIPTION = Path(library.LIBRARY).name, Path(library.DESCRIPTION).name

#: Two loops; one uses a helper in another file.
PACKAGE = {
    "small/__init__.py": "",
    "small/helpers.py": (
        "from counterbias.loops import helper\n\n"
        "@helper\ndef changed(number):\n    return 2 * number\n"
    ),
    "small/loops.py": (
        "from counterbias.loops import loop\nfrom small.helpers import changed\n\n"
        "@loop('i8')\ndef through_helper(number):\n    return changed(number)\n\n"
        "@loop('i8')\ndef alone(number):\n    return -number\n"
    ),
    "build.py": (
        "from pathlib import Path\n"
        "from counterbias.loops.building import library\n"
        "if __name__ == '__main__':\n"
        "    library.PACKAGES = ('small',)\n"
        "    library.build(('v2',), Path('kept'), Path(), editable=True)\n"
    ),
    "call.py": (
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('_library', '{LIBRARY}')\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(*(module.find('small.loops', name)(21) for name in ('through_helper', 'alone')))\n"
    ),
}
TWICE, THRICE = "return 2 * number", "return 3 * number"


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def build(folder: Path) -> str:
    """Build the small package; return what is said."""
    done = python(["build.py"], folder)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def called(folder: Path) -> str:
    return python(["call.py"], folder).stdout


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a folder with the small package, once built."""
    folder = tmp_path / "a package"
    write(folder, PACKAGE)
    assert build(folder) == "Compiling 2 loops for level v2.\n"
    assert called(folder) == "42 -21\n"
    return folder


def test_only_what_changed_is_compiled(small: Path) -> None:
    before, old = (small / LIBRARY).stat(), (small / DESCRIPTION).read_bytes()
    assert build(small) == ""
    assert (small / LIBRARY).stat() == before
    change(small / "small" / "helpers.py", TWICE, THRICE)
    assert build(small) == "Compiling 1 loop for level v2.\n"
    assert called(small) == "63 -21\n"
    # As if it had been interrupted between library and description.
    new = (small / DESCRIPTION).read_bytes()
    (small / DESCRIPTION).write_bytes(old)
    assert build(small) == ""
    assert (small / DESCRIPTION).read_bytes() == new
    change(small / "small" / "helpers.py", THRICE, f"{TWICE}  # again")
    assert build(small) == ""  # it was kept
    assert called(small) == "42 -21\n"


def test_damaged_files_are_made_anew(small: Path) -> None:
    expected = {name: (small / name).read_bytes() for name in (LIBRARY, DESCRIPTION)}
    first, second = sorted(small.glob("kept/*/*.entry"))
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(b"")
    (small / LIBRARY).write_bytes(b"half")
    assert build(small) == "Compiling 2 loops for level v2.\n"
    for damage in (b"[", b"[]"):
        (small / DESCRIPTION).write_bytes(damage)
        assert build(small) == ""
        assert {name: (small / name).read_bytes() for name in expected} == expected
    assert not list(small.glob("_library.*.*.*"))


def test_folders_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    place = tmp_path / "absent" / "library"
    building._write_whole(place, b"old")
    building._write_whole(place, b"new")
    assert [one.read_bytes() for one in place.parent.iterdir()] == [b"new"]
    with pytest.raises(OSError):
        building._write_whole(tmp_path / "nowhere" / "library", b"new")


def jit(folder: Path) -> CompletedProcess[str]:
    """Call the loop by numba; print its result, and how often numba's cache was used."""
    hits = "sum(through_helper.dispatcher.stats.cache_hits.values())"
    code = f"from small.loops import through_helper; print(through_helper(21), {hits})"
    done = python(code, folder, "jit")
    assert done.stderr == ""
    return done


def test_numba_calls_nothing_stale(tmp_path: Path) -> None:
    """By itself it would look at the file of the loop only, not at that of the helper."""
    write(tmp_path, PACKAGE)
    assert jit(tmp_path).stdout == "42 0\n"
    assert jit(tmp_path).stdout == "42 1\n"  # from its cache
    change(tmp_path / "small" / "helpers.py", TWICE, THRICE)
    assert jit(tmp_path).stdout == "63 0\n"


def declared(package: Path, name: str) -> set[str]:
    """List all functions below a folder that are decorated as loops, wherever in their files."""
    found = set()
    for file in package.rglob("*.py"):
        module = ".".join((name, *file.relative_to(package).with_suffix("").parts))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for one in getattr(node, "decorator_list", ()):
                decorator = one.func if isinstance(one, ast.Call) else one
                if getattr(decorator, "id", getattr(decorator, "attr", "")) == "loop":
                    found.add(f"{module}.{node.name}")
    return found


def test_every_loop_of_both_packages_is_in_the_library(root: Path) -> None:
    from counterbias.loops import _library  # type: ignore[attr-defined]

    loops = {one.key: one for one in building._loops()}
    folders = {"counterbias": root / "src", "counterbias_backends": root / "plugins"}
    names = [declared(folder / name, name) for name, folder in folders.items()]
    assert set(loops) == names[0] | names[1]
    assert min(map(len, names)) > 10
    fingerprints = json.loads(Path(library.DESCRIPTION).read_text())["fingerprints"]
    for key, one in loops.items():
        module, _, name = key.rpartition(".")
        assert _library.find(module, name) is not None, key
        assert fingerprints[key] == one.fingerprint, f"{key} has changed: run make loops"


#: A loop of the program, and a change after which the one exon of the copy covers one base only.
STEPS = "counterbias/annotation/steps.py"
LINE, CHANGED_LINE = (
    "            end[kept] = end[row]\n",
    "            end[kept] = start[row] + 1\n",
)


@pytest.fixture
def edited(tmp_path: Path, root: Path) -> Path:
    """Return a copy of the program in which the line was changed after the loops were compiled."""
    copy_program(root, tmp_path)
    assert python(COUNT, tmp_path, "compiled").stdout.startswith("g\t1\n")
    change(tmp_path / STEPS, LINE, CHANGED_LINE)
    return tmp_path


def test_loop_that_changed_is_not_called_as_it_was(edited: Path) -> None:
    problem = "counterbias: counterbias.annotation.steps._merge has changed since it was compiled. "
    remedy = "Run `make loops` in a checkout, or unset COUNTERBIAS_LOOPS"
    done = python(COUNT, edited, "compiled")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == ["1 GFF lines processed.", problem + remedy]
    done = python(NO_NUMBA + COUNT, edited)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert (first, second.startswith(f"{problem}Install numba")) == ("1 GFF lines processed.", True)
    # Where numba may compile it, it does.
    assert python(COUNT, edited).stdout.startswith("g\t0\n")


def test_loop_that_changed_is_the_only_one_compiled(edited: Path, root: Path) -> None:
    kept = root / "build" / "loops"
    levels = json.loads((edited / "counterbias" / "loops" / DESCRIPTION).read_text())["levels"]
    if not kept.is_dir():
        pytest.skip("what was compiled before is not in build/loops")
    shutil.copytree(kept, edited / "build" / "loops")
    (level,) = levels
    done = python(["-m", "counterbias.loops.building"], edited, COUNTERBIAS_LEVELS=level)
    assert (done.returncode, done.stderr) == (0, f"Compiling 1 loop for level {level}.\n")
    assert python(COUNT, edited, "compiled").stdout.startswith("g\t0\n")


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """Copy what a wheel is made of, a library built in place with it."""
    folder = tmp_path / "a checkout"
    for name in ("src", "plugins", "multiqc_module"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(root / name, folder / name)
    return folder


def wheel(checkout: Path, levels: str) -> CompletedProcess[str]:
    words = ["-m", "hatchling", "build", "--target", "wheel", "--directory", "made"]
    return python(words, checkout, COUNTERBIAS_LEVELS=levels)


def test_wheel_without_compiled_loops(checkout: Path) -> None:
    done = wheel(checkout, "none")
    assert done.returncode == 0, done.stderr
    (made,) = (checkout / "made").iterdir()
    assert made.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(made) as opened:
        names = opened.namelist()
    assert "counterbias/loops/library.py" in names
    assert not [one for one in names if "_library" in one]


def test_wheel_of_a_level_that_there_is_not(checkout: Path) -> None:
    done = wheel(checkout, "v2,x3")
    assert done.returncode != 0
    lines = [one for one in (done.stdout + done.stderr).splitlines() if one]
    assert lines[-1].startswith("The loops could not be compiled: COUNTERBIAS_LEVELS has 'x3'. ")
    assert "Traceback" not in done.stderr
    assert not (checkout / "made").exists() or not list((checkout / "made").iterdir())
