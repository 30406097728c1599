"""The places where trainable reads start, and how many reads and fragments begin there."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.records import PRESENT, REVERSE, TRAINABLE, Positions, StartSites
from counterbias.sampling.start_weights import MOST_APART, Starts, mate_bits, with_coincidences

#: Which reads: 0 for read 1 or single reads, 1 for read 2, ``both`` to pool them.
End = Literal["both", 0, 1]

#: With more trainable reads than this, only some blocks of the genome are sampled.
MOST_READS = 1_000_000
#: Bases per such block.
BLOCK = 50_000


def read_starts(sites: StartSites, *, end: End = "both") -> Positions:
    """List the trainable read starts, one row per read, sorted by contig, position and strand.

    Trainable are unclipped reads with a unique, primary alignment. All weights are 1.
    """
    keys = _keys(sites, end)
    keys.sort()
    return Positions(*_places(keys, sites.line, False))


def unique_starts(sites: StartSites, *, end: End = "both") -> Positions:
    """List the distinct trainable read starts, weighted by the reads that start there.

    They are sorted by contig, position and strand.
    """
    keys = _keys(sites, end)
    keys.sort()
    return Positions(*_places(keys, sites.line, True))


def find_starts(sites: StartSites, *, end: End = "both") -> Starts:
    """List the distinct trainable read starts, with the reads and fragments that begin at each.

    Pairs with the same two 5' ends are copies of one fragment, whichever read comes first; so are
    reads at one place whose mates are not aligned. Copies of single reads cannot be told apart from
    other fragments: each read counts as one.
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
    """Return each contig's last position at which a read starts, int64 (contigs,), or -1."""
    reach = np.full(len(sites.contigs), -1, np.int64)
    for end in sites.ends:
        _reach(end.contig, end.position, end.bits, PRESENT, reach)
    return reach


@loop("i4[::1], i4[::1], u1[::1], i8, i8[::1]")
def _reach(contig, position, bits, present, reach):  # type: ignore[no-untyped-def]
    """Record the last position per contig."""
    for i in range(len(bits)):
        if bits[i] & present and position[i] > reach[contig[i]]:
            reach[contig[i]] = position[i]


def _keys(
    sites: StartSites, end: End, mate_bits: int = 0, apart: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Number the trainable starts so that they sort by contig, position and strand; int64 (reads,).

    With ``mate_bits``, the lowest that many bits hold a hash of the mate's start, and distances to
    the mate are added to ``apart``. Beyond :data:`MOST_READS` reads, only those of some blocks of
    the genome are taken, chosen by a fixed hash of the block, so that time and memory stop growing
    with the sample while coverage within a block is kept.
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
                one.contig, one.position, one.bits, mate.contig, mate.position, mate.bits, line,
                BLOCK, chosen, mate_bits, distances, keys, used,
            )
        )  # fmt: skip
    return keys[:used]


def _chosen_blocks(reads: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose blocks of the genome, bool (blocks,), by the reads in each.

    They are taken in an order fixed by a hash until they hold :data:`MOST_READS` reads.
    """
    if int(reads.sum()) <= MOST_READS:
        return np.ones(len(reads), bool)
    filled = np.flatnonzero(reads)
    order = filled[np.argsort(_mix_all(filled), kind="stable")]
    before = np.cumsum(reads[order]) - reads[order]
    chosen = np.zeros(len(reads), bool)
    chosen[order[before < MOST_READS]] = True
    return chosen


@loop("i4[::1], i4[::1], u1[::1], i8[::1], i8, i8[::1]")
def _count_trainable(contig, position, bits, line, block, reads):  # type: ignore[no-untyped-def]
    """Count the trainable reads per block of the line that joins all contigs."""
    for i in range(len(bits)):
        if bits[i] & TRAINABLE:
            place = line[contig[i]] + position[i]
            if place < line[contig[i] + 1]:  # a read off its contig is not listed
                reads[place // block] += 1


@helper(inline=True)
def _mixed(number):  # type: ignore[no-untyped-def]
    """Hash a number to 64 bits."""
    mixed = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)


@loop("i8[::1]")
def _mix_all(numbers):  # type: ignore[no-untyped-def]
    """Hash each number to 64 bits."""
    out = np.empty(len(numbers), np.uint64)
    for i in range(len(numbers)):
        out[i] = _mixed(numbers[i])
    return out


@loop(
    "i4[::1], i4[::1], u1[::1], i4[::1], i4[::1], u1[::1], i8[::1], i8, b1[::1], i8, f8[::1], "
    "i8[::1], i8",
)
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
        if place >= line[contig[i] + 1]:  # a read off its contig
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


@loop("i8[::1], i8")
def _distinct_mates(keys, bits):  # type: ignore[no-untyped-def]
    """Count the distinct mates of each start; ``keys`` are ascending, the mate in the low bits."""
    found, used = np.empty(len(keys), np.float64), 0
    for i in range(len(keys)):
        if i > 0 and keys[i] >> bits == keys[i - 1] >> bits:
            if keys[i] != keys[i - 1]:
                found[used - 1] += 1.0
            continue
        found[used] = 1.0
        used += 1
    return found[:used]


@loop("i8[::1], i8[::1], b1")
def _places(keys, offsets, join):  # type: ignore[no-untyped-def]
    """Turn ascending keys into contig, position, strand and weight; ``join`` merges equal ones."""
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
