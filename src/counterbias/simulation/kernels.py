# mypy: ignore-errors
"""Compiled loops that draw: random numbers, bases, the bias along a sequence, fragments.

A random number is a function of a seed and a counter (splitmix64). It therefore does not depend on
the order in which records are written: a name-sorted and a position-sorted file hold the same ones.
"""

from __future__ import annotations

import numpy as np

from counterbias.loops import helper, loop


@helper(inline=True)
def mix(seed, counter):
    """Return 64 random bits for a seed and a counter (both uint64)."""
    bits = seed + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@helper(inline=True)
def uniform(seed, counter):
    """Return a float64 in [0, 1) for a seed and a counter (both uint64)."""
    return np.float64(mix(seed, counter) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def draw_seed(rng: np.random.Generator) -> np.uint64:
    """Draw a seed for :func:`mix`."""
    return np.uint64(rng.integers(0, 2**63))


@loop("u1[::1], f8[:, :, ::1], i8[::1], i8[::1], u8")
def fill_bases(bases, tables, ends, levels, seed):
    """Fill ``bases`` with isochores that end at ``ends`` and have the tables ``levels``."""
    state = 6
    position = 0
    for isochore in range(len(ends)):
        table = tables[levels[isochore]]
        while position < ends[isochore]:
            number = uniform(seed, np.uint64(position))
            base = 0
            while base < 3 and number >= table[state, base]:
                base += 1
            bases[position] = base
            state = ((state << 2) | base) & 15
            position += 1


@loop("u1[::1], i8, f8[:, ::1], i8[:, ::1], f8[:, :, ::1], i8, f8[::1], f8[::1]")
def bias_along(padded, flank, weights, pair_columns, pair_weights, upstream, forward, reverse):
    """Fill ``forward`` and ``reverse`` with exp(log bias) at each position, on either strand.

    ``padded`` is the sequence with ``flank`` unknown bases at both ends.
    """
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


@helper
def _weight(i, size, probabilities, right, gc_before, gc_factors, per_base):
    """Return the weight of a fragment without the bias of its left end."""
    value = probabilities[size] * right[i + size - 1]
    if len(gc_factors) > 0:
        value *= gc_factors[np.int64((gc_before[i + size] - gc_before[i]) * per_base[size] + 0.5)]
    return value


@loop("f8[::1], f8[::1], f8[::1], f8[::1], i8, b1, i4[::1], f8[::1], u8, i8, i4[::1], i4[::1]")
def draw_fragments(
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
    """Draw ``len(start)`` fragments of one transcript; return the weight of all its fragments.

    A fragment of length ``size`` at ``i`` weighs
    left[i] × probabilities[size] × right[i + size - 1] × the factor of its GC content.
    ``gc_before`` counts G and C before each base; ``gc_factors`` is empty if the GC content has no
    effect.
    """
    bases = len(left)
    longest = len(probabilities) - 1
    cumulative_weight = np.empty(bases)
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
        cumulative_weight[i] = total
    for k in range(len(start)):
        counter = np.uint64(2 * (first + k))
        wanted = uniform(seed, counter) * total
        i = min(bases - 1, np.searchsorted(cumulative_weight, wanted, side="right"))
        room = min(longest, bases - i)
        number = uniform(seed, counter + np.uint64(1))
        if biased:
            before = cumulative_weight[i - 1] if i > 0 else 0.0
            wanted = number * (cumulative_weight[i] - before) / left[i]
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
