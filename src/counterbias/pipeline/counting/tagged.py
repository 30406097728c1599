"""The records to write with ``-o``, in the order of the fragments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.counting.assignment import (
    AMBIGUOUS,
    ASSIGNED,
    LISTED,
    LOW_QUALITY,
    MULTIMAPPED,
    NOT_ALIGNED,
    SKIPPED,
    STOPPED,
)
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.pipeline.counting.pairing import FIRST_POOLED, MATE, RECORD
from counterbias.pipeline.counting.step_index import StepIndex
from counterbias.records import TaggedBatch


def tagged_batch(
    fragments: FragmentBatch,
    records: RecordBytes,
    index: StepIndex,
    site_of: NDArray[np.int64],
) -> TaggedBatch:
    """List the records of a batch's fragments, with what each was assigned to.

    Args:
        fragments: the batch; its outcomes are known.
        records: the records.
        index: the annotation's sets of features.
        site_of: int64 (fragments,), see :class:`TaggedBatch`.
    """
    count = fragments.count
    outcome = fragments.outcomes[:count] & 7
    multimapped = (fragments.outcomes[:count] & MULTIMAPPED) != 0
    sets = fragments.sets[:count]
    sizes = _sizes(sets, index, fragments.pool)
    code = np.full(count, -1, dtype=np.int32)
    code[outcome == LOW_QUALITY] = -3
    code[outcome == NOT_ALIGNED] = -4
    code[outcome == AMBIGUOUS] = -2
    assigned = (outcome == ASSIGNED) | (outcome == LISTED)
    one = assigned & (sizes == 1)
    code[one] = index.members[index.member_offsets[sets[one]]]
    code[assigned & (sizes > 1)] = -2

    # Up to four entries per fragment: reads 1 and 2 as multimapped, then with their assignment.
    numbers = fragments.table[:count][:, [RECORD, MATE + RECORD]]
    present = numbers != -1
    numbers = np.where(numbers < -1, records.own - 2 - numbers, numbers)
    looked_at = (outcome != SKIPPED) & (outcome != STOPPED)
    written = np.concatenate(
        (present & multimapped[:, None], present & looked_at[:, None]), axis=1
    ).ravel()
    entry_code = np.stack((np.full(count, -5, dtype=np.int32),) * 2 + (code,) * 2, axis=1)
    fragment_of = np.repeat(np.arange(count), 4)[written]
    column = np.tile(np.arange(4), count)[written]
    codes = entry_code.ravel()[written]

    with_members = codes == -2
    member_counts = np.where(with_members, sizes[fragment_of], 0)
    members = [_members(int(sets[f]), index, fragments.pool) for f in fragment_of[with_members]]
    return TaggedBatch(
        buffer=records.data,
        offsets=records.offsets,
        lengths=_lengths(records),
        record=np.tile(numbers, 2).ravel()[written],
        code=codes,
        repeated=(column >= 2) & multimapped[fragment_of],
        member_offsets=np.concatenate(([0], np.cumsum(member_counts))).astype(np.int64),
        members=np.concatenate(members) if members else np.empty(0, dtype=np.int32),
        site=site_of[fragment_of],
        second=(column & 1) == 1,
    )


def _lengths(records: RecordBytes) -> NDArray[np.int64]:
    """Return the number of bytes of each record, its length field included."""
    length_fields = records.data[records.offsets[:, None] + np.arange(4)]
    return np.asarray(length_fields.view("<i4").ravel().astype(np.int64) + 4)


def _sizes(sets: NDArray[np.int64], index: StepIndex, pool: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the number of members of each set."""
    known = np.maximum(sets, 0)
    sizes = index.member_offsets[known + 1] - index.member_offsets[known]
    pooled = np.flatnonzero(sets < 0)
    sizes[pooled] = pool[FIRST_POOLED - sets[pooled]]
    return np.asarray(sizes, dtype=np.int64)


def _members(code: int, index: StepIndex, pool: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the features of a set."""
    if code < 0:
        place = FIRST_POOLED - code
        return pool[place + 1 : place + 1 + int(pool[place])].copy()
    return index.members[index.member_offsets[code] : index.member_offsets[code + 1]]
