"""Draw the reads of one sample: fragments, which read is which, duplicates, what is unmapped or multiply mapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.simulation.encoding import (
    DUPLICATE,
    LEFT_IS_FIRST,
    LEFT_UNMAPPED,
    RIGHT_UNMAPPED,
    SECONDARY,
    start_positions,
)
from counterbias.simulation.fragments import Biases, Drawn, FragmentModel, first_is_left_read
from counterbias.simulation.genes import GeneModels
from counterbias.simulation.genome import Genome
from counterbias.simulation.kernels import draw_seed
from counterbias.simulation.library import Library
from counterbias.simulation.truth import Starts, Truth, gene_truth, transcript_truth


@dataclass(frozen=True, slots=True)
class Reads:
    """Fragments in the order of their names; secondary alignments follow their primary one.

    Args:
        genome, genes, library: what they were made from.
        name: int32 (rows,), number of the fragment.
        transcript: int32 (rows,). start, length: int32 (rows,), leftmost aligned base and aligned bases along the transcript.
        bits: uint8 (rows,), LEFT_IS_FIRST, SECONDARY, LEFT_UNMAPPED, RIGHT_UNMAPPED, DUPLICATE.
        hits: uint8 (rows,), number of alignments of the fragment.
        left_bias, right_bias: float32 (rows,), true log bias of the fragment's two ends, nats.
        seed: of what is made while writing (names, qualities, errors).
        truth, transcripts: what is known of each gene, and of each transcript.
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
    left_bias: NDArray[np.float32]
    right_bias: NDArray[np.float32]
    seed: np.uint64
    truth: Truth
    transcripts: Truth

    @property
    def primary(self) -> NDArray[np.int64]:
        """Rows of primary alignments, one per fragment, in the order of names."""
        return np.flatnonzero(self.bits & SECONDARY == 0)

    def starts(self) -> Starts:
        """Find where mapped reads of primary alignments start, and the true bias there."""
        genes = self.genes
        exon_lengths = genes.exon_end - genes.exon_start
        before = np.cumsum(exon_lengths) - exon_lengths
        exon_left = before - np.repeat(before[genes.exon_offsets[:-1]], np.diff(genes.exon_offsets))
        parts = []
        for side, lost in ((0, LEFT_UNMAPPED), (1, RIGHT_UNMAPPED)):
            wanted = self.bits & (SECONDARY | lost) == 0
            if not self.library.paired:
                wanted &= (self.bits & LEFT_IS_FIRST == 0) == (side == 1)
            rows = np.flatnonzero(wanted)
            offset = self.start[rows].astype(np.int64) + (self.length[rows] - 1 if side else 0)
            position = np.empty(len(rows), np.int64)
            start_positions(
                self.transcript[rows],
                offset,
                genes.exon_offsets,
                genes.exon_start,
                exon_left,
                position,
            )
            contig = genes.gene_contig[genes.transcript_gene[self.transcript[rows]]]
            bias = (self.right_bias if side else self.left_bias)[rows]
            parts.append((contig, position, np.full(len(rows), side, np.uint8), bias))
        contig, position, strand, bias = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return Starts.collect(self.genome.names, contig, position, strand, bias)


def simulate_reads(
    rng: np.random.Generator,
    genome: Genome,
    genes: GeneModels,
    abundance: NDArray[np.float64],
    library: Library,
    bias: Biases = None,
    *,
    model: FragmentModel | None = None,
    threads: int = 1,
) -> Reads:
    """Draw fragments; ``abundance`` is float64 (transcripts,). Without ``bias`` all positions are alike.

    ``model`` saves time where several samples come from the same genome, genes, library and bias. No result depends on
    ``threads``. Raises InputError where no transcript is long enough for a fragment.
    """
    model = model or FragmentModel(genome, genes, library, bias, threads=threads)
    if not np.any(model.unbiased * abundance > 0):
        raise InputError(
            "no expressed transcript is as long as a fragment",
            remedy="simulate longer exons or shorter fragments",
        )
    expected = abundance * model.weights
    counts = rng.multinomial(library.fragments, expected / expected.sum())
    drawn = model.draw(counts, draw_seed(rng))
    order = rng.permutation(library.fragments).astype(np.int32)
    transcript = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[order]
    shuffled = Drawn(drawn.start[order], drawn.length[order], drawn.left[order], drawn.right[order])
    return _Finish(rng, model, abundance).finish(transcript, shuffled)


class _Finish:
    """Decide which read is which and which fragments are copies, unmapped or have secondary alignments."""

    def __init__(
        self, rng: np.random.Generator, model: FragmentModel, abundance: NDArray[np.float64]
    ) -> None:
        self.rng, self.model, self.abundance = rng, model, abundance
        self.genome, self.genes, self.library = model.genome, model.genes, model.library

    def finish(self, transcript: NDArray[np.int32], drawn: Drawn) -> Reads:
        """Give the reads of fragments in the order of their names."""
        rng, library, count = self.rng, self.library, len(transcript)
        source = self._sources(count)
        if library.stranded == "no":
            bits = rng.integers(0, 2, size=count, dtype=np.uint8)[source]
        else:
            bits = first_is_left_read(self.genes, library)[transcript].astype(np.uint8)[source]
        bits[source != np.arange(count)] |= DUPLICATE
        number = rng.random(count, dtype=np.float32)
        self._lose(bits, number)
        many = (number >= 1.0 - library.multi_mapped) & (
            bits & (LEFT_UNMAPPED | RIGHT_UNMAPPED) == 0
        )
        hits = np.ones(count, dtype=np.uint8)
        hits[many] = rng.integers(2, 5, size=int(many.sum()), dtype=np.uint8)
        # Secondary alignments lie where some other fragment lies; row ``other`` lends its place.
        name = np.repeat(np.arange(count, dtype=np.int32), hits)
        place = name.copy()
        secondary = np.concatenate(([False], name[1:] == name[:-1]))[: len(name)]
        place[secondary] = rng.integers(0, max(1, count), size=int(secondary.sum()), dtype=np.int32)
        origin = source[place]
        row_bits = bits[name]
        row_bits[secondary] |= SECONDARY
        start, length = (
            drawn.start[origin] + np.int32(library.trimmed),
            drawn.length[origin] - np.int32(2 * library.trimmed),
        )
        return Reads(
            self.genome, self.genes, library, name, transcript[origin], start, length, row_bits, hits[name], drawn.left[origin],
            drawn.right[origin], draw_seed(rng), *self._truths(transcript[source], bits),
        )  # fmt: skip

    def _sources(self, count: int) -> NDArray[np.int64]:
        """Give the fragment that each one is a copy of: itself, if it is none."""
        source = np.arange(count)
        if self.library.duplicates > 0.0 and count:
            copies = self.rng.random(count) < self.library.duplicates
            copies[0] = False
            originals = np.flatnonzero(~copies)
            source[copies] = originals[self.rng.integers(0, len(originals), size=int(copies.sum()))]
        return source

    def _lose(self, bits: NDArray[np.uint8], number: NDArray[np.float32]) -> None:
        """Mark the reads that an aligner could not place."""
        library = self.library
        both, mate = number < library.unmapped, number < library.unmapped + library.unmapped_mate
        bits[both] |= LEFT_UNMAPPED | RIGHT_UNMAPPED
        if library.paired:
            lost = mate & ~both
            bits[lost] |= np.where(
                self.rng.random(int(lost.sum())) < 0.5, LEFT_UNMAPPED, RIGHT_UNMAPPED
            ).astype(np.uint8)
        else:
            bits[mate] |= LEFT_UNMAPPED | RIGHT_UNMAPPED

    def _truths(
        self, transcript: NDArray[np.int32], bits: NDArray[np.uint8]
    ) -> tuple[Truth, Truth]:
        """Give what is known of genes, and of transcripts."""
        model, size = self.model, len(self.genes.transcript_ids)
        nowhere = LEFT_UNMAPPED | RIGHT_UNMAPPED
        counts = np.bincount(transcript, minlength=size).astype(np.int64)
        mapped = np.bincount(transcript[bits & nowhere != nowhere], minlength=size).astype(np.int64)
        known = (self.genes, self.abundance, model.weights, model.unbiased, counts, mapped)
        return gene_truth(*known), transcript_truth(*known)
