"""A user's FASTA and GTF → genome and gene models of the simulator; what cannot be used is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from counterbias.annotation.lines import Line, LineParser, Wanted
from counterbias.annotation.reading import is_gtf, read_pieces
from counterbias.errors import InputError
from counterbias.genome import Genome as GenomeFile
from counterbias.inputs import reads_once
from counterbias.simulation import GeneModels, Genome

#: Why transcripts are skipped, as reports name it.
ABSENT, UNSTRANDED, ELSEWHERE = (
    "contig not in the genome",
    "no strand",
    "contig or strand unlike the gene's first transcript",
)

#: gene → transcript → exons
_Place = tuple[str, str]


@dataclass(slots=True)
class _Gene:
    """One gene as the file has it."""

    name: str
    place: _Place
    transcripts: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def read_genome(path: str) -> Genome:
    """Read all contigs of a FASTA file. Raises InputError."""
    source = GenomeFile(path)
    try:
        parts = [source.codes(name) for name in source.names]
        lengths = [len(part) for part in parts]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        return Genome(
            source.names, offsets, np.concatenate(parts) if parts else np.empty(0, np.uint8)
        )
    finally:
        source.close()


def read_gene_models(path: str, genome: Genome) -> tuple[GeneModels, Counter[str]]:
    """Read the exon lines of a GTF file; give the genes, in order of contig and file, and why transcripts were skipped.

    Exons of a transcript that overlap or touch are joined. Raises InputError for a broken line, an exon beyond its contig's end,
    and where no transcript is left.
    """
    genes: dict[str, _Gene] = {}
    skipped: dict[str, set[tuple[str, str]]] = {}
    lengths = genome.lengths
    for number, line in _exon_lines(path):
        gene_id, transcript_id = _identifiers(path, number, line)
        place = (line.contig, line.strand)
        gene = genes.get(gene_id)
        reason = ""
        if line.contig not in lengths:
            reason = ABSENT
        elif line.strand == ".":
            reason = UNSTRANDED
        elif gene is not None and gene.place != place:
            reason = ELSEWHERE
        if reason:
            skipped.setdefault(reason, set()).add(
                (gene_id, f"{transcript_id} {line.contig}{line.strand}")
            )
            continue
        if line.end > lengths[line.contig]:
            problem = f"the exon ends at {line.end}, but the contig '{line.contig}' has {lengths[line.contig]} bases"
            raise InputError(
                problem,
                file=path,
                place=f"line {number}",
                remedy="give the genome that the annotation was made for",
            )
        if gene is None:
            gene = genes[gene_id] = _Gene(line.attributes.get("gene_name", gene_id), place)
        gene.transcripts.setdefault(transcript_id, []).append((line.start, line.end))
    reasons = Counter({reason: len(transcripts) for reason, transcripts in skipped.items()})
    if not genes:
        why = (
            f" ({', '.join(f'{number} transcripts: {reason}' for reason, number in reasons.items())})"
            if reasons
            else ""
        )
        remedy = (
            f"the genome has {', '.join(list(lengths)[:3])} …"
            if ABSENT in reasons
            else "give a GTF file with exon lines"
        )
        raise InputError(f"no gene is left to simulate reads from{why}", file=path, remedy=remedy)
    return _assemble(genes, genome), reasons


def _exon_lines(path: str) -> Iterator[tuple[int, Line]]:
    """Read the exon lines of a file, with their numbers."""
    parser = LineParser(
        path, Wanted(("exon",), (), (), None, False, is_gtf(path) or reads_once(path))
    )
    number = 0
    for buffer, size in read_pieces(path):
        for raw in buffer[:size].tobytes().splitlines():
            number += 1
            if (
                (b"\texon\t" not in raw and raw.count(b"\t") >= 8)
                or raw.startswith(b"#")
                or not raw.strip()
            ):
                continue
            line = parser.parse(raw, number)
            if line is not None and line.type == "exon":
                yield number, line


def _identifiers(path: str, number: int, line: Line) -> tuple[str, str]:
    """Give the identifiers of gene and transcript."""
    for key in ("gene_id", "transcript_id"):
        if not line.attributes.get(key):
            raise InputError(
                f"this exon line has no {key}",
                file=path,
                place=f"line {number}",
                remedy="simulating needs GTF with both identifiers",
            )
    return line.attributes["gene_id"], line.attributes["transcript_id"]


def _joined(exons: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sort exons and join those that overlap or touch."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(exons):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _assemble(genes: dict[str, _Gene], genome: Genome) -> GeneModels:
    """Lay genes out in the simulator's arrays."""
    contigs = {name: number for number, name in enumerate(genome.names)}
    ordered = sorted(
        genes.items(), key=lambda item: contigs[item[1].place[0]]
    )  # stable: the file's order within a contig
    exons = [_joined(found) for _, gene in ordered for found in gene.transcripts.values()]
    flat = np.array([exon for found in exons for exon in found], dtype=np.int64).reshape(-1, 2)
    counts = [len(gene.transcripts) for _, gene in ordered]
    return GeneModels(
        genome.names,
        tuple(identifier for identifier, _ in ordered),
        tuple(gene.name for _, gene in ordered),
        np.array([contigs[gene.place[0]] for _, gene in ordered], dtype=np.int32),
        np.array([gene.place[1] == "-" for _, gene in ordered], dtype=np.int8),
        tuple(identifier for _, gene in ordered for identifier in gene.transcripts),
        np.repeat(np.arange(len(ordered)), counts).astype(np.int32),
        np.concatenate(([0], np.cumsum([len(found) for found in exons]))).astype(np.int64),
        flat[:, 0].copy(),
        flat[:, 1].copy(),
    )
