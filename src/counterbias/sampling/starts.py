"""Where reads start, and places near by: the positions that a model compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.options import SAMPLING_SCHEMES
from counterbias.records import PRESENT, REVERSE, TRAINABLE, Positions, StartSites
from counterbias.sampling.start_weights import (
    LOCAL_REACH,
    MOST_APART,
    Starts,
    mate_bits,
    with_coincidences,
)

End = Literal["both", 0, 1]

#: Trainable reads beyond which only part of the genome is sampled, and bases per block of which it is made up.
MOST_READS, BLOCK = 1_000_000, 50_000
#: Standard deviation of the offset in the scheme ``seqbias``.
SEQBIAS_SIGMA = 500.0


@dataclass(frozen=True, slots=True)
class DrawnPositions:
    """Foreground and background positions that belong together.

    Args:
        foreground: n positions with their training weight.
        background: m positions; each has the weight of the start that it was drawn for.
        origin: int64 (m,), the row of ``foreground`` that each background position was drawn for.
    """

    foreground: Positions
    background: Positions
    origin: NDArray[np.int64]


def read_starts(sites: StartSites, *, end: End = "both") -> Positions:
    """List the trainable read starts as they are, one row per read, sorted by contig, position and strand.

    Trainable are unclipped reads with a unique, primary alignment. ``end`` is 0 for read 1 or single reads, 1 for read 2,
    ``both`` to pool them. All weights are 1.
    """
    keys = _keys(sites, end)
    keys.sort()
    return Positions(*_places(keys, sites.line, False))


def unique_starts(sites: StartSites, *, end: End = "both") -> Positions:
    """List the distinct trainable read starts, sorted by contig, position and strand; weight = reads that start there."""
    keys = _keys(sites, end)
    keys.sort()
    return Positions(*_places(keys, sites.line, True))


def find_starts(sites: StartSites, *, end: End = "both") -> Starts:
    """List the distinct trainable read starts, with the reads and the fragments that begin at each.

    Pairs with the same two 5' ends are copies of one fragment, whichever read is the first; so are reads at one place whose mates are not
    aligned. Of single reads nobody can tell: each is a fragment.
    """
    bits = mate_bits(sites.line) if len(sites.ends) > 1 else 0
    apart = np.zeros(MOST_APART)
    keys = _keys(sites, end, bits, apart)
    keys.sort()
    if not bits:
        positions = Positions(*_places(keys, sites.line, True))
        return Starts(positions, positions.weight.copy())
    fragments = _distinct_mates(keys, bits)
    keys >>= bits
    return with_coincidences(Starts(Positions(*_places(keys, sites.line, True)), fragments), apart)


def last_positions(sites: StartSites) -> NDArray[np.int64]:
    """Give, per contig, the last position at which a read starts, int64 (contigs,); -1 where none does."""
    reach = np.full(len(sites.contigs), -1, np.int64)
    for end in sites.ends:
        _reach(end.contig, end.position, end.bits, PRESENT, reach)
    return reach


@njit(cache=True, nogil=True)
def _reach(contig, position, bits, present, reach):  # type: ignore[no-untyped-def]
    """Note the last position per contig."""
    for i in range(len(bits)):
        if bits[i] & present and position[i] > reach[contig[i]]:
            reach[contig[i]] = position[i]


def draw(
    sites: StartSites,
    rng: np.random.Generator,
    *,
    scheme: str = "local",
    end: End = "both",
    most: int = 100_000,
    starts: Starts | None = None,
) -> DrawnPositions:
    """Draw foreground and background positions.

    ``local``: distinct starts, weighted by the fragments that begin there (:meth:`Starts.learning_weights`); two background positions
    each, at uniform ±1…100 on the same strand.
    ``paper`` (Zhang et al. 2017): reads as they are, duplicates included, one background position each near by (±1…100;
    leave out windows that leave the exon with :func:`inside_exons`).
    ``seqbias`` (Jones et al. 2012, its code): distinct starts, weight 1, two background positions each at a Gaussian offset
    of σ = 500.

    At most ``most`` foreground positions are kept, chosen at random. ``starts`` are the end's :func:`find_starts`, where they are known
    already. Positions may lie off the contig: such windows come back as invalid from the genome and are left out by :func:`assemble`.
    Raises InputError for an unknown scheme.
    """
    if scheme not in SAMPLING_SCHEMES:
        raise InputError(
            f"'{scheme}' is not a sampling scheme",
            remedy=f"choose one of {', '.join(SAMPLING_SCHEMES)}",
        )
    if scheme == "paper":
        places = read_starts(sites, end=end)
        weight = places.weight
    else:
        known = find_starts(sites, end=end) if starts is None else starts
        places = known.positions
        weight = known.learning_weights() if scheme == "local" else np.ones(len(places))
    rows = (
        np.arange(len(places))
        if len(places) <= most
        else np.sort(rng.choice(len(places), size=most, replace=False))
    )
    copies = 1 if scheme == "paper" else 2
    foreground = Positions(
        places.contig[rows], places.position[rows], places.strand[rows], weight[rows]
    )
    origin = np.repeat(np.arange(len(rows), dtype=np.int64), copies)
    near = foreground.take(origin)
    offsets = (
        _gaussian_offsets(rng, len(origin))
        if scheme == "seqbias"
        else _local_offsets(rng, len(origin))
    )
    background = Positions(near.contig, near.position + offsets, near.strand, near.weight)
    return DrawnPositions(foreground, background, origin)


def _keys(
    sites: StartSites, end: End, mate_bits: int = 0, apart: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Number the trainable starts so that they sort by contig, position and strand; int64 (reads,).

    With ``mate_bits`` the mate's number, reduced to so many bits, follows in the lowest ones, and distances to the mate are added to
    ``apart``. Beyond :data:`MOST_READS` reads, only those of some blocks of the genome are taken, chosen by a fixed hash of the block, so
    that time and memory of sampling stop growing with the sample and coverage within a block stays what it is.
    """
    numbers = range(len(sites.ends)) if end == "both" else (int(end),)
    line = sites.line
    reads = np.zeros(int(line[-1]) // BLOCK + 1, np.int64)
    for number in numbers:
        one = sites.ends[number]
        _count_trainable(one.contig, one.position, one.bits, line, BLOCK, reads)
    chosen = _chosen_blocks(reads)
    keys = np.empty(int(reads[chosen].sum()), np.int64)
    distances = np.zeros(0) if apart is None else apart
    used = 0
    for number in numbers:
        one, mate = sites.ends[number], sites.ends[len(sites.ends) - 1 - number]
        used = int(
            _list_trainable(
                one.contig, one.position, one.bits, mate.contig, mate.position, mate.bits, line, BLOCK, chosen, mate_bits, distances, keys,
                used,
            )
        )  # fmt: skip
    return keys[:used]


def _chosen_blocks(reads: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which blocks of the genome are taken, by the reads in each: in an order fixed by a hash until they hold :data:`MOST_READS`."""
    if int(reads.sum()) <= MOST_READS:
        return np.ones(len(reads), bool)
    filled = np.flatnonzero(reads)
    order = filled[np.argsort(_mix_all(filled), kind="stable")]
    before = np.cumsum(reads[order]) - reads[order]
    chosen = np.zeros(len(reads), bool)
    chosen[order[before < MOST_READS]] = True
    return chosen


@njit(cache=True, nogil=True)
def _count_trainable(contig, position, bits, line, block, reads):  # type: ignore[no-untyped-def]
    """Count the reads that a model may learn from, per block of the line that joins all contigs."""
    for i in range(len(bits)):
        if bits[i] & TRAINABLE:
            place = line[contig[i]] + position[i]
            if place < line[contig[i] + 1]:  # a read that leaves its contig is not listed
                reads[place // block] += 1


@njit(cache=True, nogil=True, inline="always")
def _mixed(number):  # type: ignore[no-untyped-def]
    """Spread a number over 64 bits."""
    mixed = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)


@njit(cache=True, nogil=True)
def _mix_all(numbers):  # type: ignore[no-untyped-def]
    """Spread each of some numbers over 64 bits."""
    out = np.empty(len(numbers), np.uint64)
    for i in range(len(numbers)):
        out[i] = _mixed(numbers[i])
    return out


@njit(cache=True, nogil=True)
def _list_trainable(  # type: ignore[no-untyped-def]
    contig,
    position,
    bits,
    mate_contig,
    mate_position,
    mate_bits,
    line,
    block,
    chosen,
    bits_of_mate,
    apart,
    keys,
    used,
):
    """List the keys of trainable reads in the chosen blocks."""
    for i in range(len(bits)):
        if bits[i] & TRAINABLE == 0:
            continue
        place = line[contig[i]] + position[i]
        if place >= line[contig[i] + 1]:  # a read that leaves its contig
            continue
        if not chosen[place // block]:
            continue
        key = 2 * place + (1 if bits[i] & REVERSE else 0)
        if bits_of_mate > 0:
            mate = np.int64(0)
            if mate_bits[i] & PRESENT:
                there = line[mate_contig[i]] + mate_position[i]
                mate = np.int64(
                    _mixed(2 * there + (3 if mate_bits[i] & REVERSE else 2))
                    >> np.uint64(64 - bits_of_mate)
                )
                distance = abs(there - place)
                if distance < len(apart):
                    apart[distance] += 1.0
            key = key << bits_of_mate | mate
        keys[used] = key
        used += 1
    return used


@njit(cache=True, nogil=True)
def _distinct_mates(keys, bits):  # type: ignore[no-untyped-def]
    """Count the distinct mates of each start; ``keys`` are ascending, the mate in the lowest bits."""
    found, used = np.empty(len(keys), np.float64), 0
    for i in range(len(keys)):
        if i > 0 and keys[i] >> bits == keys[i - 1] >> bits:
            if keys[i] != keys[i - 1]:
                found[used - 1] += 1.0
            continue
        found[used] = 1.0
        used += 1
    return found[:used]


@njit(cache=True, nogil=True)
def _places(keys, offsets, join):  # type: ignore[no-untyped-def]
    """Turn ascending keys back into contig, position, strand and weight: one each, or with ``join`` equal ones together."""
    contig, position = np.empty(len(keys), np.int32), np.empty(len(keys), np.int64)
    strand, weight = np.empty(len(keys), np.uint8), np.empty(len(keys), np.float64)
    number, used = 0, 0
    for i in range(len(keys)):
        if join and i > 0 and keys[i] == keys[i - 1]:
            weight[used - 1] += 1.0
            continue
        place = keys[i] >> 1
        while place >= offsets[number + 1]:
            number += 1
        contig[used], position[used] = number, place - offsets[number]
        strand[used], weight[used] = keys[i] & 1, 1.0
        used += 1
    return contig[:used], position[:used], strand[:used], weight[:used]


def _local_offsets(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Draw uniform offsets from -100…-1 and 1…100."""
    offsets = rng.integers(1, 2 * LOCAL_REACH + 1, size=n)
    return np.where(offsets > LOCAL_REACH, offsets - 2 * LOCAL_REACH - 1, offsets)


def _gaussian_offsets(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Draw Gaussian offsets, rounded; 0 becomes 1, because a start is no background of itself."""
    offsets = np.rint(rng.normal(0.0, SEQBIAS_SIGMA, size=n)).astype(np.int64)
    return np.where(offsets == 0, 1, offsets)
