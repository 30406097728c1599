"""The R code of a page: its blocks, run one by one in a folder of files."""

from __future__ import annotations

import csv
import re
import subprocess
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


def run_block(code: str, folder: Path) -> tuple[str, Result]:
    """Run a block of R by itself in a folder; return what it prints, and its ``result``.

    Missing numbers and words in the result become NaN.
    """
    ending = (
        'write.table(as.data.frame(result), "result.tsv", '
        'sep = "\\t", quote = FALSE, col.names = NA)\n'
    )
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", code + ending],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    head, *rows = read_rows(folder / "result.tsv")
    return done.stdout, {
        row[0]: dict(zip(head[1:], map(_number, row[1:]), strict=True)) for row in rows
    }


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
