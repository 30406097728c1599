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

from counterbias.pipeline.beside import Beside
from counterbias.pipeline.fitting import Context, EndClass, FittedEnd, end_classes, fit_end
from counterbias.records import SampleCounts, StartSites, Stretches
from counterbias.scoring import SiteScores
from counterbias.weights import (
    FragmentLengths,
    FragmentWeights,
    effective_lengths,
    fragment_lengths,
    fragment_weights,
    weighted_counts,
)


class Stopwatch:
    """Collect wall times by stage, from any thread. Stages may run beside each other, so the sum may exceed the run's time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Add to a stage's time."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def run(self, stage: str, work: Callable[[], Any]) -> Any:
        """Do something and add its time."""
        begin = time.perf_counter()
        result = work()
        self.add(stage, time.perf_counter() - begin)
        return result


class Weighing:
    """Calibrated log biases of one sample, whatever the number of end classes. ``sites`` has the ends that are weighed.

    Reads take over what is scored where they start (:meth:`of_stretches`); :meth:`score_rest` scores what is left of them.
    """

    def __init__(self, context: Context, ends: tuple[FittedEnd, ...], sites: StartSites, starts: Mapping[int, SiteScores]) -> None:
        self.context = context
        self.sites = sites
        self.by_number = {number: end for end in ends for number in end.reads.numbers}
        self.starts = {number: found for number, found in starts.items() if self.by_number[number].calibration.applied}
        self.windows = 0
        self.seconds = 0.0
        self._lock = Lock()

    def of_stretches(self, stretches: Stretches, number: int) -> NDArray[np.float64]:
        """Give the log bias of all positions of stretches as starts of reads of one end. Several threads call it at once."""
        begin = time.perf_counter()
        number = number if number in self.by_number else 0
        end = self.by_number[number]
        found = self.context.score_stretches(end.model, stretches, threads=1)
        if number in self.starts:
            self.starts[number].take(stretches, found)
        with self._lock:
            self.windows += len(found)
            self.seconds += (time.perf_counter() - begin) / self.context.threads
        return end.calibration(found)

    def score_rest(self) -> None:
        """Score the start of every read that does not lie where all positions were scored."""
        begin = time.perf_counter()
        for number, found in self.starts.items():
            self.windows += found.score_rest(self.by_number[number].model, self.context.extract, threads=self.context.threads)
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


def start_sites(sites: StartSites, classes: tuple[EndClass, ...]) -> dict[int, SiteScores]:
    """List the start sites of each end's reads, not scored yet; ends that share a model share them."""
    found = {}
    for reads in classes:
        numbers = tuple(number for number in reads.numbers if number < len(sites.ends))
        if numbers:
            found.update(dict.fromkeys(numbers, SiteScores(sites, ends=numbers)))
    return found


@dataclass(frozen=True, slots=True)
class Weighed:
    """What fitting and weighing one sample gave.

    Args:
        ends: the fitted models, their reports complete.
        weighing: log biases of its reads.
        weights: of its fragments.
        counts: float64 (features,), sums of the weights.
        lengths: float64 (features,), effective lengths.
        observed: fragment lengths; None for single-end data.
    """

    ends: tuple[FittedEnd, ...]
    weighing: Weighing
    weights: FragmentWeights
    counts: NDArray[np.float64]
    lengths: NDArray[np.float64]
    observed: FragmentLengths | None


def fit_and_weigh(context: Context, result: SampleCounts, *, stranded: str, ends: str, watch: Stopwatch) -> Weighed:
    """Fit (or take) the models of one sample and weigh it with them; for arguments see :func:`~counterbias.pipeline.bias.weigh_sample`.

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
    context: Context, result: SampleCounts, stranded: str, ends: str, watch: Stopwatch, aside: Executor | None
) -> Weighed:
    sites = context.sites if ends == "both" else replace(context.sites, ends=context.sites.ends[:1])
    with_reads, classes = np.asarray(result.counts) > 0, end_classes(context.sites, stranded)
    if aside is not None:
        # Whoever asks for these pages later gets the error, if there is one.
        aside.submit(context.fetch, with_reads)
    observed = Beside(aside, lambda: fragment_lengths(context.sites, context.features, context.contig_of))
    starts = Beside(aside, lambda: start_sites(sites, classes))
    fitted = tuple(fit_end(context, reads, watch.add, aside=aside) for reads in classes)
    weighing = Weighing(context, fitted, sites, starts())
    lengths = watch.run("effective lengths", lambda: _lengths(context, with_reads, weighing, observed(), stranded))
    watch.run("scoring", weighing.score_rest)
    weights: FragmentWeights = watch.run(
        "weighting", lambda: fragment_weights(sites, weighing.of_reads, cap=context.cap, threads=context.threads)
    )
    counts = weighted_counts(sites, weights, len(context.features))
    for end in fitted:
        end.finish()
    return Weighed(fitted, weighing, weights, counts, lengths, observed())


def _lengths(
    context: Context, only: NDArray[np.bool_], weighing: Weighing, observed: FragmentLengths | None, stranded: str
) -> NDArray[np.float64]:
    """Measure effective lengths of some features; the others, and all without a model in use, keep their length."""
    if not weighing.applied:
        return context.features.lengths.astype(np.float64)
    return effective_lengths(
        context.features,
        context.contig_of,
        weighing.of_stretches,
        stranded=stranded,
        fragments=observed,
        only=only,
        ends="both" if len(weighing.sites.ends) > 1 else "first",
        threads=context.threads,
    )


def read_weights(weights: FragmentWeights, weighing: Weighing) -> NDArray[np.float32]:
    """Give each read's own weight, float32 (rows, 2); column 1 repeats column 0 where read 1 alone is weighed."""
    sites, columns = weighing.sites, []
    for number in range(len(sites.ends)):
        column = np.empty(len(sites), np.float32)
        for first in range(0, len(sites), 1 << 18):
            rows = slice(first, min(first + (1 << 18), len(sites)))
            column[rows] = weights.scale.weight(weighing.of_reads(number, rows))
        columns.append(column)
    return np.stack([columns[0], columns[-1]], axis=1)
