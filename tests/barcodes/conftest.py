"""Simulated reads of cells."""

from __future__ import annotations

import random
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main
from tests.barcodes.small_cells import CELLS


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate single reads with a bias, and give most of them barcodes; return the folder."""
    made = tmp_path_factory.mktemp("cells")
    size = ("--genes", "12", "--contigs", "1", "--pairs", "6000", "--read-length", "40")
    kind = ("--library", "single", "--stranded", "yes", "--overlapping", "0.5")
    assert main(["simulate", "-q", "-o", str(made), *size, *kind]) == 0
    rng = random.Random(3)
    with (
        pysam.AlignmentFile(str(made / "sample1.bam")) as source,
        pysam.AlignmentFile(str(made / "cells.bam"), "wb", template=source) as target,
    ):
        for record in source:
            if rng.random() < 0.9:
                cell = rng.choice(CELLS)
                record.set_tag("CB", cell)
                # Reads that begin close to each other are often copies.
                molecule = random.Random(f"{cell} {record.pos // 3000} {rng.randrange(150)}")
                record.set_tag("UB", "".join(molecule.choices("ACGT", k=7)))
            target.write(record)
    return made
