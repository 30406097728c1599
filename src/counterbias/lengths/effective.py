"""Effective lengths: how many unbiased positions a feature's own positions are worth.

Dividing a count by Σ b instead of by the length corrects for bias with far less noise than
weighting each read by 1/b, because every position of the feature counts, not only those with reads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths.lines import BiasOf, FeatureBias, FragmentLayout, Lines
from counterbias.loops import helper, loop
from counterbias.records import Features

#: Pseudo-placements with the mean bias of the feature, for features hardly longer than a fragment.
PRIOR_PLACEMENTS = 100.0


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

    def measure(lines: Lines) -> NDArray[np.float64]:
        if layout.lengths is None:
            both = (lines.forward + lines.backward) / 2
            return np.asarray(np.add.reduceat(both, lines.offsets[:-1]))
        means = mean_bias(lines.offsets, lines.forward, lines.backward, layout)
        return means * lengths[lines.chosen]

    bias = FeatureBias(features, contig_of, bias_of, layout)
    for chosen, values in bias.measure(measure, only=only, threads=threads):
        result[chosen] = values
    return result


def mean_bias(
    offsets: NDArray[np.int64],
    forward: NDArray[np.float64],
    backward: NDArray[np.float64],
    layout: FragmentLayout,
) -> NDArray[np.float64]:
    """Return E[b_left · b_right] along lines, float64 (n,); the layout has fragment lengths.

    Args:
        offsets: int64 (n + 1,), where each line begins.
        forward, backward: float64 (positions,), b of reads on the + and on the - strand.
        layout: how fragments lie on the lines.
    """
    assert layout.lengths is not None
    sides = [(forward, backward)]
    if layout.ends == "first" and layout.stranded == "no":
        unbiased = np.ones(len(forward))
        sides = [(forward, unbiased), (unbiased, backward)]
    shares = [
        _pair_means(offsets, *side, *layout.lengths.spans(), PRIOR_PLACEMENTS) for side in sides
    ]
    return np.asarray(np.mean(shares, axis=0))


@loop("i8[::1], f8[::1], f8[::1], i8[::1], i8[::1], f8[::1], f8")
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


@helper
def _add_differences(sooner, later, factor, out):  # type: ignore[no-untyped-def]
    """Add ``factor`` · (later − sooner) to the first entries of ``out``."""
    out = out[: len(sooner)]
    for i in range(len(out)):
        out[i] += factor * (later[i] - sooner[i])
