"""Effective lengths: how many unbiased positions a feature's own positions are worth.

Dividing a count by Σ b instead of by the length corrects for bias with far less noise than weighing each read by 1/b, because
every position of the feature counts, not only those where a read was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import PRESENT, REVERSE, Features, StartSites, Stretches

#: Positions that a thread measures at a time: what it holds of them stays in a fast cache.
BATCH = 1 << 16
#: Representative fragment lengths kept.
MOST_LENGTHS = 16
#: Fragments looked at for the fragment lengths.
MOST_FRAGMENTS = 1_000_000
FEWEST_FRAGMENTS = 100
#: Placements' worth of belief in the mean over the feature, against features that hardly hold one fragment.
PRIOR_PLACEMENTS = 100.0

_STRIDE = 1 << 40

#: Gives the calibrated log bias of all positions of stretches, row after row in genome order, as starts of reads of one end (0 or 1):
#: float64 (positions,), nats, NaN where there is none, as for all of contig -1. It may be called from several threads at once.
BiasOf = Callable[[Stretches, int], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FragmentLengths:
    """Observed lengths of fragments in spliced coordinates, reduced to a few representative ones.

    Args:
        length: int64 (k,), ascending. probability: float64 (k,), sums to 1.
        fragments: number of fragments they come from.
        mean: mean length, bases.
        classes: int64 (c, 2), equally probable classes of lengths, each from its first to its last one, within which all lengths are
            taken as equally probable; None where ``length`` and ``probability`` are the whole distribution.
    """

    length: NDArray[np.int64]
    probability: NDArray[np.float64]
    fragments: int
    mean: float
    classes: NDArray[np.int64] | None = None

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Give the first and last length of each class, and its probability."""
        if self.classes is None:
            return self.length, self.length, self.probability
        return self.classes[:, 0].copy(), self.classes[:, 1].copy(), np.full(len(self.classes), 1 / len(self.classes))


def fragment_lengths(sites: StartSites, features: Features, contig_of: NDArray[np.int64]) -> FragmentLengths | None:
    """Measure fragment lengths in spliced coordinates of the feature's merged blocks.

    From pairs whose 5' ends face each other, both within blocks of their feature. The outer 0.5 % on either side are
    dropped, the rest stand for 16 equally frequent classes. None for single-end data or fewer than 100 such pairs.
    """
    if len(sites.ends) < 2:
        return None
    rows = np.arange(0, len(sites), max(1, -(-len(sites) // MOST_FRAGMENTS)))
    first, second = sites.ends
    one, two = first.bits[rows], second.bits[rows]
    reverse = (one & REVERSE) != 0
    facing = ((one & two & PRESENT) != 0) & (reverse != ((two & REVERSE) != 0))
    facing &= first.contig[rows] == second.contig[rows]
    rows, reverse = rows[facing], reverse[facing]
    left = np.where(reverse, second.position[rows], first.position[rows]).astype(np.int64)
    right = np.where(reverse, first.position[rows], second.position[rows]).astype(np.int64)
    feature, contig = sites.feature[rows], first.contig[rows]
    begin, end = (_spliced(features, contig_of, feature, contig, position) for position in (left, right))
    length = (end - begin + 1)[(begin >= 0) & (end >= begin)]
    if len(length) < FEWEST_FRAGMENTS:
        return None
    length = np.sort(length)
    low, high = int(0.005 * len(length)), int(np.ceil(0.995 * len(length)))
    kept = length[low:high]
    middle = (np.arange(MOST_LENGTHS) + 0.5) / MOST_LENGTHS
    values, counts = np.unique(kept[(middle * len(kept)).astype(np.int64)], return_counts=True)
    edges = np.linspace(0, len(kept), MOST_LENGTHS + 1).astype(np.int64)
    classes = np.stack((kept[edges[:-1]], kept[edges[1:] - 1]), axis=1).astype(np.int64)
    return FragmentLengths(values.astype(np.int64), counts / MOST_LENGTHS, len(length), float(kept.mean()), classes)


def _spliced(
    features: Features,
    contig_of: NDArray[np.int64],
    feature: NDArray[np.int32],
    contig: NDArray[np.int32],
    position: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Turn genome positions into offsets within the feature's joined blocks; -1 outside, or if it spans contigs or strands."""
    offsets = features.block_offsets
    owner = np.repeat(np.arange(len(features)), np.diff(offsets))
    length = features.block_end - features.block_start
    before = np.cumsum(length) - length
    before = before - before[offsets[:-1]][owner]
    first = offsets[:-1][owner]
    alone = (features.block_contig == features.block_contig[first]) & (features.block_strand == features.block_strand[first])
    simple = np.bincount(owner, weights=~alone, minlength=len(features)) == 0
    keys = owner * _STRIDE + features.block_start
    order = np.argsort(keys, kind="stable")
    row = np.searchsorted(keys[order], feature * np.int64(_STRIDE) + position, side="right") - 1
    block = order[np.maximum(row, 0)]
    inside = (row >= 0) & (owner[block] == feature) & (position < features.block_end[block]) & simple[feature]
    inside &= np.asarray(contig_of)[features.block_contig[block]] == contig
    return np.where(inside, before[block] + position - features.block_start[block], -1)


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

    Single-end: Σ of b over the feature's positions, on the strand that its reads have (mean of both strands if
    unstranded). Paired-end (``fragments`` given): length × E[b_left · b_right], the mean over fragment lengths and over all
    places of such a fragment in the feature's joined blocks; 100 places' worth of the product of the ends' means are added,
    so that features hardly longer than a fragment do not hang on a handful of places. b is 1 where there is no log bias (N,
    off the contig, contig missing).

    ``ends``: with ``first`` only read 1 of a pair is biased; its mate gives the places where the fragment fits. In unstranded
    libraries read 1 is the left or the right one in half of the fragments each.

    ``stranded``: htseq-count's ``yes``, ``no`` or ``reverse``. ``only``: features to measure; the others get their length.
    ``contig_of``: per contig of ``features`` its index for ``bias_of``, or -1. ``threads``: batches of features measured at the same time.
    """
    lengths = features.lengths
    result = lengths.astype(np.float64)
    mapped = np.asarray(contig_of)[features.block_contig]

    def measure(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        blocks, per_feature = _blocks_of(features, chosen), lengths[chosen]
        forward, backward = _two_strands(features, mapped, blocks, bias_of, stranded, "" if fragments is None else ends)
        offsets = np.concatenate(([0], np.cumsum(per_feature))).astype(np.int64)
        if fragments is None:
            return np.asarray(np.add.reduceat((forward + backward) / 2, offsets[:-1]))
        sides = [(forward, backward)]
        if ends == "first":
            nothing = np.ones(len(forward))
            sides = [(forward, nothing), (nothing, backward)] if stranded == "no" else sides
        shares = [_pair_means(offsets, *side, *fragments.spans(), PRIOR_PLACEMENTS) for side in sides]
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


def _batches(features: Features, lengths: NDArray[np.int64], only: NDArray[np.bool_] | None) -> Iterator[NDArray[np.int64]]:
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
    """Give b of reads on the + and on the - strand at every position; both the same for stranded single-end data.

    Which end's model applies: read 1 of a ``yes`` library lies on the feature's strand, read 2 on the other; ``reverse`` is
    the opposite; otherwise read 1 (single-end) or either (pooled, end 0) may lie on both. ``paired``: nothing for single-end, ``both``, or
    ``first``, where the second read of a pair has no bias.
    """
    contig, start, end = mapped[blocks].astype(np.int32), features.block_start[blocks], features.block_end[blocks]

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
    b[np.isnan(b)] = 1.0
    return b


@njit(cache=True, nogil=True)
def _pair_means(offsets, left, right, shortest, longest, probability, prior):  # type: ignore[no-untyped-def]
    """Give, per feature, the mean of b_left · b_right over all places of fragments; 1 for no bias.

    All lengths of a class are covered: sums of b_right over the places where such fragments end are differences of running sums.
    """
    out = np.ones(len(offsets) - 1)
    for f in range(len(offsets) - 1):
        first, n = offsets[f], offsets[f + 1] - offsets[f]
        sum_left = 0.0
        upto = np.zeros(n + 1)
        for i in range(n):
            sum_left += left[first + i]
            upto[i + 1] = upto[i] + right[first + i]
        total, places = prior * (sum_left / n) * (upto[n] / n), prior
        for k in range(len(shortest)):
            if shortest[k] > n:
                break
            near, far = shortest[k] - 1, longest[k]
            # Four sums, since each addition waits for the one before it; a fixed order, since the results are to be the same everywhere.
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            whole = max(n - far + 1, 0) // 4 * 4
            starts, sooner, later = left[first : first + whole], upto[near : near + whole], upto[far : far + whole]
            for i in range(0, whole, 4):
                a += starts[i] * (later[i] - sooner[i])
                b += starts[i + 1] * (later[i + 1] - sooner[i + 1])
                c += starts[i + 2] * (later[i + 2] - sooner[i + 2])
                d += starts[i + 3] * (later[i + 3] - sooner[i + 3])
            fitting = whole * (far - near)
            for i in range(whole, n - near):
                beyond = min(i + far, n)
                a += left[first + i] * (upto[beyond] - upto[i + near])
                fitting += beyond - (i + near)
            each = probability[k] / (longest[k] - shortest[k] + 1)
            total += each * ((a + b) + (c + d))
            places += each * fitting
        out[f] = total / places
    return out
