"""Effective lengths: how many unbiased positions a feature's own positions are worth.

Dividing a count by Σ b instead of by the length corrects for bias with far less noise than
weighting each read by 1/b, because every position of the feature counts, not only those with reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import Features, Stretches
from counterbias.weights.length_distribution import FragmentLengths

#: Positions measured at a time by a thread: few enough to stay in a fast cache.
BATCH = 1 << 17
#: Pseudo-placements with the mean bias of the feature, for features hardly longer than a fragment.
PRIOR_PLACEMENTS = 100.0

#: Returns the calibrated log bias of all positions of stretches as starts of one end (0 or 1), row
#: after row in genome order: float64 (positions,), nats, NaN where there is none, as on contig -1.
#: Several threads may call it at once.
BiasOf = Callable[[Stretches, int], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class FragmentLayout:
    """How the fragments of a sequenced library lie on features.

    Args:
        stranded: htseq-count's ``yes``, ``no`` or ``reverse``.
        lengths: fragment lengths; None to take each read by itself.
        ends: which ends of a fragment are biased: ``both``, or ``first`` for that of read 1 alone.
    """

    stranded: str = "no"
    lengths: FragmentLengths | None = None
    ends: str = "both"


def effective_lengths(
    features: Features,
    contig_of: NDArray[np.int64],
    bias_of: BiasOf,
    layout: FragmentLayout,
    *,
    only: NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Return each feature's effective length, float64 (n,), bases; its length without bias.

    With fragment lengths: length × E[b_left · b_right], the mean over fragment lengths and over all
    places of such a fragment in the feature's joined blocks. :data:`PRIOR_PLACEMENTS` places' worth
    of the product of the ends' means is added, so that features hardly longer than a fragment do
    not depend on a handful of places. Pairs and single reads alike: a fragment has two ends,
    whether or not both are sequenced. In unstranded libraries both have the bias of end 0; in
    stranded ones read 1 (or the single read) has that of end 0 and the other end that of end 1.
    Where only read 1 is biased, the other end still says where the fragment fits; in unstranded
    libraries read 1 is the left or the right end in half of the fragments each.

    Without fragment lengths: Σ of the b of end 0 over the feature's positions, on the strand that
    read 1 has (mean of both strands if unstranded).

    b is 1 where there is no log bias (N, off the contig, contig missing).

    Args:
        features: the features.
        contig_of: per contig of ``features`` its index for ``bias_of``, or -1.
        bias_of: the calibrated log bias of positions.
        layout: how fragments lie on features.
        only: features to measure, bool (n,); the others get their length.
        threads: batches of features measured at the same time.
    """
    lengths = features.lengths
    result = lengths.astype(np.float64)
    mapped = np.asarray(contig_of)[features.block_contig]
    fragments = layout.lengths

    def measure(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        blocks, per_feature = _blocks_of(features, chosen), lengths[chosen]
        forward, backward = _two_strands(features, mapped, blocks, bias_of, layout)
        offsets = np.concatenate(([0], np.cumsum(per_feature))).astype(np.int64)
        if fragments is None:
            return np.asarray(np.add.reduceat((forward + backward) / 2, offsets[:-1]))
        sides = [(forward, backward)]
        if layout.ends == "first" and layout.stranded == "no":
            unbiased = np.ones(len(forward))
            sides = [(forward, unbiased), (unbiased, backward)]
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
    """Group the wanted features into batches of about :data:`BATCH` positions.

    They are in genome order, so that each contig is read once.
    """
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
    layout: FragmentLayout,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return b of reads on the + and on the - strand at every position, float64 (positions,) each.

    Which end's model applies: read 1 of a ``yes`` library lies on the feature's strand, the other
    end on the other; ``reverse`` is the opposite; otherwise read 1 (single-end) or either (pooled,
    end 0) may lie on both. Without fragment lengths, both are those of read 1 in a stranded
    library.
    """
    contig, start, end = (
        mapped[blocks].astype(np.int32),
        features.block_start[blocks],
        features.block_end[blocks],
    )

    def bias(strand: NDArray[np.uint8], number: int) -> NDArray[np.float64]:
        return _bias(bias_of, Stretches(contig, start, end, strand), number)

    if layout.stranded == "no":
        nowhere = np.zeros(len(blocks), np.uint8)
        return bias(nowhere, 0), bias(nowhere + np.uint8(1), 0)
    own = features.block_strand[blocks].astype(np.uint8)
    read_one = own if layout.stranded == "yes" else 1 - own
    read_one = np.where(own > 1, 0, read_one).astype(np.uint8)
    sense = bias(read_one, 0)
    if layout.lengths is None:
        return sense, sense
    if layout.ends == "first":
        other = np.ones(len(sense))
    else:
        other = bias((1 - read_one).astype(np.uint8), 1)
    forward = np.repeat(read_one == 0, end - start)
    return np.where(forward, sense, other), np.where(forward, other, sense)


def _bias(bias_of: BiasOf, stretches: Stretches, end: int) -> NDArray[np.float64]:
    """Return b, 1 where there is no log bias."""
    b = np.exp(bias_of(stretches, end))
    unknown = np.isnan(b)
    if unknown.any():
        b[unknown] = 1.0
    return b


@njit(cache=True, nogil=True)
def _pair_means(offsets, left, right, shortest, longest, probability, prior):  # type: ignore[no-untyped-def]
    """Return, per feature, the mean of b_left · b_right over all places of fragments.

    All lengths of a class are covered: sums of b_right over the places where such fragments end are
    differences of running sums. Classes are in ascending order. Sums are added in a fixed order, so
    that results are the same on every machine.
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
            # Starts at which all lengths of the class fit; after them, one length fewer per start.
            whole = max(n - far + 1, 0)
            rest = n - near - whole
            places += each * (whole * (far - near) + rest * (rest + 1) / 2)
        # Four independent sums, since each addition waits for the one before it.
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
