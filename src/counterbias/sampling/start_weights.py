"""How many fragments begin at each read start, and what a start weighs when a model learns from it.

The reads that start at a place number, on average, its bias times the abundance there, whether or not fragments were copied by
amplification; so whatever is learnt must be linear in them, and any concave function of a count (a cap, a square root, the mere presence of
a read) makes the bias too small. What guards against few places that hold many reads is the weight of a whole neighbourhood, as a negative
binomial would weigh it, and that copies of a fragment are counted once where both of its ends tell them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import Positions

#: Places to either side that make a start's neighbourhood, bases.
LOCAL_REACH = 100
#: Dispersion by which the fragments of a neighbourhood outnumber what their chance alone would let them vary.
DISPERSION = 1.0
#: Distances between the ends of a fragment that are looked at for its number of possible mates, bases.
MOST_APART = 1 << 12
#: Fewest mates that are taken to be possible, and the largest part of them that a start is taken to have used up.
FEWEST_MATES, MOST_USED = 10.0, 0.95
#: Bounds of the mean square of the relative bias, which makes some mates more probable than others; strong priming bias has 2.6. More than
#: that is not the bias of ends: copies, and places that no read can be aligned to, pile reads up as well.
SQUARE_BIAS = (1.0, 3.0)
#: Power of that mean square by which it divides the number of mates: most starts have none of the few mates of the highest bias within
#: reach. Found by simulation without copies, with the bias of a fly library and a drawn one: what remains is below 2 % up to 35 fragments a
#: start.
REACHED = 0.6
#: Places over which the distribution of distances is smoothed.
SMOOTHED = 9


@dataclass(frozen=True, slots=True)
class Starts:
    """The distinct trainable read starts of an end class.

    Args:
        positions: n places, sorted by contig, position and strand; their weight is the number of reads that start there.
        fragments: float64 (n,), how many fragments begin there: pairs with the same two 5' ends are one, with what coincides by chance
            added again; every single read is one.
    """

    positions: Positions
    fragments: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.fragments)

    def learning_weights(self) -> NDArray[np.float64]:
        """Give n / (1 + φ μ), float64 (n,): the fragments of a start by the density μ of its neighbourhood, per place, itself included."""
        return np.asarray(self.fragments / (1.0 + DISPERSION * self.densities()))

    def densities(self) -> NDArray[np.float64]:
        """Give fragments per place within :data:`LOCAL_REACH` bases on the same strand, float64 (n,)."""
        places = self.positions
        return np.asarray(
            _densities(places.contig, places.position, places.strand, self.fragments, LOCAL_REACH)
        )

    def by_fragments(self) -> Positions:
        """Give the places with the number of fragments as their weight."""
        places = self.positions
        return Positions(places.contig, places.position, places.strand, self.fragments)


def with_coincidences(starts: Starts, apart: NDArray[np.float64]) -> Starts:
    """Add the fragments that others hide because, by chance, they have the same two ends: n becomes −K ln(1 − n/K).

    K is the number of equally probable mates of a start: that of lengths (:func:`possible_lengths`) divided by a power of the mean square
    of the relative bias, since biased mates are not equally probable. The latter is read off the starts themselves: of two fragments that
    begin in one neighbourhood, so many times more than by chance begin at the same place.
    """
    if not len(starts) or not apart.sum() > 0:
        return starts
    density = starts.densities()
    own = starts.fragments
    # Neighbourhoods with few fragments tell most: in others, coincidences are what is to be found.
    weight = 1.0 / (1.0 + density) ** 2
    others = density - own / (2 * LOCAL_REACH + 1)
    expected = float((weight * own * others).sum())
    square = float((weight * own * (own - 1)).sum()) / expected if expected > 0 else SQUARE_BIAS[0]
    square = min(max(square, SQUARE_BIAS[0]), SQUARE_BIAS[1])
    mates = max(possible_lengths(apart) / square**REACHED, FEWEST_MATES)
    used = np.minimum(own / mates, MOST_USED)
    # Beyond what the formula can tell, fragments grow as they do at its end.
    grown = np.where(own > mates * MOST_USED, own / (mates * MOST_USED), 1.0)
    return Starts(starts.positions, np.maximum(own, -mates * np.log1p(-used) * grown))


def possible_lengths(apart: NDArray[np.float64]) -> float:
    """Give the number of equally probable lengths of a fragment, 1/Σp², by how often each distance between its ends occurs.

    Distances are those in the genome, where introns add a long tail that is not one start's; so it is the full width of the peak at half
    of its height, w, that tells: for a normal distribution 1/Σp² = 2√π σ = 2√π w / 2.355.
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


@njit(cache=True, nogil=True)
def _densities(contig, position, strand, fragments, reach):  # type: ignore[no-untyped-def]
    """Average fragments over the places within ``reach`` on the same strand. Starts are sorted by contig and position."""
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
    """Give how many bits of a 63-bit key are left for the mate once place and strand have theirs."""
    return max(0, 62 - math.ceil(math.log2(2.0 * max(int(line[-1]), 1) + 2)))
