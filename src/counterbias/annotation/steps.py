"""Cutting the genome at the features' edges into steps, each with its set of features."""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import helper, loop
from counterbias.records import Features, Steps

# Functions that only compiled code calls need no Python wrapper, which halves their compile time.

_LARGEST = np.iinfo(np.int64).max

#: Block offsets, contigs, strands, starts and ends, as in :class:`~counterbias.records.Features`.
Blocks = tuple[
    NDArray[np.int64], NDArray[np.int32], NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]
]


@dataclass(frozen=True, slots=True)
class Intervals:
    """The intervals of the counted lines, one row each.

    Args:
        feature: int64 (n,), index of the feature.
        contig: int64 (n,), index of the contig.
        strand: int64 (n,), 0 ``+``, 1 ``-``, 2 ``.``.
        start, end: int64 (n,), 0-based, half open.
    """

    feature: NDArray[np.int64]
    contig: NDArray[np.int64]
    strand: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def merge_blocks(
    intervals: Intervals, n_features: int, n_contigs: int
) -> tuple[NDArray[np.int64], Blocks]:
    """Merge each feature's intervals per contig and strand.

    Returns the order that sorts the intervals by feature, contig, strand and start, int64 (n,);
    and the blocks.
    """
    key = (intervals.feature * n_contigs + intervals.contig) * 3 + intervals.strand
    order = _order(key, intervals.start)
    key, start, end = key[order], intervals.start[order], intervals.end[order]
    merged = _merge(key, start, end)
    key, start, end = key[:merged], start[:merged], end[:merged]
    owner = key // (3 * n_contigs)
    offsets = np.searchsorted(owner, np.arange(n_features + 1)).astype(np.int64)
    contig, strand = (key // 3 % n_contigs).astype(np.int32), (key % 3).astype(np.int8)
    return order, (offsets, contig, strand, start, end)


def make_steps(features: Features, *, stranded: bool) -> Steps:
    """Cut every contig (and strand, where ``stranded``) at the edges of the features' blocks."""
    owner = np.repeat(np.arange(len(features), dtype=np.int32), np.diff(features.block_offsets))
    vector = features.block_contig.astype(np.int64)
    if stranded:
        vector = 2 * vector + features.block_strand
    position = np.concatenate((features.block_start, features.block_end))
    vector = np.concatenate((vector, vector))
    change = np.concatenate((owner + 1, -owner - 1)).astype(np.int32)
    order = _order(vector, position)
    return _cut(_Edges(vector[order], position[order], change[order]), features, stranded)


def _order(major: NDArray[np.int64], minor: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order by ``major``, then ``minor``, then place, int64 (n,); none is below 0.

    Sorting one key takes a fraction of the time of two, and less the more of it is in order.
    """
    span = int(minor.max(initial=0)) + 1
    if (int(major.max(initial=0)) + 1) * span > _LARGEST:
        return np.lexsort((minor, major))
    return np.argsort(major * span + minor, kind="stable")


@dataclass(frozen=True, slots=True)
class _Edges:
    """The starts and ends of all blocks, sorted by vector, then position.

    Args:
        vector: int64 (n,), see :class:`~counterbias.records.Steps`.
        position: int64 (n,), 0-based.
        change: int32 (n,), feature + 1 at the start of a block, its negative at the end.
    """

    vector: NDArray[np.int64]
    position: NDArray[np.int64]
    change: NDArray[np.int32]


def _cut(cuts: _Edges, features: Features, stranded: bool) -> Steps:
    """Run the sweep, with room for as many set members as it turns out to need."""
    edges = len(cuts.position)
    n_features = len(features)
    n_vectors = len(features.contigs) * (2 if stranded else 1)
    offsets = np.zeros(n_vectors + 1, dtype=np.int64)
    starts = np.zeros(edges + n_vectors, dtype=np.int64)
    sets = np.zeros(edges + n_vectors, dtype=np.int32)
    member_offsets = np.zeros(edges + 2, dtype=np.int64)
    members = np.empty(max(64, 2 * edges), dtype=np.int32)
    table_size = 1 << (2 * edges + 4).bit_length()
    while True:
        table = np.full(table_size, -1, dtype=np.int32)
        codes = np.zeros(edges + 2, dtype=np.int64)
        depth, active = np.zeros(n_features, dtype=np.int32), np.zeros(n_features, dtype=np.int32)
        n_sets = _sweep(
            cuts.vector,
            cuts.position,
            cuts.change,
            offsets,
            starts,
            sets,
            codes,
            member_offsets,
            members,
            table,
            depth,
            active,
        )
        if n_sets >= 0:
            break
        # Rare: sets of very many features. Starting over keeps the compiled part small.
        members = np.empty(4 * len(members), dtype=np.int32)
    steps = offsets[-1]
    return Steps(
        stranded,
        features.contigs,
        offsets,
        starts[:steps].copy(),
        sets[:steps].copy(),
        member_offsets[: n_sets + 1].copy(),
        members[: member_offsets[n_sets]].copy(),
    )


@loop("i8[::1], i8[::1], i8[::1]")
def _merge(key, start, end):
    """Merge overlapping and adjacent intervals of the same key in place; return the number left.

    The intervals are sorted by key, then start.
    """
    kept = -1
    for row in range(len(key)):
        if kept >= 0 and key[row] == key[kept] and start[row] <= end[kept]:
            end[kept] = max(end[kept], end[row])
        else:
            kept += 1
            key[kept] = key[row]
            start[kept] = start[row]
            end[kept] = end[row]
    return kept + 1


@helper
def _mix(feature):
    """Hash a feature; the hash of a set is the exclusive or of its members', cheap to update."""
    value = np.int64(feature + 1) * np.int64(0x1E3779B97F4A7C15)
    value = (value ^ (value >> 29)) * np.int64(0x3F58476D1CE4E5B9)
    return value ^ (value >> 32)


@helper
def _toggle(feature, active, n_active):
    """Add a feature to the sorted list of active ones, or remove it; return the new length."""
    place = 0
    while place < n_active and active[place] < feature:
        place += 1
    if place < n_active and active[place] == feature:
        for later in range(place, n_active - 1):
            active[later] = active[later + 1]
        return n_active - 1
    for later in range(n_active, place, -1):
        active[later] = active[later - 1]
    active[place] = feature
    return n_active + 1


@helper
def _find(code, active, n_active, codes, member_offsets, members, table):
    """Look up a set; return its number, or the complement of the table slot where it belongs."""
    mask = len(table) - 1
    slot = code & mask
    while table[slot] >= 0:
        known = table[slot]
        first = member_offsets[known]
        if codes[known] == code and member_offsets[known + 1] - first == n_active:
            place = 0
            while place < n_active and members[first + place] == active[place]:
                place += 1
            if place == n_active:
                return np.int64(known)
        slot = (slot + 1) & mask
    return ~slot


@loop(
    "i8[::1], i8[::1], i4[::1], i8[::1], i8[::1], i4[::1], i8[::1], i8[::1], i4[::1], i4[::1], "
    "i4[::1], i4[::1]",
)
def _sweep(
    vector,
    position,
    change,
    offsets,
    starts,
    sets,
    codes,
    member_offsets,
    members,
    table,
    depth,
    active,
):
    """Walk over the edges (see :class:`_Edges`) and write the steps and their sets.

    Fills ``offsets``, ``starts``, ``sets``, ``member_offsets`` and ``members``; returns the number
    of sets, -1 where ``members`` is too short. ``depth`` counts how often each feature is active:
    where strands share a vector, it may be so on both.
    """
    edges = len(position)
    n_active = np.int64(0)
    code = np.int64(0)
    table[0] = 0
    n_sets = 1
    event = 0
    step = 0
    for this in range(len(offsets) - 1):
        offsets[this] = step
        starts[step] = 0
        sets[step] = 0
        step += 1
        while event < edges and vector[event] == this:
            here = position[event]
            while event < edges and vector[event] == this and position[event] == here:
                feature = np.int64(abs(change[event]) - 1)
                before = depth[feature]
                depth[feature] += 1 if change[event] > 0 else -1
                if before == 0 or depth[feature] == 0:
                    n_active = _toggle(feature, active, n_active)
                    code ^= _mix(feature)
                event += 1
            found = _find(code, active, n_active, codes, member_offsets, members, table)
            if found < 0:
                first = member_offsets[n_sets]
                if first + n_active > len(members):
                    return -1
                for place in range(n_active):
                    members[first + place] = active[place]
                member_offsets[n_sets + 1] = first + n_active
                codes[n_sets] = code
                table[~found] = n_sets
                found = n_sets
                n_sets += 1
            if here == 0:
                sets[step - 1] = found
            elif found != sets[step - 1]:
                starts[step] = here
                sets[step] = found
                step += 1
    offsets[len(offsets) - 1] = step
    return n_sets
