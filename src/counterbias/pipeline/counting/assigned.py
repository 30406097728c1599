"""Assigning fragments to the features that another counter has written into their tags.

The other way to fill what :mod:`.assignment` fills. A record's SET comes from its tags instead of
the annotation's steps; where the tag is a verdict (``XT`` with ``XS``, ``XF``), what became of the
fragment does too. All that comes after, such as pairs, start sites and counts, is the same code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import AlignmentStream, Batch
from counterbias.alignments.decoding import (
    BAD_TAGS,
    HERE,
    HITS_SHIFT,
    INFO,
    NO_INTEGER,
    SET,
    fields_end,
    integer_tag,
    name_of,
    next_tag,
)
from counterbias.errors import InputError
from counterbias.loops import helper, loop
from counterbias.native import load_i32, load_u8, load_u16, load_u64, store_i32
from counterbias.options import CountingOptions
from counterbias.pipeline.counting.assignment import (
    ASSIGNED,
    LISTED,
    NONE,
    NOT_ALIGNED,
    SKIPPED,
    Assigner,
)
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.pipeline.counting.name_table import find_name, name_table
from counterbias.pipeline.counting.pairing import FIRST_POOLED, MATE, OVERLAP, RECORD, STATE
from counterbias.pipeline.counting.tag_schemes import LISTED_STATUS, SEVERAL, tag_scheme
from counterbias.records import Annotation

#: A SET from here upwards is a status: its number in the scheme + this.
FIRST_STATUS = 1 << 40
#: Where an outcome has the number of the status that was skipped.
STATUS_SHIFT = 4
#: What is wrong with a record's tags.
BROKEN, NO_TAG, UNKNOWN_STATUS, UNKNOWN_FEATURE, WRONG_NUMBER, REPEATED = range(1, 7)
#: What :func:`_list_features` returns instead of a number of features.
FULL = -1

#: A number of features that a tag does not say: any, or several.
_ANY, _SEVERAL = -1, -2
#: Most hits that a record remembers.
_MOST_HITS = (1 << 24) - 1
#: The tag NH, and the beginning of :data:`SEVERAL`, as numbers.
_NH = int.from_bytes(b"NH", "little")
_SEVERAL_HEAD = np.uint64(int.from_bytes(SEVERAL[:8].encode(), "little"))
_SEVERAL_TAIL = int.from_bytes(SEVERAL[8:12].encode(), "little")
_SEVERAL_SIZE = len(SEVERAL)


@helper
def _find_tags(here: Any, end: Any, status_tag: Any, feature_tag: Any, number_tag: Any) -> Any:
    """Find the last texts of status and features, the number of features, and NH.

    NH is looked for only with a tag of the number. Returns (start and end of the status, start and
    end of the features, each 0 where missing; the number, :data:`_ANY` where missing; NH, 0 where
    missing), all -1 where a tag is malformed.
    """
    nothing = np.int64(0)
    status, status_end, feature, feature_end, hits = nothing, nothing, nothing, nothing, nothing
    number = np.int64(_ANY)
    while here < end:
        following = next_tag(here, end)
        if following < 0:
            return following, following, following, following, following, following
        tag = load_u16(here)
        if load_u8(here + 2) == 90:  # Z
            if tag == status_tag:
                status, status_end = here + 3, following - 1
            if tag == feature_tag:
                feature, feature_end = here + 3, following - 1
        elif number_tag != 0 and tag in (number_tag, _NH):
            value = integer_tag(here)
            if tag == number_tag:
                number = value
            elif value != NO_INTEGER:
                hits = value
        here = following
    return status, status_end, feature, feature_end, number, hits


@helper
def _is_several(here: Any, length: Any) -> Any:
    """Whether a text is htseq-count's ``__ambiguous[a+b]``."""
    return (
        length > _SEVERAL_SIZE
        and load_u64(here) == _SEVERAL_HEAD
        and load_i32(here + 8) == _SEVERAL_TAIL
        and load_u8(here + length - 1) == 93
    )


@helper
def _list_features(
    here: Any,
    end: Any,
    separator: Any,
    names: Any,
    longest: Any,
    first: Any,
    room: Any,
) -> Any:
    """Write the features of a list to ``first`` and on, ascending.

    A name may contain the separator: a part that is no name is continued beyond it. ``names`` are
    the addresses of a :class:`.NameTable` and its mask. Returns (number of different features, or
    :data:`FULL` with more than ``room``; the start of what is no name, or -1; whether one is there
    twice).
    """
    text, offsets, slots, mask = names
    size = np.int64(0)
    repeated = False
    start = here
    stop = here
    while True:
        while stop < end and load_u8(stop) != separator:
            stop += 1
        found = find_name(start, stop - start, text, offsets, slots, mask)
        if found >= 0:
            place = first + 4 * size
            while place > first and load_i32(place - 4) > found:
                place -= 4
            if place > first and load_i32(place - 4) == found:
                repeated = True
            elif size >= room:
                return np.int64(FULL), np.int64(-1), False
            else:
                last = first + 4 * size
                while last > place:
                    store_i32(last, load_i32(last - 4))
                    last -= 4
                store_i32(place, found)
                size += 1
            start = stop + 1
        elif stop >= end or stop - start > longest:
            return size, start, repeated
        if stop >= end:
            return size, np.int64(-1), repeated
        stop += 1


@helper
def _find_set(
    feature: Any, end: Any, number: Any, unique: Any, separator: Any,
    names: Any, longest: Any, single: Any, pool: Any, used: Any, size_of_pool: Any,
) -> Any:  # fmt: skip
    """Find the set of the features in a text, of which there are ``number``.

    With ``unique``, none may be there twice. Returns (the set; ints used in the pool, :data:`FULL`
    where it is too small; what is wrong, 0 for nothing; where the text in question begins).
    """
    nothing = np.int64(0)
    if number == 1 or number == _ANY:
        found = find_name(feature, end - feature, *names)
        if found >= 0:
            return np.int64(single[found]), used, nothing, feature
        if number == 1:
            return nothing, used, np.int64(UNKNOWN_FEATURE), feature
    first = pool + 4 * (used + 1)
    size, unknown, repeated = _list_features(
        feature, end, separator, names, longest, first, size_of_pool - used - 1
    )
    if size == FULL:
        return nothing, size, nothing, feature
    if unknown >= 0:
        return nothing, used, np.int64(UNKNOWN_FEATURE), unknown
    if repeated and unique:  # where genes are named, two may share a name
        return nothing, used, np.int64(REPEATED), feature
    if number >= 0 and number != size:
        return nothing, used, np.int64(WRONG_NUMBER), feature
    if size == 1:
        return np.int64(single[load_i32(first)]), used, nothing, feature
    store_i32(pool + 4 * used, size)
    return FIRST_POOLED - used, used + 1 + size, nothing, feature


@loop(
    "u1[::1], i8[::1], i8[:, ::1], i8, (i8, i8, i8, i8, i8), "
    "u1[::1], i8[::1], i4[::1], u1[::1], i8[::1], i4[::1], i8, i4[::1], i4[::1]"
)
def read_tags(
    data: Any, offsets: Any, rows: Any, count: Any, scheme: Any,
    status_text: Any, status_offsets: Any, status_slots: Any,
    text: Any, name_offsets: Any, slots: Any, longest: Any, single: Any, pool: Any,
) -> Any:  # fmt: skip
    """Fill column SET of the rows from their records' tags, of which the last one counts.

    ``scheme`` has the tags of status (0 for none), features and number (0 for none), the separator,
    and the status whose features are in their own tag (-1 for none). With a tag of the number, the
    value of NH goes into INFO. Returns (ints used in the pool, -1 where it is too small; record;
    what is wrong with it, 0 for nothing; where in ``data`` the text in question begins; its end).
    """
    status_tag, feature_tag, number_tag, separator, listed = scheme
    base = data.ctypes.data
    statuses = (
        status_text.ctypes.data,
        status_offsets.ctypes.data,
        status_slots.ctypes.data,
        np.int64(status_slots.size - 1),
    )
    names = (
        text.ctypes.data,
        name_offsets.ctypes.data,
        slots.ctypes.data,
        np.int64(slots.size - 1),
    )
    pool_at = pool.ctypes.data
    nothing = np.int64(0)
    used = np.int64(0)
    for i in range(count):
        record = base + offsets[i]
        end = record + 4 + load_i32(record)
        status, status_end, feature, feature_end, number, hits = _find_tags(
            fields_end(record), end, status_tag, feature_tag, number_tag
        )
        if status < 0:
            return used, np.int64(i), np.int64(BROKEN), nothing, nothing
        if status_tag != 0:
            if status == 0:
                if rows[i, HERE] != -1:
                    return used, np.int64(i), np.int64(NO_TAG), nothing, nothing
                rows[i, SET] = NONE
                continue
            found = find_name(status, status_end - status, *statuses)
            if found >= 0 and found != listed:
                rows[i, SET] = FIRST_STATUS + found
                continue
            if listed < 0:
                number = np.int64(1)
                if _is_several(status, status_end - status):
                    number = np.int64(_SEVERAL)
                    feature += _SEVERAL_SIZE
                    feature_end -= 1
            elif found < 0:
                return used, np.int64(i), np.int64(UNKNOWN_STATUS), status - base, status_end - base
            elif feature == 0:
                return used, np.int64(i), np.int64(NO_TAG), nothing, nothing
            if hits > 0:
                rows[i, INFO] |= min(hits, np.int64(_MOST_HITS)) << HITS_SHIFT
        elif feature_end - feature <= 1 and (feature == feature_end or load_u8(feature) == 45):  # -
            rows[i, SET] = NONE if rows[i, HERE] == -1 else 0
            continue
        found, used_then, problem, place = _find_set(
            feature, feature_end, number, status_tag != 0, separator,
            names, longest, single, pool_at, used, pool.size,
        )  # fmt: skip
        if used_then == FULL:
            return used_then, np.int64(i), nothing, nothing, nothing
        if problem != 0:
            return used, np.int64(i), problem, place - base, feature_end - base
        rows[i, SET] = found
        used = used_then
    return used, np.int64(count), nothing, nothing, nothing


@helper
def _equal(one: Any, other: Any, pool: Any) -> Any:
    """Whether two records' sets are equal; those in the pool, given by address, are compared."""
    if one == other:
        return True
    if one > FIRST_POOLED or other > FIRST_POOLED:
        return False
    first = pool + 4 * (FIRST_POOLED - one)
    second = pool + 4 * (FIRST_POOLED - other)
    for k in range(load_i32(first) + 1):
        if load_i32(first + 4 * k) != load_i32(second + 4 * k):
            return False
    return True


@loop("i8[:, ::1], i8, i4[::1], b1, u1[::1], u1[::1], i8[::1]")
def take_verdicts(
    fragments: Any,
    count: Any,
    pool: Any,
    listed: Any,
    outcome_of: Any,
    outcomes: Any,
    sets: Any,
) -> Any:
    """Decide the outcomes of fragments and, where assigned, their ``sets``, by their records' SET.

    ``outcome_of`` has the outcome of each status; with ``listed``, features are LISTED. Returns the
    first fragment whose mates are assigned differently, or -1.
    """
    for f in range(count):
        one = fragments[f, OVERLAP] if fragments[f, STATE] != -1 else np.int64(NONE)
        two = fragments[f, MATE + OVERLAP] if fragments[f, MATE + STATE] != -1 else np.int64(NONE)
        if one == NONE:
            one = two
        if two != NONE and not _equal(one, two, pool.ctypes.data):
            return f
        outcomes[f] = LISTED if listed else ASSIGNED
        sets[f] = one
        if one == NONE:
            outcomes[f] = NOT_ALIGNED
            sets[f] = 0
        elif one >= FIRST_STATUS:
            outcomes[f] = outcome_of[one - FIRST_STATUS]
            sets[f] = 0
    return np.int64(-1)


class TagAssigner(Assigner):
    """Assigns and counts the fragments of one file by the tags of their records.

    Args:
        annotation: features and steps, made for the strandedness of ``options``.
        stream: the file, its header read.
        options: how fragments are counted; ``assigned`` names the tag.
    """

    def __init__(
        self, annotation: Annotation, stream: AlignmentStream, options: CountingOptions
    ) -> None:
        super().__init__(annotation.steps, len(annotation.features), stream.header.contigs, options)
        self._stream = stream
        assert options.assigned is not None
        self._annotation_path = annotation.path
        self.scheme = scheme = tag_scheme(options.assigned)
        self._names = name_table(annotation.features.ids)
        self._statuses = name_table(list(scheme.statuses))
        self._listed = LISTED_STATUS in scheme.statuses
        self._numbers = (
            _tag_number(scheme.status),
            _tag_number(scheme.features),
            _tag_number(scheme.number),
            ord(scheme.separator),
            list(scheme.statuses).index(LISTED_STATUS) if self._listed else -1,
        )
        self._skipped = [name for name, one in scheme.statuses.items() if one == SKIPPED]
        numbers = {name: number for number, name in enumerate(self._skipped, start=1)}
        self._outcome_of = np.array(
            [
                outcome | numbers.get(name, 0) << STATUS_SHIFT
                for name, outcome in scheme.statuses.items()
            ],
            dtype=np.uint8,
        )
        self._skipped_fragments = np.zeros(len(numbers) + 1, dtype=np.int64)

    def find_sets(
        self, batch: Batch, paired: bool, pool: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], int]:
        """Fill column SET of a batch's rows from the records' tags; may run in any thread.

        Raises:
            InputError: a record's tags name no feature of the annotation, or are not whole.
        """
        names, statuses, single = self._names, self._statuses, self.index.single
        while True:
            used, record, problem, start, end = read_tags(
                batch.data, batch.offsets, batch.rows, batch.count, self._numbers,
                statuses.text, statuses.offsets, statuses.slots,
                names.text, names.offsets, names.slots, names.longest, single, pool,
            )  # fmt: skip
            if problem:
                text = batch.data[int(start) : int(end)].tobytes().decode("utf-8", "replace")
                raise self._problem(batch, int(record), int(problem), text)
            if used >= 0:
                return pool, int(used)
            pool = np.empty(2 * len(pool), dtype=np.int32)

    def classify(self, fragments: FragmentBatch) -> None:
        """Decide the outcomes of a batch's fragments; may run in any thread.

        The first one whose mates are assigned differently is noted as ``differing``.
        """
        if not self.options.by_verdicts:
            super().classify(fragments)
            return
        fragments.differing = int(
            take_verdicts(
                fragments.table, fragments.count, fragments.pool,
                self._listed, self._outcome_of, fragments.outcomes, fragments.sets,
            )
        )  # fmt: skip

    def accept(
        self, fragments: FragmentBatch, records: RecordBytes, before: int, stream: AlignmentStream
    ) -> None:
        """Refuse fragments that cannot be counted, and count those that the counter has skipped."""
        super().accept(fragments, records, before, stream)
        if fragments.differing >= 0:
            raise self._mates_differ(fragments, records, before)
        if self._skipped:
            status = fragments.outcomes[: fragments.count] >> STATUS_SHIFT
            self._skipped_fragments += np.bincount(status, minlength=len(self._skipped_fragments))

    def remarks(self) -> list[str]:
        """Say what is in none of the counts, because the counter has skipped it."""
        found = [
            f"{number:,} {name}"
            for name, number in zip(self._skipped, self._skipped_fragments[1:], strict=True)
            if number
        ]
        if not found:
            return []
        what = "pairs" if self._stream.paired else "reads"
        return [
            f"{what} that {self.scheme.writer} has left out are in no row of the table: "
            f"{', '.join(found)}"
        ]

    # -- what cannot be counted ------------------------------------------------------------------

    def _problem(self, batch: Batch, record: int, problem: int, text: str) -> InputError:
        """Return the error of a record whose tags cannot be used."""
        if problem == BROKEN:
            return self._stream.problem(batch, record, BAD_TAGS)
        scheme, read = self.scheme, self._stream.name(batch, record)
        tag = scheme.features
        rerun = f"give what {scheme.writer} has written"
        if problem == NO_TAG:
            tags = " or ".join(dict.fromkeys(one for one in (scheme.status, tag) if one))
            what = f"read '{read}' is aligned but has no tag {tags} of type Z"
            remedy = f"give a file all of whose records {scheme.writer} has written"
        elif problem == UNKNOWN_STATUS:
            what = f"read '{read}' has an unknown status in its tag {scheme.status}: '{text}'"
            remedy = rerun
        elif problem == UNKNOWN_FEATURE:
            what = (
                f"read '{read}' is assigned to '{text}' (tag {tag}), which is no feature of "
                f"{self._annotation_path}"
            )
            remedy = scheme.same_annotation
        elif problem == WRONG_NUMBER:
            what = (
                f"read '{read}' has other features in its tag {tag} than {scheme.number} says: "
                f"'{text}'"
            )
            remedy = f"shorten the names: {scheme.writer} cuts them after 255 characters"
        else:
            what = f"read '{read}' is assigned to a feature twice (tag {tag}): '{text}'"
            remedy = rerun
            if scheme.number is not None:
                remedy = "count genes, not exons: featureCounts without -f"
        place = f"record {batch.first_record + record + 1}"
        return InputError(what, file=self._stream.source.path, place=place, remedy=remedy)

    def _mates_differ(
        self, fragments: FragmentBatch, records: RecordBytes, before: int
    ) -> InputError:
        """Return the error of a fragment whose mates are assigned differently."""
        fragment = fragments.differing
        name = ""
        for number in fragments.table[fragment, [RECORD, MATE + RECORD]].tolist():
            if 0 <= number < records.own:
                start = int(records.offsets[number])
                size = int(records.data[start + 12])
                name = f" of '{name_of(records.data[start + 36 : start + 36 + size])}'"
        remedy = "count pairs, so that both mates have the same tags"
        if self.scheme.number is not None:
            remedy = "count pairs, not reads: featureCounts -p --countReadPairs"
        return InputError(
            f"the mates{name} are assigned differently (tag {self.scheme.features})",
            file=self._stream.source.path,
            place=f"read pair {before + fragment + 1}",
            remedy=remedy,
        )


def _tag_number(tag: str | None) -> int:
    """Return a tag's two letters as the number that they are in a record, 0 for none."""
    return 0 if tag is None else int.from_bytes(tag.encode(), "little")
