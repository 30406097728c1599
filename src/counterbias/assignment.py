"""Decide which feature a fragment is counted for, as htseq-count decides.

Comes in: the annotation's steps, and rows of records with the reference intervals they cover. Goes out: per record the set of features it
overlaps, per fragment what it is assigned to, and the counts. The set of a record is a number, so that sets of mates merge cheaply:
-1 no interval yet, -2 a contig without features, 0 empty, otherwise a set of the annotation, or from -3 downwards one in a pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.records import CLASSES, CountingOptions, Steps

NONE, UNKNOWN, FIRST_POOLED = -1, -2, -3

#: Columns of the rows and of the fragment table that are read here; they are the alignment stage's layout.
HERE, INFO, SET = 1, 3, 5
WHERE, STATE, OVERLAP, MATE = 0, 1, 2, 4
READ1, UNMAPPED, REVERSE_FLAG, SECONDARY, SUPPLEMENTARY = 0x40, 0x4, 0x10, 0x100, 0x800
MAPQ_SHIFT, BITS_SHIFT, NH_SHIFT = 16, 24, 28
NH_ABSENT, NH_MANY, NH_INVALID = 0, 2, 3

#: What becomes of a fragment: assigned by its set, or one of the others; MULTIMAPPED may be added to any.
ASSIGNED, LOW_QUALITY, NOT_ALIGNED, SKIPPED, STOPPED = range(5)
MULTIMAPPED = 8

UNION, STRICT, NONEMPTY = range(3)
MODES = {"union": UNION, "intersection-strict": STRICT, "intersection-nonempty": NONEMPTY}
COUNT_NONE, COUNT_ALL, COUNT_FRACTION, COUNT_RANDOM = range(4)
NONUNIQUE = {"none": COUNT_NONE, "all": COUNT_ALL, "fraction": COUNT_FRACTION, "random": COUNT_RANDOM}

#: Buckets of the step index in all: small enough to stay in the processor's cache.
BUCKETS = 1 << 19


@dataclass(frozen=True, slots=True)
class StepIndex:
    """Steps laid out for the compiled loops.

    Args:
        contig_of: int32 (header's contigs,), the annotation's contig for each, -1 where it has none.
        offsets: int64 (vectors + 1,), rows of ``starts`` and ``sets`` per vector.
        starts, sets: int32 (steps,).
        bucket_offsets: int64 (vectors + 1,); bucket ``b`` of a vector covers positions ``b << shift`` onwards.
        buckets: int32, the step in which each bucket starts.
        shift: bits of a bucket.
        member_offsets, members: the sets; those of :class:`Steps`, then one for each feature that never stands alone.
        single: int32 (features,), the set that holds just the feature.
    """

    contig_of: NDArray[np.int32]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int32]
    sets: NDArray[np.int32]
    bucket_offsets: NDArray[np.int64]
    buckets: NDArray[np.int32]
    shift: int
    member_offsets: NDArray[np.int64]
    members: NDArray[np.int32]
    single: NDArray[np.int32]


def index_steps(steps: Steps, features: int, contigs: tuple[str, ...]) -> StepIndex:
    """Lay out steps for the contigs of an alignment header."""
    number = {name: i for i, name in enumerate(steps.contigs)}
    contig_of = np.array([number.get(name, -1) for name in contigs], dtype=np.int32)
    offsets = np.ascontiguousarray(steps.offsets, dtype=np.int64)
    starts = np.ascontiguousarray(steps.starts, dtype=np.int64)
    vectors = len(offsets) - 1
    extent = np.where(offsets[1:] > offsets[:-1], starts[np.maximum(offsets[1:] - 1, 0)] if len(starts) else 0, 0)
    shift = 6
    while int((extent >> shift).sum()) > BUCKETS:
        shift += 1
    sizes = (extent >> shift) + 1
    bucket_offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    buckets = np.empty(int(bucket_offsets[-1]), dtype=np.int32)
    for v in range(vectors):
        own = starts[offsets[v] : offsets[v + 1]]
        edges = np.arange(int(sizes[v]), dtype=np.int64) << shift
        buckets[bucket_offsets[v] : bucket_offsets[v + 1]] = offsets[v] + np.searchsorted(own, edges, side="right") - 1

    member_offsets = np.asarray(steps.member_offsets, dtype=np.int64)
    members = np.asarray(steps.members, dtype=np.int32)
    single = np.full(features, -1, dtype=np.int32)
    alone = np.flatnonzero(np.diff(member_offsets) == 1)
    single[members[member_offsets[alone]]] = alone
    missing = np.flatnonzero(single < 0)
    single[missing] = len(member_offsets) - 1 + np.arange(len(missing))
    more = member_offsets[-1] + 1 + np.arange(len(missing), dtype=np.int64)
    return StepIndex(
        contig_of=contig_of,
        offsets=offsets,
        starts=starts.astype(np.int32),
        sets=np.ascontiguousarray(steps.sets, dtype=np.int32),
        bucket_offsets=bucket_offsets,
        buckets=buckets,
        shift=shift,
        member_offsets=np.concatenate((member_offsets, more)),
        members=np.concatenate((members, missing.astype(np.int32))),
        single=single,
    )


@njit(cache=True, nogil=True)
def _span(code: Any, member_offsets: Any, pool: Any) -> Any:
    """Give where a set's members stand (within the pool if its code is negative) and their number."""
    if code <= FIRST_POOLED:
        place = FIRST_POOLED - code
        return place + 1, np.int64(pool[place])
    return member_offsets[code], member_offsets[code + 1] - member_offsets[code]


@njit(cache=True, nogil=True)
def _member(code: Any, place: Any, members: Any, pool: Any) -> Any:
    return pool[place] if code <= FIRST_POOLED else members[place]


@njit(cache=True, nogil=True)
def _merge(one: Any, two: Any, union: Any, member_offsets: Any, members: Any, single: Any, pool: Any, used: Any) -> Any:
    """Merge two sets; gives (the set, ints used in the pool), the latter -1 where the pool is too small."""
    if one == two or two == NONE:
        return one, used
    if one == NONE:
        return two, used
    if one == UNKNOWN or two == UNKNOWN:
        return np.int64(UNKNOWN), used
    if one == 0:
        return (two if union else one), used
    if two == 0:
        return (one if union else two), used
    here, size_one = _span(one, member_offsets, pool)
    there, size_two = _span(two, member_offsets, pool)
    if used + 1 + size_one + size_two > pool.size:
        return one, np.int64(-1)
    here_end = here + size_one
    there_end = there + size_two
    place = used + 1
    while here < here_end or there < there_end:
        if there == there_end:
            side = 1
        elif here == here_end:
            side = 2
        else:
            a = _member(one, here, members, pool)
            b = _member(two, there, members, pool)
            side = 3 if a == b else (1 if a < b else 2)
        if union or side == 3:
            pool[place] = _member(one, here, members, pool) if (side & 1) != 0 else _member(two, there, members, pool)
            place += 1
        here += side & 1
        there += side >> 1
    size = place - used - 1
    if size == 0:
        return np.int64(0), used
    if size == 1:
        return np.int64(single[pool[used + 1]]), used
    # A result as large as one of the two is that one: nothing new needs keeping.
    if size == size_one:
        return one, used
    if size == size_two:
        return two, used
    pool[used] = size
    return np.int64(FIRST_POOLED - used), place


@njit(cache=True, nogil=True)
def overlap(
    rows: Any, count: Any, first_block: Any, blocks: Any, paired: Any, stranded: Any, reverse: Any, mode: Any, minaqual: Any,
    contig_of: Any, offsets: Any, starts: Any, sets: Any, bucket_offsets: Any, buckets: Any, shift: Any,
    member_offsets: Any, members: Any, single: Any, pool: Any,
) -> Any:  # fmt: skip
    """Fill column SET of the rows; gives ints used in the pool, -1 where it is too small (then call again with a larger one)."""
    used = np.int64(0)
    for i in range(count):
        result = np.int64(NONE)
        info = rows[i, INFO]
        # A fragment with a record below the MAPQ wanted is counted as such, whatever it overlaps.
        if rows[i, HERE] != -1 and ((info >> MAPQ_SHIFT) & 255) >= minaqual:
            contig = contig_of[rows[i, HERE] >> 32]
            first = first_block[i]
            last = first_block[i + 1]
            if contig < 0:
                result = np.int64(UNKNOWN) if last > first else np.int64(NONE)
                last = first
            vector = np.int64(contig)
            if stranded:
                minus = (info & REVERSE_FLAG) != 0
                if paired and (info & READ1) == 0:
                    minus = not minus
                if reverse:
                    minus = not minus
                vector = 2 * vector + (1 if minus else 0)
            for k in range(first, last):
                start = blocks[k] >> 32
                end = blocks[k] & 0xFFFFFFFF
                final = offsets[vector + 1] - 1
                bucket = bucket_offsets[vector] + (start >> shift)
                if bucket + 1 < bucket_offsets[vector + 1]:
                    low = np.int64(buckets[bucket])
                    high = np.int64(buckets[bucket + 1])
                else:
                    low = np.int64(buckets[bucket_offsets[vector + 1] - 1])
                    high = final
                while low < high:
                    middle = (low + high + 1) >> 1
                    if starts[middle] <= start:
                        low = middle
                    else:
                        high = middle - 1
                step = low
                while True:
                    found = np.int64(sets[step])
                    if mode == STRICT or found != 0:
                        result, used = _merge(result, found, mode == UNION, member_offsets, members, single, pool, used)
                        if used < 0:
                            return used
                    step += 1
                    if step > final or starts[step] >= end:
                        break
        rows[i, SET] = result
    return used


@njit(cache=True, nogil=True)
def classify(
    fragments: Any, count: Any, union: Any, count_multimapped: Any, minaqual: Any, skip_secondary: Any, skip_supplementary: Any,
    member_offsets: Any, members: Any, single: Any, pool: Any, used: Any, kinds: Any, result: Any,
) -> Any:  # fmt: skip
    """Decide what becomes of fragments: ``kinds`` and, where assigned, the set ``result``.

    Gives (ints used in the pool, fragment): -1 ints where the pool is too small, -2 where a fragment's NH tag is not a number.
    """
    for f in range(count):
        one = fragments[f, STATE]
        two = fragments[f, MATE + STATE]
        result[f] = 0
        if fragments[f, WHERE] == -1 and fragments[f, MATE + WHERE] == -1:
            kinds[f] = NOT_ALIGNED
            continue
        # A missing mate has no flag.
        flags = (one if one != -1 else 0) | (two if two != -1 else 0)
        if (skip_secondary and (flags & SECONDARY) != 0) or (skip_supplementary and (flags & SUPPLEMENTARY) != 0):
            kinds[f] = SKIPPED
            continue
        kind = ASSIGNED
        # htseq-count asks read 1 first and gives the whole question up at the first record without NH.
        hits = (one >> NH_SHIFT) & 3 if one != -1 else 1
        if hits == 1 and two != -1:
            hits = (two >> NH_SHIFT) & 3
        if hits == NH_INVALID:
            return np.int64(-2), f
        if hits == NH_MANY:
            if not count_multimapped:
                kinds[f] = STOPPED | MULTIMAPPED
                continue
            kind = MULTIMAPPED
        if (one != -1 and ((one >> MAPQ_SHIFT) & 255) < minaqual) or (two != -1 and ((two >> MAPQ_SHIFT) & 255) < minaqual):
            kinds[f] = kind | LOW_QUALITY
            continue
        merged, used = _merge(
            fragments[f, OVERLAP], fragments[f, MATE + OVERLAP], union, member_offsets, members, single, pool, used
        )
        if used < 0:
            return used, f
        kinds[f] = kind
        result[f] = 0 if merged == NONE or merged == UNKNOWN else merged
    return used, count


@njit(cache=True, nogil=True)
def _choose(seed: Any, number: Any, size: Any) -> Any:
    """Choose one of ``size`` by hashing the seed and the fragment's number, so that threads cannot matter."""
    value = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return np.int64(((value >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@njit(cache=True, nogil=True)
def tally(
    fragments: Any, start: Any, count: Any, kinds: Any, result: Any, nonunique: Any, seed: Any, base: Any,
    member_offsets: Any, members: Any, pool: Any, counts: Any, parts: Any, classes: Any,
    keep: Any, row: Any, feature: Any, share: Any, contig_one: Any, position_one: Any, bits_one: Any,
    contig_two: Any, position_two: Any, bits_two: Any, site_of: Any,
) -> Any:  # fmt: skip
    """Count fragments and note their start sites, in order.

    ``counts`` (int64) or, with ``fraction``, ``parts`` (float64) and ``classes`` are added to. With ``keep``, rows from ``row`` on are
    filled; columns of read 2 may be empty. ``site_of`` (int64, may be empty) gets each fragment's first row in this chunk, or -1.
    Gives (fragments done, rows filled): fewer are done where the chunk is full.
    """
    for f in range(start, count):
        if site_of.size > 0:
            site_of[f] = -1
        kind = kinds[f]
        size = np.int64(0)
        place = np.int64(0)
        code = result[f]
        if (kind & 7) == ASSIGNED:
            place, size = _span(code, member_offsets, pool)
        shared = size if nonunique == COUNT_ALL or nonunique == COUNT_FRACTION else min(size, 1)
        if nonunique == COUNT_NONE and size > 1:
            shared = np.int64(0)
        if keep and row + shared > feature.size:
            return f, row
        if (kind & MULTIMAPPED) != 0:
            classes[4] += 1
        kind &= 7
        if kind == LOW_QUALITY:
            classes[2] += 1
        elif kind == NOT_ALIGNED:
            classes[3] += 1
        elif kind == ASSIGNED:
            if size == 0:
                classes[0] += 1
            elif size > 1:
                classes[1] += 1
                if nonunique == COUNT_RANDOM:
                    place += _choose(seed, base + f, size)
        if site_of.size > 0 and shared > 0 and keep:
            site_of[f] = row
        for k in range(place, place + shared):
            chosen = _member(code, k, members, pool)
            if nonunique == COUNT_FRACTION:
                parts[chosen] += 1.0 / size
            else:
                counts[chosen] += 1
            if keep:
                feature[row] = chosen
                if share.size > 0:
                    share[row] = 1.0 / size
                where = fragments[f, WHERE]
                contig_one[row] = where >> 32
                position_one[row] = where & 0xFFFFFFFF if where != -1 else -1
                bits_one[row] = (fragments[f, STATE] >> BITS_SHIFT) & 15 if where != -1 else 0
                if contig_two.size > 0:
                    where = fragments[f, MATE + WHERE]
                    contig_two[row] = where >> 32
                    position_two[row] = where & 0xFFFFFFFF if where != -1 else -1
                    bits_two[row] = (fragments[f, MATE + STATE] >> BITS_SHIFT) & 15 if where != -1 else 0
                row += 1
    return count, row


class Assigner:
    """Assign and count the fragments of one file."""

    def __init__(self, steps: Steps, features: int, contigs: tuple[str, ...], options: CountingOptions, *, path: str = "") -> None:
        self.index = index_steps(steps, features, contigs)
        self.options = options
        self.path = path
        self.mode = MODES[options.mode]
        self.nonunique = NONUNIQUE[options.nonunique]
        self.counts: NDArray[np.int64] = np.zeros(features, dtype=np.int64)
        fraction = self.nonunique == COUNT_FRACTION
        self.parts: NDArray[np.float64] = np.zeros(features if fraction else 0, dtype=np.float64)
        self.classes: NDArray[np.int64] = np.zeros(len(CLASSES), dtype=np.int64)
        self.seed = int(options.seed) & 0x7FFFFFFFFFFFFFFF
        self._stranded = options.stranded != "no"
        if self._stranded != steps.stranded:
            raise ValueError("the steps were made for another strandedness than the options say")

    def find_overlaps(
        self, rows: NDArray[np.int64], count: int, first_block: NDArray[np.int64], blocks: NDArray[np.int64], paired: bool,
        pool: NDArray[np.int32],
    ) -> tuple[NDArray[np.int32], int]:  # fmt: skip
        """Fill column SET of a batch's rows; gives the pool, made larger where needed, and the ints used in it. Any thread may do it."""
        ix, options = self.index, self.options
        while True:
            used = overlap(
                rows, count, first_block, blocks, paired, self._stranded, options.stranded == "reverse", self.mode, options.minaqual,
                ix.contig_of, ix.offsets, ix.starts, ix.sets, ix.bucket_offsets, ix.buckets, ix.shift,
                ix.member_offsets, ix.members, ix.single, pool,
            )  # fmt: skip
            if used >= 0:
                return pool, int(used)
            pool = np.empty(2 * len(pool), dtype=np.int32)

    def classify(
        self, fragments: NDArray[np.int64], count: int, pool: NDArray[np.int32], used: int,
        kinds: NDArray[np.uint8], result: NDArray[np.int64], first_fragment: int = 0,
    ) -> NDArray[np.int32]:  # fmt: skip
        """Decide what becomes of a batch's fragments; gives the pool, made larger where needed. Any thread may do it."""
        ix, options = self.index, self.options
        while True:
            done, fragment = classify(
                fragments, count, self.mode == UNION, self.nonunique != COUNT_NONE, options.minaqual,
                options.secondary_alignments == "ignore", options.supplementary_alignments == "ignore",
                ix.member_offsets, ix.members, ix.single, pool, used, kinds, result,
            )  # fmt: skip
            if done >= 0:
                return pool
            if done == -2:
                raise InputError(
                    "the tag NH is not a number", file=self.path, place=f"fragment {first_fragment + int(fragment) + 1}"
                )
            pool = np.concatenate((pool, np.empty(len(pool), dtype=np.int32)))
