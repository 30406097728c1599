"""Small files of reads with barcodes, counted through the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pysam

from counterbias.cli import main

#: Two genes that overlap in 301–400, and one by itself; all on the + strand.
GTF = """\
chr1\tx\texon\t101\t400\t.\t+\t.\tgene_id "a"; gene_name "A";
chr1\tx\texon\t301\t600\t.\t+\t.\tgene_id "b"; gene_name "B";
chr1\tx\texon\t801\t900\t.\t+\t.\tgene_id "c"; gene_name "C";
"""
#: Position of a read that is counted for a gene, or for a class.
PLACES = {"a": 150, "b": 500, "c": 820, "__ambiguous": 310, "__no_feature": 700}

HEADER = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:2000\n"

#: Barcodes of simulated cells.
CELLS = [f"cell{number}" for number in range(6)]

#: A table as text: row → one number per cell.
Table = dict[str, list[str]]


def line(
    place: str, *tags: str, name: str = "r", flag: int = 0, mapq: int = 60, hits: int = 1
) -> str:
    """Return one line of SAM: a read of 20 bases at one of :data:`PLACES`."""
    position = PLACES[place]
    fields = [name, flag, "chr1", position, mapq, "20M", "*", 0, 0, "A" * 20, "I" * 20]
    return "\t".join([*map(str, fields), f"NH:i:{hits}", *tags])


def read(place: str, cell: str | None, umi: str | None, **fields: int) -> str:
    """Return a single read with barcodes; None for those that it lacks."""
    tags = [f"CB:Z:{cell}"] * (cell is not None) + [f"UB:Z:{umi}"] * (umi is not None)
    return line(place, *tags, **fields)  # type: ignore[arg-type]


def write(folder: Path, lines: Iterable[str]) -> list[str]:
    """Write alignments and annotation; return their names."""
    (folder / "genes.gtf").write_text(GTF)
    (folder / "cells.sam").write_text(HEADER + "".join(f"{text}\n" for text in lines))
    with (
        pysam.AlignmentFile(str(folder / "cells.sam")) as source,
        pysam.AlignmentFile(str(folder / "cells.bam"), "wb", template=source) as target,
    ):
        for record in source:
            target.write(record)
    return [str(folder / "cells.bam"), str(folder / "genes.gtf")]


def count(folder: Path, lines: Iterable[str], *options: str) -> Table:
    """Count the UMIs of alignments; return the table. The first row, the cells, has no name."""
    files = write(folder, lines)
    name = folder / "table.tsv"
    assert main(["count-barcodes", "-q", "-c", str(name), *options, *files]) == 0
    rows = [text.split("\t") for text in name.read_text().splitlines()]
    return {row[0]: row[1:] for row in rows}


def counted(table: Table) -> dict[str, list[str]]:
    """Return the rows that are not 0 throughout, without that of the cells."""
    return {name: row for name, row in table.items() if name and set(row) != {"0"}}
