"""Fragment lengths in spliced coordinates: observed from pairs, or assumed."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths.ends import BOTH, bases_before, ends_of, offset_on_line
from counterbias.loops import loop
from counterbias.options import AssumedLengths
from counterbias.records import Features, StartSites

#: Representative fragment lengths kept.
MOST_LENGTHS = 16
#: Most fragments that lengths are taken from, and fewest that are enough.
MOST_FRAGMENTS, FEWEST_FRAGMENTS = 1_000_000, 100
#: The shortest fragment assumed, bases: shorter ones can hardly ever be aligned uniquely.
SHORTEST = 20


@dataclass(frozen=True, slots=True)
class FragmentLengths:
    """A fragment length distribution, reduced to a few representative lengths.

    Args:
        length: int64 (k,), ascending.
        probability: float64 (k,), sums to 1.
        fragments: number of fragments it was taken from; 0 if assumed.
        mean: mean length, bases.
        classes: int64 (c, 2), first and last length of equally probable classes, within which all
            lengths are treated as equally probable; None if ``length`` and ``probability`` are the
            whole distribution.
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
        """Whether the distribution is assumed, not observed."""
        return self.fragments == 0

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the first and last length of each class, and its probability."""
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

    They are those of pairs whose 5' ends face each other, both within blocks of their feature,
    summarised by :func:`summarise_lengths`. Returns None for single-end data, or with too few such
    pairs.
    """
    if len(sites.ends) < 2:
        return None
    first, second = sites.ends
    step = max(1, -(-len(sites) // MOST_FRAGMENTS))
    length = _observed(
        sites.feature, first.contig, first.position, first.bits, second.contig, second.position,
        second.bits, step, features.block_offsets, features.block_start, features.block_end,
        bases_before(features), _contigs(features, contig_of),
    )  # fmt: skip
    return summarise_lengths(length)


def summarise_lengths(length: NDArray[np.int64]) -> FragmentLengths | None:
    """Reduce the lengths of fragments to classes.

    The outer 0.5% on either side are dropped, the rest is divided into :data:`MOST_LENGTHS` equally
    frequent classes. Returns None for fewer than :data:`FEWEST_FRAGMENTS`.
    """
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
    """Reduce an assumed distribution of fragment lengths as observed ones are.

    It is normal, in whole bases from :data:`SHORTEST` to four standard deviations above the mean.
    The outer 0.5% on either side are dropped, the rest is divided into :data:`MOST_LENGTHS`
    equally probable classes. ``mean`` and ``sd`` of the result are those assumed.
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


def _contigs(features: Features, contig_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each feature's contig, int64 (features,).

    It is -2 where blocks cannot be joined because they do not lie on one strand of one contig.
    """
    owner = np.repeat(np.arange(len(features)), np.diff(features.block_offsets))
    first = features.block_offsets[:-1][owner]
    alone = (features.block_contig == features.block_contig[first]) & (
        features.block_strand == features.block_strand[first]
    )
    contig = np.full(len(features), -2, np.int64)
    contig[owner] = np.asarray(contig_of)[features.block_contig]
    contig[owner[~alone]] = -2
    return contig


@loop(
    "i4[::1], i4[::1], i4[::1], u1[::1], i4[::1], i4[::1], u1[::1], i8, i8[::1], i8[::1], "
    "i8[::1], i8[::1], i8[::1]",
)
def _observed(  # type: ignore[no-untyped-def]
    feature, contig_1, position_1, bits_1, contig_2, position_2, bits_2, step,
    offsets, start, end, before, contig,
):  # fmt: skip
    """List the lengths of every ``step``-th fragment, if its ends face each other within blocks."""
    found = np.empty(len(feature) // step + 1, np.int64)
    used = 0
    for row in range(0, len(feature), step):
        f = feature[row]
        known, left, right = ends_of(
            row, contig[f], contig_1, position_1, bits_1, contig_2, position_2, bits_2, True
        )
        if known == BOTH:
            first = offset_on_line(left, offsets[f], offsets[f + 1], start, end, before)
            last = offset_on_line(right, offsets[f], offsets[f + 1], start, end, before)
            if first >= 0 and last >= 0:
                found[used] = last - first + 1
                used += 1
    return found[:used]
