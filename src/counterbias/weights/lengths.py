"""Effective lengths: how many unbiased positions a feature's own positions are worth.

Dividing a count by Σ b instead of by the length corrects for bias with far less noise than weighing each read by 1/b, because
every position of the feature counts, not only those where a read was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import PRESENT, REVERSE, Features, Positions, StartSites

#: Positions scored at a time.
BATCH = 1 << 20
#: Representative fragment lengths kept.
MOST_LENGTHS = 16
#: Fragments looked at for the fragment lengths.
MOST_FRAGMENTS = 1_000_000
FEWEST_FRAGMENTS = 100
#: Placements' worth of belief in the mean over the feature, against features that hardly hold one fragment.
PRIOR_PLACEMENTS = 100.0

_STRIDE = 1 << 40

#: Gives the calibrated log bias of positions as starts of reads of one end (0 or 1), nats, NaN where there is none.
BiasOf = Callable[[Positions, int], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FragmentLengths:
    """Observed lengths of fragments in spliced coordinates, reduced to a few representative ones.

    Args:
        length: int64 (k,), ascending. probability: float64 (k,), sums to 1.
        fragments: number of fragments they come from.
        mean: mean length, bases.
    """

    length: NDArray[np.int64]
    probability: NDArray[np.float64]
    fragments: int
    mean: float


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
    return FragmentLengths(values.astype(np.int64), counts / MOST_LENGTHS, len(length), float(kept.mean()))


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
) -> NDArray[np.float64]:
    """Give each feature's effective length, float64 (n,), bases; the plain length for an unbiased sample.

    Single-end: Σ of b over the feature's positions, on the strand that its reads have (mean of both strands if
    unstranded). Paired-end (``fragments`` given): length × E[b_left · b_right], the mean over fragment lengths and over all
    places of such a fragment in the feature's joined blocks; 100 places' worth of the product of the ends' means are added,
    so that features hardly longer than a fragment do not hang on a handful of places. b is 1 where there is no log bias (N,
    off the contig, contig missing).

    ``stranded``: htseq-count's ``yes``, ``no`` or ``reverse``. ``only``: features to measure; the others get their length.
    ``contig_of``: per contig of ``features`` its index for ``bias_of``, or -1.
    """
    lengths = features.lengths
    result = lengths.astype(np.float64)
    mapped = np.asarray(contig_of)[features.block_contig]
    for chosen in _batches(features, lengths, only):
        blocks, per_feature = _blocks_of(features, chosen)
        forward, backward = _two_strands(features, mapped, blocks, bias_of, stranded, fragments is not None)
        offsets = np.concatenate(([0], np.cumsum(per_feature))).astype(np.int64)
        if fragments is None:
            result[chosen] = np.add.reduceat((forward + backward) / 2, offsets[:-1])
        else:
            share = _pair_means(offsets, forward, backward, fragments.length, fragments.probability, PRIOR_PLACEMENTS)
            result[chosen] = share * lengths[chosen]
    return result


def _batches(features: Features, lengths: NDArray[np.int64], only: NDArray[np.bool_] | None) -> Iterator[NDArray[np.int64]]:
    """Group wanted features, in genome order, so that each contig is read once, into batches of about :data:`BATCH` positions."""
    wanted = np.flatnonzero(lengths > 0 if only is None else (lengths > 0) & only)
    first = features.block_offsets[wanted]
    wanted = wanted[np.lexsort((features.block_start[first], features.block_contig[first]))]
    batch = np.cumsum(lengths[wanted]) // BATCH
    for number in np.unique(batch):
        yield wanted[batch == number]


def _blocks_of(features: Features, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List the block rows of features, in order, and the bases per feature."""
    first, count = features.block_offsets[chosen], np.diff(features.block_offsets)[chosen]
    rows = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
    return rows, features.lengths[chosen]


def _two_strands(
    features: Features,
    mapped: NDArray[np.int64],
    blocks: NDArray[np.int64],
    bias_of: BiasOf,
    stranded: str,
    paired: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give b of reads on the + and on the - strand at every position; both the same for stranded single-end data.

    Which end's model applies: read 1 of a ``yes`` library lies on the feature's strand, read 2 on the other; ``reverse`` is
    the opposite; otherwise read 1 (single-end) or either (pooled, end 0) may lie on both.
    """
    length = features.block_end[blocks] - features.block_start[blocks]
    block = np.repeat(blocks, length)
    within = np.arange(len(block)) - np.repeat(np.cumsum(length) - length, length)
    contig, position = mapped[block].astype(np.int32), features.block_start[block] + within
    if stranded == "no":
        return _bias(bias_of, contig, position, 0, 0), _bias(bias_of, contig, position, 1, 0)
    own = features.block_strand[block].astype(np.uint8)
    read_one = own if stranded == "yes" else 1 - own
    read_one = np.where(own > 1, 0, read_one).astype(np.uint8)
    sense = _bias(bias_of, contig, position, read_one, 0)
    if not paired:
        return sense, sense
    other = _bias(bias_of, contig, position, (1 - read_one).astype(np.uint8), 1)
    return np.where(read_one == 0, sense, other), np.where(read_one == 0, other, sense)


def _bias(
    bias_of: BiasOf, contig: NDArray[np.int32], position: NDArray[np.int64], strand: int | NDArray[np.uint8], end: int
) -> NDArray[np.float64]:
    """Give b, 1 where there is no log bias."""
    known = contig >= 0
    strands = np.broadcast_to(np.asarray(strand, np.uint8), len(contig))
    weight = np.broadcast_to(np.float64(1.0), len(contig))
    b = np.ones(len(contig))
    if known.all():
        log_bias = bias_of(Positions(contig, position, strands, weight), end)
    else:
        log_bias = np.full(len(contig), np.nan)
        log_bias[known] = bias_of(Positions(contig[known], position[known], strands[known], weight[known]), end)
    np.exp(log_bias, out=b, where=~np.isnan(log_bias))
    return b


@njit(cache=True, nogil=True)
def _pair_means(offsets, left, right, length, probability, prior):  # type: ignore[no-untyped-def]
    """Give, per feature, the mean of b_left · b_right over all places of fragments; 1 for no bias."""
    out = np.ones(len(offsets) - 1)
    for f in range(len(offsets) - 1):
        first, n = offsets[f], offsets[f + 1] - offsets[f]
        sum_left, sum_right = 0.0, 0.0
        for i in range(first, first + n):
            sum_left += left[i]
            sum_right += right[i]
        total, places = prior * (sum_left / n) * (sum_right / n), prior
        for k in range(len(length)):
            reach = length[k] - 1
            if reach >= n:
                break
            dot = 0.0
            for i in range(first, first + n - reach):
                dot += left[i] * right[i + reach]
            total += probability[k] * dot
            places += probability[k] * (n - reach)
        out[f] = total / places
    return out
