"""Whole commands with loops compiled before, and with loops that numba compiles: the same bytes.

Every case is run in two processes that live as long as this one, so that each imports and compiles
once. The first takes its loops as COUNTERBIAS_LOOPS says, by default from the library. Files,
standard output, messages and exit status must agree, but for seconds and memory.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.fuzz import bam_changes, make_models, random_commands, scratch
from tests.fuzz.case import Case
from tests.fuzz.judging import wording
from tests.fuzz.random_commands import DATA
from tests.fuzz.targets import annotation, bam_counts
from tests.fuzz.timeless import timeless
from tests.helpers.alignment_builders import bgzf, random_gtf
from tests.helpers.messages import FIRST_RUN

#: Seconds that an input may take, compiling included.
HANG = 300
#: How many inputs are made of records, of annotations with changes, and of simulated samples.
SHARES = {"records": 12, "annotation": 3, "samples": 5}


def mutate(rng: random.Random) -> Case:
    """Draw commands and their inputs."""
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    if kind == "samples":
        number, commands = random_commands.on_samples(rng)
        return Case([], {"data": number, "commands": commands})
    name, lines = "genes.gtf", [random_gtf(rng, 14).encode()]
    if kind == "annotation":
        changed = annotation.mutate(rng)
        name, lines = changed.options["name"], changed.parts
    parts = [bam_changes.random_header(rng), *bam_changes.random_stream(rng)]
    words = random_commands.count_records(rng, bam_counts.random_counting(rng))
    return Case(
        [*parts, *lines],
        {
            "records": len(parts),
            "annotation": name,
            "block": rng.choice((40, 500, 60000)),
            "commands": [[*words, "reads.bam", name]],
        },
    )


class _Server:
    """A process that runs commands with loops of one kind."""

    def __init__(self, loops: str) -> None:
        self.loops = loops
        self.folder = scratch.folder("loops") / loops
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.command_server"],
            cwd=ROOT,
            env={**os.environ, "COUNTERBIAS_LOOPS": loops},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A forked child may go on with it, so nothing may stay in a buffer.
            bufsize=0,
        )

    def ask(self, number: int, words: list[str]) -> None:
        assert self.process.stdin is not None
        asked = {"number": number, "folder": str(self.folder), "words": words}
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")

    def answer(self, number: int) -> int | str:
        """Wait for the exit status of a command."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            answered, status = json.loads(line)
            # One that was no longer waited for may come first.
            if answered == number:
                assert isinstance(status, int | str)
                return status
        _servers.cache_clear()
        return f"the process ended with {self.process.wait()}"

    def stop(self) -> None:
        """End the process, which waits for a command."""
        self.process.communicate()


@lru_cache(maxsize=1)
def _servers() -> tuple[_Server, _Server]:
    return _Server(os.environ.get("COUNTERBIAS_LOOPS", "compiled")), _Server("jit")


def stop() -> None:
    """End both processes; the next check starts others."""
    for server in _servers():
        server.stop()
    _servers.cache_clear()


@lru_cache(maxsize=len(DATA))
def _data(number: int) -> Path:
    """Simulate samples, once."""
    folder = scratch.folder("loops") / f"data{number}"
    if not folder.exists():
        words = ["simulate", "-q", "-o", str(folder), *DATA[number].options.split()]
        subprocess.run([sys.executable, "-m", "counterbias", *words], check=True)
    return folder


def _prepare(case: Case, folder: Path) -> None:
    """Empty a folder and write the case's own inputs there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if "records" in case.options:
        split = case.options["records"]
        content = b"".join(case.parts[:split])
        (folder / "reads.bam").write_bytes(bgzf(content, sizes=(case.options["block"],)))
        (folder / case.options["annotation"]).write_bytes(b"".join(case.parts[split:]))


def _left(folder: Path) -> dict[str, bytes]:
    """Return what commands left in a folder."""
    found = {
        str(path.relative_to(folder)): timeless(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    messages = found["stderr"].splitlines(keepends=True)
    found["stderr"] = b"".join(line for line in messages if not line.startswith(FIRST_RUN.encode()))
    return found


def _words(case: Case, words: list[str]) -> list[str]:
    """Fill in where data sets and models are."""
    if "data" not in case.options:
        return words
    places = {"{data}": str(_data(case.options["data"])), "{models}": str(make_models.FOLDER)}
    for name, place in places.items():
        words = [word.replace(name, place) for word in words]
    return words


def check(case: Case) -> str:
    """Run the commands in both processes and compare."""
    commands = [_words(case, words) for words in case.options["commands"]]
    pair = _servers()
    for server in pair:
        _prepare(case, server.folder)
    statuses: list[Any] = []
    for words in commands:
        number = random.getrandbits(40)
        for server in pair:
            server.ask(number, words)
        before, now = (server.answer(number) for server in pair)
        assert before == now, f"the status differs: {pair[0].loops} {before}, jit {now}"
        assert isinstance(before, int), f"{before}: {words}"
        statuses.append(before)
    one, two = (_left(server.folder) for server in pair)
    assert list(one) == list(two), f"files differ: {sorted(set(one) ^ set(two))}"
    different = [name for name in one if one[name] != two[name]]
    assert not different, f"contents differ: {different}\n{_difference(one, two, different[0])}"
    kind = " and ".join(words[0] for words in commands)
    if "--bias-model" in commands[0]:
        model = commands[0][commands[0].index("--bias-model") + 1]
        kind += f" with {os.path.basename(model)}"
    if not any(statuses):
        return f"{kind}: done"
    lines = one["stderr"].decode("utf-8", "replace").splitlines()
    return f"{kind}: refused: {wording(lines[-1])}"


def _difference(one: dict[str, bytes], two: dict[str, bytes], name: str) -> str:
    """Describe the first lines that differ in a file."""
    lines = zip(one[name].split(b"\n"), two[name].split(b"\n"), strict=False)
    first = next((pair for pair in lines if pair[0] != pair[1]), (b"", b"more lines"))
    return "\n".join(f"  {name}: {line[:300]!r}" for line in first)
