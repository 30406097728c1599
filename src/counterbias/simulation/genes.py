"""Gene models, simulated or supplied by the user: their exons, abundances and GTF lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import whole_stream
from counterbias.simulation.genome import Genome
from counterbias.simulation_options import ABUNDANCE_SPREAD, AnnotationDesign

#: Bases at either end of a contig that hold no gene.
_MARGIN = 1000

#: Starts and ends of the exons of one transcript, ascending, relative to the gene's start.
_Exons = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class GeneModels:
    """Genes, their transcripts and exons (0-based, half-open).

    Args:
        contigs: contig names.
        gene_ids, gene_names: one per gene.
        gene_contig: int32 (genes,), row in ``contigs``.
        gene_strand: int8 (genes,), 0 ``+``, 1 ``-``.
        transcript_ids: one per transcript; transcripts of a gene are adjacent.
        transcript_gene: int32 (transcripts,), row in ``gene_ids``.
        exon_offsets: int64 (transcripts + 1,): the exons of transcript ``t`` are rows
            ``exon_offsets[t]:exon_offsets[t + 1]``, ascending along the contig.
        exon_start, exon_end: int64 (exons,).
    """

    contigs: tuple[str, ...]
    gene_ids: tuple[str, ...]
    gene_names: tuple[str, ...]
    gene_contig: NDArray[np.int32]
    gene_strand: NDArray[np.int8]
    transcript_ids: tuple[str, ...]
    transcript_gene: NDArray[np.int32]
    exon_offsets: NDArray[np.int64]
    exon_start: NDArray[np.int64]
    exon_end: NDArray[np.int64]

    @property
    def exon_lengths(self) -> NDArray[np.int64]:
        """Bases per exon, int64 (exons,)."""
        return self.exon_end - self.exon_start

    @property
    def exon_left(self) -> NDArray[np.int64]:
        """Offset of each exon's leftmost base along its transcript, int64 (exons,)."""
        lengths = self.exon_lengths
        before = np.cumsum(lengths) - lengths
        return before - np.repeat(before[self.exon_offsets[:-1]], np.diff(self.exon_offsets))

    @property
    def transcript_contig(self) -> NDArray[np.int32]:
        """Contig of each transcript, int32 (transcripts,)."""
        return self.gene_contig[self.transcript_gene]

    @property
    def transcripts_per_gene(self) -> NDArray[np.int64]:
        """Number of transcripts of each gene, int64 (genes,)."""
        return np.bincount(self.transcript_gene, minlength=len(self.gene_ids))

    @property
    def transcript_lengths(self) -> NDArray[np.int64]:
        """Bases per transcript, int64 (transcripts,)."""
        return np.add.reduceat(self.exon_lengths, self.exon_offsets[:-1])

    @property
    def gene_lengths(self) -> NDArray[np.int64]:
        """Bases per gene, int64 (genes,): the length of the union of its exons."""
        lengths = np.zeros(len(self.gene_ids), dtype=np.int64)
        gene_of_exon = np.repeat(self.transcript_gene, np.diff(self.exon_offsets))
        order = np.lexsort((self.exon_start, gene_of_exon))
        gene, reached = -1, 0
        for row in order.tolist():
            if gene_of_exon[row] != gene:
                gene, reached = int(gene_of_exon[row]), 0
            start, end = max(int(self.exon_start[row]), reached), int(self.exon_end[row])
            lengths[gene] += max(0, end - start)
            reached = max(reached, end)
        return lengths

    def contig_of(self, transcript: int) -> int:
        """Return the contig of a transcript, as a row in ``contigs``."""
        return int(self.gene_contig[self.transcript_gene[transcript]])

    def exons(self, transcript: int) -> list[tuple[int, int]]:
        """Return start and end of each exon of a transcript, ascending."""
        rows = slice(self.exon_offsets[transcript], self.exon_offsets[transcript + 1])
        return list(zip(self.exon_start[rows].tolist(), self.exon_end[rows].tolist(), strict=True))


def transcript_bases(genome: Genome, genes: GeneModels, transcript: int) -> NDArray[np.uint8]:
    """Return a transcript's spliced bases, uint8 (bases,), left to right on the + strand."""
    contig = genome.contig(genes.contig_of(transcript))
    return np.concatenate([contig[start:end] for start, end in genes.exons(transcript)])


def simulate_annotation(
    rng: np.random.Generator,
    lengths: Mapping[str, int],
    genes: int,
    *,
    design: AnnotationDesign | None = None,
) -> GeneModels:
    """Place genes on contigs, on each a number in proportion to its length.

    Raises:
        InputError: if the genes do not fit.
    """
    design = design or AnnotationDesign()
    shares = np.array(list(lengths.values()), dtype=np.float64)
    per_contig = rng.multinomial(genes, shares / shares.sum())
    gene_contig = np.repeat(np.arange(len(shares)), per_contig).astype(np.int32)
    shapes = [_draw_exons(rng, design) for _ in range(genes)]
    spans = np.array([ends[-1] for _, ends in shapes], dtype=np.int64)
    overlapping = rng.random(genes) < design.overlapping
    first = np.concatenate(([0], np.cumsum(per_contig)))
    starts = []
    for number, (name, length) in enumerate(lengths.items()):
        rows = slice(first[number], first[number + 1])
        starts.append(_place(rng, name, length, spans[rows], overlapping[rows]))
    return _assemble(rng, tuple(lengths), gene_contig, shapes, np.concatenate(starts), design)


def _draw_exons(rng: np.random.Generator, design: AnnotationDesign) -> _Exons:
    """Draw the exons of one gene from 5' to 3'."""
    count = 1 + int(rng.poisson(rng.gamma(2.0, (design.mean_exons - 1) / 2.0)))
    exons = np.rint(design.exon_length * rng.lognormal(0.0, 0.45, size=count)).astype(np.int64) + 10
    exons[-1] = int(design.last_exon_length * rng.lognormal(0.0, 0.5)) + 100
    introns = (
        np.rint(design.intron_length * rng.lognormal(0.0, 0.9, size=count)).astype(np.int64) + 40
    )
    introns[0] = 0
    ends = np.cumsum(exons + introns)
    return ends - exons, ends


def _place(
    rng: np.random.Generator,
    name: str,
    length: int,
    spans: NDArray[np.int64],
    overlapping: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Return the starts of genes on one contig, ascending.

    Genes that do not overlap have random gaps between them.
    """
    starts = np.zeros(len(spans), dtype=np.int64)
    reached, previous = 0, -1
    within = rng.random(len(spans))
    for gene, span in enumerate(spans.tolist()):
        if previous >= 0 and overlapping[gene]:
            starts[gene] = starts[previous] + int(within[gene] * spans[previous])
        else:
            starts[gene] = reached
        reached, previous = max(reached, int(starts[gene]) + span), gene
    free = length - 2 * _MARGIN - reached
    if free < 0:
        raise InputError(
            f"{len(spans)} genes do not fit on {name} of {length} bases",
            remedy=f"simulate a contig of at least {reached + 2 * _MARGIN} bases, or fewer genes",
        )
    after_gap = ~overlapping
    after_gap[:1] = True
    gaps = np.where(after_gap, rng.exponential(size=len(spans)), 0.0)
    shares = np.cumsum(gaps) / max(1e-9, gaps.sum() + rng.exponential())
    return np.asarray(starts + _MARGIN + (shares * free).astype(np.int64), dtype=np.int64)


def _assemble(
    rng: np.random.Generator,
    contigs: tuple[str, ...],
    gene_contig: NDArray[np.int32],
    shapes: list[_Exons],
    starts: NDArray[np.int64],
    design: AnnotationDesign,
) -> GeneModels:
    """Assign strands, other transcripts and identifiers to genes whose exons were drawn."""
    count = len(shapes)
    strands = rng.integers(0, 2, size=count).astype(np.int8)
    others = (rng.random(count) < design.second_isoform).astype(np.int64)
    if design.further_isoforms > 0:
        others *= 1 + rng.poisson(design.further_isoforms, size=count)
    exon_starts, exon_ends, genes_of_transcripts = [], [], []
    for gene, (left, right) in enumerate(shapes):
        if strands[gene]:  # the 3' exon of a gene on the minus strand comes first along the contig
            left, right = right[-1] - right[::-1], right[-1] - left[::-1]
        isoforms = [(left, right)]
        isoforms += [_other_isoform(rng, left, right) for _ in range(others[gene])]
        for left, right in isoforms:
            exon_starts.append(left + starts[gene])
            exon_ends.append(right + starts[gene])
            genes_of_transcripts.append(gene)
    return GeneModels(
        contigs,
        tuple(f"SIMG{number:08d}" for number in range(1, count + 1)),
        tuple(f"GENE{number}" for number in range(1, count + 1)),
        gene_contig,
        strands,
        tuple(f"SIMT{number:08d}" for number in range(1, len(genes_of_transcripts) + 1)),
        np.array(genes_of_transcripts, dtype=np.int32),
        np.concatenate(([0], np.cumsum([len(exons) for exons in exon_starts]))).astype(np.int64),
        np.concatenate(exon_starts) if exon_starts else np.zeros(0, np.int64),
        np.concatenate(exon_ends) if exon_ends else np.zeros(0, np.int64),
    )


def _other_isoform(
    rng: np.random.Generator, left: NDArray[np.int64], right: NDArray[np.int64]
) -> _Exons:
    """Skip some of the inner exons and shorten the rightmost one."""
    keep = rng.random(len(left)) > 0.25
    keep[0] = keep[-1] = True
    left, right = left[keep].copy(), right[keep].copy()
    right[-1] -= int(rng.random() * 0.3 * (right[-1] - left[-1]))
    return left, right


def simulate_abundance(
    rng: np.random.Generator, genes: GeneModels, *, spread: float = ABUNDANCE_SPREAD
) -> NDArray[np.float64]:
    """Draw the abundance of each transcript, float64 (transcripts,), molecules per million.

    The abundance of genes is log-normal (standard deviation ``spread``, in nats); the transcripts
    of a gene share its abundance.
    """
    abundance = rng.lognormal(0.0, spread, size=len(genes.gene_ids))
    shares = rng.gamma(2.0, size=len(genes.transcript_ids))
    shares /= np.bincount(genes.transcript_gene, shares, minlength=len(genes.gene_ids))[
        genes.transcript_gene
    ]
    per_transcript = abundance[genes.transcript_gene] * shares
    return np.asarray(1e6 * per_transcript / per_transcript.sum(), dtype=np.float64)


def write_gtf(path: str | os.PathLike[str], genes: GeneModels) -> int:
    """Write gene, transcript and exon lines; return the number of exon lines.

    Attributes: gene_id, transcript_id, gene_name, gene_biotype, exon_number. Exons are in the order
    of transcription.
    """
    with whole_stream(path) as stream:
        stream.write(b"#!genome-build simulated\n")
        stream.writelines(line.encode() for line in _gtf_lines(genes))
    return len(genes.exon_start)


def _gtf_lines(genes: GeneModels) -> Iterator[str]:
    """Yield the lines of a GTF file, gene by gene."""
    starts, ends = (genes.exon_start + 1).tolist(), genes.exon_end.tolist()
    offsets = genes.exon_offsets.tolist()
    first = np.searchsorted(genes.transcript_gene, np.arange(len(genes.gene_ids) + 1)).tolist()
    for gene, identifier in enumerate(genes.gene_ids):
        contig, strand = genes.contigs[genes.gene_contig[gene]], "+-"[genes.gene_strand[gene]]
        gene_id = f'gene_id "{identifier}"; '
        tail = f'gene_name "{genes.gene_names[gene]}"; gene_biotype "protein_coding";\n'
        rows = slice(offsets[first[gene]], offsets[first[gene + 1]])
        span = f"{min(starts[rows])}\t{max(ends[rows])}\t.\t{strand}\t.\t"
        yield f"{contig}\tsimulation\tgene\t{span}{gene_id}{tail}"
        for transcript in range(first[gene], first[gene + 1]):
            exons = range(offsets[transcript], offsets[transcript + 1])
            ids = f'{gene_id}transcript_id "{genes.transcript_ids[transcript]}"; '
            span = f"{starts[exons[0]]}\t{ends[exons[-1]]}\t.\t{strand}\t.\t"
            yield f"{contig}\tsimulation\ttranscript\t{span}{ids}{tail}"
            for number, row in enumerate(exons if strand == "+" else reversed(exons), start=1):
                span = f"{starts[row]}\t{ends[row]}\t.\t{strand}\t.\t"
                yield f'{contig}\tsimulation\texon\t{span}{ids}exon_number "{number}"; {tail}'
