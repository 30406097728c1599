"""Weight fragments by the inverse bias of where their reads start."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias.records import PRESENT, StartSites

#: Fragments handled at a time.
CHUNK = 1 << 18

#: Returns the calibrated log bias of some rows of one end (0 or 1): float64 (rows,), nats, NaN
#: where there is none. Several threads may call it at once.
LogBiasOf = Callable[[int, slice], NDArray[np.float64]]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Scale:
    """How a calibrated log bias becomes a read weight, the same for every read of a sample.

    Args:
        cap: largest 1/b before scaling; infinity without a cap.
        factor: scales 1/b so that the weights of the assigned fragments sum to their number.
    """

    cap: float
    factor: float

    def weight(self, log_bias: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return read weights, dimensionless; 1 where the log bias is NaN."""
        inverse = np.minimum(np.exp(-log_bias), self.cap) * self.factor
        return np.asarray(np.where(np.isnan(inverse), 1.0, inverse))


@dataclass(frozen=True, slots=True)
class FragmentWeights:
    """Weights of the rows of :class:`~counterbias.records.StartSites`.

    Args:
        weight: float32 (n,), mean weight of the fragment's reads; their sum, weighted by share, is
            the sum of shares.
        scale: how a read's weight is found.
        reads: reads weighted.
        unscored: of these, reads of weight 1 because they have no score: N in the window, window
            off the contig, 5' end clipped.
        clipped: of these, reads whose weight was cut to the cap.
        effective: effective sample size over reads, (Σw)²/(n Σw²).
        largest: max w / mean w.
        histogram: reads per bin of log2 weight.
        histogram_edges: edges of the bins.
    """

    weight: NDArray[np.float32]
    scale: Scale
    reads: int
    unscored: int
    clipped: int
    effective: float
    largest: float
    histogram: tuple[int, ...]
    histogram_edges: tuple[float, ...]


#: Edges of the histogram of log2 weights; the outer bins include all lower and higher weights.
HISTOGRAM_EDGES = tuple(float(x) for x in np.arange(-6.0, 6.01, 0.25))


def fragment_weights(
    sites: StartSites, log_bias: LogBiasOf, *, cap: float | None, threads: int = 1
) -> FragmentWeights:
    """Weight each fragment by the scaled mean of 1/b over its reads.

    A pair counts once, so its weight is the mean of its two reads' weights; the sum over a feature
    is then Zhang et al.'s sum over reads of 1/b, in units of fragments. Reads without a log bias
    weigh exactly 1 and are left out of the scaling.

    Args:
        sites: where the fragments' reads start.
        log_bias: the calibrated log bias of these reads.
        cap: limit of 1/b, times its median over all reads; None for no limit.
        threads: chunks of fragments weighted at the same time.
    """
    limit = _limit(sites, log_bias, cap, threads)

    def add_up(rows: slice) -> tuple[float, float]:
        share = _share(sites, rows)
        known, unknown, reads = _per_fragment(sites, log_bias, limit, rows)
        return float((share * known / reads).sum()), float((share * unknown / reads).sum())

    sums = _each_chunk(len(sites), add_up, threads)
    valid_sum, invalid_share = (
        (sum(part) for part in zip(*sums, strict=True)) if sums else (0.0, 0.0)
    )
    total = float(len(sites)) if sites.share is None else float(sites.share.sum(dtype=np.float64))
    factor = (total - invalid_share) / valid_sum if valid_sum > 0 else 1.0
    weight = np.zeros(len(sites), np.float32)

    def weigh(rows: slice) -> None:
        known, unknown, reads = _per_fragment(sites, log_bias, limit, rows)
        weight[rows] = (factor * known + unknown) / reads

    _each_chunk(len(sites), weigh, threads)
    return _summary(sites, log_bias, weight, Scale(limit, factor), threads)


def weighted_counts(
    sites: StartSites, weights: FragmentWeights, features: int
) -> NDArray[np.float64]:
    """Sum share × fragment weight per feature, float64 (features,), in fragments."""
    total = np.zeros(features)
    for rows in _chunks(len(sites)):
        total += np.bincount(
            sites.feature[rows],
            weights=_share(sites, rows) * weights.weight[rows],
            minlength=features,
        )
    return total


def _limit(sites: StartSites, log_bias: LogBiasOf, cap: float | None, threads: int) -> float:
    """Return ``cap`` times the median 1/b: exp of minus the (lower) median log bias, in float32."""
    if cap is None:
        return math.inf

    def known(rows: slice) -> NDArray[np.float32]:
        found = np.concatenate([log_bias(number, rows) for number in range(len(sites.ends))])
        return np.asarray(found[~np.isnan(found)], np.float32)

    median = _lower_median(known, len(sites), threads)
    return math.inf if median is None else float(cap * math.exp(-median))


def _lower_median(
    numbers: Callable[[slice], NDArray[np.float32]], rows: int, threads: int
) -> float | None:
    """Return the (lower) median of the numbers of all rows, asked for twice; None without any.

    Counts them by their upper 16 bits, then those with the median's upper bits by the lower 16:
    keeping all numbers would take more memory than anything else does.
    """
    lock = Lock()

    def count(key_of: Callable[[NDArray[np.uint32]], NDArray[Any]]) -> NDArray[np.int64]:
        total = np.zeros(1 << 16, np.int64)

        def add(chunk: slice) -> None:
            found = np.bincount(key_of(_ordered(numbers(chunk))), minlength=1 << 16)
            with lock:
                np.add(total, found, out=total)

        _each_chunk(rows, add, threads)
        return total.cumsum()

    uppers = count(lambda keys: keys >> 16)
    if not uppers[-1]:
        return None
    rank = (uppers[-1] - 1) // 2
    upper = int(np.searchsorted(uppers, rank, side="right"))
    before = uppers[upper - 1] if upper else 0
    lowers = count(lambda keys: keys[keys >> 16 == upper] & 0xFFFF)
    key = upper << 16 | int(np.searchsorted(lowers, rank - before, side="right"))
    bits = key & 0x7FFFFFFF if key >> 31 else key ^ 0xFFFFFFFF
    return float(np.uint32(bits).view(np.float32))


def _ordered(numbers: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return integers in the order of the numbers."""
    bits = numbers.view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _per_fragment(
    sites: StartSites, log_bias: LogBiasOf, limit: float, rows: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return, per fragment, the sum of its capped 1/b, its reads without a score, and its reads."""
    size = len(sites.feature[rows])
    known, unknown, reads = np.zeros(size), np.zeros(size), np.zeros(size)
    for number, end in enumerate(sites.ends):
        _add_reads(
            end.bits[rows], np.exp(-log_bias(number, rows)), PRESENT, limit, known, unknown, reads
        )
    # A fragment without any read cannot be weighted; it stays at 1.
    unknown[reads == 0] = 1.0
    return known, unknown, np.maximum(reads, 1.0)


@loop("u1[::1], f8[::1], i8, f8, f8[::1], f8[::1], f8[::1]")
def _add_reads(bits, inverse, present, limit, known, unknown, reads):  # type: ignore[no-untyped-def]
    """Add one end's reads; ``inverse`` is 1/b, NaN where there is none."""
    for i in range(len(bits)):
        if bits[i] & present:
            reads[i] += 1.0
            if math.isnan(inverse[i]):
                unknown[i] += 1.0
            else:
                known[i] += min(inverse[i], limit)


def _summary(
    sites: StartSites, log_bias: LogBiasOf, weight: NDArray[np.float32], scale: Scale, threads: int
) -> FragmentWeights:
    reads = unscored = clipped = 0
    total = squares = largest = 0.0
    edges = np.array(HISTOGRAM_EDGES)
    histogram = np.zeros(len(edges) - 1, np.int64)

    def tally(
        rows: slice,
    ) -> list[tuple[tuple[int, int, int], tuple[float, float, float], NDArray[np.int64]]]:
        found = []
        for number, end in enumerate(sites.ends):
            bins = np.zeros_like(histogram)
            inverse = np.exp(-log_bias(number, rows))
            found.append(
                (
                    *_tally(end.bits[rows], inverse, PRESENT, scale.cap, scale.factor, edges, bins),
                    bins,
                )
            )
        return found

    for counted, sums, bins in [
        one for part in _each_chunk(len(sites), tally, threads) for one in part
    ]:
        reads, unscored, clipped = reads + counted[0], unscored + counted[1], clipped + counted[2]
        total, squares, largest = total + sums[0], squares + sums[1], max(largest, sums[2])
        histogram += bins
    return FragmentWeights(
        weight=weight,
        scale=scale,
        reads=reads,
        unscored=unscored,
        clipped=clipped,
        effective=total**2 / (reads * squares) if squares > 0 else math.nan,
        largest=largest * reads / total if total > 0 else math.nan,
        histogram=tuple(int(x) for x in histogram),
        histogram_edges=HISTOGRAM_EDGES,
    )


@loop("u1[::1], f8[::1], i8, f8, f8, f8[::1], i8[::1]")
def _tally(bits, inverse, present, cap, factor, edges, histogram):  # type: ignore[no-untyped-def]
    """Add the weights of one end's reads to the histogram, whose bins have equal width.

    Returns (reads, reads without 1/b, reads above the cap), and (sum, sum of squares, largest) of
    the weights.
    """
    reads, unscored, clipped = 0, 0, 0
    total, squares, largest = 0.0, 0.0, 0.0
    bins, per_bin = len(histogram), 1.0 / (edges[1] - edges[0])
    for i in range(len(bits)):
        if not bits[i] & present:
            continue
        reads += 1
        weight = 1.0
        if math.isnan(inverse[i]):
            unscored += 1
        else:
            clipped += inverse[i] > cap
            weight = min(inverse[i], cap) * factor
        total += weight
        squares += weight * weight
        largest = max(largest, weight)
        place = (math.log2(max(weight, 1e-300)) - edges[0]) * per_bin
        histogram[int(min(max(place, 0.0), bins - 1.0))] += 1
    return (reads, unscored, clipped), (total, squares, largest)


def _chunks(n: int) -> list[slice]:
    return [slice(first, min(first + CHUNK, n)) for first in range(0, n, CHUNK)]


def _each_chunk(n: int, work: Callable[[slice], Result], threads: int) -> list[Result]:
    """Apply ``work`` to each chunk of rows, on several threads; return the results in order."""
    if threads <= 1 or n <= CHUNK:
        return list(map(work, _chunks(n)))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, _chunks(n)))


def _share(sites: StartSites, rows: slice) -> NDArray[np.float64]:
    if sites.share is None:
        return np.ones(len(sites.feature[rows]))
    return sites.share[rows].astype(np.float64)
