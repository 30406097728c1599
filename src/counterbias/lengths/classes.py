"""Fragments of one feature → classes of fragments that say the same about its transcripts.

A fragment is compatible with a transcript if its 5' ends lie in the transcript's exons; the length
that it has there then decides how probable it is. A read alone is compatible with a transcript if
its 5' end lies in an exon, and as probable as the fragments that begin there are possible. Only
ratios between transcripts matter, so that the bias of ends that were seen cancels.

The line of a feature is cut at all edges of its exons into segments; which transcripts a fragment
is compatible with, and the difference between its lengths in them, follows from the segments of its
ends. Everything here runs in compiled code, one feature at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths.ends import (
    BOTH,
    LEFT,
    NEITHER,
    ends_of,
    last_upto,
    offset_on_line,
)
from counterbias.loops import helper

#: Steps per nat in which likelihoods are rounded, so that fragments share classes.
STEPS = 256.0
#: Share of fragments taken to have any length up to twice the longest one of the distribution, so
#: that an unusual fragment does not exclude a transcript.
ANY_LENGTH = 0.01
#: A likelihood that is never reached, in steps: not compatible.
_IMPOSSIBLE = np.int64(-(2**40))
#: Most edges of a feature's exons, so that keys of fragments are 64-bit numbers, and most edges ×
#: transcripts, so that tables stay small. Features beyond have too many transcripts.
MOST_EDGES, MOST_PLACES = 1 << 14, 1 << 23


@helper
def cut_segments(exon_offsets, start, end, edges):  # type: ignore[no-untyped-def]
    """Return where each segment begins in each transcript, int64 (segments, transcripts).

    -1 where the segment is not of the transcript. ``edges`` are the sorted edges of all exons.
    """
    transcripts = len(exon_offsets) - 1
    place = np.full((len(edges) - 1, transcripts), -1, np.int64)
    for t in range(transcripts):
        before = 0
        for exon in range(exon_offsets[t], exon_offsets[t + 1]):
            segment = last_upto(start[exon], edges, 0, len(edges))
            while edges[segment] < end[exon]:
                place[segment, t] = before + edges[segment] - start[exon]
                segment += 1
            before += end[exon] - start[exon]
    return place


@helper
def _grown(table, weight):  # type: ignore[no-untyped-def]
    """Return a hash table of twice the size with the same keys and weights."""
    keys, sums = np.full(2 * len(table), -1, np.int64), np.zeros(2 * len(table))
    for i in range(len(table)):
        if table[i] >= 0:
            at = _slot(table[i], keys)
            keys[at], sums[at] = table[i], weight[i]
    return keys, sums


@helper
def _slot(key, table):  # type: ignore[no-untyped-def]
    """Return where a key is, or would go, in a hash table whose size is a power of two."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    at = np.int64((mixed ^ (mixed >> np.uint64(29))) & np.uint64(len(table) - 1))
    while table[at] >= 0 and table[at] != key:
        at = (at + 1) & (len(table) - 1)
    return at


@helper
def distinct_fragments(  # type: ignore[no-untyped-def]
    rows, share, contig, contig_1, position_1, bits_1, contig_2, position_2, bits_2, paired,
    first, last, block_start, block_end, before, edges,
):  # fmt: skip
    """Count the distinct fragments of a feature by segments and distance of their ends.

    Returns their keys, int64 ascending; their numbers (shares), float64; and the sum of those with
    an end off the feature's blocks.
    """
    segments = len(edges) - 1
    line = edges[segments] + 1
    table, weight = np.full(256, -1, np.int64), np.zeros(256)
    used, outside = 0, 0.0
    for i in range(len(rows)):
        row = rows[i]
        part = 1.0 if len(share) == 0 else np.float64(share[row])
        known, left, right = ends_of(
            row, contig, contig_1, position_1, bits_1, contig_2, position_2, bits_2, paired
        )
        if known == NEITHER:
            continue
        left = offset_on_line(left, first, last, block_start, block_end, before)
        if known != BOTH:
            right = left
        else:
            right = offset_on_line(right, first, last, block_start, block_end, before)
        if left < 0 or right < 0:
            outside += part
            continue
        near = last_upto(left, edges, 0, len(edges))
        far = last_upto(right, edges, near, len(edges))
        # The offset within the segment for a read alone, otherwise the distance of both ends.
        rest = right - left if known == BOTH else left
        key = ((known * segments + near) * segments + far) * line + rest
        at = _slot(key, table)
        if table[at] < 0:
            table[at] = key
            used += 1
        weight[at] += part
        if 2 * used > len(table):
            table, weight = _grown(table, weight)
    keys, sums = np.empty(used, np.int64), np.empty(used)
    used = 0
    for i in range(len(table)):
        if table[i] >= 0:
            keys[used], sums[used] = table[i], weight[i]
            used += 1
    keys, sums = _sorted(keys, sums)
    return keys, sums, outside


@helper
def _sorted(keys, sums):  # type: ignore[no-untyped-def]
    """Sort distinct keys, and their sums with them, by merging runs of growing size.

    NumPy's sorting would take longer to compile than all else here.
    """
    other_keys, other_sums = np.empty_like(keys), np.empty_like(sums)
    run = 1
    while run < len(keys):
        for low in range(0, len(keys), 2 * run):
            a, middle = low, min(low + run, len(keys))
            b, high = middle, min(low + 2 * run, len(keys))
            for at in range(low, high):
                if b == high or (a < middle and keys[a] < keys[b]):
                    other_keys[at], other_sums[at] = keys[a], sums[a]
                    a += 1
                else:
                    other_keys[at], other_sums[at] = keys[b], sums[b]
                    b += 1
        keys, other_keys, sums, other_sums = other_keys, keys, other_sums, sums
        run *= 2
    return keys, sums


class LengthTable(NamedTuple):
    """How probable fragment lengths are.

    Args:
        density: float64 (n,), probability of each length from 0.
        steps: int64 (n + 1,), log likelihood of each length, rounded; the last is of longer ones.
        first, last: int64 (k,), runs of possible lengths that are equally probable.
    """

    density: NDArray[np.float64]
    steps: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def tabulate_lengths(density: NDArray[np.float64]) -> LengthTable:
    """Prepare a distribution of fragment lengths; ``density`` is that of each length from 0."""
    first = np.flatnonzero(np.diff(density, prepend=-1.0))
    last = np.append(first[1:], len(density)) - 1
    possible = density[first] > 0
    likelihood = ANY_LENGTH / (2 * len(density)) + (1 - ANY_LENGTH) * np.append(density, 0.0)
    steps = np.rint(STEPS * np.log(likelihood)).astype(np.int64)
    return LengthTable(density, steps, first[possible], last[possible])


@helper
def _possible(at, length, upto, by_length, right):  # type: ignore[no-untyped-def]
    """Return Σ P(L) b(other end) over the fragments with one end at offset ``at`` of a transcript.

    ``upto`` are running sums of the other end's b, from 0; ``right`` whether it lies on the right.
    """
    room = length - at if right else at + 1
    total = 0.0
    density = by_length.density
    for k in range(len(by_length.first)):
        size, until = by_length.first[k], min(by_length.last[k], room) + 1
        if size >= until:
            break
        low, high = at + size - 1, at + until - 1
        if not right:
            low, high = at - until + 2, at - size + 2
        total += density[size] * (upto[high] - upto[low])
    mean = 1.0 if len(upto) < 2 else upto[length] / length
    tail = min(room, 2 * len(density)) / (2 * len(density)) * mean
    return (1 - ANY_LENGTH) * total + ANY_LENGTH * tail


@helper
def _likelihoods(  # type: ignore[no-untyped-def]
    key, segments, line, edges, place, by_length, lengths, bases, upto_forward, upto_backward, out
):
    """Write, per transcript, the rounded log likelihood of a fragment; return the highest."""
    rest = key % line
    far = key // line % segments
    near = key // line // segments % segments
    known = key // line // segments // segments
    best = _IMPOSSIBLE
    for t in range(len(lengths)):
        out[t] = _IMPOSSIBLE
        if place[near, t] < 0 or place[far, t] < 0:
            continue
        if known == BOTH:
            # Offsets within the segments differ from those along the line by the segments' edges.
            gap = (place[far, t] - edges[far]) - (place[near, t] - edges[near])
            out[t] = by_length.steps[min(rest + gap + 1, len(by_length.steps) - 1)]
        else:
            at = place[near, t] + rest - edges[near]
            begin = bases[t] + t
            upto = upto_backward if known == LEFT else upto_forward
            likelihood = _possible(
                at, lengths[t], upto[begin : begin + lengths[t] + 1], by_length, known == LEFT
            )
            out[t] = np.int64(np.rint(STEPS * np.log(likelihood)))
        best = max(best, out[t])
    return best


@helper
def _longer(values, by):  # type: ignore[no-untyped-def]
    """Copy an array to one of twice its length, and ``by`` more."""
    out = np.empty(2 * len(values) + by, values.dtype)
    for i in range(len(values)):
        out[i] = values[i]
    return out


@helper
def make_classes(  # type: ignore[no-untyped-def]
    keys, weight, edges, place, by_length, lengths, bases, upto_forward, upto_backward
):
    """Join distinct fragments with the same ratios of likelihoods into classes.

    Args:
        keys, weight: as :func:`distinct_fragments` returns them.
        edges, place: the segments.
        by_length: how probable fragment lengths are.
        lengths: of the transcripts, int64 (t,).
        bases: where each transcript begins among the bases of all, int64 (t,).
        upto_forward, upto_backward: running sums of b along each transcript, one entry more than it
            has bases; only read for fragments of which one end is known.

    Returns:
        counts of the classes, float64 (c,); where each begins, int64 (c + 1,); transcript and
        likelihood, at most 1, of each entry; and the number of fragments that fit no transcript.
    """
    segments, transcripts = len(edges) - 1, len(lengths)
    line = edges[segments] + 1
    table = np.full(256, -1, np.int64)
    hashes, counts = np.empty(128, np.uint64), np.zeros(128)
    offsets = np.zeros(129, np.int64)
    members, steps = np.empty(1024, np.int32), np.empty(1024, np.int64)
    found = np.empty(transcripts, np.int64)
    used, unfit = 0, 0.0
    for i in range(len(keys)):
        best = _likelihoods(
            keys[i], segments, line, edges, place, by_length, lengths, bases,
            upto_forward, upto_backward, found,
        )  # fmt: skip
        if best == _IMPOSSIBLE:
            unfit += weight[i]
            continue
        begin = offsets[used]
        if begin + transcripts > len(members):
            members = _longer(members, transcripts)
            steps = _longer(steps, transcripts)
        at, code = begin, np.uint64(0)
        for t in range(transcripts):
            if found[t] > _IMPOSSIBLE:
                members[at], steps[at] = t, found[t] - best
                code = (code ^ np.uint64(t)) * np.uint64(0x9E3779B97F4A7C15)
                code = (code ^ np.uint64(best - found[t])) * np.uint64(0xBF58476D1CE4E5B9)
                code ^= code >> np.uint64(31)
                at += 1
        slot = np.int64(code & np.uint64(len(table) - 1))
        while table[slot] >= 0 and not _same(
            table[slot], code, hashes, offsets, members, steps, begin, at
        ):
            slot = (slot + 1) & (len(table) - 1)
        if table[slot] >= 0:
            counts[table[slot]] += weight[i]
            continue
        table[slot], hashes[used], counts[used] = used, code, weight[i]
        used += 1
        offsets[used] = at
        if used == len(hashes):
            hashes, counts = _longer(hashes, 0), _longer(counts, 0)
            offsets = _longer(offsets, 0)
            table = np.full(2 * len(table), -1, np.int64)
            for one in range(used):
                slot = np.int64(hashes[one] & np.uint64(len(table) - 1))
                while table[slot] >= 0:
                    slot = (slot + 1) & (len(table) - 1)
                table[slot] = one
    size = offsets[used]
    return (
        counts[:used].copy(), offsets[: used + 1].copy(), members[:size].copy(),
        np.exp(steps[:size] / STEPS), unfit,
    )  # fmt: skip


@helper
def _same(one, code, hashes, offsets, members, steps, begin, end):  # type: ignore[no-untyped-def]
    """Whether class ``one`` has the entries ``begin:end``."""
    first = offsets[one]
    if hashes[one] != code or offsets[one + 1] - first != end - begin:
        return False
    for i in range(end - begin):
        if members[first + i] != members[begin + i] or steps[first + i] != steps[begin + i]:
            return False
    return True
