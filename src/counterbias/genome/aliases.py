"""Contig names in the alignments, and the names of the same contigs in the genome."""

from __future__ import annotations

import os

from counterbias.errors import InputError
from counterbias.plaintext import read_lines


def read_aliases(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a table of two tab-separated columns: a contig's names in alignments and genome.

    Empty lines and lines that begin with # are skipped.

    Raises:
        InputError: a line is not two names, or a name has two aliases; the error names the line.
    """
    name = os.fspath(path)
    aliases: dict[str, str] = {}
    for number, line in enumerate(
        read_lines(name, "table of contig aliases (--bias-contig-alias)"), start=1
    ):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 2 or not all(parts):
            raise InputError(
                f"expected two names separated by a tab, found '{line[:60]}'",
                file=name,
                place=f"line {number}",
                remedy="write the name in the alignments, a tab, the name in the genome",
            )
        if aliases.setdefault(parts[0], parts[1]) != parts[1]:
            raise InputError(
                f"'{parts[0]}' stands for both '{aliases[parts[0]]}' and '{parts[1]}'",
                file=name,
                place=f"line {number}",
            )
    if not aliases:
        raise InputError(
            "the file holds no aliases",
            file=name,
            remedy="write two names per line, separated by a tab",
        )
    return aliases
