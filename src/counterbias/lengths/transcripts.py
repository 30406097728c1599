"""Effective lengths that know which of a feature's transcripts are there.

A fragment needs room: a transcript of n bases has n − L + 1 places for one of length L, and only
these count (the *edge rule*). Which transcripts a feature's fragments come from is estimated from
their 5' ends. The effective length of the feature is the mean of its transcripts' effective
lengths, weighted by their abundances: what tximport (Soneson et al. 2015) calls average transcript
length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths import abundance, classes
from counterbias.lengths.distribution import FragmentLengths
from counterbias.lengths.effective import mean_bias
from counterbias.lengths.ends import bases_before, fragments_by_feature
from counterbias.lengths.lines import FeatureBias, Lines
from counterbias.loops import helper, loop
from counterbias.records import TOO_MANY, FeatureTranscripts, StartSites

#: An effective length is at least this share of the length. Where hardly any fragment fits, what is
#: counted did not come about as other fragments did, and dividing by almost nothing would be wrong.
LEAST_SHARE = 0.1
#: A feature's transcripts do not explain its fragments where more than half of them fit none, by
#: more than this many.
CLEAR_EXCESS = 10.0
#: Value of :attr:`TranscriptLengths.fallback` besides those of :attr:`FeatureTranscripts.missing`.
UNEXPLAINED = 4


@dataclass(frozen=True, slots=True)
class TranscriptLengths:
    """Effective lengths of features and of their transcripts.

    Args:
        features: float64 (features,), effective lengths, bases.
        fallback: uint8 (features,), why a feature's length is that of its merged blocks: 0 it is
            not; UNNAMED, SCATTERED, TOO_MANY or UNEXPLAINED.
        effective: float64 (t,), effective lengths of transcripts, bases.
        share: float64 (t,), shares of the feature's fragments, which sum to 1 per feature; 0
            without fragments.
        share_se: float64 (t,), their standard errors.
        molecules, molecules_se: float64 (t,), the same of the feature's molecules.
    """

    features: NDArray[np.float64]
    fallback: NDArray[np.uint8]
    effective: NDArray[np.float64]
    share: NDArray[np.float64]
    share_se: NDArray[np.float64]
    molecules: NDArray[np.float64]
    molecules_se: NDArray[np.float64]


def places(length: NDArray[np.int64], fragments: FragmentLengths) -> NDArray[np.float64]:
    """Return how many places a fragment has, float64 (n,): Σ P(L) (length − L + 1)⁺.

    At least :data:`LEAST_SHARE` of the length.
    """
    n = np.asarray(length, np.float64)[:, None]
    first, last, probability = (np.asarray(one, np.float64) for one in fragments.spans())
    fitting = np.clip(np.minimum(last, n) - first + 1, 0, None)
    sums = fitting * (n - first + 1) - fitting * (fitting - 1) / 2
    found = (probability / (last - first + 1) * sums).sum(axis=1)
    return np.asarray(np.maximum(found, LEAST_SHARE * n[:, 0]))


def length_density(fragments: FragmentLengths) -> NDArray[np.float64]:
    """Return the probability of each fragment length from 0 to the longest, float64."""
    first, last, probability = fragments.spans()
    density = np.zeros(int(last.max()) + 1)
    for low, high, share in zip(first.tolist(), last.tolist(), probability.tolist(), strict=True):
        density[low : high + 1] += share / (high - low + 1)
    return density


def transcript_lengths(
    bias: FeatureBias,
    transcripts: FeatureTranscripts,
    sites: StartSites,
    *,
    only: NDArray[np.bool_],
    threads: int = 1,
) -> TranscriptLengths:
    """Estimate the effective lengths of features from those of their transcripts.

    Args:
        bias: the bias along features; its layout has fragment lengths.
        transcripts: those of the features.
        sites: start sites of the fragments counted for the features.
        only: features with fragments, bool (features,). The others get the mean length of their
            transcripts without bias, as if these were equally abundant.
        threads: batches of features measured at the same time.
    """
    estimator = _Estimator(bias, transcripts, sites, only)
    for _ in bias.measure(estimator.measure, only=only, threads=threads):
        pass
    return estimator.result


class _Estimator:
    """Fills the result batch by batch; batches have no feature in common."""

    def __init__(
        self,
        bias: FeatureBias,
        transcripts: FeatureTranscripts,
        sites: StartSites,
        only: NDArray[np.bool_],
    ) -> None:
        assert bias.layout.lengths is not None
        self.bias, self.transcripts = bias, transcripts
        self.fragments = bias.layout.lengths
        self.by_length = classes.tabulate_lengths(length_density(self.fragments))
        self.lengths, self.before = transcripts.lengths, bases_before(bias.features)
        per_feature = np.diff(transcripts.offsets)
        self.rows = fragments_by_feature(sites, only & (per_feature > 1))
        self.alone = not self.rows.paired or _some_alone(sites)
        effective = places(self.lengths, self.fragments)
        nothing = np.zeros(len(transcripts))
        self.result = TranscriptLengths(
            self._without_fragments(effective, per_feature),
            transcripts.missing.copy(),
            effective,
            *(nothing.copy() for _ in range(4)),
        )

    def _without_fragments(
        self, effective: NDArray[np.float64], per_feature: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the mean over a feature's transcripts, or what its merged blocks have."""
        union = places(self.bias.features.lengths, self.fragments)
        upto = np.concatenate(([0.0], np.cumsum(effective)))
        offsets = self.transcripts.offsets
        mean = (upto[offsets[1:]] - upto[offsets[:-1]]) / np.maximum(per_feature, 1)
        return np.where(per_feature > 0, mean, union)

    def measure(self, lines: Lines) -> None:
        """Estimate the lengths of a batch of features."""
        transcripts, layout, result = self.transcripts, self.bias.layout, self.result
        chosen = lines.chosen
        first = transcripts.offsets[chosen]
        count = transcripts.offsets[chosen + 1] - first
        rows = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
        sizes = self.lengths[rows]
        bases = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        forward = backward = np.empty(0)
        if self.bias.bias_of is not None:
            owner = np.repeat(np.arange(len(chosen)), count)
            forward, backward = (
                _along(b, lines.offsets[owner], rows, bases, *self._exons())
                for b in (lines.forward, lines.backward)
            )
            if len(rows):
                result.effective[rows] *= mean_bias(bases, forward, backward, layout)
        if self.alone:
            if layout.ends == "first" or self.bias.bias_of is None:
                forward = backward = np.ones(int(bases[-1]))
            forward, backward = _running_sums(forward, bases), _running_sums(backward, bases)
        fragments, features = self.rows, self.bias.features
        _estimate(
            chosen, transcripts.offsets, *self._exons(), bases, forward, backward,
            *transcripts.edges, self.by_length,
            (fragments.rows, fragments.offsets, fragments.share, fragments.paired),
            fragments.columns,
            np.asarray(self.bias.contig_of)[features.block_contig],
            features.block_offsets, features.block_start, features.block_end, self.before,
            self.lengths, result.effective, result.features, result.fallback, result.share,
            result.share_se, result.molecules, result.molecules_se,
        )  # fmt: skip
        fallen = result.fallback[chosen] > 0
        if fallen.any():
            result.features[chosen[fallen]] = self._of_blocks(lines, fallen)

    def _of_blocks(self, lines: Lines, which: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return effective lengths of the merged blocks of some features, with the edge rule."""
        sizes = np.diff(lines.offsets)
        found = places(sizes[which], self.fragments)
        if self.bias.bias_of is None:
            return found
        along = np.repeat(which, sizes)
        offsets = np.concatenate(([0], np.cumsum(sizes[which]))).astype(np.int64)
        return found * mean_bias(
            offsets, lines.forward[along], lines.backward[along], self.bias.layout
        )

    def _exons(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        return self.transcripts.exon_offsets, self.transcripts.start, self.transcripts.end


def _some_alone(sites: StartSites) -> bool:
    """Whether one end alone is known of some fragment."""
    first, second = sites.ends
    return bool(((first.bits ^ second.bits) & 1).any() or (first.contig != second.contig).any())


@loop("f8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1]")
def _along(b, begin, rows, bases, exon_offsets, start, end):  # type: ignore[no-untyped-def]
    """Copy the bias along each transcript out of that along its feature's line."""
    out = np.empty(bases[-1])
    for i in range(len(rows)):
        at = bases[i]
        for exon in range(exon_offsets[rows[i]], exon_offsets[rows[i] + 1]):
            size = end[exon] - start[exon]
            source, target = b[begin[i] + start[exon] :], out[at : at + size]
            for k in range(size):  # assigning a slice would take seconds to compile
                target[k] = source[k]
            at += size
    return out


@loop("f8[::1], i8[::1]")
def _running_sums(b, bases):  # type: ignore[no-untyped-def]
    """Return the sums of b before each base of each transcript, and over all of its bases."""
    out = np.empty(bases[-1] + len(bases) - 1)
    for i in range(len(bases) - 1):
        total, begin = 0.0, bases[i] + i
        out[begin] = 0.0
        for k in range(bases[i + 1] - bases[i]):
            total += b[bases[i] + k]
            out[begin + k + 1] = total
    return out


@loop(
    "i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], f8[::1], f8[::1], i8[::1], i8[::1], "
    "classes.LengthTable(f8[::1], i8[::1], i8[::1], i8[::1]), (i4[::1], i8[::1], f4[::1], b1), "
    "(i4[::1], i4[::1], u1[::1], i4[::1], i4[::1], u1[::1]), i8[::1], i8[::1], i8[::1], "
    "i8[::1], i8[::1], i8[::1], f8[::1], f8[::1], u1[::1], f8[::1], f8[::1], f8[::1], f8[::1]",
)
def _estimate(  # type: ignore[no-untyped-def]
    chosen, transcript_offsets, exon_offsets, start, end, bases, upto_forward, upto_backward,
    edge_offsets, all_edges, by_length, fragments, columns, block_contig, block_offsets,
    block_start, block_end, before, lengths, effective, feature_length, fallback, share, share_se,
    molecules, molecules_se,
):  # fmt: skip
    """Estimate shares and lengths of the features ``chosen``, one after the other."""
    rows, row_offsets, row_share, paired = fragments
    done = 0
    for i in range(len(chosen)):
        f = chosen[i]
        low, high = transcript_offsets[f], transcript_offsets[f + 1]
        size = high - low
        first_base = done
        done += size
        if size == 0:
            continue
        own = effective[low:high]
        if size == 1:
            feature_length[f] = own[0]
            share[low], molecules[low] = 1.0, 1.0
            continue
        exons = exon_offsets[low : high + 1]
        edges = all_edges[edge_offsets[f] : edge_offsets[f + 1]]
        if len(edges) > classes.MOST_EDGES or len(edges) * size > classes.MOST_PLACES:
            fallback[f] = TOO_MANY
            _share_unknown(
                own, share[low:high], share_se[low:high], molecules[low:high],
                molecules_se[low:high],
            )  # fmt: skip
            continue
        place = classes.cut_segments(exons, start, end, edges)
        keys, weight, outside = classes.distinct_fragments(
            rows[row_offsets[f] : row_offsets[f + 1]], row_share, block_contig[block_offsets[f]],
            columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], paired,
            block_offsets[f], block_offsets[f + 1], block_start, block_end, before, edges,
        )  # fmt: skip
        counts, offsets, members, ratio, unfit = classes.make_classes(
            keys, weight, edges, place, by_length, lengths[low:high],
            bases[first_base : first_base + size] + first_base, upto_forward, upto_backward,
        )  # fmt: skip
        abundance.scale_classes(offsets, members, ratio, own)
        theta = abundance.estimate_shares(counts, offsets, members, ratio, own)
        inverse = 0.0
        for t in range(size):
            inverse += theta[t] / own[t]
        length = 1.0 / inverse
        covariance = abundance.share_covariance(counts, offsets, members, ratio, theta)
        abundance.standard_errors(
            covariance, theta, own, length, share_se[low:high], molecules_se[low:high]
        )
        for t in range(size):
            share[low + t] = theta[t]
            molecules[low + t] = theta[t] / own[t] * length
            molecules_se[low + t] /= 100
        feature_length[f] = length
        if outside + unfit > counts.sum() + CLEAR_EXCESS:
            fallback[f] = UNEXPLAINED


@helper
def _share_unknown(own, share, share_se, molecules, molecules_se):  # type: ignore[no-untyped-def]
    """Write the shares of equally abundant transcripts, and that nothing is known of them."""
    nothing = np.zeros(0)
    every = own.sum()
    for t in range(len(own)):
        share[t], molecules[t] = own[t] / every, 1 / len(own)
    covariance = abundance.share_covariance(
        nothing, np.zeros(1, np.int64), np.zeros(0, np.int32), nothing, share
    )
    abundance.standard_errors(covariance, share, own, every / len(own), share_se, molecules_se)
    for t in range(len(own)):
        molecules_se[t] /= 100
