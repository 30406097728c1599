"""The files that pages name: genome, annotation, alignments, a model, true abundances."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import shutil
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main

#: Alignments that pages name one by one, or in loops without the ending.
NAMES = ("reads", "sample", "a", "b", "c", *(f"sample{number}" for number in range(1, 7)))
#: Names of files on the pages → file of the samples.
SAME = {
    "genome.fa": "genome.fa",
    "genes.gtf": "genes.gtf",
    "genes.gtf.gz": "genes.gtf.gz",
    "cells.bam": "cells.bam",
    "taqman.tsv": "truth.tsv",
    "qpcr.tsv": "truth.tsv",
    "fly.model": "sample.model",
    "sample.model": "sample.model",
}
#: How many different samples there are.
SAMPLES = 6


def make_sample_files(folder: Path) -> None:
    """Simulate samples whose few reads have a bias that can be learnt, and what goes with them."""
    made = folder / "made"
    words = ["--samples", str(SAMPLES), "--pairs", "1000", "--genes", "20", "--strength", "1.2"]
    assert main(["simulate", "-q", "-o", str(made), *words]) == 0
    for name in ("genome.fa", "genes.gtf", *(f"sample{n + 1}.bam" for n in range(SAMPLES))):
        (made / name).rename(folder / name)
    with gzip.open(folder / "genes.gtf.gz", "wb") as packed:
        packed.write((folder / "genes.gtf").read_bytes())
    genes = (folder / "genes.gtf").read_text()
    names = dict(re.findall('gene_id "(.+?)".*gene_name "(.+?)"', genes))
    with (made / "truth.tsv").open(newline="") as stream, (folder / "truth.tsv").open("w") as out:
        out.write("gene_name\tA\tB\n")
        for row in csv.DictReader(stream, delimiter="\t"):
            out.write(f"{names[row['gene_id']]}\t{row['sample1']}\t{row['sample2']}\n")
    words = ["-s", "no", "-r", "pos", "--bias-model", "pwm"]
    words += ["--bias-genome", str(folder / "genome.fa"), "--bias-output", str(made / "sample")]
    words += [str(folder / "sample1.bam"), str(folder / "genes.gtf")]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["count", "-q", *words]) == 0
    (made / "sample.model").rename(folder / "sample.model")
    shutil.rmtree(made)
    give_barcodes(folder / "sample1.bam", folder / "cells.bam")


def give_barcodes(pairs: Path, cells: Path) -> None:
    """Write the first reads of pairs as those of two cells, with a barcode and a UMI each."""
    with (
        pysam.AlignmentFile(str(pairs)) as reads,
        pysam.AlignmentFile(str(cells), "wb", template=reads) as out,
    ):
        for number, read in enumerate(read for read in reads if not read.is_read2):
            read.flag &= 0x914  # neither paired nor a mate
            read.next_reference_id, read.next_reference_start, read.template_length = -1, -1, 0
            read.set_tag("CB", "ACGTACGTACGTACGT-1" if number % 3 else "TTGCATTGCATTGCAT-1")
            read.set_tag("UB", "".join("ACGT"[number >> 2 * place & 3] for place in range(10)))
            out.write(read)


def lay_out(code: str, folder: Path, factory: pytest.TempPathFactory) -> None:
    """Copy the files that some code names into a folder, but for those that are to be missing."""
    files = factory.getbasetemp() / "sample_files"
    if not files.exists():
        files.mkdir()
        make_sample_files(files)
    for name, source in SAME.items():
        if re.search(rf"(?<![\w/.$]){re.escape(name)}(?![\w.])", code):
            shutil.copy(files / source, folder / name)
    named = re.findall(r"(?<![\w/.$-])(?!missing)([\w-]+)\.bam\b", code)
    named += [name for name in NAMES if re.search(rf"(?<![\w/.$-]){name}(?![\w/.-])", code)]
    named = [name for name in dict.fromkeys(named) if f"{name}.bam" not in SAME]
    for place, name in enumerate(named):
        shutil.copy(files / f"sample{place % SAMPLES + 1}.bam", folder / f"{name}.bam")
