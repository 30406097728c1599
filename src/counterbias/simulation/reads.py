"""Draw the reads of one sample from a fragment model.

Fragments are drawn first. Then it is decided which read is read 1, which fragments are duplicates,
which reads are unmapped and which fragments have secondary alignments.
"""

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
from counterbias.simulation.fragments import (
    Biases,
    DrawnFragments,
    FragmentModel,
    first_is_left_read,
)
from counterbias.simulation.genes import GeneModels
from counterbias.simulation.genome import Genome
from counterbias.simulation.kernels import draw_seed
from counterbias.simulation.truth import Starts, Truth, gene_truth, transcript_truth
from counterbias.simulation_options import Library


@dataclass(frozen=True, slots=True)
class Reads:
    """The alignments of fragments in name order; secondary ones follow the primary one.

    Args:
        genome, genes, library: what the reads come from, and how.
        fragment: int32 (rows,), number of the fragment, ascending.
        transcript: int32 (rows,).
        start, length: int32 (rows,), leftmost aligned base along the transcript and bases from
            there to the rightmost one.
        bits: uint8 (rows,): LEFT_IS_FIRST, SECONDARY, LEFT_UNMAPPED, RIGHT_UNMAPPED, DUPLICATE.
        hits: uint8 (rows,), number of alignments of the fragment.
        left_bias, right_bias: float32 (rows,), true log bias of the fragment's two ends, nats.
        seed: of what is drawn while files are written: names, qualities and errors.
        truth, transcript_truth: the truth about each gene and about each transcript.
    """

    genome: Genome
    genes: GeneModels
    library: Library
    fragment: NDArray[np.int32]
    transcript: NDArray[np.int32]
    start: NDArray[np.int32]
    length: NDArray[np.int32]
    bits: NDArray[np.uint8]
    hits: NDArray[np.uint8]
    left_bias: NDArray[np.float32]
    right_bias: NDArray[np.float32]
    seed: np.uint64
    truth: Truth
    transcript_truth: Truth

    @property
    def primary(self) -> NDArray[np.int64]:
        """Rows of primary alignments, one per fragment, in name order."""
        return np.flatnonzero(self.bits & SECONDARY == 0)

    def starts(self) -> Starts:
        """Return where mapped reads of primary alignments start, and the true bias there."""
        genes = self.genes
        exon_offsets, exon_start, exon_left = genes.exon_offsets, genes.exon_start, genes.exon_left
        parts = []
        for side, unmapped in ((0, LEFT_UNMAPPED), (1, RIGHT_UNMAPPED)):
            wanted = self.bits & (SECONDARY | unmapped) == 0
            if not self.library.paired:
                wanted &= (self.bits & LEFT_IS_FIRST == 0) == (side == 1)
            rows = np.flatnonzero(wanted)
            transcript = self.transcript[rows]
            offset = self.start[rows].astype(np.int64) + (self.length[rows] - 1 if side else 0)
            position = np.empty(len(rows), np.int64)
            start_positions(transcript, offset, exon_offsets, exon_start, exon_left, position)
            contig = genes.gene_contig[genes.transcript_gene[transcript]]
            bias = (self.right_bias if side else self.left_bias)[rows]
            parts.append((contig, position, np.full(len(rows), side, np.uint8), bias))
        columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Starts.collect(self.genome.names, *columns)


def simulate_reads(
    rng: np.random.Generator,
    genome: Genome,
    genes: GeneModels,
    abundance: NDArray[np.float64],
    library: Library,
    bias: Biases = None,
) -> Reads:
    """Draw the reads of one sample; without ``bias``, all positions are equally likely.

    Args:
        rng: source of randomness.
        genome, genes, library, bias: as for :class:`FragmentModel`.
        abundance: float64 (transcripts,), molecules, up to a factor.

    Raises:
        InputError: if the bias does not fit, or no expressed transcript is as long as a fragment.
    """
    return draw_reads(rng, FragmentModel(genome, genes, library, bias), abundance)


def draw_reads(
    rng: np.random.Generator, model: FragmentModel, abundance: NDArray[np.float64]
) -> Reads:
    """Draw the reads of one of several samples that share a model (see :func:`simulate_reads`)."""
    if not np.any(model.unbiased * abundance > 0):
        raise InputError(
            "no expressed transcript is as long as a fragment",
            remedy="simulate longer exons or shorter fragments",
        )
    count = model.library.fragments
    expected = abundance * model.weights
    counts = rng.multinomial(count, expected / expected.sum())
    drawn = model.draw(counts, draw_seed(rng))
    order = rng.permutation(count).astype(np.int32)
    transcript = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[order]
    return _Sequencing(rng, model, abundance).reads(transcript, drawn.take(order))


class _Sequencing:
    """Turns the fragments of a sample into the alignments of their reads."""

    def __init__(
        self, rng: np.random.Generator, model: FragmentModel, abundance: NDArray[np.float64]
    ) -> None:
        self.rng, self.model, self.abundance = rng, model, abundance
        self.genome, self.genes, self.library = model.genome, model.genes, model.library

    def reads(self, transcript: NDArray[np.int32], drawn: DrawnFragments) -> Reads:
        """Return the reads of fragments, which are in name order."""
        rng, library, count = self.rng, self.library, len(transcript)
        original = self._originals(count)
        if library.stranded == "no":
            bits = rng.integers(0, 2, size=count, dtype=np.uint8)[original]
        else:
            first_is_left = first_is_left_read(self.genes, library)
            bits = first_is_left[transcript].astype(np.uint8)[original]
        bits[original != np.arange(count)] |= DUPLICATE
        number = rng.random(count, dtype=np.float32)
        self._unmap(bits, number)
        mapped = bits & (LEFT_UNMAPPED | RIGHT_UNMAPPED) == 0
        multi_mapped = (number >= 1.0 - library.multi_mapped) & mapped
        hits = np.ones(count, dtype=np.uint8)
        hits[multi_mapped] = rng.integers(2, 5, size=int(multi_mapped.sum()), dtype=np.uint8)
        fragment = np.repeat(np.arange(count, dtype=np.int32), hits)
        secondary = np.concatenate(([False], fragment[1:] == fragment[:-1]))[: len(fragment)]
        # A secondary alignment lies where some other fragment lies.
        place = fragment.copy()
        place[secondary] = rng.integers(0, max(1, count), size=int(secondary.sum()), dtype=np.int32)
        origin = original[place]
        row_bits = bits[fragment]
        row_bits[secondary] |= SECONDARY
        seed = draw_seed(rng)
        of_genes, of_transcripts = self._truths(transcript[original], bits)
        return Reads(
            self.genome,
            self.genes,
            library,
            fragment,
            transcript[origin],
            drawn.start[origin] + np.int32(library.trimmed),
            drawn.length[origin] - np.int32(2 * library.trimmed),
            row_bits,
            hits[fragment],
            drawn.left[origin],
            drawn.right[origin],
            seed,
            of_genes,
            of_transcripts,
        )

    def _originals(self, count: int) -> NDArray[np.int64]:
        """Return the fragment that each fragment is a copy of; itself if it is none."""
        original = np.arange(count)
        if self.library.duplicates > 0.0 and count:
            copies = self.rng.random(count) < self.library.duplicates
            copies[0] = False
            distinct = np.flatnonzero(~copies)
            drawn = self.rng.integers(0, len(distinct), size=int(copies.sum()))
            original[copies] = distinct[drawn]
        return original

    def _unmap(self, bits: NDArray[np.uint8], number: NDArray[np.float32]) -> None:
        """Mark the reads that an aligner could not place; ``number`` is uniform in [0, 1)."""
        library = self.library
        both, mate = number < library.unmapped, number < library.unmapped + library.unmapped_mate
        bits[both] |= LEFT_UNMAPPED | RIGHT_UNMAPPED
        if library.paired:
            one = mate & ~both
            bits[one] |= np.where(
                self.rng.random(int(one.sum())) < 0.5, LEFT_UNMAPPED, RIGHT_UNMAPPED
            ).astype(np.uint8)
        else:
            bits[mate] |= LEFT_UNMAPPED | RIGHT_UNMAPPED

    def _truths(
        self, transcript: NDArray[np.int32], bits: NDArray[np.uint8]
    ) -> tuple[Truth, Truth]:
        """Return the truth about genes and about transcripts."""
        count = len(self.genes.transcript_ids)
        unmapped = LEFT_UNMAPPED | RIGHT_UNMAPPED
        drawn = np.bincount(transcript, minlength=count).astype(np.int64)
        mapped = np.bincount(transcript[bits & unmapped != unmapped], minlength=count).astype(
            np.int64
        )
        known = (self.model, self.abundance, drawn, mapped)
        return gene_truth(*known), transcript_truth(*known)
