"""Inputs of all commands, as files, named pipes and descriptors."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main

LENGTH = 40_000


def gtf(contig: str = "chr1") -> str:
    rows = []
    for number, start in enumerate(range(101, LENGTH - 1000, 700)):
        names = f'gene_id "g{number}"; transcript_id "t{number}";'
        rows += [
            f"{contig}\tt\texon\t{first}\t{first + 249}\t.\t+\t.\t{names}\n"
            for first in (start, start + 350)
        ]
    return "".join(rows)


class Inputs:
    """Sound inputs in the working folder, and pipes with the same contents."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.capfd = capfd
        self.descriptors: list[int] = []
        letters = random.Random(1)
        genome = "".join(letters.choices("ACGT", k=LENGTH))
        lines = "\n".join(genome[start : start + 60] for start in range(0, LENGTH, 60))
        Path("g.fa").write_text(f">chr1\n{lines}\n")
        Path("genes.gtf").write_text(gtf())
        header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr1", "LN": LENGTH}]}
        for name in ("a", "b"):
            starts = sorted(
                letters.choices([i for i in range(100, LENGTH - 500) if genome[i] == "A"], k=3000)
            )
            with pysam.AlignmentFile(f"{name}.bam", "wb", header=header) as out:
                for i, start in enumerate(starts):
                    read = pysam.AlignedSegment(out.header)
                    read.query_name, read.flag, read.reference_id, read.reference_start = (
                        f"r{i}",
                        0,
                        0,
                        start,
                    )
                    read.mapping_quality, read.cigartuples, read.query_sequence = (
                        60,
                        [(0, 30)],
                        genome[start : start + 30],
                    )
                    read.query_qualities = pysam.qualitystring_to_array("I" * 30)
                    read.set_tag("NH", 1)
                    out.write(read)

    def fifo(self, source: str, name: str | None = None, *, packed: bool = False) -> str:
        """Make a named pipe to which a file is written, once."""
        name = name or f"pipe.{source}"
        os.mkfifo(name)
        content = Path(source).read_bytes()
        self._feed(
            lambda: os.open(name, os.O_WRONLY), gzip.compress(content) if packed else content
        )
        return name

    def descriptor(self, source: str) -> str:
        """Make what a shell substitutes for ``<(cat FILE)``."""
        reading, writing = os.pipe()
        self.descriptors.append(reading)
        self._feed(lambda: writing, Path(source).read_bytes())
        return f"/dev/fd/{reading}"

    def _feed(self, start: Callable[[], int], content: bytes) -> None:
        def write() -> None:
            with suppress(OSError), open(start(), "wb", buffering=0) as pipe:
                # The first byte alone: it takes two to recognise compression.
                pipe.write(content[:1])
                rest = memoryview(content)[1:]
                while rest:
                    rest = rest[pipe.write(rest) :]

        threading.Thread(target=write, daemon=True).start()

    def run(self, *words: str) -> str:
        """Run a command; return its stdout."""
        self.capfd.readouterr()
        status = main([str(word) for word in words])
        out, error = self.capfd.readouterr()
        assert status == 0, error
        return out

    def fails(self, *words: str) -> str:
        """Run a command that fails; return its one line."""
        self.capfd.readouterr()
        status = main([str(word) for word in words])
        out, error = self.capfd.readouterr()
        lines = [line for line in error.splitlines() if line.startswith("counterbias: ")]
        assert (status, len(lines), out) == (1, 1, ""), error
        return lines[0]

    def count(self, genome: str, annotation: str, *more: str, alignments: str = "a.bam") -> bytes:
        """Count with a bias model; return all that it wrote."""
        given = () if "--bias-model" in more else ("--bias-model", "pwm")
        out = self.run(
            "count",
            "-q",
            *given,
            "--bias-genome",
            genome,
            "--bias-output",
            "x",
            *more,
            alignments,
            annotation,
        )
        return out.encode() + Path("x.counts.tsv").read_bytes() + Path("x.model").read_bytes()


def program(*words: str, stdin: int) -> subprocess.CompletedProcess[str]:
    """Run the program with this standard input."""
    return subprocess.run(
        [sys.executable, "-m", "counterbias", *words],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=50,
    )
