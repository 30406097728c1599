"""Assigning fragments to features, and counting them, as htseq-count does.

Input: the annotation's steps, and rows of records with the reference intervals they cover. Output:
the set of features that each record overlaps, what each fragment is assigned to, and the counts. A
set is a number, so that the sets of mates merge cheaply: -1 for no interval yet, -2 for a contig
without features, 0 for the empty set, above 0 for a set of the annotation, and from -3 downwards
for one in a pool.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import AlignmentStream, Batch
from counterbias.alignments.decoding import (
    BITS_SHIFT,
    HERE,
    HITS_SHIFT,
    INFO,
    MAPQ_SHIFT,
    NH_INVALID,
    NH_MANY,
    NH_ONE,
    NH_SHIFT,
    READ1,
    REVERSE_FLAG,
    SET,
)
from counterbias.errors import InputError
from counterbias.loops import helper, loop
from counterbias.native import load_i32, load_i64, prefetch, store_i32
from counterbias.options import MODES, NONUNIQUE, CountingOptions
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.pipeline.counting.pairing import FIRST_POOLED, MATE, OVERLAP, STATE, WHERE
from counterbias.pipeline.counting.step_index import index_steps
from counterbias.records import CLASSES, Steps

#: The sets of a record without an interval, and of one on a contig without features.
NONE, UNKNOWN = -1, -2

SECONDARY, SUPPLEMENTARY = 0x100, 0x800

#: Outcomes for a fragment: assigned by its set, or one of the others; MULTIMAPPED may be added, and
#: above it the number of a status (:mod:`.assigned`).
#: AMBIGUOUS: its features are not known; if several are, it is assigned to their set. LISTED: it is
#: assigned to each feature of its set, and not ambiguous.
ASSIGNED, LOW_QUALITY, NOT_ALIGNED, SKIPPED, STOPPED, AMBIGUOUS, LISTED = range(7)
MULTIMAPPED = 8
#: What :func:`classify` returns instead of a number of ints.
INVALID_NH = -2

#: :data:`~counterbias.options.MODES` and :data:`~counterbias.options.NONUNIQUE` by number.
UNION, STRICT = MODES.index("union"), MODES.index("intersection-strict")
COUNT_NONE, COUNT_ALL, COUNT_FRACTION, COUNT_RANDOM = range(len(NONUNIQUE))


@helper
def is_left_out(outcome: Any) -> Any:
    """Whether a fragment is a read of nothing, whatever the status that another program gave it."""
    return (outcome & (7 | MULTIMAPPED)) == SKIPPED


@helper
def set_size(code: Any, member_offsets: Any, pool: Any) -> Any:
    """Return the number of a set's members. Arrays are given by address."""
    if code <= FIRST_POOLED:
        return load_i32(pool + 4 * (FIRST_POOLED - code))
    return load_i64(member_offsets + 8 * code + 8) - load_i64(member_offsets + 8 * code)


@helper
def first_member(code: Any, member_offsets: Any, members: Any, pool: Any) -> Any:
    """Return the address of a set's first member."""
    if code <= FIRST_POOLED:
        return pool + 4 * (FIRST_POOLED - code) + 4
    return members + 4 * load_i64(member_offsets + 8 * code)


@helper
def _merge_members(
    one: Any,
    two: Any,
    union: Any,
    member_offsets: Any,
    members: Any,
    single: Any,
    pool: Any,
    used: Any,
    room: Any,
) -> Any:
    """Merge two different sets with members: union or intersection.

    Returns (the set, ints used in the pool), -1 ints where the pool is too small.
    """
    here = first_member(one, member_offsets, members, pool)
    there = first_member(two, member_offsets, members, pool)
    size_one = set_size(one, member_offsets, pool)
    size_two = set_size(two, member_offsets, pool)
    if used + 1 + size_one + size_two > room:
        return one, np.int64(-1)
    here_end = here + 4 * size_one
    there_end = there + 4 * size_two
    first = pool + 4 * used + 4
    place = first
    while here < here_end or there < there_end:
        a = load_i32(here) if here < here_end else np.int64(1) << 40
        b = load_i32(there) if there < there_end else np.int64(1) << 40
        if union or a == b:
            store_i32(place, min(a, b))
            place += 4
        if a <= b:
            here += 4
        if b <= a:
            there += 4
    size = (place - first) >> 2
    if size == 0:
        return np.int64(0), used
    if size == 1:
        return load_i32(single + 4 * load_i32(first)), used
    # A result as large as one of the two is that one, so it need not be stored.
    if size == size_one:
        return one, used
    if size == size_two:
        return two, used
    store_i32(first - 4, size)
    return FIRST_POOLED - used, used + 1 + size


@helper
def _merge(
    one: Any,
    two: Any,
    union: Any,
    member_offsets: Any,
    members: Any,
    single: Any,
    pool: Any,
    used: Any,
    room: Any,
) -> Any:
    """Merge any two sets, as :func:`_merge_members` does."""
    if one in (two, UNKNOWN) or two == NONE:
        return one, used
    if one == NONE or two == UNKNOWN:
        return two, used
    if one == 0:
        return (two if union else one), used
    if two == 0:
        return (one if union else two), used
    return _merge_members(one, two, union, member_offsets, members, single, pool, used, room)


@loop(
    "i8[:, ::1], i8, i8[::1], i8[::1], b1, b1, b1, i8, i8, i4[::1], i8[::1], i8[::1], i8[::1], "
    "i4[::1], i8, i8[::1], i4[::1], i4[::1], i4[::1]",
)
def overlap(
    rows: Any, count: Any, first_block: Any, blocks: Any,
    paired: Any, stranded: Any, reverse: Any, mode: Any, minaqual: Any,
    contig_of: Any, offsets: Any, steps: Any, bucket_offsets: Any, buckets: Any, shift: Any,
    member_offsets: Any, members: Any, single: Any, pool: Any,
) -> Any:  # fmt: skip
    """Fill column SET of the rows.

    Returns the ints used in the pool, -1 where it is too small: call again with a larger one.
    """
    used = np.int64(0)
    step_at = steps.ctypes.data
    for begin in range(0, count, 64):
        # First find where the searches of many records start: these accesses miss the cache.
        for i in range(begin, min(begin + 64, count)):
            place = np.int64(NONE)
            info = rows[i, INFO]
            # A fragment with a record below the MAPQ threshold is counted as such anyway.
            if (
                rows[i, HERE] != -1
                and ((info >> MAPQ_SHIFT) & 255) >= minaqual
                and first_block[i + 1] > first_block[i]
            ):
                vector = np.int64(contig_of[rows[i, HERE] >> 32])
                if vector < 0:
                    place = np.int64(UNKNOWN)
                else:
                    if stranded:
                        minus = (
                            ((info & REVERSE_FLAG) != 0)
                            ^ (paired and (info & READ1) == 0)
                            ^ reverse
                        )
                        vector = 2 * vector + (1 if minus else 0)
                    bucket = bucket_offsets[vector] + ((blocks[first_block[i]] >> 32) >> shift)
                    low = np.int64(buckets[min(bucket, bucket_offsets[vector + 1] - 1)])
                    prefetch(step_at + 8 * low)
                    place = vector << 32 | low
            rows[i, SET] = place
        for i in range(begin, min(begin + 64, count)):
            if rows[i, SET] < 0:
                continue
            vector = rows[i, SET] >> 32
            low = rows[i, SET] & 0xFFFFFFFF
            final = offsets[vector + 1] - 1
            result = np.int64(NONE)
            for k in range(first_block[i], first_block[i + 1]):
                start = blocks[k] >> 32
                end = blocks[k] & 0xFFFFFFFF
                bucket = bucket_offsets[vector] + (start >> shift)
                high = final
                if bucket + 1 < bucket_offsets[vector + 1]:
                    high = np.int64(buckets[bucket + 1])
                # Blocks are sorted, so a search never has to go back.
                low = max(low, np.int64(buckets[min(bucket, bucket_offsets[vector + 1] - 1)]))
                while high - low > 4:
                    middle = (low + high) >> 1
                    if load_i64(step_at + 8 * middle) >> 32 <= start:
                        low = middle
                    else:
                        high = middle
                while low < final and load_i64(step_at + 8 * low + 8) >> 32 <= start:
                    low += 1
                while True:
                    found = load_i64(step_at + 8 * low) & 0xFFFFFFFF
                    if found != result and (mode == STRICT or found != 0):
                        result, used = _merge(
                            result, found, mode == UNION,
                            member_offsets.ctypes.data, members.ctypes.data, single.ctypes.data,
                            pool.ctypes.data, used, pool.size,
                        )  # fmt: skip
                        if used < 0:
                            return used
                    if low >= final or load_i64(step_at + 8 * low + 8) >> 32 >= end:
                        break
                    low += 1
            rows[i, SET] = result
    return used


@loop(
    "i8[:, ::1], i8, b1, b1, i8, b1, b1, i8[::1], i4[::1], i4[::1], i4[::1], i8, u1[::1], i8[::1]",
)
def classify(
    fragments: Any, count: Any, union: Any, count_multimapped: Any, minaqual: Any,
    skip_secondary: Any, skip_supplementary: Any,
    member_offsets: Any, members: Any, single: Any, pool: Any, used: Any,
    outcomes: Any, sets: Any,
) -> Any:  # fmt: skip
    """Decide the outcomes of fragments and, where assigned, their ``sets``.

    Returns (ints used in the pool, fragment): -1 ints where the pool is too small,
    :data:`INVALID_NH` where a fragment's NH tag is not a number.
    """
    for f in range(count):
        one = fragments[f, STATE]
        two = fragments[f, MATE + STATE]
        sets[f] = 0
        if fragments[f, WHERE] == -1 and fragments[f, MATE + WHERE] == -1:
            outcomes[f] = NOT_ALIGNED
            continue
        # A missing mate has no flag.
        flags = (one if one != -1 else 0) | (two if two != -1 else 0)
        if (skip_secondary and (flags & SECONDARY) != 0) or (
            skip_supplementary and (flags & SUPPLEMENTARY) != 0
        ):
            outcomes[f] = SKIPPED
            continue
        outcome = ASSIGNED
        # htseq-count looks at read 1 first, and no further if a record has no NH.
        hits = (one >> NH_SHIFT) & 3 if one != -1 else NH_ONE
        if hits == NH_ONE and two != -1:
            hits = (two >> NH_SHIFT) & 3
        if hits == NH_INVALID:
            return np.int64(INVALID_NH), f
        if hits == NH_MANY:
            if not count_multimapped:
                outcomes[f] = STOPPED | MULTIMAPPED
                continue
            outcome = MULTIMAPPED
        if (one != -1 and ((one >> MAPQ_SHIFT) & 255) < minaqual) or (
            two != -1 and ((two >> MAPQ_SHIFT) & 255) < minaqual
        ):
            outcomes[f] = outcome | LOW_QUALITY
            continue
        merged, used = _merge(
            fragments[f, OVERLAP], fragments[f, MATE + OVERLAP], union,
            member_offsets.ctypes.data, members.ctypes.data, single.ctypes.data,
            pool.ctypes.data, used, pool.size,
        )  # fmt: skip
        if used < 0:
            return used, f
        outcomes[f] = outcome
        sets[f] = max(merged, 0) if merged > FIRST_POOLED else merged
    return used, count


@helper
def _choose(seed: Any, number: Any, size: Any) -> Any:
    """Choose one of ``size`` by hashing the seed and the fragment's number.

    So the choice does not depend on the number of threads.
    """
    value = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(number) * np.uint64(
        0x9E3779B97F4A7C15
    )
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return np.int64(((value >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))


@loop(
    "i8[:, ::1], i8, i8, u1[::1], i8[::1], i8, i8, i8, i8[::1], i4[::1], i4[::1], i8[::1], "
    "f8[::1], i8[::1], b1, i8, i4[::1], f4[::1], i4[::1], i4[::1], u1[::1], i4[::1], i4[::1], "
    "u1[::1], i8[::1]",
)
def tally(
    fragments: Any, start: Any, count: Any, outcomes: Any, sets: Any,
    nonunique: Any, seed: Any, base: Any,
    member_offsets: Any, members: Any, pool: Any, counts: Any, parts: Any, classes: Any,
    keep: Any, row: Any, feature: Any, share: Any,
    contig_one: Any, position_one: Any, bits_one: Any,
    contig_two: Any, position_two: Any, bits_two: Any, site_of: Any,
) -> Any:  # fmt: skip
    """Count fragments and record their start sites, in order.

    Adds to ``counts`` (int64) or, with ``fraction``, ``parts`` (float64), and to ``classes``. With
    ``keep``, rows from ``row`` on are filled; columns of read 2 may be empty. ``site_of`` (int64,
    may be empty) gets each fragment's first row in this chunk, or -1. Returns (fragments done, rows
    filled); fewer are done where the chunk is full.
    """
    for f in range(start, count):
        if site_of.size > 0:
            site_of[f] = -1
        outcome = outcomes[f]
        size = np.int64(0)
        place = np.int64(0)
        listed = (outcome & 7) == LISTED
        if listed or (outcome & 7) == ASSIGNED:
            size = set_size(sets[f], member_offsets.ctypes.data, pool.ctypes.data)
            place = first_member(
                sets[f], member_offsets.ctypes.data, members.ctypes.data, pool.ctypes.data
            )
        shared: Any = size if nonunique in (COUNT_ALL, COUNT_FRACTION) else min(size, 1)
        if nonunique == COUNT_NONE and size > 1:
            shared = size if listed else np.int64(0)
        if keep and row + shared > feature.size:
            return f, row
        if (outcome & MULTIMAPPED) != 0:
            classes[4] += 1
        outcome &= 7
        if outcome == LOW_QUALITY:
            classes[2] += 1
        elif outcome == NOT_ALIGNED:
            classes[3] += 1
        elif outcome == AMBIGUOUS:
            classes[1] += 1
        elif listed or outcome == ASSIGNED:
            if size == 0:
                classes[0] += 1
            elif size > 1:
                classes[1] += not listed
                if nonunique == COUNT_RANDOM:
                    place += 4 * _choose(seed, base + f, size)
        if site_of.size > 0 and shared > 0 and keep:
            site_of[f] = row
        part = 1.0
        if nonunique == COUNT_FRACTION and shared > 0:
            hits = max(fragments[f, STATE], fragments[f, MATE + STATE]) >> HITS_SHIFT
            part = 1.0 / (size * max(hits, 1))
        for k in range(shared):
            chosen = load_i32(place + 4 * k)
            if nonunique == COUNT_FRACTION:
                parts[chosen] += part
            else:
                counts[chosen] += 1
            if keep:
                feature[row] = chosen
                if share.size > 0:
                    share[row] = part
                where = fragments[f, WHERE]
                contig_one[row] = where >> 32
                position_one[row] = where & 0xFFFFFFFF if where != -1 else -1
                bits_one[row] = (fragments[f, STATE] >> BITS_SHIFT) & 15 if where != -1 else 0
                if contig_two.size > 0:
                    where = fragments[f, MATE + WHERE]
                    contig_two[row] = where >> 32
                    position_two[row] = where & 0xFFFFFFFF if where != -1 else -1
                    bits_two[row] = (
                        (fragments[f, MATE + STATE] >> BITS_SHIFT) & 15 if where != -1 else 0
                    )
                row += 1
    return count, row


class Assigner:
    """Assigns and counts the fragments of one file by what they overlap.

    Args:
        steps: the annotation's steps, made for the same strandedness as ``options``.
        features: number of features.
        contigs: contigs of the alignment header.
        options: how fragments are counted.

    Raises:
        ValueError: the strandedness differs.
    """

    def __init__(
        self, steps: Steps, features: int, contigs: tuple[str, ...], options: CountingOptions
    ) -> None:
        self.index = index_steps(steps, features, contigs)
        self.options = options
        self.mode = MODES.index(options.mode)
        self.nonunique = NONUNIQUE.index(options.nonunique)
        self.counts: NDArray[np.int64] = np.zeros(features, dtype=np.int64)
        fraction = self.nonunique == COUNT_FRACTION
        self.parts: NDArray[np.float64] = np.zeros(features if fraction else 0, dtype=np.float64)
        self.classes: NDArray[np.int64] = np.zeros(len(CLASSES), dtype=np.int64)
        self.seed = int(options.seed) & 0x7FFFFFFFFFFFFFFF
        self._stranded = options.stranded != "no"
        if self._stranded != steps.stranded:
            raise ValueError("the steps were made for another strandedness than the options say")

    def find_sets(
        self, batch: Batch, paired: bool, pool: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], int]:
        """Fill column SET of a batch's rows; may run in any thread.

        Returns the pool, replaced by a larger one where needed, and the ints used in it.
        """
        return self.find_overlaps(
            batch.rows, batch.count, batch.first_block, batch.covered, paired, pool
        )

    def find_overlaps(
        self,
        rows: NDArray[np.int64],
        count: int,
        first_block: NDArray[np.int64],
        blocks: NDArray[np.int64],
        paired: bool,
        pool: NDArray[np.int32],
    ) -> tuple[NDArray[np.int32], int]:
        """Do what :meth:`find_sets` does; ``blocks`` are the intervals that the rows cover."""
        index, options = self.index, self.options
        while True:
            used = overlap(
                rows, count, first_block, blocks,
                paired, self._stranded, options.stranded == "reverse", self.mode, options.minaqual,
                index.contig_of, index.offsets, index.steps,
                index.bucket_offsets, index.buckets, index.shift,
                index.member_offsets, index.members, index.single, pool,
            )  # fmt: skip
            if used >= 0:
                return pool, int(used)
            pool = np.empty(2 * len(pool), dtype=np.int32)

    def classify(self, fragments: FragmentBatch) -> None:
        """Decide the outcomes of a batch's fragments; may run in any thread.

        The first fragment whose NH tag is not a number is noted as ``invalid_nh``.
        """
        index, options = self.index, self.options
        while True:
            done, fragment = classify(
                fragments.table, fragments.count,
                self.mode == UNION, self.nonunique != COUNT_NONE, options.minaqual,
                options.secondary_alignments == "ignore",
                options.supplementary_alignments == "ignore",
                index.member_offsets, index.members, index.single,
                fragments.pool, fragments.pooled, fragments.outcomes, fragments.sets,
            )  # fmt: skip
            if done >= 0 or done == INVALID_NH:
                fragments.invalid_nh = int(fragment) if done == INVALID_NH else -1
                return
            fragments.enlarge_pool()

    def accept(
        self, fragments: FragmentBatch, records: RecordBytes, before: int, stream: AlignmentStream
    ) -> None:
        """Refuse fragments that cannot be counted.

        Args:
            fragments: a batch that was classified; batches must come in order.
            records: the records that they refer to.
            before: fragments of earlier batches.
            stream: the file.

        Raises:
            InputError: an NH tag is not a number.
        """
        if fragments.invalid_nh >= 0:
            what = "read pair" if stream.paired else "read"
            raise InputError(
                "the tag NH is not a number",
                file=stream.source.path,
                place=f"{what} {before + fragments.invalid_nh + 1}",
            )

    def remarks(self) -> list[str]:
        """List what a user should know of the assignments once all fragments were counted."""
        return []
