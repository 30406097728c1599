"""Run a page of the documentation: its blocks of code, in order, in a folder with its files."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shutil
import subprocess
import sysconfig
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.docs.pages import Block, read_blocks, read_commands

#: Languages of blocks that are run, and of those that hold something else.
RUN = ("console", "bash", "python", "r")
SHOWN = ("text", "toml", "yaml", "json", "groovy", "dockerfile")

#: Begins the comment before a block that is not run; the reason follows.
NOT_RUN = "not run:"
#: The comment before a block that shows the output of the one above it.
OUTPUT = "output"

#: What is made smaller before it is run: pattern → replacement, within one command.
SMALLER = {
    # Few read starts, for which `--bias-model auto` takes a model that is fitted quickly.
    r"(?<=--pairs )\d+": "1000",
    r"(?<=--genes )\d+": "20",
    r"counterbias simulate\b(?!.* --genome)": "counterbias simulate --genes 20",
    r"counterbias simulate\b": "counterbias simulate --pairs 1000 --strength 1.2",
    # One of five folds, once, and two of eight models where the page does not name others.
    r"counterbias compare\b": "counterbias compare --folds 1 --seeds 1 --models pwm,vlmm "
    "--no-figures",
    r"(?<=--folds )3": "1",
    r",vlmm,cnn,gru:\S+|,cnn\b": "",
    # A pooled model has to gain something; other networks take one step of thousands.
    r"(counterbias train.*--bias-model) cnn\b": r"\1 pwm",
    r"--bias-model cnn\b": "--bias-model cnn "
    "--bias-option members=1 --bias-option max_steps=1 --bias-option distil_steps=1",
    r"--bias-model (gru|lstm)\b": r"--bias-model \1 "
    "--bias-option min_steps=1 --bias-option epochs=1 --bias-option max_windows=100",
    r"BiasOptions\(\"cnn\"": 'BiasOptions("pwm"',
    r"members=vlmm,bayesnet,gru\b": "members=vlmm,bayesnet,pwm",
    r"hidden=20": "hidden=2",
}
#: Programs of others, whose commands are left out where they are not installed.
PEERS = ("Rscript", "salmon", "samtools", "zcat")

#: Modules of others; blocks of Python from the one that imports them are left out without them.
MODULES = ("scanpy",)

#: Begins a line of output that tells on which line of the page the next command stands.
MARK = "\x1e"


class PageFailure(AssertionError):
    """A block of a page does not run, or not as the page says."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is run.

    Attributes:
        folder: the working folder, which is the home folder too.
        programs: folders of programs that come before those of this environment.
        settings: environment variables.
        smaller: pattern → replacement: what is made smaller.
    """

    folder: Path
    programs: Sequence[Path] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    smaller: Mapping[str, str] = field(default_factory=lambda: SMALLER)

    def shrink(self, code: str) -> str:
        """Return a command with smaller numbers."""
        for pattern, replacement in self.smaller.items():
            code = re.sub(pattern, replacement, code, flags=re.DOTALL)
        return code

    def environment(self) -> dict[str, str]:
        programs = [*map(str, self.programs), sysconfig.get_path("scripts"), os.environ["PATH"]]
        caches = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        return {
            **os.environ,
            "PATH": os.pathsep.join(programs),
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": caches,
            # An installation that is not marked as an exception must not change this environment.
            "PIP_PYTHON": str(self.folder / "no-environment"),
            **self.settings,
        }


@dataclass(slots=True)
class Run:
    """What came of running a page.

    Attributes:
        output: what each command and block wrote, by the line of the page where it begins.
        missing: programs and packages that are not installed; what needs them was left out.
        names: what the names of Python stand for at the end.
    """

    output: dict[int, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    @property
    def text(self) -> str:
        return "".join(self.output.values())


def is_run(block: Block) -> bool:
    return block.language in RUN and not (block.note or "").startswith(NOT_RUN)


def run_page(page: Path, place: Place, languages: Iterable[str] = RUN) -> Run:
    """Run the blocks of a page in their order; those of some languages, if not of all.

    The shell starts anew wherever a block of another language comes between; all blocks of Python
    share their names, and so do blocks of R with only text between them.

    Raises:
        PageFailure: a command fails, or its output is not what the page shows.
    """
    found = Run()
    every = list(read_blocks(page.read_text(encoding="utf-8")))
    runnable = [block for block in every if is_run(block) and block.language in languages]
    kinds = {"console": "shell", "bash": "shell"}
    try:
        for kind, group in groupby(runnable, lambda b: kinds.get(b.language, b.language)):
            if kind == "python":
                _run_python(page, list(group), place, found)
            elif kind == "r":
                _run_r(list(group), place, found)
            else:
                _run_shell(list(group), place, found)
        _compare(every, found)
    except PageFailure as failure:
        raise PageFailure(f"{page}:{failure}") from None
    return found


# -- languages -------------------------------------------------------------------------------------


def _run_shell(group: Sequence[Block], place: Place, found: Run) -> None:
    script = ["set -euo pipefail"]
    commands = {}
    for block in group:
        if block.language == "bash":
            commands[block.line] = block.code
        else:
            commands |= {command.line: command.code for command in read_commands(block)}
    for line, code in commands.items():
        absent = {name for name in PEERS if re.search(rf"\b{name}\b", code) and _lacks(name)}
        found.missing |= absent
        if not absent:
            script += [f"printf '{MARK}%s\\n' {line}", place.shrink(code)]
    _run_program(["bash", "-c", "\n".join(script)], place, found)


def _run_r(group: Sequence[Block], place: Place, found: Run) -> None:
    packages = frozenset(
        name for block in group for name in re.findall(r"library\(([\w.]+)\)", block.code)
    )
    if _lacks("Rscript"):
        found.missing.add("Rscript")
        return
    if absent := _absent_packages(packages):
        found.missing |= {f"R package {name}" for name in absent}
        return
    script = [f'cat("{MARK}{block.line}\\n")\n{block.code}' for block in group]
    (place.folder / ".blocks.R").write_text("\n".join(script), encoding="utf-8")
    _run_program(["Rscript", "--vanilla", ".blocks.R"], place, found)


def _run_python(page: Path, group: Sequence[Block], place: Place, found: Run) -> None:
    for block in group:
        if found.missing & set(MODULES):
            return
        printed = io.StringIO()
        # After as many blank lines, tracebacks name the lines of the page.
        code = "\n" * (block.line - 1) + place.shrink(block.code)
        with (
            contextlib.chdir(place.folder),
            contextlib.redirect_stdout(printed),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # what warns does not fail in a reader's session
            try:
                exec(compile(code, str(page), "exec"), found.names)
            except ModuleNotFoundError as error:
                if error.name not in MODULES:
                    raise PageFailure(f"{block.line}: {error}") from None
                found.missing.add(error.name)
            except Exception:
                raise PageFailure(f"{block.line}: python\n{traceback.format_exc()}") from None
        found.output[block.line] = printed.getvalue()


def _run_program(words: Sequence[str], place: Place, found: Run) -> None:
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=place.folder,
        env=place.environment(),
        timeout=240,
    )
    _, *parts = re.split(rf"^{MARK}(\d+)\n", done.stdout, flags=re.MULTILINE)
    output = {int(line): text for line, text in zip(parts[::2], parts[1::2], strict=True)}
    found.output |= output
    if done.returncode:
        last = max(output, default=0)
        raise PageFailure(f"{last}: exit status {done.returncode}\n{output.get(last, done.stdout)}")


@functools.cache
def _lacks(program: str) -> bool:
    return shutil.which(program) is None


@functools.cache
def _absent_packages(packages: frozenset[str]) -> tuple[str, ...]:
    if not packages:
        return ()
    names = ", ".join(f'"{name}"' for name in sorted(packages))
    code = f"for (p in c({names})) if (!nzchar(system.file(package = p))) cat(p, '\\n')"
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    return tuple(done.stdout.split())


# -- output that a page shows ----------------------------------------------------------------------


def _shown(every: Sequence[Block]) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Yield line of a command, line and rows of the output that the page shows for it."""
    above: Block | None = None
    for block in every:
        if block.language == "console" and is_run(block):
            for command in read_commands(block):
                if command.shown:
                    after = command.line + len(command.code.splitlines())
                    yield command.line, after, command.shown
        if block.note == OUTPUT and above is not None and is_run(above):
            last = read_commands(above)[-1].line if above.language == "console" else above.line
            yield last, block.line, block.code.splitlines()
        else:
            above = block


def _compare(every: Sequence[Block], found: Run) -> None:
    for line, at, rows in _shown(every):
        if line in found.output and (problem := unlike(rows, found.output[line])):
            raise PageFailure(f"{at}: {problem}\n{found.output[line]}")


def unlike(shown: Iterable[str], output: str) -> str | None:
    """Return what is wrong with the output that a page shows; None if nothing is.

    Each of its lines must be among the lines written, in the same order. Numbers may differ, and so
    may the width of gaps; ``…`` stands for anything.
    """
    written = iter(map(_plain, output.splitlines()))
    for row in filter(None, map(_plain, shown)):
        pattern = re.compile(".*".join(map(re.escape, row.split("…"))))
        if not any(pattern.fullmatch(line) for line in written):
            return f"the output has no line {row!r} in this place"
    return None


def _plain(line: str) -> str:
    return " ".join(re.sub(r"[-−]?\d[\d.,]*(e[-+]\d+)?%?", "#", line).split())
