"""Calibrated models → weights of reads and fragments, and effective lengths of features."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths import (
    FragmentLayout,
    FragmentLengths,
    assumed_lengths,
    fragment_lengths,
)
from counterbias.model import BiasModel
from counterbias.model_file import EndModel
from counterbias.options import AssumedLengths
from counterbias.pipeline.bias.context import CountedSample, SampleContext
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.bias.fitted_end import FittedEnd
from counterbias.pipeline.bias.measured_lengths import MeasuredLengths, measure_lengths
from counterbias.records import StartSites, Stretches
from counterbias.scoring import SiteScores
from counterbias.weights import FragmentWeights


class ReadScores:
    """Calibrated log biases of a sample's reads and of the positions of its features.

    Where all positions of a stretch are scored (:meth:`of_stretches`), reads that start there take
    their scores from it; :meth:`score_rest` scores the other reads.

    Args:
        context: the sample.
        ends: models of its read ends.
        sites: its start sites, of the ends that reads are weighted by.
        starts: number of a read → its distinct start sites (:func:`start_sites`).
        unseen: models of ends that the reads do not show (:func:`unseen_ends`), by their numbers.
    """

    def __init__(
        self,
        context: SampleContext,
        ends: tuple[FittedEnd, ...],
        sites: StartSites,
        starts: Mapping[int, SiteScores],
        unseen: Mapping[int, EndModel] | None = None,
    ) -> None:
        self.context = context
        self.sites = sites
        self.unseen = dict(unseen or {})
        self.by_number = {number: end for end in ends for number in end.reads.numbers}
        self.starts = {
            number: found
            for number, found in starts.items()
            if self.by_number[number].calibration.applied
        }
        self.windows = 0
        self.seconds = 0.0
        self._lock = Lock()

    def of_stretches(self, stretches: Stretches, number: int) -> NDArray[np.float64]:
        """Return the log bias of all positions of stretches as starts of one end's reads, nats.

        Several threads may call it at once.
        """
        begin = time.perf_counter()
        model, calibrated = self._scale(number)
        found = self.context.score_stretches(model, stretches, threads=1)
        if number in self.starts:
            self.starts[number].take(stretches, found)
        with self._lock:
            self.windows += len(found)
            self.seconds += (time.perf_counter() - begin) / self.context.options.threads
        return calibrated(found)

    def _scale(
        self, number: int
    ) -> tuple[BiasModel, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
        """Return the model of an end, and what turns its scores into log bias."""
        if number in self.unseen:
            return self.unseen[number].model, self.unseen[number].calibrated
        return self.by_number[number].model, self.by_number[number].calibration.of_positions

    def score_rest(self) -> None:
        """Score the starts of all reads outside the stretches that were scored as a whole."""
        begin = time.perf_counter()
        with self.context.blaming("scored"):
            for number, found in self.starts.items():
                model, threads = self.by_number[number].model, self.context.options.threads
                self.windows += found.score_rest(model, self.context.extract, threads=threads)
        self.seconds += time.perf_counter() - begin

    def of_reads(self, number: int, rows: slice) -> NDArray[np.float64]:
        """Return the calibrated log bias of reads, nats; NaN where there is none.

        Call :meth:`score_rest` first.
        """
        if number not in self.starts:
            return np.zeros(len(self.sites.feature[rows]))
        return self.by_number[number].calibration(self.starts[number].of_reads(number, rows))

    @property
    def applied(self) -> bool:
        """Whether any end's model is used."""
        return any(end.calibration.applied for end in self.by_number.values())


def start_sites(sites: StartSites, ends: tuple[ReadEnd, ...]) -> dict[int, SiteScores]:
    """List the start sites of each read, not scored yet; reads that share a model share them."""
    found = {}
    for reads in ends:
        numbers = tuple(number for number in reads.numbers if number < len(sites.ends))
        if numbers:
            found.update(dict.fromkeys(numbers, SiteScores(sites, ends=numbers)))
    return found


def unseen_ends(context: SampleContext, ends: tuple[FittedEnd, ...]) -> dict[int, EndModel]:
    """Return models of ends that the reads do not show: number of the read → model.

    These ends are read 2 of single-end libraries, which was not sequenced, and, of pairs, a read
    that cannot be learnt from. Their models come from a model file or a prior, where it has one
    that gained something in its own sample. In unstranded libraries the model of the reads is that
    of either end.
    """
    file = context.choice.fitted or context.prior
    if context.stranded == "no" or file is None or len(file.ends) == 1:
        return {}
    numbers = [number for end in ends if not end.learnable for number in end.reads.numbers]
    if len(context.sites.ends) == 1:
        numbers = [1]
    return {number: file.end(number) for number in numbers if file.end(number).slope > 0}


@dataclass(frozen=True, slots=True)
class Weighed:
    """One sample with its fitted models, weights and effective lengths.

    Args:
        ends: the fitted models, their reports complete.
        read_scores: log biases of its reads.
        weights: of its fragments.
        counts: float64 (features,), sums of the weights.
        lengths: effective lengths.
        fragments: fragment lengths, observed or assumed.
    """

    ends: tuple[FittedEnd, ...]
    read_scores: ReadScores
    weights: FragmentWeights
    counts: NDArray[np.float64]
    lengths: MeasuredLengths
    fragments: FragmentLengths


def known_lengths(sample: CountedSample) -> FragmentLengths:
    """Return the fragment lengths that pairs show, or those assumed where hardly any pair does.

    The union of a feature's exons may hold bases that a fragment skipped, and so make it too long.
    Where transcripts are known, lengths are those in features with a single one, if enough pairs
    are there.
    """
    observed = None
    if sample.transcripts is not None:
        single = np.diff(sample.transcripts.offsets) == 1
        observed = fragment_lengths(sample.sites, sample.features, sample.contig_of, single)
    if observed is None:
        observed = fragment_lengths(sample.sites, sample.features, sample.contig_of)
    if observed is not None:
        return observed
    return assumed_lengths(sample.options.fragment_length or AssumedLengths())


def feature_lengths(read_scores: ReadScores, fragments: FragmentLengths) -> MeasuredLengths:
    """Measure effective lengths with the calibrated models, or without bias where none is used."""
    context = read_scores.context
    # Without a model of it, the end that a stranded single-end library lacks counts as unbiased.
    paired, stranded = len(context.sites.ends) > 1, context.stranded
    known = paired or stranded == "no" or bool(read_scores.unseen)
    layout = FragmentLayout(stranded, fragments, context.options.ends if known else "first")
    bias_of = read_scores.of_stretches if read_scores.applied else None
    return measure_lengths(context, bias_of, layout)


def read_weights(weights: FragmentWeights, read_scores: ReadScores) -> NDArray[np.float32]:
    """Return each read's own weight, float32 (rows, 2).

    Column 1 repeats column 0 where read 1 alone is weighted.
    """
    sites, columns = read_scores.sites, []
    for number in range(len(sites.ends)):
        column = np.empty(len(sites), np.float32)
        for first in range(0, len(sites), 1 << 18):
            rows = slice(first, min(first + (1 << 18), len(sites)))
            column[rows] = weights.scale.weight(read_scores.of_reads(number, rows))
        columns.append(column)
    return np.stack([columns[0], columns[-1]], axis=1)
