"""Effective lengths: how many unbiased positions a feature's own positions are worth.

Dividing a count by Σ b instead of by the length corrects for bias with far less noise than weighing each read by 1/b, because
every position of the feature counts, not only those where a read was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import erf

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.options import AssumedLengths
from counterbias.records import PRESENT, REVERSE, Features, StartSites, Stretches

#: Positions that a thread measures at a time: what it holds of them stays in a fast cache.
BATCH = 1 << 17
#: Representative fragment lengths kept.
MOST_LENGTHS = 16
#: Fragments looked at for the fragment lengths.
MOST_FRAGMENTS = 1_000_000
FEWEST_FRAGMENTS = 100
#: The shortest fragment that is assumed, bases: shorter ones are hardly ever aligned to one place.
SHORTEST = 20
#: Placements' worth of belief in the mean over the feature, against features that hardly hold one fragment.
PRIOR_PLACEMENTS = 100.0

_STRIDE = 1 << 40

#: Gives the calibrated log bias of all positions of stretches, row after row in genome order, as starts of reads of one end (0 or 1):
#: float64 (positions,), nats, NaN where there is none, as for all of contig -1. It may be called from several threads at once.
BiasOf = Callable[[Stretches, int], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FragmentLengths:
    """Lengths of fragments in spliced coordinates, observed or assumed, reduced to a few representative ones.

    Args:
        length: int64 (k,), ascending. probability: float64 (k,), sums to 1.
        fragments: number of fragments they come from; 0 where they are assumed.
        mean: mean length, bases.
        classes: int64 (c, 2), equally probable classes of lengths, each from its first to its last one, within which all lengths are
            taken as equally probable; None where ``length`` and ``probability`` are the whole distribution.
        sd: standard deviation, bases, or None.
    """

    length: NDArray[np.int64]
    probability: NDArray[np.float64]
    fragments: int
    mean: float
    classes: NDArray[np.int64] | None = None
    sd: float | None = None

    @property
    def assumed(self) -> bool:
        """Whether no fragment was looked at."""
        return self.fragments == 0

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Give the first and last length of each class, and its probability."""
        if self.classes is None:
            return self.length, self.length, self.probability
        return (
            self.classes[:, 0].copy(),
            self.classes[:, 1].copy(),
            np.full(len(self.classes), 1 / len(self.classes)),
        )


def fragment_lengths(
    sites: StartSites, features: Features, contig_of: NDArray[np.int64]
) -> FragmentLengths | None:
    """Measure fragment lengths in spliced coordinates of the feature's merged blocks.

    From pairs whose 5' ends face each other, both within blocks of their feature. The outer 0.5 % on either side are
    dropped, the rest stand for 16 equally frequent classes. None for single-end data or fewer than 100 such pairs.
    """
    if len(sites.ends) < 2:
        return None
    first, second = sites.ends
    step = max(1, -(-len(sites) // MOST_FRAGMENTS))
    length = _observed(
        sites.feature, first.contig, first.position, first.bits, second.contig, second.position, second.bits, step, features.block_offsets,
        features.block_start, features.block_end, *_joined_blocks(features, contig_of),
    )  # fmt: skip
    if len(length) < FEWEST_FRAGMENTS:
        return None
    length = np.sort(length)
    low, high = int(0.005 * len(length)), int(np.ceil(0.995 * len(length)))
    kept = length[low:high]
    middle = (np.arange(MOST_LENGTHS) + 0.5) / MOST_LENGTHS
    values, counts = np.unique(kept[(middle * len(kept)).astype(np.int64)], return_counts=True)
    edges = np.linspace(0, len(kept), MOST_LENGTHS + 1).astype(np.int64)
    classes = np.stack((kept[edges[:-1]], kept[edges[1:] - 1]), axis=1).astype(np.int64)
    mean, sd = float(kept.mean()), float(kept.std())
    return FragmentLengths(
        values.astype(np.int64), counts / MOST_LENGTHS, len(length), mean, classes, sd
    )


def assumed_lengths(assumed: AssumedLengths) -> FragmentLengths:
    """Reduce an assumed distribution as observed lengths are.

    It is the normal one, in whole bases from :data:`SHORTEST` to four standard deviations above the mean. Its outer 0.5 % on either side
    are dropped, the rest stands for 16 equally probable classes. ``mean`` and ``sd`` of the result are those assumed.
    """
    lengths = np.arange(SHORTEST, int(np.ceil(assumed.mean + 4 * assumed.sd)) + 1)
    edges = (np.append(lengths, lengths[-1] + 1) - 0.5 - assumed.mean) / (
        max(assumed.sd, 1e-3) * np.sqrt(2)
    )
    share = np.diff([erf(edge) for edge in edges.tolist()])
    upto = np.cumsum(share) / share.sum()
    # Length at each quantile: edges of the classes at even numbers, their middles at odd ones.
    quantiles = lengths[np.searchsorted(upto, np.linspace(0.005, 0.995, 2 * MOST_LENGTHS + 1))]
    values, counts = np.unique(quantiles[1::2], return_counts=True)
    classes = np.stack((quantiles[:-1:2], quantiles[2::2]), axis=1)
    return FragmentLengths(values, counts / MOST_LENGTHS, 0, assumed.mean, classes, assumed.sd)


def _joined_blocks(
    features: Features, contig_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Give the blocks by feature and start, int64 (blocks,); the bases of its feature before each; and each feature's contig.

    The contig, int64 (features,), is -2 where the blocks do not lie on one strand of one contig: they cannot be joined.
    """
    offsets = features.block_offsets
    owner = np.repeat(np.arange(len(features)), np.diff(offsets))
    length = features.block_end - features.block_start
    before = np.cumsum(length) - length
    before = before - before[offsets[:-1]][owner]
    first = offsets[:-1][owner]
    alone = (features.block_contig == features.block_contig[first]) & (
        features.block_strand == features.block_strand[first]
    )
    contig = np.full(len(features), -2, np.int64)
    contig[owner] = np.asarray(contig_of)[features.block_contig]
    contig[owner[~alone]] = -2
    return np.argsort(owner * _STRIDE + features.block_start, kind="stable"), before, contig


@njit(cache=True, nogil=True)
def _observed(  # type: ignore[no-untyped-def]
    feature, contig_1, position_1, bits_1, contig_2, position_2, bits_2, step, offsets, start, end, order, before, contig
):  # fmt: skip
    """List the lengths of every ``step``-th fragment whose ends face each other within joined blocks of its feature."""
    found = np.empty(len(feature) // step + 1, np.int64)
    used = 0
    for row in range(0, len(feature), step):
        one, two = bits_1[row], bits_2[row]
        f = feature[row]
        if (
            one & two & PRESENT == 0
            or one & REVERSE == two & REVERSE
            or contig_1[row] != contig_2[row]
            or contig_1[row] != contig[f]
        ):
            continue
        left, right = np.int64(position_1[row]), np.int64(position_2[row])
        if one & REVERSE:
            left, right = right, left
        first = _place(left, order[offsets[f] : offsets[f + 1]], start, end, before)
        last = _place(right, order[offsets[f] : offsets[f + 1]], start, end, before)
        if 0 <= first <= last:
            found[used] = last - first + 1
            used += 1
    return found[:used]


@njit(cache=True, nogil=True)
def _place(position, order, start, end, before):  # type: ignore[no-untyped-def]
    """Turn a genome position into an offset within joined blocks, given in the order of their starts; -1 outside."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if start[order[middle]] <= position:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return -1
    block = order[low - 1]
    return before[block] + position - start[block] if position < end[block] else -1


def effective_lengths(
    features: Features,
    contig_of: NDArray[np.int64],
    bias_of: BiasOf,
    *,
    stranded: str = "no",
    fragments: FragmentLengths | None = None,
    only: NDArray[np.bool_] | None = None,
    ends: str = "both",
    threads: int = 1,
) -> NDArray[np.float64]:
    """Give each feature's effective length, float64 (n,), bases; the plain length for an unbiased sample.

    With ``fragments``: length × E[b_left · b_right], the mean over fragment lengths and over all places of such a fragment in the
    feature's joined blocks; 100 places' worth of the product of the ends' means are added, so that features hardly longer than a
    fragment do not hang on a handful of places. Pairs and single reads alike: a fragment has two ends, whether or not both are
    sequenced. In unstranded libraries both have the bias of end 0, in stranded ones read 1 (or the single read) has that of end 0 and
    the other end that of end 1. Without ``fragments``: Σ of the b of end 0 over the feature's positions, on the strand that read 1 has
    (mean of both strands if unstranded). b is 1 where there is no log bias (N, off the contig, contig missing).

    ``ends``: with ``first`` only read 1 is biased; the other end gives the places where the fragment fits. In unstranded
    libraries read 1 is the left or the right one in half of the fragments each.

    ``stranded``: htseq-count's ``yes``, ``no`` or ``reverse``. ``only``: features to measure; the others get their length.
    ``contig_of``: per contig of ``features`` its index for ``bias_of``, or -1. ``threads``: batches of features measured at the same time.
    """
    lengths = features.lengths
    result = lengths.astype(np.float64)
    mapped = np.asarray(contig_of)[features.block_contig]

    def measure(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        blocks, per_feature = _blocks_of(features, chosen), lengths[chosen]
        forward, backward = _two_strands(
            features, mapped, blocks, bias_of, stranded, "" if fragments is None else ends
        )
        offsets = np.concatenate(([0], np.cumsum(per_feature))).astype(np.int64)
        if fragments is None:
            return np.asarray(np.add.reduceat((forward + backward) / 2, offsets[:-1]))
        sides = [(forward, backward)]
        if ends == "first":
            nothing = np.ones(len(forward))
            sides = [(forward, nothing), (nothing, backward)] if stranded == "no" else sides
        shares = [
            _pair_means(offsets, *side, *fragments.spans(), PRIOR_PLACEMENTS) for side in sides
        ]
        return np.asarray(np.mean(shares, axis=0) * per_feature)

    batches = list(_batches(features, lengths, only))
    if threads <= 1:
        found = list(map(measure, batches))
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(measure, batches))
    for chosen, values in zip(batches, found, strict=True):
        result[chosen] = values
    return result


def _batches(
    features: Features, lengths: NDArray[np.int64], only: NDArray[np.bool_] | None
) -> Iterator[NDArray[np.int64]]:
    """Group wanted features, in genome order, so that each contig is read once, into batches of about :data:`BATCH` positions."""
    wanted = np.flatnonzero(lengths > 0 if only is None else (lengths > 0) & only)
    first = features.block_offsets[wanted]
    wanted = wanted[np.lexsort((features.block_start[first], features.block_contig[first]))]
    batch = np.cumsum(lengths[wanted]) // BATCH
    for number in np.unique(batch):
        yield wanted[batch == number]


def _blocks_of(features: Features, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the block rows of features, in order."""
    first = features.block_offsets[chosen]
    count = features.block_offsets[chosen + 1] - first
    return np.asarray(np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum()))


def _two_strands(
    features: Features,
    mapped: NDArray[np.int64],
    blocks: NDArray[np.int64],
    bias_of: BiasOf,
    stranded: str,
    paired: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give b of reads on the + and on the - strand at every position; both the same where read 1 alone of a stranded library is asked for.

    Which end's model applies: read 1 of a ``yes`` library lies on the feature's strand, the other end on the other; ``reverse`` is
    the opposite; otherwise read 1 (single-end) or either (pooled, end 0) may lie on both. ``paired``: nothing for read 1 alone,
    ``both``, or ``first``, where the fragment's other end has no bias.
    """
    contig, start, end = (
        mapped[blocks].astype(np.int32),
        features.block_start[blocks],
        features.block_end[blocks],
    )

    def bias(strand: NDArray[np.uint8], number: int) -> NDArray[np.float64]:
        return _bias(bias_of, Stretches(contig, start, end, strand), number)

    if stranded == "no":
        nowhere = np.zeros(len(blocks), np.uint8)
        return bias(nowhere, 0), bias(nowhere + np.uint8(1), 0)
    own = features.block_strand[blocks].astype(np.uint8)
    read_one = own if stranded == "yes" else 1 - own
    read_one = np.where(own > 1, 0, read_one).astype(np.uint8)
    sense = bias(read_one, 0)
    if not paired:
        return sense, sense
    other = np.ones(len(sense)) if paired == "first" else bias((1 - read_one).astype(np.uint8), 1)
    forward = np.repeat(read_one == 0, end - start)
    return np.where(forward, sense, other), np.where(forward, other, sense)


def _bias(bias_of: BiasOf, stretches: Stretches, end: int) -> NDArray[np.float64]:
    """Give b, 1 where there is no log bias."""
    b = np.exp(bias_of(stretches, end))
    unknown = np.isnan(b)
    if unknown.any():
        b[unknown] = 1.0
    return b


@njit(cache=True, nogil=True)
def _pair_means(offsets, left, right, shortest, longest, probability, prior):  # type: ignore[no-untyped-def]
    """Give, per feature, the mean of b_left · b_right over all places of fragments; 1 for no bias.

    All lengths of a class are covered: sums of b_right over the places where such fragments end are differences of running sums. Classes
    come in ascending order. Sums are added up in a fixed order, since the results are to be the same everywhere.
    """
    out = np.ones(len(offsets) - 1)
    most = 0
    for f in range(len(out)):
        most = max(most, offsets[f + 1] - offsets[f])
    reach = longest[len(longest) - 1] if len(longest) else 0
    upto, ending = np.zeros(most + reach + 1), np.zeros(most)
    for f in range(len(out)):
        n = offsets[f + 1] - offsets[f]
        starts, ends = left[offsets[f] : offsets[f + 1]], right[offsets[f] : offsets[f + 1]]
        sum_left = 0.0
        for i in range(n):
            sum_left += starts[i]
            upto[i + 1] = upto[i] + ends[i]
        upto[n + 1 : n + reach + 1] = upto[n]  # nothing ends beyond the feature
        ending[:n] = 0.0
        total, places = prior * (sum_left / n) * (upto[n] / n), prior
        for k in range(len(shortest)):
            near, far = shortest[k] - 1, longest[k]
            if near >= n:
                break
            each = probability[k] / (far - near)
            _add_differences(upto[near:n], upto[far : far + n - near], each, ending)
            whole = max(
                n - far + 1, 0
            )  # starts for which all lengths of the class fit; for those after them one less each
            rest = n - near - whole
            places += each * (whole * (far - near) + rest * (rest + 1) / 2)
        # Four sums, since each addition waits for the one before it.
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        fours = n // 4 * 4
        for i in range(0, fours, 4):
            a += starts[i] * ending[i]
            b += starts[i + 1] * ending[i + 1]
            c += starts[i + 2] * ending[i + 2]
            d += starts[i + 3] * ending[i + 3]
        for i in range(fours, n):
            a += starts[i] * ending[i]
        out[f] = (total + ((a + b) + (c + d))) / places
    return out


@njit(cache=True, nogil=True)
def _add_differences(sooner, later, factor, out):  # type: ignore[no-untyped-def]
    """Add ``factor`` · (later − sooner) to the first entries of ``out``."""
    out = out[: len(sooner)]
    for i in range(len(out)):
        out[i] += factor * (later[i] - sooner[i])
