"""Genes with transcripts, and fragments of them, without any file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterbias.lengths import (
    FeatureBias,
    FragmentLayout,
    FragmentLengths,
    TranscriptLengths,
    transcript_lengths,
)
from counterbias.records import (
    PRESENT,
    REVERSE,
    EndSites,
    Features,
    FeatureTranscripts,
    StartSites,
    Stretches,
)

#: Bases of each of the two contigs.
CONTIG = 20_000
CONTIGS = ("one", "two")

Exons = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Gene:
    """Transcripts as exons along the genome, ascending; 0-based, half open."""

    transcripts: Sequence[Exons]
    strand: int = 0
    contig: int = 0
    missing: int = 0

    @property
    def blocks(self) -> list[list[int]]:
        """The union of all exons, merged where they overlap or touch."""
        merged: list[list[int]] = []
        for start, end in sorted(exon for exons in self.transcripts for exon in exons):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(end, merged[-1][1])
            else:
                merged.append([start, end])
        return merged

    def positions(self, transcript: int) -> np.ndarray:
        """Genome positions of a transcript's bases, ascending."""
        return np.concatenate([np.arange(*exon) for exon in self.transcripts[transcript]])


@dataclass(frozen=True)
class Fragment:
    """The 5' ends of read 1 and read 2: position and strand; None where a read is missing."""

    first: tuple[int, str] | None
    second: tuple[int, str] | None = None
    gene: int = 0
    share: float = 1.0
    contigs: tuple[int, int] = (0, 0)


def pair(
    left: int, right: int, gene: int = 0, *, share: float = 1.0, flip: bool = False
) -> Fragment:
    """Return a fragment of the bases ``left`` to ``right`` (included) and all between them."""
    ends = (left, "+"), (right, "-")
    return Fragment(*(ends[::-1] if flip else ends), gene=gene, share=share)


def read(position: int, strand: str, gene: int = 0) -> Fragment:
    """Return a single read that begins at ``position``."""
    return Fragment((position, strand), gene=gene)


def annotate(genes: Sequence[Gene]) -> tuple[Features, FeatureTranscripts]:
    """Lay the transcripts of genes along their blocks."""
    blocks = [gene.blocks for gene in genes]
    counts = [len(one) for one in blocks]
    start, end = (np.array([b[i] for one in blocks for b in one], np.int64) for i in (0, 1))
    features = Features(
        tuple(f"g{i:03d}" for i in range(len(genes))),
        {},
        CONTIGS,
        np.concatenate(([0], np.cumsum(counts))),
        np.repeat([gene.contig for gene in genes], counts).astype(np.int32),
        np.repeat([gene.strand for gene in genes], counts).astype(np.int8),
        start,
        end,
    )
    ids, offsets, exon_offsets, exons = [], [0], [0], []
    for number, gene in enumerate(genes):
        line = np.concatenate([np.arange(*block) for block in gene.blocks])
        for t in range(0 if gene.missing else len(gene.transcripts)):
            ids.append(f"g{number:03d}t{t}")
            inside = np.isin(line, gene.positions(t)).astype(np.int8)
            edges = np.diff(np.concatenate(([0], inside, [0])))
            exons += zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True)
            exon_offsets.append(len(exons))
        offsets.append(len(ids))
    ends = np.array(exons, np.int64).reshape(-1, 2)
    return features, FeatureTranscripts(
        tuple(ids),
        np.array(offsets),
        np.array(exon_offsets),
        ends[:, 0].copy(),
        ends[:, 1].copy(),
        np.array([gene.missing for gene in genes], np.uint8),
    )


def start_sites(
    fragments: Sequence[Fragment], *, paired: bool = True, shares: bool = False
) -> StartSites:
    """Return the start sites of fragments, in their order."""
    ends = []
    for number in range(1 + paired):
        given = [(f.first, f.second)[number] for f in fragments]
        ends.append(
            EndSites(
                np.array(
                    [
                        -1 if end is None else f.contigs[number]
                        for f, end in zip(fragments, given, strict=True)
                    ],
                    np.int32,
                ),
                np.array([-1 if end is None else end[0] for end in given], np.int32),
                np.array(
                    [
                        0 if end is None else PRESENT | (REVERSE if end[1] == "-" else 0)
                        for end in given
                    ],
                    np.uint8,
                ),
            )
        )
    share = np.array([f.share for f in fragments], np.float32) if shares else None
    feature = np.array([f.gene for f in fragments], np.int32)
    return StartSites(CONTIGS, (CONTIG, CONTIG), feature, share, tuple(ends))


@dataclass(frozen=True)
class BiasField:
    """Log bias per end, contig, strand and position."""

    log: np.ndarray

    @classmethod
    def draw(cls, seed: int, spread: float = 0.7) -> BiasField:
        """Draw a field at random, the same for a seed."""
        return cls(np.random.default_rng(seed).normal(0, spread, (2, len(CONTIGS), 2, CONTIG)))

    def __call__(self, stretches: Stretches, end: int) -> np.ndarray:
        """Return the log bias of all positions of stretches."""
        p = stretches.positions()
        return np.asarray(self.log[end, p.contig, p.strand, p.position])


@dataclass(frozen=True)
class Library:
    """Fragments of genes, how they lie there, and their bias."""

    genes: Sequence[Gene]
    fragments: Sequence[Fragment]
    layout: FragmentLayout
    paired: bool = True
    shares: bool = False
    field: BiasField | None = None

    def measure(self, *, threads: int = 1) -> TranscriptLengths:
        """Measure the lengths of the genes that have fragments."""
        features, transcripts = annotate(self.genes)
        sites = start_sites(self.fragments, paired=self.paired, shares=self.shares)
        return transcript_lengths(
            FeatureBias(features, np.arange(len(CONTIGS)), self.field, self.layout),
            transcripts,
            sites,
            only=np.bincount(sites.feature, minlength=len(features)) > 0,
            threads=threads,
        )


def one_length(length: int, stranded: str = "no", ends: str = "both") -> FragmentLayout:
    """Return the layout of a library whose fragments all have the same length."""
    return some_lengths({length: 1.0}, stranded, ends)


def some_lengths(
    probability: dict[int, float], stranded: str = "no", ends: str = "both"
) -> FragmentLayout:
    """Return the layout of a library whose fragments have these lengths."""
    lengths, shares = np.array(list(probability)), np.array(list(probability.values()))
    return FragmentLayout(
        stranded, FragmentLengths(lengths, shares, 1000, float(lengths @ shares)), ends
    )
