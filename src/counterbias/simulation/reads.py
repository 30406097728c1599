"""Draw fragments from transcripts, with a probability proportional to abundance × bias of both ends.

Along a transcript, offsets count from its leftmost base on the contig, whatever its strand: the left read of
a fragment then always maps to the + strand and the right one to the - strand.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.simulation.bias import PrimingBias
from counterbias.simulation.encoding import LEFT_UNMAPPED, RIGHT_UNMAPPED, SECONDARY
from counterbias.simulation.files import replacing
from counterbias.simulation.genes import GeneModels
from counterbias.simulation.genome import Genome
from counterbias.simulation.kernels import draw_seed, sample_fragments

_STRANDED = ("yes", "no", "reverse")


@dataclass(frozen=True, slots=True)
class Library:
    """How a library was made and sequenced.

    Args:
        fragments: read pairs or single reads drawn (primary alignments).
        read_length: bases per read.
        paired: two reads per fragment.
        stranded: htseq-count's word: ``yes`` (read 1 on the gene's strand), ``reverse``, ``no``.
        fragment_mean, fragment_sd: of the normal distribution of fragment lengths, cut off at ``read_length``.
        biased_ends: ``both`` ends of a fragment are biased, or only that of ``read1``.
        spliced_context: the bias sees the transcript's sequence across splice sites, as primers do; otherwise the genome's.
        multi_mapped: part of the fragments that have other (secondary) alignments as well.
        unmapped_mate, unmapped: parts of the fragments with one and with no mapped read.
        error_rate: substitutions per base.
    """

    fragments: int
    read_length: int = 50
    paired: bool = True
    stranded: str = "no"
    fragment_mean: float = 220.0
    fragment_sd: float = 40.0
    biased_ends: str = "both"
    spliced_context: bool = True
    multi_mapped: float = 0.0
    unmapped_mate: float = 0.0
    unmapped: float = 0.0
    error_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.stranded not in _STRANDED or self.biased_ends not in ("both", "read1"):
            raise InputError("a library is stranded 'yes', 'no' or 'reverse', and its biased ends are 'both' or 'read1'")
        if self.biased_ends == "read1" and self.stranded == "no":
            raise InputError("only a stranded library can have a bias of read 1 alone")
        if not 20 <= self.read_length <= 1000 or self.fragments < 0:
            raise InputError("reads of 20 to 1000 bases can be simulated, and not less than no fragment")

    @property
    def longest(self) -> int:
        """Give the longest fragment that is drawn."""
        return max(self.read_length, int(self.fragment_mean + 4 * self.fragment_sd))

    def length_probabilities(self) -> NDArray[np.float64]:
        """Give the probability of fragment lengths 0 … :attr:`longest`, float64."""
        lengths = np.arange(self.longest + 1)
        density = np.exp(-0.5 * ((lengths - self.fragment_mean) / self.fragment_sd) ** 2)
        density[: self.read_length] = 0.0
        return np.asarray(density / density.sum(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of each gene, one row per gene.

    Args:
        gene_ids: identifiers.
        length: int64, bases of the union of its exons.
        abundance: float64, molecules per million.
        expected_fragments: float64, expected under the bias; they sum to the fragments drawn.
        unbiased_fragments: float64, the same had there been no bias: what a corrected count should find.
        mean_bias: float64, the first over the second: 1 on average over the fragments without bias.
        fragments: int64, drawn.
    """

    gene_ids: tuple[str, ...]
    length: NDArray[np.int64]
    abundance: NDArray[np.float64]
    expected_fragments: NDArray[np.float64]
    unbiased_fragments: NDArray[np.float64]
    mean_bias: NDArray[np.float64]
    fragments: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reads:
    """Fragments in the order of their names; secondary alignments follow their primary one.

    Args:
        genome, genes, library: what they were made from.
        name: int32 (rows,), number of the fragment.
        transcript: int32 (rows,). start, length: int32 (rows,), leftmost base and bases along the transcript.
        bits: uint8 (rows,), LEFT_IS_FIRST, SECONDARY, LEFT_UNMAPPED, RIGHT_UNMAPPED.
        hits: uint8 (rows,), number of alignments of the fragment.
        seed: of what is made while writing (names, qualities, errors).
        truth: per gene.
    """

    genome: Genome
    genes: GeneModels
    library: Library
    name: NDArray[np.int32]
    transcript: NDArray[np.int32]
    start: NDArray[np.int32]
    length: NDArray[np.int32]
    bits: NDArray[np.uint8]
    hits: NDArray[np.uint8]
    seed: np.uint64
    truth: Truth


def simulate_reads(
    rng: np.random.Generator,
    genome: Genome,
    genes: GeneModels,
    abundance: NDArray[np.float64],
    library: Library,
    bias: PrimingBias | None = None,
) -> Reads:
    """Draw fragments; ``abundance`` is float64 (transcripts,). Without ``bias`` all positions are alike.

    Raises InputError where no transcript is long enough for a fragment.
    """
    ends = _EndBias(genome, genes, library, bias)
    weights, unbiased = ends.weights(bias is not None), ends.weights(False)
    if not np.any(unbiased * abundance > 0):
        raise InputError("no expressed transcript is as long as a fragment", remedy="simulate longer exons or shorter fragments")
    expected = abundance * weights
    counts = rng.multinomial(library.fragments, expected / expected.sum())
    start, length = ends.draw(counts, draw_seed(rng))
    truth = _truth(genes, abundance, weights, unbiased, counts)
    order = rng.permutation(library.fragments).astype(np.int32)
    transcript = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return _finish(rng, genome, genes, library, (transcript[order], start[order], length[order]), truth)


class _EndBias:
    """Weigh and draw the fragments of each transcript."""

    def __init__(self, genome: Genome, genes: GeneModels, library: Library, bias: PrimingBias | None) -> None:
        self.genome, self.genes, self.library, self.bias = genome, genes, library, bias
        self.lengths = genes.transcript_lengths
        self.probabilities = library.length_probabilities()
        self.cumulative = np.cumsum(self.probabilities)
        self.work = np.empty(int(self.lengths.max(initial=0)))
        self.ones = np.ones(len(self.work))

    def weights(self, biased: bool) -> NDArray[np.float64]:
        """Give the sum over all fragments of each transcript of P(length) × bias, float64 (transcripts,)."""
        nothing = np.empty(0, np.int32)
        return np.array([self._sample(t, biased, np.uint64(0), 0, nothing, nothing) for t in range(len(self.lengths))])

    def draw(self, counts: NDArray[np.int64], seed: np.uint64) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Draw as many fragments of each transcript as asked for: starts and lengths, int32 (fragments,)."""
        total = int(counts.sum())
        start, length = np.empty(total, np.int32), np.empty(total, np.int32)
        offsets = np.concatenate(([0], np.cumsum(counts)))
        for transcript in np.flatnonzero(counts).tolist():
            rows = slice(offsets[transcript], offsets[transcript + 1])
            self._sample(transcript, self.bias is not None, seed, int(offsets[transcript]), start[rows], length[rows])
        return start, length

    def _sample(
        self, transcript: int, biased: bool, seed: np.uint64, first: int, start: NDArray[np.int32], length: NDArray[np.int32]
    ) -> float:
        """Fill ``start`` and ``length`` with fragments of a transcript; give its summed weight."""
        bases = int(self.lengths[transcript])
        left = right = self.ones[:bases]
        if biased:
            left, right = self._along(transcript)
        return float(
            sample_fragments(left, right, self.probabilities, self.cumulative, biased, self.work[:bases], seed, first, start, length)
        )

    def _along(self, transcript: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the bias of left ends and of right ends at each base of a transcript."""
        assert self.bias is not None
        genes, flank = self.genes, self.bias.window.width
        contig = self.genome.contig(int(genes.gene_contig[genes.transcript_gene[transcript]]))
        rows = slice(genes.exon_offsets[transcript], genes.exon_offsets[transcript + 1])
        exons = list(zip(genes.exon_start[rows].tolist(), genes.exon_end[rows].tolist(), strict=True))
        if self.library.spliced_context:
            parts = [contig[max(0, exons[0][0] - flank) : exons[0][0]]]
            parts += [contig[start:end] for start, end in exons]
            parts += [contig[exons[-1][1] : exons[-1][1] + flank]]
            forward, reverse = self.bias.along(np.concatenate(parts))
            bases = slice(len(parts[0]), len(parts[0]) + int(self.lengths[transcript]))
            left, right = forward[bases].copy(), reverse[bases].copy()
        else:
            pieces = [_along_exon(self.bias, contig, start, end) for start, end in exons]
            left, right = (np.concatenate(side) for side in zip(*pieces, strict=True))
        if self.library.biased_ends == "read1":
            first_is_left = _first_is_left(self.genes, self.library)[transcript]
            left, right = (left, self.ones[: len(left)]) if first_is_left else (self.ones[: len(left)], right)
        return left, right


def _along_exon(bias: PrimingBias, contig: NDArray[np.uint8], start: int, end: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the bias of left and right ends at each base of an interval, from the genome's sequence around it."""
    left = max(0, start - bias.window.width)
    forward, reverse = bias.along(contig[left : end + bias.window.width])
    return forward[start - left : end - left], reverse[start - left : end - left]


def _first_is_left(genes: GeneModels, library: Library) -> NDArray[np.bool_]:
    """Tell for each transcript of a stranded library whether read 1 is the left read."""
    minus = genes.gene_strand[genes.transcript_gene] == 1
    return np.asarray(minus == (library.stranded == "reverse"))


def _finish(
    rng: np.random.Generator,
    genome: Genome,
    genes: GeneModels,
    library: Library,
    drawn: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    truth: Truth,
) -> Reads:
    """Decide which read is which and which fragments are unmapped or have secondary alignments."""
    transcript, start, length = drawn
    count = len(transcript)
    if library.stranded == "no":
        bits = rng.integers(0, 2, size=count, dtype=np.uint8)
    else:
        bits = _first_is_left(genes, library)[transcript].astype(np.uint8)
    number = rng.random(count, dtype=np.float32)
    both, mate = number < library.unmapped, number < library.unmapped + library.unmapped_mate
    bits[both] |= LEFT_UNMAPPED | RIGHT_UNMAPPED
    if library.paired:
        lost = mate & ~both
        bits[lost] |= np.where(rng.random(int(lost.sum())) < 0.5, LEFT_UNMAPPED, RIGHT_UNMAPPED).astype(np.uint8)
    else:
        bits[mate] |= LEFT_UNMAPPED | RIGHT_UNMAPPED
    many = (number >= 1.0 - library.multi_mapped) & (bits < LEFT_UNMAPPED)
    hits = np.ones(count, dtype=np.uint8)
    hits[many] = rng.integers(2, 5, size=int(many.sum()), dtype=np.uint8)
    # Secondary alignments lie where some other fragment lies; row ``other`` lends its place.
    name = np.repeat(np.arange(count, dtype=np.int32), hits)
    place = name.copy()
    secondary = np.concatenate(([False], name[1:] == name[:-1]))[: len(name)]
    place[secondary] = rng.integers(0, max(1, count), size=int(secondary.sum()), dtype=np.int32)
    bits, row_hits = bits[name], hits[name]
    bits[secondary] |= SECONDARY
    return Reads(genome, genes, library, name, transcript[place], start[place], length[place], bits, row_hits, draw_seed(rng), truth)


def _truth(
    genes: GeneModels,
    abundance: NDArray[np.float64],
    weights: NDArray[np.float64],
    unbiased: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> Truth:
    """Sum transcripts to genes and scale to the number of fragments drawn."""

    def per_gene(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(genes.transcript_gene, values, minlength=len(genes.gene_ids)).astype(np.float64)

    drawn = per_gene(counts.astype(np.float64))
    biased, plain = per_gene(abundance * weights), per_gene(abundance * unbiased)
    expected, without = biased * drawn.sum() / biased.sum(), plain * drawn.sum() / plain.sum()
    mean_bias = np.divide(expected, without, out=np.ones(len(plain)), where=without > 0)
    return Truth(genes.gene_ids, genes.gene_lengths, per_gene(abundance), expected, without, mean_bias, drawn.astype(np.int64))


def write_truth(path: str | os.PathLike[str], truth: Truth) -> None:
    """Write the truth as TSV: one row per gene, the fields of :class:`Truth` as columns."""
    with replacing(path) as stream:
        stream.write(b"gene_id\tlength\tabundance\texpected_fragments\tunbiased_fragments\tmean_bias\tfragments\n")
        rows = zip(
            truth.gene_ids,
            truth.length.tolist(),
            truth.abundance.tolist(),
            truth.expected_fragments.tolist(),
            truth.unbiased_fragments.tolist(),
            truth.mean_bias.tolist(),
            truth.fragments.tolist(),
            strict=True,
        )
        for gene, length, abundance, expected, unbiased, mean_bias, fragments in rows:
            row = f"{gene}\t{length}\t{abundance:.6g}\t{expected:.6g}\t{unbiased:.6g}\t{mean_bias:.6g}\t{fragments}\n"
            stream.write(row.encode())
