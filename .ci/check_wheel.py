"""Check a wheel where nothing else is: no compiler, no numba, no home, nothing writable but output.

    python .ci/check_wheel.py dist/counterbias-….whl [--reference .venv/bin/python]

The wheel is installed in a virtual environment of its own, in another folder, which is then made
read-only. Every kind of command runs there with ``COUNTERBIAS_LOOPS=compiled``, so that a loop that
the wheel lacks ends the run; where root runs this, an ordinary user runs them. Then the same
commands run with loops that numba compiles at run time for the same CPU level, since rounding may
depend on it, and all files must have the same bytes. That reference is the interpreter of a
checkout, or else the wheel once more, with its extra ``jit``.

Only the standard library is needed. ``make dist`` and ``.github/workflows/release.yml`` call it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: User and group without rights ("nobody"), who runs the wheel where root runs this script.
NOBODY = 65534
#: What differs from run to run, or tells which packages there are: keys of JSON and columns.
MEASURED = frozenset(
    {
        "fragments_per_second",
        "memory_mb",
        "seconds",
        "train_seconds",
        "versions",
        "windows_per_second",
    }
)
#: The folder of ``counterbias compare`` that holds measured times in packed files.
CACHE = "cache"

READS = "-s no -r pos"
INPUTS = "simulated/sample1.bam simulated/genes.gtf"
GENOME = "--bias-genome simulated/genome.fa"
#: Every backend that the wheel brings. ``auto`` tries more than one of them.
BACKENDS = ("pwm", "heptamer", "vlmm", "bayesnet", "ensemble", "cnn", "gru", "lstm", "auto")
#: What runs, in this order, in a folder that is empty before.
COMMANDS = (
    "simulate -q -o simulated --pairs 20000 --genes 60 --samples 2 --order both --seed 7",
    "simulate -q -o single --pairs 5000 --genes 20 --library single --trim 6 --gc-bias 0.2 --fastq",
    f"count -q {READS} -c counts.tsv {INPUTS}",
    "count -q -s no -r name -m intersection-nonempty --nonunique all -o tagged.bam -p bam "
    "-c by_name.tsv simulated/sample1.name.bam simulated/genes.gtf",
    *(
        f"count -q {READS} {GENOME} --bias-model {name} --bias-output {name} -o {name}.sam "
        f"--bias-threads 2 -c {name}.tsv {INPUTS}"
        for name in BACKENDS
    ),
    f"count -q {READS} {GENOME} --bias-model cnn.model --bias-output again -c again.tsv {INPUTS}",
    f"train -q {READS} {GENOME} --bias-model vlmm -o pooled.model "
    "simulated/sample1.bam simulated/sample2.bam simulated/genes.gtf",
    f"compare -q {READS} {GENOME} --models pwm,vlmm --seeds 1 --folds 2 --no-figures -o compared "
    "simulated/sample1.bam simulated/sample2.bam simulated/genes.gtf",
)


@dataclass(frozen=True, slots=True)
class Installation:
    """Something that can run the commands.

    Args:
        title: what messages call it.
        python: its interpreter.
        variables: of the environment; they decide where compiled loops come from.
        user: the user who runs it; None for who runs this script.
    """

    title: str
    python: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None


def main() -> int:
    """Check one wheel; return the exit status."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="counterbias-wheel-") as name:
        top = Path(name)
        top.chmod(0o755)
        user = NOBODY if os.geteuid() == 0 else None
        python = _interpreter(arguments.python, user)
        bare = Installation("the wheel", _install(python, top / "bare", arguments.wheel), user=user)
        reference = arguments.reference and arguments.reference.absolute()
        if reference is None:
            reference = _install(python, top / "jit", arguments.wheel, extra="[jit]")
        _make_read_only(top / "bare")
        try:
            _check_bareness(bare)
            for setting, level in _settings(bare).items():
                variables = {"COUNTERBIAS_LOOPS": setting}
                wheel = Installation(f"the wheel, {setting}", bare.python, variables, user)
                _run_commands(wheel, top / setting)
                jit = Installation(f"numba, {level}", reference, _jit_variables(bare, level))
                _run_commands(jit, top / f"jit-{setting}")
                _compare(top / setting, top / f"jit-{setting}")
        finally:
            _make_writable(top / "bare")
    print("the wheel is good")
    return 0


def _arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", type=Path, help="the Python that the wheel is installed for")
    parser.add_argument("--reference", type=Path, help="the Python of a checkout to compare with")
    return parser.parse_args()


def _settings(bare: Installation) -> dict[str, str]:
    """Return the values of ``COUNTERBIAS_LOOPS`` to run the wheel with → CPU levels of the loops.

    The first is that of the highest level of this machine, the second that of the lowest.
    """
    script = Path(__file__).with_name("levels")
    lowest = subprocess.run([script], check=True, capture_output=True, text=True).stdout.split(",")
    code = "from counterbias.loops import _library; print(_library.choose(None))"
    highest = _run(bare, [str(bare.python), "-c", code], Path("/")).strip()
    return {"compiled": highest, **({lowest[0]: lowest[0]} if len(lowest) > 1 else {})}


def _jit_variables(bare: Installation, level: str) -> dict[str, str]:
    """Return the environment in which numba compiles at run time as it did for the wheel."""
    code = f"""if True:
        import json, os
        from counterbias.loops.building.compiling import prepare
        before = set(os.environ)
        prepare({level!r})
        print(json.dumps({{name: os.environ[name] for name in set(os.environ) - before}}))
    """
    found: dict[str, str] = json.loads(_run(bare, [str(bare.python), "-c", code], Path("/")))
    return found


def _interpreter(wanted: Path | None, user: int | None) -> Path:
    """Find a Python that the user can run; a root's own may lie in a folder closed to others."""
    names = ("python3", "python3.13", "python3.12", "python3.11", "/usr/bin/python3")
    found = [Path(path) for path in (shutil.which(name) for name in names) if path is not None]
    code = "import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
    for path in [wanted] if wanted else [Path(sys.executable), *found]:
        try:
            subprocess.run([path, "-c", code], user=user, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    sys.exit(f"no Python 3.11-3.13 with venv that user {user} can run; name one with --python")


def _install(python: Path, folder: Path, wheel: Path, extra: str = "") -> Path:
    """Install the wheel in a new virtual environment; return its interpreter."""
    print(f"installing {wheel.name}{extra} for {python}", flush=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    installed = folder / "bin" / "python"
    subprocess.run(
        [installed, "-m", "pip", "install", "--quiet", f"{wheel.resolve()}{extra}"], check=True
    )
    return installed


def _make_read_only(folder: Path) -> None:
    """Take everybody's right to write; root's own is not taken by this."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def _make_writable(folder: Path) -> None:
    """Give back the right to write, without which the folder cannot be removed."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def _environment(installation: Installation, folder: Path) -> dict[str, str]:
    """Return all that a command sees: no home, and programs of its own folder only."""
    # numpy's linear algebra chooses its instructions by these.
    kept = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    own = {"PATH": str(installation.python.parent), "TMPDIR": str(folder)}
    return {**kept, **own, **installation.variables}


def _check_bareness(bare: Installation) -> None:
    """Make sure that the environment is as bare as this check says."""
    code = """if True:
        import importlib.util, os, shutil, sysconfig
        packages = sysconfig.get_path("purelib")
        assert not importlib.util.find_spec("numba"), "numba is installed"
        assert not any(map(shutil.which, ("cc", "gcc", "clang"))), "there is a compiler"
        assert not os.access(packages, os.W_OK), f"{packages} can be written to"
        assert "HOME" not in os.environ, "there is a home"
        import counterbias
        assert counterbias.__file__.startswith(packages), f"not the wheel: {counterbias.__file__}"
    """
    _run(bare, [str(bare.python), "-c", code], Path("/"))


def _run_commands(installation: Installation, folder: Path) -> None:
    """Run all commands in a new folder."""
    folder.mkdir()
    if installation.user is not None:
        os.chown(folder, installation.user, installation.user)
    print(f"{installation.title}: {len(COMMANDS)} commands", flush=True)
    for words in ("--version", "models", *COMMANDS):
        _run(installation, [str(installation.python), "-m", "counterbias", *words.split()], folder)


def _run(installation: Installation, words: Sequence[str], folder: Path) -> str:
    """Run one command and return its output; stop with what it said if it fails."""
    nobody: Mapping[str, Any] = (
        {}
        if installation.user is None
        else {"user": installation.user, "group": installation.user, "extra_groups": []}
    )
    done: subprocess.CompletedProcess[str] = subprocess.run(
        words,
        cwd=folder,
        env=_environment(installation, folder),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        **nobody,
    )
    if done.returncode:
        sys.exit(
            f"{installation.title}: exit status {done.returncode} of: {' '.join(words[1:])}\n"
            f"{done.stdout}{done.stderr}"
        )
    return done.stdout


def _compare(folder: Path, reference: Path) -> None:
    """Stop if the two folders do not hold the same files with the same content."""
    names = _files(folder)
    if names != _files(reference):
        sys.exit(f"other files: {sorted(set(names) ^ set(_files(reference)))}")
    different = [
        name for name in names if list(_content(folder / name)) != list(_content(reference / name))
    ]
    if different:
        sys.exit(f"{folder.name}: not what the reference writes: {', '.join(different)}")
    print(f"{folder.name}: {len(names)} files are the same as the reference's")


def _files(folder: Path) -> list[str]:
    """Return the names of all files that are compared."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != CACHE
    )


def _content(path: Path) -> Iterator[Any]:
    """Yield what must be the same: the bytes, of JSON and tables without what is measured."""
    if path.suffix == ".json":
        yield _without_measured(json.loads(path.read_text(encoding="utf-8")))
    elif path.suffix == ".tsv":
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        kept = [place for place, name in enumerate(lines[0]) if name not in MEASURED]
        for line in lines:
            yield [line[place] for place in kept if place < len(line)]
    else:
        yield path.read_bytes()


def _without_measured(value: Any) -> Any:
    """Return the JSON value without the keys of what is measured."""
    if isinstance(value, dict):
        return {key: _without_measured(part) for key, part in value.items() if key not in MEASURED}
    if isinstance(value, list):
        return [_without_measured(part) for part in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
