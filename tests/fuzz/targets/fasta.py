"""FASTA files, sound or not, with and without an index: what is read must be what the text says.

The oracle reads the text line by line. An index that does not fit the file must not change what is
read.
"""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from counterbias.errors import InputError
from counterbias.genome import Genome
from tests.fuzz import scratch
from tests.fuzz.case import Case
from tests.fuzz.judging import refusal_wording

NAMES = (
    "chr1",
    "chr2",
    "x",
    "1",
    "chrM",
    "chr1",
    "",
    "a b",
    "é",
    ">",
    "chr\tX",
    "n" * 300,
    "\xa0",
    "a\x0bb",
    "chr1 more words",
    " chr3",
    "\0",
)
NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "x",
    "",
    "1.5",
    "99999999999",
    "9223372036854775807",
    "9223372036854775808",
    "1" * 5000,
    " 5",
    "٣",
)


def mutate(rng: random.Random) -> Case:
    """Draw a file, and sometimes an index, which may be wrong."""
    newline = rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r"))
    odd = rng.random() < 0.5
    parts: list[bytes] = []
    if rng.random() < 0.05:
        parts.append(rng.choice((b"\n", b";comment\n", b"ACGT\n", b"#x\n", b" ", b"\xef\xbb\xbf")))
    rows: list[list[str]] = []
    names = (
        rng.sample(NAMES[:6], k=rng.choice((1, 1, 2, 3)))
        if not odd
        else [rng.choice(NAMES) for _ in range(rng.choice((1, 2, 3)))]
    )
    for name in names:
        width = rng.choice((1, 4, 10, 60))
        length = (
            rng.choice((0, 1, width, width + 1, 3 * width, rng.randint(1, 100)))
            if odd
            else rng.randint(1, 100)
        )
        letters = bytes(
            rng.choice(b"ACGTACGTACGTacgtNnUuRYKMX*-. " if odd else b"ACGTacgtNRu")
            for _ in range(length)
        )
        head = b">" + name.encode() + newline
        rows.append(
            [
                name.split()[0] if name.split() else "",
                str(length),
                str(sum(map(len, parts)) + len(head)),
                str(width),
                str(width + len(newline)),
            ]
        )
        parts += [head, *(letters[at : at + width] + newline for at in range(0, length, width))]
    if rng.random() < 0.3:
        parts[-1] = parts[-1].rstrip(b"\r\n")
    if odd:
        for _ in range(rng.choice((0, 1, 1, 2))):
            _change(rng, parts)
    index = None
    if rng.random() < 0.5:
        index = "".join("\t".join(row) + "\n" for row in rows)
        if rng.random() < 0.7:
            index = _changed_index(rng, rows)
    options = {"index": index, "pack": rng.choice(("", "", "", "", "gz", "cut"))}
    return Case(parts, options)


def _change(rng: random.Random, parts: list[bytes]) -> None:
    at = rng.randrange(len(parts))
    item = bytearray(parts[at])
    which = rng.randrange(7)
    if which == 0:
        parts.insert(
            at,
            rng.choice(
                (
                    b"\n",
                    b"\r\n",
                    b"\n\n",
                    b" \n",
                    b"ACGT\n",
                    b">\n",
                    b"> \n",
                    b";x\n",
                    b"\0\n",
                    b"\t\n",
                )
            ),
        )
        return
    if which == 1:
        del parts[at]
        parts[:] = parts or [b">x\n"]
        return
    if which == 2 and item:
        item[rng.randrange(len(item))] = rng.choice(b"\n\r >\0\x80\xffACGT\t;")
    elif which == 3:
        item[rng.randrange(len(item) + 1) : 0] = rng.choice(
            (b"A", b"ACGT", b" ", b">", b"\r", b"\n", b"\n\n")
        )
    elif which == 4 and item:
        del item[rng.randrange(len(item)) :]
    elif which == 5:
        parts.append(parts[at])
        return
    else:
        item = bytearray(item.rstrip(b"\r\n") + rng.choice((b" \n", b"\t\n", b"\r\n", b"\n", b"")))
    parts[at] = bytes(item)


def _changed_index(rng: random.Random, rows: list[list[str]]) -> str:
    rows = [list(row) for row in rows]
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(rows))
        which = rng.randrange(6)
        column = rng.randrange(5)
        if which <= 1 and column:
            number = re.fullmatch(r"-?\d{1,30}", rows[at][column], re.ASCII)
            rows[at][column] = (
                "7" if number is None else str(int(number[0]) + rng.choice((-2, -1, 1, 2, 10)))
            )
        elif which == 2:
            rows[at][column] = rng.choice(NUMBERS)
        elif which == 3:
            rows.insert(at, rng.choice(([], list(rows[at]), ["zz", "4", "3", "4", "5"])))
        elif which == 4 and len(rows) > 1:
            del rows[at]
        else:
            rng.shuffle(rows)
        rows = [row if len(row) == 5 else [*row, "", "", "", "", ""][:5] for row in rows]
    return "".join("\t".join(row) + "\n" for row in rows)


def _expected(text: bytes) -> list[tuple[str, bytes]] | None:
    """Read the text line by line. Return None if its meaning is debatable.

    This is so with lone carriage returns, blanks, and text before the first contig.
    """
    if re.search(rb"\r(?!\n|$)", text):
        return None  # for samtools, a lone carriage return does not end a line
    found: list[tuple[str, bytes]] = []
    for line in re.split(rb"\r?\n", text.removesuffix(b"\r")):
        if line.startswith(b">"):
            words = line[1:].decode("utf-8", "surrogateescape").split()
            found.append((words[0] if words else "", b""))
            if not line[1:].decode("utf-8", "replace").replace("\t", " ").isprintable():
                return None
        elif line and (not found or not all(33 <= letter <= 126 for letter in line)):
            return None
        elif line:
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


_CODES = np.full(256, 4, dtype=np.uint8)
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _CODES[list(_letters)] = _code


def _folder() -> Path:
    return scratch.folder("fasta")


def check(case: Case) -> str:
    """Open the file, read all of it and compare."""
    folder = _folder()
    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    text = b"".join(case.parts)
    pack = case.options["pack"]
    path = folder / ("genome.fa.gz" if pack else "genome.fa")
    path.write_bytes(text if not pack else gzip.compress(text, 1)[: None if pack == "gz" else -5])
    if case.options["index"] is not None:
        index = folder / f"{path.name}.fai"
        index.write_text(case.options["index"], encoding="utf-8")
        later = os.stat(path).st_mtime + 5
        os.utime(index, (later, later))
    old_temporary, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        with Genome(str(path)) as genome:
            found = {name: genome.codes(name).copy() for name in genome.names}
    except InputError as error:
        return f"refused: {refusal_wording(error, (str(path),))}"
    finally:
        tempfile.tempdir = old_temporary
    left = {entry.name for entry in folder.iterdir()} - {path.name, f"{path.name}.fai"}
    assert not left, f"left behind: {left}"
    assert pack != "cut", "a cut file was read"
    expected = _expected(text)
    if expected is None:
        return "read: the meaning of the text is debatable"
    names = [name for name, _ in expected]
    assert len(set(names)) == len(names), "two contigs have the same name, but the file was read"
    assert list(found) == names, f"other contigs: {list(found)} instead of {names}"
    for name, letters in expected:
        codes = found[name]
        difference = f"other bases: {name!r} is {codes.tolist()[:60]} instead of {letters[:60]!r}"
        assert len(codes) == len(letters), difference
        assert (codes == _CODES[np.frombuffer(letters, np.uint8)]).all(), difference
    return "read alike"
