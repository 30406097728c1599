"""A user's FASTA and GTF files as genome and gene models of the simulator.

Transcripts that cannot be used are counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from counterbias.annotation.lines import Line, LineParser, Wanted
from counterbias.annotation.reading import is_gtf, read_pieces
from counterbias.errors import InputError
from counterbias.genome import Genome as GenomeFile
from counterbias.inputs import reads_once
from counterbias.simulation import GeneModels, Genome

#: Why transcripts are skipped, in the words of the report.
ABSENT = "contig not in the genome"
UNSTRANDED = "no strand"
ELSEWHERE = "contig or strand unlike the gene's first transcript"


@dataclass(slots=True)
class _Gene:
    """One gene of the file; ``place`` is its contig and strand."""

    name: str
    place: tuple[str, str]
    transcripts: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def read_genome(path: str) -> Genome:
    """Read all contigs of a FASTA file. Raises InputError."""
    with GenomeFile(path) as source:
        contigs = [source.codes(name) for name in source.names]
    offsets = np.concatenate(([0], np.cumsum([len(bases) for bases in contigs]))).astype(np.int64)
    bases = np.concatenate(contigs) if contigs else np.empty(0, np.uint8)
    return Genome(source.names, offsets, bases)


def read_gene_models(path: str, genome: Genome) -> tuple[GeneModels, Counter[str]]:
    """Read the exon lines of a GTF file.

    Exons of a transcript that overlap or touch are joined.

    Returns:
        The genes by contig, in the order of the file; and reason → number of transcripts skipped.

    Raises:
        InputError: for a malformed line, an exon beyond the end of its contig, and if no gene is
            left.
    """
    genes: dict[str, _Gene] = {}
    skipped: dict[str, set[tuple[str, ...]]] = {}
    lengths = genome.lengths
    for number, line in _exon_lines(path):
        gene_id, transcript_id = _identifiers(path, number, line)
        gene = genes.get(gene_id)
        if reason := _why_skipped(line, gene, lengths):
            transcript = (gene_id, transcript_id, line.contig, line.strand)
            skipped.setdefault(reason, set()).add(transcript)
            continue
        if line.end > lengths[line.contig]:
            raise InputError(
                f"the exon ends at {line.end},"
                f" but the contig '{line.contig}' has {lengths[line.contig]} bases",
                file=path,
                place=f"line {number}",
                remedy="give the genome that the annotation was made for",
            )
        if gene is None:
            name = line.attributes.get("gene_name", gene_id)
            gene = genes[gene_id] = _Gene(name, (line.contig, line.strand))
        gene.transcripts.setdefault(transcript_id, []).append((line.start, line.end))
    reasons = Counter({reason: len(transcripts) for reason, transcripts in skipped.items()})
    if not genes:
        raise _no_gene_left(path, reasons, list(lengths))
    return _assemble(genes, genome), reasons


def _exon_lines(path: str) -> Iterator[tuple[int, Line]]:
    """Yield the exon lines of a file and their numbers."""
    gtf = is_gtf(path) or reads_once(path)
    wanted = Wanted(types=("exon",), ids=(), others=(), query=None, stranded=False, gtf=gtf)
    parser = LineParser(path, wanted)
    number = 0
    for buffer, size in read_pieces(path):
        for raw in buffer[:size].tobytes().splitlines():
            number += 1
            # A line with too few columns goes to the parser, which explains what is wrong.
            other_feature = b"\texon\t" not in raw and raw.count(b"\t") >= 8
            if other_feature or raw.startswith(b"#") or not raw.strip():
                continue
            line = parser.parse(raw, number)
            if line is not None and line.type == "exon":
                yield number, line


def _identifiers(path: str, number: int, line: Line) -> tuple[str, str]:
    """Return the identifiers of gene and transcript."""
    for key in ("gene_id", "transcript_id"):
        if not line.attributes.get(key):
            raise InputError(
                f"this exon line has no {key}",
                file=path,
                place=f"line {number}",
                remedy="give a GTF file whose exon lines have both identifiers",
            )
    return line.attributes["gene_id"], line.attributes["transcript_id"]


def _why_skipped(line: Line, gene: _Gene | None, lengths: Mapping[str, int]) -> str:
    """Return why an exon cannot be used; empty if it can. ``gene`` is None on its first line."""
    if line.contig not in lengths:
        return ABSENT
    if line.strand == ".":
        return UNSTRANDED
    if gene is not None and gene.place != (line.contig, line.strand):
        return ELSEWHERE
    return ""


def _no_gene_left(path: str, reasons: Counter[str], contigs: list[str]) -> InputError:
    """Return the error for a file without usable genes."""
    listed = ", ".join(f"{number} transcripts: {reason}" for reason, number in reasons.items())
    why = f" ({listed})" if reasons else ""
    remedy = "give a GTF file with exon lines"
    if ABSENT in reasons:
        remedy = f"the genome has {', '.join(contigs[:3])} …"
    return InputError(f"no gene is left to simulate reads from{why}", file=path, remedy=remedy)


def _joined(exons: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return exons in ascending order, with those that overlap or touch joined."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(exons):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _assemble(genes: Mapping[str, _Gene], genome: Genome) -> GeneModels:
    """Return genes as the simulator's arrays."""
    contigs = {name: number for number, name in enumerate(genome.names)}
    # The sort is stable, so genes of a contig stay in the order of the file.
    ordered = sorted(genes.items(), key=lambda item: contigs[item[1].place[0]])
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
