"""The R code of a page: its blocks, run one by one in a folder of files."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np

#: The value ``result`` of a block: row → column → number.
Result = dict[str, dict[str, float]]


def r_blocks(page: str) -> dict[str, str]:
    """Return the R code below each heading, which goes as far as a colon or comma."""
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    found = {
        re.split("[:,]", text.splitlines()[0])[0]: re.findall(
            r"^```r\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
        )
        for text in sections
    }
    assert all(len(code) <= 1 for code in found.values())
    return {heading: code[0] for heading, code in found.items() if code}


def read_rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream, delimiter="\t"))


#: Run between two blocks: a block finds no variable and no package of the one before it.
_FRESH = """
rm(list = setdiff(ls(), "attached"))
for (package in setdiff(search(), attached)) detach(package, character.only = TRUE)
"""
#: What separates the blocks' output.
_NEXT = "----- next block -----"


def run_block(code: str, folder: Path) -> tuple[str, Result]:
    """Run a block of R by itself in a folder; return what it prints, and its ``result``.

    Missing numbers and words in the result become NaN.
    """
    return run_blocks({"": code}, folder)[""]


def run_blocks(blocks: Mapping[str, str], folder: Path) -> dict[str, tuple[str, Result]]:
    """Run blocks of R one by one, as :func:`run_block` does; return name → its result.

    All run in one process, which loads large packages once, but none sees the one before it.
    """
    lines = ["attached <- search()"]
    for number, code in enumerate(blocks.values()):
        ending = (
            f'write.table(as.data.frame(result), "result{number}.tsv", '
            'sep = "\\t", quote = FALSE, col.names = NA)'
        )
        lines += [code, ending, f"cat('\\n{_NEXT}\\n')", _FRESH]
    (folder / "blocks.R").write_text("\n".join(lines))
    done = subprocess.run(
        ["Rscript", "--vanilla", "blocks.R"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for number, (name, printed) in enumerate(zip(blocks, done.stdout.split(_NEXT), strict=False)):
        head, *rows = read_rows(folder / f"result{number}.tsv")
        found[name] = (
            printed,
            {row[0]: dict(zip(head[1:], map(_number, row[1:]), strict=True)) for row in rows},
        )
    return found


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
