"""The R code of pages: its blocks, run one by one in folders of files."""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

#: The value ``result`` of a block: row → column → number.
Result = dict[str, dict[str, float]]
Name = TypeVar("Name")


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


class Code(NamedTuple):
    """A block of R, and the folder that it runs in."""

    code: str
    folder: Path

    def followed_by(self, more: str) -> Code:
        return Code(self.code + more, self.folder)


def run_blocks(blocks: Mapping[Name, Code], scratch: Path) -> dict[Name, tuple[str, Result]]:
    """Run blocks of R one by one; return what each prints, and its ``result``.

    All run in one process, which loads large packages once, but none sees the one before it. Its
    own files are in ``scratch``. Missing numbers and words in the results become NaN.
    """
    lines = ["attached <- search()"]
    for number, (code, folder) in enumerate(blocks.values()):
        ending = (
            f'write.table(as.data.frame(result), "{scratch}/result{number}.tsv", '
            'sep = "\\t", quote = FALSE, col.names = NA)'
        )
        lines += [f'setwd("{folder}")', code, ending, f"cat('\\n{_NEXT}\\n')", _FRESH]
    (scratch / "blocks.R").write_text("\n".join(lines))
    done = subprocess.run(
        ["Rscript", "--vanilla", "blocks.R"],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for number, (name, printed) in enumerate(zip(blocks, done.stdout.split(_NEXT), strict=False)):
        head, *rows = read_rows(scratch / f"result{number}.tsv")
        found[name] = (
            printed.lstrip("\n"),
            {row[0]: dict(zip(head[1:], map(_number, row[1:]), strict=True)) for row in rows},
        )
    return found


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
