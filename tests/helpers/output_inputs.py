"""Small inputs for tests of outputs, and a way to run the command in its own process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pysam

COMMAND = (sys.executable, "-m", "counterbias")
#: The genome's bases; the reads; and as many as are written in several pieces (a smaller file
#: is read to its end before counting begins).
BASES, READS, MANY = 3000, 600, 30_000
GTF = "".join(
    f'chr1\tt\texon\t{begin}\t{begin + 400}\t.\t+\t.\tgene_id "g{begin}";\n'
    for begin in (101, 801, 1501, 2201)
)


def make_inputs(folder: Path, reads: int = READS) -> tuple[str, str]:
    """Write reads.bam, genes.gtf and genome.fa; return the first two names, as arguments."""
    draw = random.Random(1)
    (folder / "genome.fa").write_text(">chr1\n" + "".join(draw.choices("ACGT", k=BASES)) + "\n")
    (folder / "genes.gtf").write_text(GTF)
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": BASES}]}
    )
    with pysam.AlignmentFile(str(folder / "reads.bam"), "wbu", header=header) as out:
        one = pysam.AlignedSegment(header)
        one.flag, one.reference_id, one.mapping_quality, one.cigarstring = 0, 0, 60, "20M"
        one.query_sequence = "A" * 20
        one.set_tag("NH", 1)
        for number in range(reads):
            one.query_name, one.reference_start = f"r{number}", draw.randrange(BASES - 20)
            out.write(one)
    return "reads.bam", "genes.gtf"


def bias(prefix: str = "p") -> list[str]:
    """Return the options of a quick bias run."""
    return ["--bias-model", "pwm", "--bias-genome", "genome.fa", "--bias-output", prefix]


def run(folder: Path, *words: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command there; standard output is caught unless ``how`` says otherwise."""
    how = {"stdout": subprocess.PIPE, **how}
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, stderr=subprocess.PIPE, check=False, timeout=120, **how
    )


def fails(done: subprocess.CompletedProcess[bytes]) -> str:
    """Check that a run has failed with one line; return it."""
    lines = done.stderr.decode("utf-8", "surrogateescape").splitlines()
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("counterbias: "), done.stderr
    return lines[0]


def names(folder: Path) -> list[str]:
    """List all files below a folder, hidden ones, too."""
    return sorted(
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, files in os.walk(folder)
        for name in files
    )


def partials(found: Sequence[str]) -> list[str]:
    """Pick the names of unfinished files."""
    return [name for name in found if ".partial" in name]
