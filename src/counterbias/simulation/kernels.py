# mypy: ignore-errors
"""Compiled loops of the simulation: random numbers, bases, the bias along a sequence, fragments of a transcript.

A random number is a function of a seed and a counter (splitmix64), so that it is the same whatever the order in which records
are written: a name-sorted and a position-sorted file hold the same records.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def mix(seed, counter):
    """Give 64 random bits for a seed and a counter (both uint64)."""
    bits = seed + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")
def uniform(seed, counter):
    """Give a float64 in [0, 1) for a seed and a counter (both uint64)."""
    return np.float64(mix(seed, counter) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def draw_seed(rng: np.random.Generator) -> np.uint64:
    """Draw a seed for :func:`mix`."""
    return np.uint64(rng.integers(0, 2**63))


@njit(cache=True, nogil=True)
def fill_bases(bases, tables, ends, levels, seed):
    """Fill ``bases`` with isochores that end at ``ends`` and use the tables ``levels``."""
    state = 6
    position = 0
    for piece in range(len(ends)):
        table = tables[levels[piece]]
        while position < ends[piece]:
            number = uniform(seed, np.uint64(position))
            base = 0
            while base < 3 and number >= table[state, base]:
                base += 1
            bases[position] = base
            state = ((state << 2) | base) & 15
            position += 1


@njit(cache=True, nogil=True)
def bias_along(padded, flank, weights, pair_columns, pair_weights, upstream, forward, reverse):
    """Score both strands at each position of a sequence that has ``flank`` unknown bases at either end."""
    width = len(weights)
    window = np.empty(width, dtype=np.int64)
    for position in range(len(forward)):
        here = position + flank
        for strand in range(2):
            total = 0.0
            for column in range(width):
                if strand == 0:
                    base = np.int64(padded[here - upstream + column])
                else:
                    base = np.int64(padded[here + upstream - column])
                    base = 3 - base if base < 4 else 4
                window[column] = base
                if base < 4:
                    total += weights[column, base]
            for pair in range(len(pair_columns)):
                first, second = window[pair_columns[pair, 0]], window[pair_columns[pair, 1]]
                if first < 4 and second < 4:
                    total += pair_weights[pair, first, second]
            if strand == 0:
                forward[position] = np.exp(total)
            else:
                reverse[position] = np.exp(total)


@njit(cache=True, nogil=True)
def _weight(i, size, probabilities, right, gc_before, gc_factors, per_base):
    """Weigh a fragment by all but its left end."""
    value = probabilities[size] * right[i + size - 1]
    if len(gc_factors) > 0:
        value *= gc_factors[np.int64((gc_before[i + size] - gc_before[i]) * per_base[size] + 0.5)]
    return value


@njit(cache=True, nogil=True)
def sample_fragments(
    left,
    right,
    probabilities,
    cumulative,
    shortest,
    biased,
    gc_before,
    gc_factors,
    seed,
    first,
    start,
    length,
):
    """Draw ``len(start)`` fragments of one transcript and give the sum of the weights of all its fragments.

    A fragment at ``i`` of length ``size`` weighs left[i] × probabilities[size] × right[i + size - 1] × the factor of its GC
    content (``gc_before``: G and C before each base; ``gc_factors`` is empty without such an effect).
    """
    bases = len(left)
    longest = len(probabilities) - 1
    work = np.empty(bases)
    per_base = np.zeros(longest + 1)
    for size in range(1, longest + 1):
        per_base[size] = (len(gc_factors) - 1) / size
    total = 0.0
    for i in range(bases):
        room = min(longest, bases - i)
        if biased:
            inner = 0.0
            for size in range(shortest, room + 1):
                inner += _weight(i, size, probabilities, right, gc_before, gc_factors, per_base)
            total += left[i] * inner
        else:
            total += cumulative[room]
        work[i] = total
    for k in range(len(start)):
        counter = np.uint64(2 * (first + k))
        i = min(bases - 1, np.searchsorted(work, uniform(seed, counter) * total, side="right"))
        room = min(longest, bases - i)
        number = uniform(seed, counter + np.uint64(1))
        if biased:
            wanted = number * (work[i] - (work[i - 1] if i > 0 else 0.0)) / left[i]
            chosen, reached = 0, 0.0
            for size in range(shortest, room + 1):
                if probabilities[size] > 0.0:
                    chosen = size
                    reached += _weight(
                        i, size, probabilities, right, gc_before, gc_factors, per_base
                    )
                    if reached > wanted:
                        break
        else:
            chosen = min(
                room,
                np.searchsorted(cumulative[: room + 1], number * cumulative[room], side="right"),
            )
        start[k] = i
        length[k] = chosen
    return total
