"""Start sites of one sample → fitted models → weights of fragments and effective lengths of features."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.messages import ProgressCallback
from counterbias.model import BiasModel
from counterbias.model_file import EndModel
from counterbias.options import AssumedLengths
from counterbias.pipeline.bias.deferred import Deferred
from counterbias.pipeline.bias.fitting import (
    FittedEnd,
    ReadEnd,
    SampleContext,
    fit_end,
    read_ends,
    settle_ends,
)
from counterbias.records import SampleCounts, StartSites, Stretches
from counterbias.scoring import SiteScores
from counterbias.weights import (
    FragmentLayout,
    FragmentLengths,
    FragmentWeights,
    assumed_lengths,
    effective_lengths,
    fragment_lengths,
    fragment_weights,
    weighted_counts,
)


class Stopwatch:
    """Collect wall times by stage, from any thread. Stages may run beside each other, so the sum may exceed the run's time.

    Args:
        progress: told of each stage that ends, or None.
    """

    def __init__(self, progress: ProgressCallback | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._lock = Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Add to a stage's time."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        if self._progress is not None:
            self._progress(stage, 1, 1)

    def run(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do something and add its time."""
        begin = time.perf_counter()
        result = work()
        self.add(stage, time.perf_counter() - begin)
        return result


class ReadScores:
    """Calibrated log biases of one sample, whatever the number of end classes. ``sites`` has the ends that are weighed.

    ``unseen`` are models of ends that the reads do not show (:func:`unseen_ends`), by their numbers. Reads take over what is scored where
    they start (:meth:`of_stretches`); :meth:`score_rest` scores what is left of them.
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
        """Give the log bias of all positions of stretches as starts of reads of one end. Several threads call it at once."""
        begin = time.perf_counter()
        model, calibrated = self._scale(number)
        found = self.context.score_stretches(model, stretches, threads=1)
        if number in self.starts:
            self.starts[number].take(stretches, found)
        with self._lock:
            self.windows += len(found)
            self.seconds += (time.perf_counter() - begin) / self.context.threads
        return calibrated(found)

    def _scale(
        self, number: int
    ) -> tuple[BiasModel, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
        """Give the model of an end, and what turns its scores into log bias."""
        if number in self.unseen:
            return self.unseen[number].model, self.unseen[number].calibrated
        return self.by_number[number].model, self.by_number[number].calibration.of_positions

    def score_rest(self) -> None:
        """Score the start of every read that does not lie where all positions were scored."""
        begin = time.perf_counter()
        with self.context.blaming("scored"):
            for number, found in self.starts.items():
                self.windows += found.score_rest(
                    self.by_number[number].model, self.context.extract, threads=self.context.threads
                )
        self.seconds += time.perf_counter() - begin

    def of_reads(self, number: int, rows: slice) -> NDArray[np.float64]:
        """Give the calibrated log bias of reads, nats; NaN where there is none. After :meth:`score_rest`."""
        if number not in self.starts:
            return np.zeros(len(self.sites.feature[rows]))
        return self.by_number[number].calibration(self.starts[number].of_reads(number, rows))

    @property
    def applied(self) -> bool:
        """Whether any end's model is used."""
        return any(end.calibration.applied for end in self.by_number.values())


def start_sites(sites: StartSites, classes: tuple[ReadEnd, ...]) -> dict[int, SiteScores]:
    """List the start sites of each end's reads, not scored yet; ends that share a model share them."""
    found = {}
    for reads in classes:
        numbers = tuple(number for number in reads.numbers if number < len(sites.ends))
        if numbers:
            found.update(dict.fromkeys(numbers, SiteScores(sites, ends=numbers)))
    return found


def unseen_ends(
    context: SampleContext, ends: tuple[FittedEnd, ...], stranded: str
) -> dict[int, EndModel]:
    """Give the models of ends that the reads do not show, where a model file or a prior has one: number of the read → model.

    They are read 2 of single reads, which was not sequenced, and of pairs the read of which none can be learnt from. Nothing for models
    that gained nothing in their own sample, and in unstranded libraries, where the model of the reads is that of either end.
    """
    file = context.kind.fitted or context.prior
    if stranded == "no" or file is None or len(file.ends) == 1:
        return {}
    numbers = (
        [1]
        if len(context.sites.ends) == 1
        else [number for end in ends if end.silent for number in end.reads.numbers]
    )
    return {number: file.end(number) for number in numbers if file.end(number).slope > 0}


@dataclass(frozen=True, slots=True)
class Weighed:
    """What fitting and weighing one sample gave.

    Args:
        ends: the fitted models, their reports complete.
        weighing: log biases of its reads.
        weights: of its fragments.
        counts: float64 (features,), sums of the weights.
        lengths: float64 (features,), effective lengths.
        fragments: fragment lengths, observed or assumed.
    """

    ends: tuple[FittedEnd, ...]
    weighing: ReadScores
    weights: FragmentWeights
    counts: NDArray[np.float64]
    lengths: NDArray[np.float64]
    fragments: FragmentLengths


def fit_and_weigh(
    context: SampleContext, result: SampleCounts, *, stranded: str, ends: str, watch: Stopwatch
) -> Weighed:
    """Fit (or take) the models of one sample and weigh it with them; for arguments see :func:`~counterbias.pipeline.bias.sample.weigh_sample`.

    What waits for no model is done while one is fitted, and the report on it is written while reads are weighed with it.
    """
    if context.threads <= 1:
        return _fit_and_weigh(context, result, stranded, ends, watch, None)
    pool = ThreadPoolExecutor(1)
    try:
        return _fit_and_weigh(context, result, stranded, ends, watch, pool)
    finally:
        # After an error nobody waits for what has not begun.
        pool.shutdown(cancel_futures=True)


def _fit_and_weigh(
    context: SampleContext,
    result: SampleCounts,
    stranded: str,
    ends: str,
    watch: Stopwatch,
    aside: Executor | None,
) -> Weighed:
    sites = context.sites if ends == "both" else replace(context.sites, ends=context.sites.ends[:1])
    with_reads, classes = np.asarray(result.counts) > 0, read_ends(context.sites, stranded)
    if aside is not None:
        # Whoever asks for these pages later gets the error, if there is one.
        aside.submit(context.fetch, with_reads)
    fragments = Deferred(aside, lambda: known_lengths(context))
    starts = Deferred(aside, lambda: start_sites(sites, classes))
    fitted = tuple(fit_end(context, reads, watch.add, aside=aside) for reads in classes)
    settle_ends(fitted)
    for end in fitted:
        end.begin_report(aside)
    weighing = ReadScores(context, fitted, sites, starts(), unseen_ends(context, fitted, stranded))
    lengths = watch.run(
        "effective lengths", lambda: _lengths(weighing, with_reads, fragments(), stranded, ends)
    )
    watch.run("scoring", weighing.score_rest)
    weights: FragmentWeights = watch.run(
        "weighting",
        lambda: fragment_weights(
            sites, weighing.of_reads, cap=context.cap, threads=context.threads
        ),
    )
    # Shares of fragments are held in single precision: where nothing is weighed, the counts stay exactly what they are.
    counts = (
        weighted_counts(sites, weights, len(context.features))
        if weighing.applied
        else np.asarray(result.counts, np.float64)
    )
    for end in fitted:
        end.finish()
    return Weighed(fitted, weighing, weights, counts, lengths, fragments())


def known_lengths(context: SampleContext) -> FragmentLengths:
    """Give the fragment lengths that pairs show; those assumed for single-end data, or where hardly any pair shows one."""
    observed = fragment_lengths(context.sites, context.features, context.contig_of)
    return assumed_lengths(context.assumed or AssumedLengths()) if observed is None else observed


def _lengths(
    weighing: ReadScores,
    only: NDArray[np.bool_],
    fragments: FragmentLengths,
    stranded: str,
    ends: str,
) -> NDArray[np.float64]:
    """Measure effective lengths of some features; the others, and all without a model in use, keep their length."""
    context = weighing.context
    if not weighing.applied:
        return context.features.lengths.astype(np.float64)
    # Of a stranded single-end library without a model of the other end, that end counts as unbiased.
    known = len(context.sites.ends) > 1 or stranded == "no" or bool(weighing.unseen)
    return effective_lengths(
        context.features,
        context.contig_of,
        weighing.of_stretches,
        FragmentLayout(stranded, fragments, ends if known else "first"),
        only=only,
        threads=context.threads,
    )


def read_weights(weights: FragmentWeights, weighing: ReadScores) -> NDArray[np.float32]:
    """Give each read's own weight, float32 (rows, 2); column 1 repeats column 0 where read 1 alone is weighed."""
    sites, columns = weighing.sites, []
    for number in range(len(sites.ends)):
        column = np.empty(len(sites), np.float32)
        for first in range(0, len(sites), 1 << 18):
            rows = slice(first, min(first + (1 << 18), len(sites)))
            column[rows] = weights.scale.weight(weighing.of_reads(number, rows))
        columns.append(column)
    return np.stack([columns[0], columns[-1]], axis=1)
