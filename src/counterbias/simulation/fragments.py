"""Weigh and draw the fragments of transcripts: abundance × bias of both ends × the effect of the fragment's GC content.

Along a transcript, offsets count from its leftmost base on the contig, whatever its strand: the left read of
a fragment then always maps to the + strand and the right one to the - strand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.simulation.bias import SequenceBias
from counterbias.simulation.genes import GeneModels
from counterbias.simulation.genome import Genome
from counterbias.simulation.kernels import sample_fragments
from counterbias.simulation.library import Library

#: Transcript bases whose bias is kept between weighing and drawing, 16 bytes each; of more it is computed anew.
KEPT_BASES = 16_000_000
#: Transcripts that a thread takes at a time.
_SHARE = 32
_NOTHING = np.empty(0, np.int32)

#: The bias of left and of right ends at each base of a transcript, exp(log bias), float64 (bases,) each.
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]
#: One bias for all reads, or those of reads 1 and 2.
Biases = SequenceBias | tuple[SequenceBias, SequenceBias] | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """Fragments of transcripts in ascending order.

    Args:
        start, length: int32 (n,), offset along the transcript and bases.
        left, right: float32 (n,), log bias of the two ends, nats; 0 where an end has none.
    """

    start: NDArray[np.int32]
    length: NDArray[np.int32]
    left: NDArray[np.float32]
    right: NDArray[np.float32]


class FragmentModel:
    """What decides which fragments a library has, apart from abundance and chance; serves any number of samples.

    Args:
        genome, genes, library: what fragments come from, and how.
        bias: of read starts: one for all, a pair (read 1, read 2) for a stranded library, or None.
        threads: transcripts are shared out to so many; no result depends on it.

    Attributes:
        weights: float64 (transcripts,), sum over all fragments of P(length) × bias × GC effect.
        unbiased: the same without bias and GC effect.
        log_means: log of the mean bias over all positions of all transcripts, per read; log biases are relative to it.
    """

    def __init__(
        self,
        genome: Genome,
        genes: GeneModels,
        library: Library,
        bias: Biases = None,
        *,
        threads: int = 1,
    ) -> None:
        self.genome, self.genes, self.library, self.threads = genome, genes, library, threads
        self.biases = bias if isinstance(bias, tuple) or bias is None else (bias, bias)
        self.lengths = genes.transcript_lengths
        if self.biases is not None:
            self._check_biases(self.biases)
        self.probabilities = library.length_probabilities()
        self.cumulative = np.cumsum(self.probabilities)
        self.gc_factors = library.gc_factors()
        self._ones = np.ones(int(self.lengths.max(initial=0)))
        self._kept: dict[int, Ends] | None = {} if int(self.lengths.sum()) <= KEPT_BASES else None
        self._sums = np.zeros((len(self.lengths), 2))
        count = len(self.lengths)
        self.unbiased = np.zeros(count)
        self.weights = np.zeros(count)
        self._share_out(self._weigh, range(count))
        self.log_means = self._log_means()

    def _check_biases(self, biases: tuple[SequenceBias, SequenceBias]) -> None:
        """Refuse what would have no meaning."""
        if biases[0] is not biases[1] and self.library.stranded == "no":
            raise InputError(
                "reads 1 and 2 cannot have a bias each in an unstranded library",
                remedy="simulate a stranded library, or one bias for both",
            )
        width = max(bias.window.width for bias in biases)
        if width > self.lengths.max(initial=0):
            raise InputError(
                f"the bias has a window of {width} bases, but the longest transcript has {self.lengths.max(initial=0)}",
                remedy="use a bias of a smaller window, or longer transcripts",
            )

    def _share_out(self, work: Callable[[int], None], transcripts: Iterable[int]) -> None:
        """Do the work of each transcript on several threads."""
        rows = list(transcripts)
        if self.threads <= 1:
            for transcript in rows:
                work(transcript)
            return

        def some(first: int) -> None:
            for transcript in rows[first : first + _SHARE]:
                work(transcript)

        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(some, range(0, len(rows), _SHARE)):
                pass

    def _weigh(self, transcript: int) -> None:
        """Find the weights of one transcript."""
        bases = int(self.lengths[transcript])
        ones, no_counts, no_factors = self._ones[:bases], np.empty(0, np.int32), np.empty(0)
        self.unbiased[transcript] = sample_fragments(
            ones, ones, self.probabilities, self.cumulative, self.library.shortest, False, no_counts, no_factors, np.uint64(0), 0,
            _NOTHING, _NOTHING,
        )  # fmt: skip
        self.weights[transcript] = self._sample(transcript, np.uint64(0), 0, _NOTHING, _NOTHING)

    def draw(self, counts: NDArray[np.int64], seed: np.uint64) -> Drawn:
        """Draw as many fragments of each transcript as asked for."""
        total = int(counts.sum())
        start, length = np.empty(total, np.int32), np.empty(total, np.int32)
        left, right = np.zeros(total, np.float32), np.zeros(total, np.float32)
        offsets = np.concatenate(([0], np.cumsum(counts)))

        def one(transcript: int) -> None:
            rows = slice(offsets[transcript], offsets[transcript + 1])
            self._sample(transcript, seed, int(offsets[transcript]), start[rows], length[rows])
            if self.biases is None:
                return
            ends = self._ends(transcript)
            means = self._ends_log_means(transcript)
            left[rows] = np.log(ends[0][start[rows]]) - means[0]
            right[rows] = np.log(ends[1][start[rows] + length[rows] - 1]) - means[1]

        self._share_out(one, np.flatnonzero(counts).tolist())
        return Drawn(start, length, left, right)

    def _sample(
        self,
        transcript: int,
        seed: np.uint64,
        first: int,
        start: NDArray[np.int32],
        length: NDArray[np.int32],
    ) -> float:
        """Fill ``start`` and ``length`` with fragments of a transcript; give its summed weight."""
        left, right = self._ends(transcript)
        biased = self.biases is not None or len(self.gc_factors) > 0
        return float(
            sample_fragments(
                left, right, self.probabilities, self.cumulative, self.library.shortest, biased, self._gc_before(transcript),
                self.gc_factors, seed, first, start, length,
            )
        )  # fmt: skip

    def _gc_before(self, transcript: int) -> NDArray[np.int32]:
        """Give the number of G and C before each base of a transcript, int32 (bases + 1,); empty where it does not matter."""
        if not len(self.gc_factors):
            return np.empty(0, np.int32)
        sequence = transcript_bases(self.genome, self.genes, transcript)
        return np.concatenate(([0], np.cumsum((sequence == 1) | (sequence == 2)))).astype(np.int32)

    def _ends(self, transcript: int) -> Ends:
        """Give the bias of left and right ends at each base of a transcript."""
        if self.biases is None:
            ones = self._ones[: int(self.lengths[transcript])]
            return ones, ones
        if self._kept is not None and transcript in self._kept:
            return self._kept[transcript]
        ends = self._along(transcript, self.biases)
        if self._kept is not None:
            self._kept[transcript] = ends
        return ends

    def _along(self, transcript: int, biases: tuple[SequenceBias, SequenceBias]) -> Ends:
        """Score both strands of a transcript."""
        first_is_left = self.library.stranded == "no" or bool(
            first_is_left_read(self.genes, self.library)[transcript]
        )
        of_left, of_right = biases if first_is_left else biases[::-1]
        left, right = self._score(transcript, of_left)
        if of_right is not of_left:
            right = self._score(transcript, of_right)[1]
        self._sums[transcript] = (
            (left.sum(), right.sum()) if first_is_left else (right.sum(), left.sum())
        )
        if self.library.biased_ends == "read1":
            ones = self._ones[: len(left)]
            left, right = (left, ones) if first_is_left else (ones, right)
        return left, right

    def _score(self, transcript: int, bias: SequenceBias) -> Ends:
        """Give one bias along both strands of a transcript."""
        genes, flank = self.genes, bias.window.width
        contig = self.genome.contig(int(genes.gene_contig[genes.transcript_gene[transcript]]))
        exons = exons_of(genes, transcript)
        if not self.library.spliced_context:
            pieces = [_along_exon(bias, contig, start, end) for start, end in exons]
            left, right = (np.concatenate(side) for side in zip(*pieces, strict=True))
            return left, right
        parts = [contig[max(0, exons[0][0] - flank) : exons[0][0]]]
        parts += [contig[start:end] for start, end in exons]
        parts += [contig[exons[-1][1] : exons[-1][1] + flank]]
        forward, reverse = bias.along(np.concatenate(parts))
        bases = slice(len(parts[0]), len(parts[0]) + int(self.lengths[transcript]))
        return forward[bases].copy(), reverse[bases].copy()

    def _log_means(self) -> tuple[float, float]:
        """Give the log of the mean bias of reads 1 and of reads 2 over all positions; the same for both where the bias is."""
        if self.biases is None:
            return 0.0, 0.0
        means = self._sums.sum(axis=0) / max(1, int(self.lengths.sum()))
        if self.biases[0] is self.biases[1]:
            means[:] = means.mean()
        return float(np.log(means[0])), float(np.log(means[1]))

    def _ends_log_means(self, transcript: int) -> tuple[float, float]:
        """Give what the log biases of the left and of the right end are relative to; 0 for an end without bias."""
        first, second = self.log_means
        if self.library.biased_ends == "read1":
            second = 0.0
        first_is_left = self.library.stranded == "no" or bool(
            first_is_left_read(self.genes, self.library)[transcript]
        )
        return (first, second) if first_is_left else (second, first)


def exons_of(genes: GeneModels, transcript: int) -> list[tuple[int, int]]:
    """List the exons of a transcript, ascending."""
    rows = slice(genes.exon_offsets[transcript], genes.exon_offsets[transcript + 1])
    return list(zip(genes.exon_start[rows].tolist(), genes.exon_end[rows].tolist(), strict=True))


def transcript_bases(genome: Genome, genes: GeneModels, transcript: int) -> NDArray[np.uint8]:
    """Give the spliced bases of a transcript from left to right on the contig's + strand, uint8 (bases,)."""
    contig = genome.contig(int(genes.gene_contig[genes.transcript_gene[transcript]]))
    return np.concatenate([contig[start:end] for start, end in exons_of(genes, transcript)])


def _along_exon(bias: SequenceBias, contig: NDArray[np.uint8], start: int, end: int) -> Ends:
    """Give the bias of left and right ends at each base of an interval, from the genome's sequence around it."""
    left = max(0, start - bias.window.width)
    forward, reverse = bias.along(contig[left : end + bias.window.width])
    return forward[start - left : end - left], reverse[start - left : end - left]


def first_is_left_read(genes: GeneModels, library: Library) -> NDArray[np.bool_]:
    """Tell for each transcript of a stranded library whether read 1 is the left read."""
    minus = genes.gene_strand[genes.transcript_gene] == 1
    return np.asarray(minus == (library.stranded == "reverse"))
