"""The probability of each fragment of a transcript, and fragments drawn from it.

A fragment weighs P(length) × bias of its two ends × effect of its GC content. Offsets along a
transcript count from its leftmost base on the contig, whatever its strand; the left read of a
fragment therefore maps to the + strand and the right read to the - strand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.simulation.bias import SequenceBias
from counterbias.simulation.genes import GeneModels, transcript_bases
from counterbias.simulation.genome import Genome
from counterbias.simulation.kernels import draw_fragments
from counterbias.simulation.library import gc_factors, length_probabilities
from counterbias.simulation_options import Library

#: The bias is kept between weighing and drawing, 16 bytes per base, if the transcripts have at most
#: this many bases in all; otherwise it is computed again.
KEPT_BASES = 16_000_000
#: Transcripts that a thread takes at a time.
_BATCH = 32
_NO_FRAGMENTS = np.empty(0, np.int32)

#: exp(log bias) of left and of right ends at each base of a transcript, float64 (bases,) each.
EndBiases = tuple[NDArray[np.float64], NDArray[np.float64]]
#: One bias for all reads, a bias each for reads 1 and reads 2, or none.
Biases = SequenceBias | tuple[SequenceBias, SequenceBias] | None


@dataclass(frozen=True, slots=True)
class DrawnFragments:
    """Fragments, transcript by transcript in ascending order.

    Args:
        start, length: int32 (n,), offset along the transcript and bases.
        left, right: float32 (n,), log bias of the two ends, nats; 0 for an end without bias.
    """

    start: NDArray[np.int32]
    length: NDArray[np.int32]
    left: NDArray[np.float32]
    right: NDArray[np.float32]

    def take(self, rows: NDArray[np.int32]) -> DrawnFragments:
        """Return these fragments in another order."""
        return DrawnFragments(
            self.start[rows], self.length[rows], self.left[rows], self.right[rows]
        )


class FragmentModel:
    """The weights of all fragments of a library, apart from abundance; serves many samples.

    Args:
        genome, genes, library: what the fragments come from, and how.
        bias: of read starts: one for all reads; for a stranded library also a pair (reads 1,
            reads 2).
        threads: number of threads; no result depends on it.

    Attributes:
        weights: float64 (transcripts,), sum over all fragments of P(length) × bias × GC effect.
        unbiased: the same without bias and GC effect.
        log_means: log of the mean bias over all positions of all transcripts, for reads 1 and for
            reads 2; log biases are relative to it.

    Raises:
        InputError: if the bias fits neither the library nor the transcripts.
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
        self.genome, self.genes, self.library = genome, genes, library
        self._threads = threads
        self._biases = bias if isinstance(bias, tuple) or bias is None else (bias, bias)
        self._lengths = genes.transcript_lengths
        # In an unstranded library it does not matter: all reads have the same bias.
        self._first_is_left = (
            np.ones(len(self._lengths), dtype=np.bool_)
            if library.stranded == "no"
            else first_is_left_read(genes, library)
        )
        if self._biases is not None:
            self._check_biases(self._biases)
        self._probabilities = length_probabilities(library)
        self._cumulative = np.cumsum(self._probabilities)
        self._gc_factors = gc_factors(library)
        self._ones = np.ones(int(self._lengths.max(initial=0)))
        keep = int(self._lengths.sum()) <= KEPT_BASES
        self._kept: dict[int, EndBiases] | None = {} if keep else None
        count = len(self._lengths)
        self._bias_sums = np.zeros((count, 2))
        self.unbiased = np.zeros(count)
        self.weights = np.zeros(count)
        self._for_each(self._weigh, range(count))
        self.log_means = self._log_means()

    def _check_biases(self, biases: tuple[SequenceBias, SequenceBias]) -> None:
        """Refuse biases that the library or its transcripts do not allow for."""
        if biases[0] is not biases[1] and self.library.stranded == "no":
            raise InputError(
                "reads 1 and 2 cannot have different biases in an unstranded library",
                remedy="simulate a stranded library, or one bias for both",
            )
        width, longest = max(bias.window.width for bias in biases), self._lengths.max(initial=0)
        if width > longest:
            raise InputError(
                f"the bias has a window of {width} bases, but the longest transcript has {longest}",
                remedy="use a bias with a smaller window, or longer transcripts",
            )

    def _for_each(self, work: Callable[[int], None], transcripts: Iterable[int]) -> None:
        """Call ``work`` for each transcript, on several threads if there are any."""
        rows = list(transcripts)
        if self._threads <= 1:
            for transcript in rows:
                work(transcript)
            return

        def work_on_batch(first: int) -> None:
            for transcript in rows[first : first + _BATCH]:
                work(transcript)

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(work_on_batch, range(0, len(rows), _BATCH)):
                pass

    def _weigh(self, transcript: int) -> None:
        """Compute the weights of one transcript."""
        ones = self._ones[: int(self._lengths[transcript])]
        self.unbiased[transcript] = draw_fragments(
            ones,
            ones,
            self._probabilities,
            self._cumulative,
            self.library.shortest,
            False,
            np.empty(0, np.int32),
            np.empty(0),
            np.uint64(0),
            0,
            _NO_FRAGMENTS,
            _NO_FRAGMENTS,
        )
        self.weights[transcript] = self._draw_from(
            transcript, np.uint64(0), 0, _NO_FRAGMENTS, _NO_FRAGMENTS
        )

    def draw(self, counts: NDArray[np.int64], seed: np.uint64) -> DrawnFragments:
        """Draw ``counts[t]`` fragments of each transcript ``t``."""
        total = int(counts.sum())
        start, length = np.empty(total, np.int32), np.empty(total, np.int32)
        left, right = np.zeros(total, np.float32), np.zeros(total, np.float32)
        offsets = np.concatenate(([0], np.cumsum(counts)))

        def draw_from(transcript: int) -> None:
            rows = slice(offsets[transcript], offsets[transcript + 1])
            first = int(offsets[transcript])
            self._draw_from(transcript, seed, first, start[rows], length[rows])
            if self._biases is None:
                return
            of_left, of_right = self._end_biases(transcript)
            left_mean, right_mean = self._end_log_means(transcript)
            left[rows] = np.log(of_left[start[rows]]) - left_mean
            right[rows] = np.log(of_right[start[rows] + length[rows] - 1]) - right_mean

        self._for_each(draw_from, np.flatnonzero(counts).tolist())
        return DrawnFragments(start, length, left, right)

    def _draw_from(
        self,
        transcript: int,
        seed: np.uint64,
        first: int,
        start: NDArray[np.int32],
        length: NDArray[np.int32],
    ) -> float:
        """Fill ``start`` and ``length`` with fragments of a transcript; return its total weight.

        ``first`` is the number of fragments drawn from the transcripts before it.
        """
        left, right = self._end_biases(transcript)
        biased = self._biases is not None or len(self._gc_factors) > 0
        return float(
            draw_fragments(
                left,
                right,
                self._probabilities,
                self._cumulative,
                self.library.shortest,
                biased,
                self._gc_before(transcript),
                self._gc_factors,
                seed,
                first,
                start,
                length,
            )
        )

    def _gc_before(self, transcript: int) -> NDArray[np.int32]:
        """Return the number of G and C before each base of a transcript, int32 (bases + 1,).

        It is empty without a GC bias.
        """
        if not len(self._gc_factors):
            return np.empty(0, np.int32)
        bases = transcript_bases(self.genome, self.genes, transcript)
        return np.concatenate(([0], np.cumsum((bases == 1) | (bases == 2)))).astype(np.int32)

    def _end_biases(self, transcript: int) -> EndBiases:
        """Return the bias of left and right ends at each base of a transcript."""
        if self._biases is None:
            ones = self._ones[: int(self._lengths[transcript])]
            return ones, ones
        if self._kept is None:
            return self._score_ends(transcript, self._biases)
        if transcript not in self._kept:
            self._kept[transcript] = self._score_ends(transcript, self._biases)
        return self._kept[transcript]

    def _score_ends(self, transcript: int, biases: tuple[SequenceBias, SequenceBias]) -> EndBiases:
        """Score left and right ends along a transcript, each by the bias of its read."""
        first_is_left = bool(self._first_is_left[transcript])
        of_left, of_right = biases if first_is_left else biases[::-1]
        left, right = self._score(transcript, of_left)
        if of_right is not of_left:
            right = self._score(transcript, of_right)[1]
        sums = (left.sum(), right.sum())
        self._bias_sums[transcript] = sums if first_is_left else sums[::-1]
        if self.library.biased_ends == "read1":
            ones = self._ones[: len(left)]
            left, right = (left, ones) if first_is_left else (ones, right)
        return left, right

    def _score(self, transcript: int, bias: SequenceBias) -> EndBiases:
        """Score both strands of a transcript by one bias."""
        contig = self.genome.contig(self.genes.contig_of(transcript))
        exons, flank = self.genes.exons(transcript), bias.window.width
        if not self.library.spliced_context:
            pieces = [_score_exon(bias, contig, start, end) for start, end in exons]
            left, right = (np.concatenate(side) for side in zip(*pieces, strict=True))
            return left, right
        parts = [contig[max(0, exons[0][0] - flank) : exons[0][0]]]
        parts += [contig[start:end] for start, end in exons]
        parts += [contig[exons[-1][1] : exons[-1][1] + flank]]
        forward, reverse = bias.along(np.concatenate(parts))
        bases = slice(len(parts[0]), len(parts[0]) + int(self._lengths[transcript]))
        return forward[bases].copy(), reverse[bases].copy()

    def _log_means(self) -> tuple[float, float]:
        """Return the log of the mean bias over all positions, of reads 1 and of reads 2.

        Reads 1 and 2 have the same mean if they have the same bias.
        """
        if self._biases is None:
            return 0.0, 0.0
        means = self._bias_sums.sum(axis=0) / max(1, int(self._lengths.sum()))
        if self._biases[0] is self._biases[1]:
            means[:] = means.mean()
        return float(np.log(means[0])), float(np.log(means[1]))

    def _end_log_means(self, transcript: int) -> tuple[float, float]:
        """Return the log mean bias of left and right ends of a transcript; 0 for unbiased ends."""
        first, second = self.log_means
        if self.library.biased_ends == "read1":
            second = 0.0
        return (first, second) if self._first_is_left[transcript] else (second, first)


def _score_exon(bias: SequenceBias, contig: NDArray[np.uint8], start: int, end: int) -> EndBiases:
    """Score both strands of an exon by the genome's bases in and around it."""
    left = max(0, start - bias.window.width)
    forward, reverse = bias.along(contig[left : end + bias.window.width])
    return forward[start - left : end - left], reverse[start - left : end - left]


def first_is_left_read(genes: GeneModels, library: Library) -> NDArray[np.bool_]:
    """Whether read 1 is the left read, for each transcript of a stranded library."""
    minus = genes.gene_strand[genes.transcript_gene] == 1
    return np.asarray(minus == (library.stranded == "reverse"))
