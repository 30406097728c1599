"""Where numba cannot keep or read compiled loops, a run goes on and says so in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from counterbias.cli.startup import compiled_loops

#: A plug-in's loop: it knows numba only.
LOOP = "from numba import njit\n\n@njit(cache=True)\ndef triple(number):\n    return 3 * number\n"
FIRST = "import counterbias, loop; print(loop.triple(14))"
NUMBA_FIRST = "import numba.core.caching, counterbias, loop; print(loop.triple(14))"
#: The same, with the messages about the cache.
TELLING = (
    "import counterbias, sys\n"
    "from counterbias.cli.startup import compiled_loops\n"
    "with compiled_loops(lambda text: print(text, file=sys.stderr), quiet=False):\n"
    "    import loop; print(loop.triple(14))\n"
)


@pytest.fixture
def no_home(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which numba has no folder of the user's."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")
    }
    return {
        **environment,
        "COUNTERBIAS_LOOPS": "jit",
        "HOME": "/proc/none",
        "XDG_CACHE_HOME": "/proc/none",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def forbid_caches(folder: Path) -> None:
    """Make it impossible, even for root, to keep anything next to the modules of a folder."""
    for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        (place / "__pycache__").touch()


def python(
    code: str, folder: Path, environment: dict[str, str], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder whose modules come first."""
    path = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    command, environment = [sys.executable, "-c", code], {**environment, "PYTHONPATH": path}
    return subprocess.run(
        command, capture_output=True, text=True, check=check, env=environment, cwd=folder
    )


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Write the plug-in; return its folder."""
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "loop.py").write_text(LOOP)
    return folder


@pytest.mark.parametrize("code", [FIRST, NUMBA_FIRST])
def test_loop_of_a_plugin_without_any_place(code: str, loop: Path, no_home: dict[str, str]) -> None:
    forbid_caches(loop)
    alone = python("import loop", loop, no_home, check=False)
    assert "no locator available" in alone.stderr  # what numba does by itself
    done = python(code, loop, no_home)
    assert (done.stdout, done.stderr) == ("42\n", "")


def test_damaged_cache_is_made_anew(loop: Path, no_home: dict[str, str], tmp_path: Path) -> None:
    environment = {**no_home, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    assert "First run: compiling" in python(TELLING, loop, environment).stderr
    assert python(TELLING, loop, environment).stderr == ""
    for ending in ("nbi", "nbc"):
        (damaged,) = (tmp_path / "kept").rglob(f"*.{ending}")
        damaged.write_bytes(damaged.read_bytes()[:-40])
        done = python(TELLING, loop, environment)
        assert done.stdout == "42\n"
        assert done.stderr.splitlines()[0].startswith(
            f"Compiled loops in {damaged.parent} cannot be read ("
        )
        assert "Traceback" not in done.stderr
        healed = python(TELLING, loop, environment)
        assert (healed.stdout, healed.stderr) == ("42\n", "")


def test_folder_that_goes_away(loop: Path, no_home: dict[str, str], tmp_path: Path) -> None:
    """Between a loop's import and its compilation its cache folder turns into a file."""
    environment = {**no_home, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    swap = (
        f"; import shutil; shutil.rmtree({str(tmp_path / 'kept')!r}); "
        f"open({str(tmp_path / 'kept')!r}, 'w')"
    )
    done = python(TELLING.replace("import loop", f"import loop{swap}"), loop, environment)
    assert done.stdout == "42\n"
    messages = done.stderr.splitlines()
    assert messages[-1].endswith(
        "the next run compiles them again. "
        "Name one that can be written to with NUMBA_CACHE_DIR=FOLDER."
    )
    assert not any("Traceback" in line for line in messages)


@pytest.fixture
def installed(tmp_path: Path, root: Path) -> Path:
    """Copy the program into a folder where nothing can be cached; add reads and genes."""
    folder = tmp_path / "installed"
    shutil.copytree(root / "src", folder, ignore=shutil.ignore_patterns("__pycache__"))
    forbid_caches(folder)
    (folder / "genes.gtf").write_text('c\tt\texon\t1\t90\t.\t+\t.\tgene_id "g";\n')
    (folder / "reads.sam").write_text("@SQ\tSN:c\tLN:99\nr\t0\tc\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
    return folder


@pytest.mark.slow
def test_count_where_nothing_can_be_kept(installed: Path, no_home: dict[str, str]) -> None:
    code = (
        "from counterbias.cli import main; "
        "raise SystemExit(main(['count', 'reads.sam', 'genes.gtf']))"
    )
    done = python(code, installed, no_home)
    assert done.stdout.splitlines()[0] == "g\t1"
    assert done.stderr.splitlines() == [
        "Compiling the counting loops, which takes some seconds in every run: "
        "there is no folder to keep them in. "
        "Name one that can be written to with NUMBA_CACHE_DIR=FOLDER.",
        "1 GFF lines processed.",
        "1 alignment records processed.",
    ]


@pytest.mark.slow
def test_library_where_nothing_can_be_kept(installed: Path, no_home: dict[str, str]) -> None:
    code = (
        "import counterbias; "
        "print(counterbias.count_reads('reads.sam', 'genes.gtf').results[0].counts)"
    )
    done = python(code, installed, no_home)
    assert (done.stdout, done.stderr) == ("[1]\n", "")


def test_quiet_says_nothing_of_compilation(capsys: pytest.CaptureFixture[str]) -> None:
    from counterbias.loops import numba_cache

    for quiet, lines in ((True, 0), (False, 2)):
        messages: list[str] = []
        with compiled_loops(messages.append, quiet=quiet):
            for _ in range(3):
                for one in numba_cache._listeners:
                    one.compiling("counterbias.alignments.decoding", "decode", "/somewhere")
                    one.compiling("counterbias.pipeline.counting.pairing", "recall", "/somewhere")
                    one.compiling("someone_else.loops", "fit", "")
        assert len(messages) == lines
    assert not numba_cache._listeners
