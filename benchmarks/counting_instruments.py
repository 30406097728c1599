"""Sequencers: how they name reads, and their base qualities as a Markov chain along the read.

A read is good, worn or poor, gets worse at a
constant rate per cycle and never better; a base has the quality of the previous one with
probability ``stay``, and otherwise one drawn from the distribution of the read's present state. A
quality exceeds no ceiling of its cycle.

- ``hiseq``: 40 values. Ceilings are those of HiSeq 2000 and 2500 (34 in the first three cycles, 37
  in the next five, 39 in the next five, then 41); shares are rounded from public reads of such
  instruments (``counting_records.py`` compares the files).
- ``novaseq``: 4 values. Shares are rounded from the profile *NovaSeq* of InSilicoSeq 2.0.1
  (Gourlé et al. 2019, doi:10.1093/bioinformatics/bty630): of the bases, 95 to 97% have 37, 3 to 4%
  25 and 1% 11 within the first 50 cycles, and 93% have 37 at cycle 149.
"""

# mypy: ignore-errors
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class Instrument:
    """A sequencer: how it names reads, and the chain of its base qualities.

    Args:
        name_start: fields of a read name before the lane.
        lanes, swaths, tiles: lanes of a flow cell, swaths per surface (of two), tiles per swath.
        stay: probability that a base has the quality of the previous one.
        worse: probability per cycle that a read gets worse, from good and from worn.
        states: shares of good, worn and poor reads at the first cycle.
        good, worn, poor: quality → share; what is missing to 1 is spread over ``others``.
        others: qualities among which the missing share is spread evenly.
        ceilings: last cycle (excluded) → highest quality up to there.
    """

    name_start: str
    lanes: int
    swaths: int
    tiles: int
    stay: float
    worse: tuple[float, float]
    states: tuple[float, float, float]
    good: dict[int, float]
    worn: dict[int, float]
    poor: dict[int, float]
    others: tuple[int, ...] = ()
    ceilings: tuple[tuple[int, int], ...] = ()

    def chain(self, cycles: int) -> tuple[NDArray[np.float64], ...]:
        """Return the chain as arrays.

        These are ``stay`` and ``worse`` as one array, cumulative shares of states, the qualities,
        their cumulative shares in each state (states, qualities), and the ceiling of each cycle.
        """
        kinds = (self.good, self.worn, self.poor)
        qualities = sorted({*self.others, *(q for kind in kinds for q in kind)}, reverse=True)
        shares = np.zeros((3, len(qualities)))
        for state, kind in enumerate(kinds):
            rest = (1.0 - sum(kind.values())) / max(1, len(self.others))
            for column, quality in enumerate(qualities):
                shares[state, column] = kind.get(quality, 0.0) + rest * (quality in self.others)
        # A likely quality is found first.
        order = np.argsort(-shares[0], kind="stable")
        ceilings = np.full(cycles, 93)
        for end, quality in reversed(self.ceilings):
            ceilings[:end] = quality
        return (
            np.array([self.stay, *self.worse]),
            np.cumsum(self.states),
            np.array(qualities)[order],
            np.cumsum(shares[:, order], axis=1),
            ceilings,
        )


INSTRUMENTS = {
    "hiseq": Instrument(
        name_start="D00430:159:C6GDJANXX:",
        lanes=8,
        swaths=2,
        tiles=16,
        stay=0.3,
        worse=(0.006, 0.003),
        states=(0.94, 0.05, 0.01),
        good={41: 0.44, 40: 0.22, 38: 0.11, 39: 0.09, 37: 0.05, 36: 0.04, 35: 0.02, 33: 0.01},
        worn={35: 0.46, 34: 0.16, 33: 0.10, 32: 0.07, 36: 0.06, 31: 0.05, 30: 0.03, 37: 0.02},
        poor={2: 0.35, 35: 0.05},
        others=tuple(range(2, 42)),
        ceilings=((3, 34), (8, 37), (13, 39)),
    ),
    "novaseq": Instrument(
        name_start="A00627:214:HJ7KTDSX3:",
        lanes=4,
        swaths=2,
        tiles=78,
        stay=0.1,
        worse=(0.0015, 0.0003),
        states=(0.87, 0.12, 0.01),
        good={37: 0.985, 25: 0.012, 11: 0.003},
        worn={37: 0.85, 25: 0.10, 11: 0.05},
        poor={37: 0.62, 25: 0.17, 11: 0.20, 2: 0.01},
    ),
}


@njit(cache=True, nogil=True)
def _next_random(state):
    """Return the next state of a xorshift generator (Marsaglia 2003)."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@njit(cache=True, nogil=True)
def fill_qualities(buffer, at, length, reverse, seed, rates, states, values, shares, ceilings):
    """Write the qualities of a read, of which the last cycle comes first if it is ``reverse``."""
    scale = 1.0 / 4294967296.0
    random = _next_random(_next_random(np.uint64(seed)))
    number = np.float64(random >> np.uint64(32)) * scale
    state = 0 if number < states[0] else (1 if number < states[1] else 2)
    quality = -1
    for cycle in range(length):
        random = _next_random(random)
        number = np.float64(random & np.uint64(0xFFFFFFFF)) * scale
        if state < 2 and number < rates[1 + state]:
            state += 1
        if quality < 0 or number < 1.0 - rates[0]:
            number = np.float64(random >> np.uint64(32)) * scale
            chosen = 0
            while chosen < len(values) - 1 and number >= shares[state, chosen]:
                chosen += 1
            quality = values[chosen]
        buffer[at + (length - 1 - cycle if reverse else cycle)] = min(quality, ceilings[cycle])
    return at + length
