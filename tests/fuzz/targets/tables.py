"""Tables that users write: true abundances, contig aliases, groups of samples.

They are refused, or read as a simple reader would.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from counterbias.cli.compare_arguments import read_group_table
from counterbias.errors import InputError
from counterbias.evaluation.truth import MISSING, read_truth
from counterbias.genome import read_aliases
from tests.fuzz import scratch
from tests.fuzz.case import Case
from tests.fuzz.judging import refusal_wording

CELLS = (
    "a", "b", "gene one", "é", "", " ", "1", "2.5", "-3", "1e3", "nan", "inf", "-inf", "NA",
    "1e999", "0x1", "1_0", "٣", '"', '""', '"x"', "a,b", "#", "\x0b", "\x1b[2J", "\xa0", "\u2028",
    "x" * 300, "1" * 5000, "\0", "\ufeff", "sample", "group", "value",
)  # fmt: skip
BREAKS = ("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\x0c", "\x1c", "\x85", "\u2028")


def mutate(rng: random.Random) -> Case:
    """Draw a table, with a part for each line."""
    table = rng.choice(("truth", "truth.csv", "aliases", "groups"))
    tab = "," if table == "truth.csv" else "\t"
    header = {"aliases": [], "groups": ["sample", "group"]}.get(table, ["name", "value"])
    sound = rng.choice((0.5, 0.9, 0.98))
    lines = [tab.join(header)] if header else []
    for number in range(rng.choice((0, 1, 2, 3, 6))):
        row = [
            rng.choice(("a", "b", "c", f"r{number}")),
            rng.choice(("1.5", "2", "x")) if table != "truth" else rng.choice(("1.5", "2", "NA")),
        ]
        row = [cell if rng.random() < sound else rng.choice(CELLS) for cell in row]
        if rng.random() > sound:
            row = rng.choice(([*row, rng.choice(CELLS)], row[:1], []))
        lines.append(tab.join(row))
    parts = []
    for line in lines:
        if rng.random() < 0.05:
            parts.append(rng.choice(("", " ", "\t", "#comment", "# a\tb")).encode() + b"\n")
        raw = bytearray(line.encode("utf-8", "surrogatepass"))
        if raw and rng.random() < 0.05:
            raw[rng.randrange(len(raw))] = rng.choice(b'\t\n\r\0\xff" ,#')
        parts.append(bytes(raw) + (rng.choice(BREAKS) if rng.random() < 0.1 else "\n").encode())
    if parts and rng.random() < 0.2:
        parts[-1] = parts[-1].rstrip(b"\r\n")
    if rng.random() < 0.03:
        parts.insert(
            0, rng.choice((b"\xef\xbb\xbf", b"\n", b"\xff\xfe", b"PK\x03\x04", b"\x1f\x8b"))
        )
    return Case(parts, {"table": table})


def _folder() -> Path:
    return scratch.folder("tables")


def _plain(text: str, tab: str) -> list[list[str]] | None:
    """Split a table in the simplest way. Return None if that depends on quotes or line ends."""
    if any(mark in text for mark in '"\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff'):
        return None
    return [[cell.strip() for cell in line.split(tab)] for line in text.split("\n") if line.strip()]


def check(case: Case) -> str:
    """Read the table, and compare it with a simple reading if that is possible."""
    table = case.options["table"]
    path = _folder() / ("table.csv" if table == "truth.csv" else "table.tsv")
    content = b"".join(case.parts)
    path.write_bytes(content)
    try:
        found: Any
        if table == "aliases":
            found = read_aliases(path)
        elif table == "groups":
            found = read_group_table(str(path), ("a", "b"))
        else:
            found = read_truth(path, ("value",))
    except InputError as error:
        return f"{table} refused: {refusal_wording(error, (str(path),))}"
    text = content.decode("utf-8")
    rows = _plain(text, "," if table == "truth.csv" else "\t")
    if rows is None:
        return f"{table} read"
    if table == "aliases":
        rows = [row for row in rows if not row[0].startswith("#")]
        assert found == {row[0]: row[1] for row in rows}, "other aliases"
    elif table == "groups":
        column = {name: rows[0].index(name) for name in ("sample", "group")}
        groups = {row[column["sample"]]: row[column["group"]] for row in rows[1:]}
        assert found == (groups["a"], groups["b"]), "other groups"
    else:
        assert rows[0].count("value") == 1
        at = rows[0].index("value")
        values = {row[0]: float(row[at]) for row in rows[1:] if row[at].lower() not in MISSING}
        assert dict(found.columns["value"]) == values, "other values"
        assert all(map(math.isfinite, values.values()))
    return f"{table} read alike"
