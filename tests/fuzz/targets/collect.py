"""Tables and quality reports of two samples, changed: refused, or collected as a plain reading."""

from __future__ import annotations

import json
import math
import random
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np

from counterbias.errors import InputError
from counterbias.pipeline.bias.columns import bias_columns
from counterbias.pipeline.collect import collect_tables
from counterbias.writers.bias_tables import write_bias_table
from counterbias.writers.cohort import MATRICES
from tests.fuzz import scratch
from tests.fuzz.case import Case
from tests.fuzz.json_changes import Placeholders, random_place
from tests.fuzz.judging import refusal_wording
from tests.helpers.multiqc_builders import document

#: Names of the inputs, in the order of a case's parts.
FILES = ("a.counts.tsv", "a.counterbias.json", "b.counts.tsv", "b.counterbias.json")
CELLS = (
    "", " ", "0", "7", "-1", "1e3", "1e999", "nan", "inf", "0x1", "1_0", "٣", "x", "\0", "\r",
    "\x1b[2J", "1" * 400, "gene1", "a\tb", "a\nb", "é", "\ufeff",
)  # fmt: skip


@lru_cache(maxsize=1)
def _sound() -> tuple[bytes, ...]:
    """Return the files of two samples that go together."""
    path = scratch.folder("collect") / "table"
    parts = []
    for number, sample in enumerate("ab"):
        raw = np.array([3, 0, 5 + number])
        lengths, effective = np.array([100, 20, 300]), np.array([90.5, 20.0, 1 / 3])
        columns = bias_columns(lengths, raw, raw * 1.25, effective)
        write_bias_table(path, ("g", "h", "i"), columns, attributes={"name": ("x", "", "z")})
        tree = document(sample)
        tree["counting"] |= {"assigned": float(raw.sum()), "features": 3, "fragments": 20}
        parts += [path.read_bytes(), json.dumps(tree).encode()]
    return tuple(parts)


def mutate(rng: random.Random) -> Case:
    """Draw the files, in which most often one was changed."""
    parts = list(_sound())
    for _ in range(rng.choice((1, 1, 1, 2))):
        place = rng.randrange(4)
        change = _changed_report if place % 2 else _changed_table
        parts[place] = change(rng, parts[place]) if rng.random() < 0.9 else _damaged(rng, parts[0])
    return Case(parts)


def _changed_table(rng: random.Random, table: bytes) -> bytes:
    lines = [line.split("\t") for line in table.decode("utf-8", "replace").split("\n")[:-1]]
    chance = rng.random()
    if not lines or chance < 0.1:
        return _damaged(rng, table)
    if chance < 0.2:
        lines[rng.randrange(len(lines))] = rng.choice(lines)
    elif chance < 0.25:
        rng.shuffle(lines)
    else:
        line = rng.choice(lines)
        line[rng.randrange(len(line))] = rng.choice(CELLS)
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def _damaged(rng: random.Random, content: bytes) -> bytes:
    """Cut bytes off, or change some."""
    if not content or rng.random() < 0.3:
        return content[: rng.randrange(len(content) + 1)]
    found = bytearray(content)
    for _ in range(rng.choice((1, 2, 10))):
        found[rng.randrange(len(found))] = rng.choice((rng.randrange(256), 9, 10))
    return bytes(found)


def _changed_report(rng: random.Random, report: bytes) -> bytes:
    try:
        tree = json.loads(report)
        placeholders = Placeholders()
        # What is read and compared lies in these.
        part = tree[rng.choice(("counting", "options", "model", "inputs", "versions", "ends"))]
        owner, key = random_place(rng, part if rng.random() < 0.5 and part else tree)
    except (ValueError, KeyError, TypeError):
        return _damaged(rng, report)
    if key is None:
        return report
    if rng.random() < 0.2 and isinstance(owner, dict):
        del owner[key]
    else:
        owner[key] = placeholders.value(rng)
    return placeholders.fill(json.dumps(tree))


def check(case: Case) -> str:
    """Collect the samples, and compare the matrices with a plain reading of the tables."""
    folder = scratch.folder("collect")
    paths = [folder / name for name in FILES]
    for path, content in zip(paths, case.parts, strict=False):
        path.write_bytes(content)
    out = folder / "cohort"
    shutil.rmtree(out, ignore_errors=True)
    tables = [str(path) for path in paths[::2]]
    try:
        size = collect_tables(tables, out)
    except InputError as error:
        assert not out.exists(), "something is left of a cohort that was refused"
        return f"refused: {refusal_wording(error, tuple(map(str, paths)))}"
    plain = [_plain(Path(table)) for table in tables]
    assert size == (2, len(plain[0][1]))
    for name in MATRICES:
        column = plain[0][0].index(name)
        rows = [
            line.split("\t")
            for line in (out / f"{name}.tsv").read_text("utf-8", "surrogateescape").split("\n")[:-1]
        ]
        assert [row[0] for row in rows[1:]] == [row[0] for row in plain[0][1]], "other features"
        for number in range(2):
            found = [float(row[number + 1]) for row in rows[1:]]
            wanted = [float(row[column]) for row in plain[number][1]]
            assert all(map(math.isfinite, found))
            assert np.allclose(found, wanted, rtol=1e-8, atol=0), f"other numbers in {name}"
    return "read alike"


def _plain(path: Path) -> tuple[list[str], list[list[str]]]:
    """Split a table in the simplest way: its header and its rows."""
    content = path.read_bytes().decode("utf-8", "surrogateescape")
    header, *rows = (line.split("\t") for line in content.split("\n")[:-1])
    return header, rows
