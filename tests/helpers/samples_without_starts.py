"""Samples some of which teach a bias model nothing: genome, genes, and alignments by hand."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LENGTH = 60_000
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
#: How likely a read is to be kept by the base that it starts with: a bias that any model learns.
KEPT = {"A": 0.9, "C": 0.2, "G": 0.6, "T": 0.3}

#: Single-end samples (-s yes, --nonunique all) that teach nothing → the reason that is reported.
SINGLE = {
    "empty": "no read start can be learnt from: no read was assigned to a feature",
    "clipped": (
        "no read start can be learnt from: "
        "of 300 assigned reads none is unclipped and uniquely aligned"
    ),
    "multi": (
        "no read start can be learnt from: "
        "of 300 assigned reads none is unclipped and uniquely aligned"
    ),
    "short": (
        "no read start can be learnt from: of 3 distinct ones none has its window of 21 bases "
        "within the genome, without an N"
    ),
    "unknown": (
        "no read start can be learnt from: of 100 distinct ones none has its window of 21 bases "
        "within the genome, without an N"
    ),
}
NO_READ_1 = (
    "no read start can be learnt from: "
    "of 1,500 assigned reads 1 none is unclipped and uniquely aligned"
)
NO_READ_2 = (
    "no start of read 2 can be learnt from: "
    "of 1,500 assigned reads 2 none is unclipped and uniquely aligned"
)


class Builder:
    """Write genome, genes and samples. Contig ``short`` holds no window, ``unknown`` is all N."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        letters = random.Random(1)
        self.contigs = {
            name: "".join(letters.choices("ACGT", k=LENGTH)) for name in ("chr1", "chr2")
        }
        self.contigs |= {"short": "ACGTTGCAACGTACGGTA", "unknown": "N" * 3000}
        lines = [f">{name}\n{letters_}\n" for name, letters_ in self.contigs.items()]
        (folder / "genome.fa").write_text("".join(lines))
        places = [
            (name, start) for name in ("chr1", "chr2") for start in range(1001, LENGTH - 2000, 2000)
        ]
        self.genes = [
            (name, start, "+-"[number % 2]) for number, (name, start) in enumerate(places)
        ]
        exons = [(name, start, start + 999, strand) for name, start, strand in self.genes]
        exons += [("short", 1, 18, "+"), ("unknown", 1, 3000, "+")]
        rows = [
            f"{name}\tt\texon\t{start}\t{end}\t.\t{strand}\t.\t"
            f'gene_id "g{number}"; transcript_id "t{number}";\n'
            for number, (name, start, end, strand) in enumerate(exons)
        ]
        (folder / "genes.gtf").write_text("".join(rows))

    def write(self, name: str, reads: Iterable[str]) -> None:
        header = "".join(
            f"@SQ\tSN:{contig}\tLN:{len(letters)}\n" for contig, letters in self.contigs.items()
        )
        (self.folder / f"{name}.sam").write_text(
            f"@HD\tVN:1.6\n{header}" + "".join(f"{read}\n" for read in reads)
        )

    def _kept(self, draw: random.Random, contig: str, five_prime: int, reverse: bool) -> bool:
        base = self.contigs[contig][five_prime - 1]
        return draw.random() < KEPT[COMPLEMENT[base] if reverse else base]

    def single(
        self, name: str, number: int, seed: int, *, cigar: str = "50M", hits: int = 1
    ) -> None:
        """Write single reads of the genes' strand."""
        draw, reads = random.Random(seed), []
        while len(reads) < number:
            contig, start, strand = self.genes[int(len(self.genes) * draw.random() ** 2)]
            position, reverse = start + draw.randrange(900), strand == "-"
            if self._kept(draw, contig, position + 49 if reverse else position, reverse):
                reads.append(
                    line(
                        f"r{len(reads)}",
                        16 if reverse else 0,
                        (contig, position),
                        cigar=cigar,
                        hits=hits,
                    )
                )
        self.write(name, reads)

    def pairs(self, name: str, number: int, seed: int, *, clipped: tuple[int, ...] = ()) -> None:
        """Write pairs with read 1 on the genes' strand and bias in both reads.

        The 5' ends of the reads in ``clipped`` are clipped.
        """
        draw, reads = random.Random(seed), []
        while len(reads) < 2 * number:
            contig, start, strand = self.genes[int(len(self.genes) * draw.random() ** 2)]
            left = start + draw.randrange(600)
            right = left + draw.randrange(60, 250)
            if not self._kept(draw, contig, left, False) or not self._kept(
                draw, contig, right + 49, True
            ):
                continue
            first_left = strand == "+"
            for position, mate, reverse in ((left, right, False), (right, left, True)):
                read = 1 if (not reverse) == first_left else 2
                flag = 3 | (0x10 if reverse else 0x20) | (0x40 if read == 1 else 0x80)
                cigar = ("45M5S" if reverse else "5S45M") if read in clipped else "50M"
                length = (right + 50 - left) * (1 if position == left else -1)
                reads.append(
                    line(
                        f"p{len(reads) // 2}",
                        flag,
                        (contig, position),
                        cigar=cigar,
                        mate=(mate, length),
                    )
                )
        self.write(name, reads)


def line(
    name: str,
    flag: int,
    place: tuple[str, int],
    *,
    cigar: str = "50M",
    hits: int = 1,
    mate: tuple[int, int] | None = None,
) -> str:
    """Return one line of SAM.

    Args:
        name: of the read.
        flag: as the SAM specification defines it.
        place: contig, and position from 1.
        cigar: of M and S.
        hits: how many alignments the read has.
        mate: its position, and the template length.
    """
    contig, position = place
    size = sum(int(part) for part in cigar.replace("S", "M").split("M") if part)
    beyond = "*\t0\t0" if mate is None else f"=\t{mate[0]}\t{mate[1]}"
    return (
        f"{name}\t{flag}\t{contig}\t{position}\t60\t{cigar}\t{beyond}\t"
        f"{'A' * size}\t{'I' * size}\tNH:i:{hits}"
    )


def write_singles(folder: Path) -> None:
    """Write ``good`` and ``other``, which can be learnt from, and the samples of :data:`SINGLE`."""
    build = Builder(folder)
    build.single("good", 3000, 3)
    build.single("other", 2600, 4)
    build.write("empty", [])
    build.single("clipped", 300, 5, cigar="5S40M5S")
    build.single("multi", 300, 6, hits=2)
    build.write("short", [line(f"r{i}", 0, ("short", 1 + i % 3), cigar="10M") for i in range(30)])
    build.write("unknown", [line(f"r{i}", 0, ("unknown", 100 + 7 * i)) for i in range(100)])


def write_pairs(folder: Path) -> None:
    """Write stranded pairs that can be learnt from, and others whose read 1, 2 or both cannot."""
    build = Builder(folder)
    build.pairs("good", 1500, 3)
    build.pairs("other", 1400, 4)
    build.pairs("no1", 1500, 5, clipped=(1,))
    build.pairs("no2", 1500, 5, clipped=(2,))
    build.pairs("neither", 1500, 5, clipped=(1, 2))


def table(prefix: object) -> list[dict[str, str]]:
    """Read PREFIX.counts.tsv."""
    with open(f"{prefix}.counts.tsv", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def report(prefix: object) -> dict[str, Any]:
    """Read PREFIX.counterbias.json, without what differs between equal runs."""
    with open(f"{prefix}.counterbias.json", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    for key in ("run", "command_line"):
        found.pop(key)
    return found


def numbers(prefix: object, column: str) -> list[float]:
    return [float(row[column]) for row in table(prefix)]


def warnings_of(
    text: str, sample: str, *, but: Callable[[str], bool] = lambda line: "--stranded" in line
) -> list[str]:
    """Return the warnings about a sample, without the hint on strandedness."""
    return [
        line
        for line in text.splitlines()
        if line.startswith(f"Warning: {sample}") and not but(line)
    ]
