"""How many fragments begin at each read start, and what a start weighs when a model learns from it.

The expected number of reads starting at a place is its bias times the abundance there, whether or
not fragments were copied by amplification. Learning must therefore be linear in these numbers: any
concave function of a count (a cap, a square root, the mere presence of a read) makes the bias too
small. Two things guard against the few places with very many reads: a whole neighbourhood is
weighted as a negative binomial would weight it, and copies of a fragment are counted once where its
two ends reveal them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias.records import Positions

#: Bases to either side of a start that make up its neighbourhood.
LOCAL_REACH = 100
#: Dispersion φ of a neighbourhood's fragments, as in a negative binomial: Var = μ + φ μ².
DISPERSION = 1.0
#: Distances between a fragment's ends, in bases, from which the number of possible mates is found.
MOST_APART = 1 << 12
#: Fewest mates taken to be possible, and the largest fraction of them that a start can have used.
FEWEST_MATES, MOST_USED = 10.0, 0.95
#: Bounds of the mean square of the relative bias, which makes some mates more probable than others;
#: strong priming bias has 2.6. More than that is not the bias of ends: copies, and places to which
#: no read can be aligned, pile reads up as well.
SQUARE_BIAS = (1.0, 3.0)
#: The number of mates is divided by this power of the mean square: most starts have none of the few
#: mates with the highest bias within reach. Found by simulation without copies, with the bias of a
#: fly library and a random one: the remaining error is below 2% up to 35 fragments per start.
SQUARE_BIAS_POWER = 0.6
#: Bases over which the distribution of distances is smoothed.
SMOOTHED = 9


@dataclass(frozen=True, slots=True)
class Starts:
    """The distinct trainable read starts of one read end.

    Args:
        positions: n places, sorted by contig, position and strand; their weight is the number of
            reads that start there.
        fragments: float64 (n,), how many fragments begin there: pairs with the same two 5' ends are
            one, corrected for chance coincidences; every single read is one.
    """

    positions: Positions
    fragments: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.fragments)

    def learning_weights(self) -> NDArray[np.float64]:
        """Return n / (1 + φ μ), float64 (n,), with μ the density of the start's neighbourhood."""
        return np.asarray(self.fragments / (1.0 + DISPERSION * self.densities()))

    def densities(self) -> NDArray[np.float64]:
        """Return fragments per place within :data:`LOCAL_REACH` bases, float64 (n,)."""
        places = self.positions
        return np.asarray(
            _densities(places.contig, places.position, places.strand, self.fragments, LOCAL_REACH)
        )

    def by_fragments(self) -> Positions:
        """Return the places, weighted by their number of fragments."""
        places = self.positions
        return Positions(places.contig, places.position, places.strand, self.fragments)


def with_coincidences(starts: Starts, apart: NDArray[np.float64]) -> Starts:
    """Add fragments hidden by others that happen to have the same two ends: n → −K ln(1 − n/K).

    K is the number of equally probable mates of a start: the number of lengths
    (:func:`possible_lengths`) divided by a power of the mean square of the relative bias, since
    biased mates are not equally probable. That mean square is estimated from the starts themselves:
    it is how much more often than by chance two fragments of one neighbourhood begin at the same
    place.

    Args:
        starts: with the distinct fragments of each start.
        apart: float64 (distances,), how often each distance between mates occurs.
    """
    if not len(starts) or not apart.sum() > 0:
        return starts
    density = starts.densities()
    own = starts.fragments
    # Neighbourhoods with few fragments weigh most: in others, coincidences distort the estimate.
    weight = 1.0 / (1.0 + density) ** 2
    others = density - own / (2 * LOCAL_REACH + 1)
    expected = float((weight * own * others).sum())
    square = float((weight * own * (own - 1)).sum()) / expected if expected > 0 else SQUARE_BIAS[0]
    square = min(max(square, SQUARE_BIAS[0]), SQUARE_BIAS[1])
    mates = max(possible_lengths(apart) / square**SQUARE_BIAS_POWER, FEWEST_MATES)
    used = np.minimum(own / mates, MOST_USED)
    # Beyond the range of the formula, fragments grow as they do at its limit.
    grown = np.where(own > mates * MOST_USED, own / (mates * MOST_USED), 1.0)
    return Starts(starts.positions, np.maximum(own, -mates * np.log1p(-used) * grown))


def possible_lengths(apart: NDArray[np.float64]) -> float:
    """Return the number of equally probable fragment lengths, 1/Σp², from distances between mates.

    Distances are those in the genome, where introns add a long tail. The number is therefore taken
    from the peak's full width at half maximum, w: for a normal distribution,
    1/Σp² = 2√π σ = 2√π w / 2.355.
    """
    smooth = np.convolve(apart, np.full(SMOOTHED, 1 / SMOOTHED), mode="same")
    top = int(smooth.argmax())
    low = smooth <= smooth[top] / 2
    left = np.flatnonzero(low[:top])
    right = np.flatnonzero(low[top:])
    width = (
        (top + int(right[0]) if len(right) else len(apart))
        - (int(left[-1]) if len(left) else -1)
        - 1
    )
    return 2.0 * math.sqrt(math.pi) * max(width, 1) / 2.355


@loop(
    "i4[::1], i8[::1], u1[::1], f8[::1], i8",
    "i4[::1], i8[:], u1[::1], f8[::1], i8",
)
def _densities(contig, position, strand, fragments, reach):  # type: ignore[no-untyped-def]
    """Average fragments over the places within ``reach`` on the same strand.

    Starts are sorted by contig and position.
    """
    out = np.empty(len(position), np.float64)
    for own in range(2):
        first, last, total = 0, 0, 0.0
        for i in range(len(position)):
            if strand[i] != own:
                continue
            while last < len(position):
                if contig[last] > contig[i] or (
                    contig[last] == contig[i] and position[last] > position[i] + reach
                ):
                    break
                if strand[last] == own:
                    total += fragments[last]
                last += 1
            while contig[first] < contig[i] or position[first] < position[i] - reach:
                if strand[first] == own:
                    total -= fragments[first]
                first += 1
            out[i] = max(total, fragments[i]) / (2 * reach + 1)
    return out


def mate_bits(line: NDArray[np.int64]) -> int:
    """Return how many bits of a 63-bit key place and strand leave for the mate."""
    return max(0, 62 - math.ceil(math.log2(2.0 * max(int(line[-1]), 1) + 2)))
