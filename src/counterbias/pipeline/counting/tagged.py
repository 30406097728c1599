"""Gather, in the order of the fragments, what counting leaves behind: start sites, and records to be written with ``-o``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.counting.assignment import (
    ASSIGNED,
    LOW_QUALITY,
    MULTIMAPPED,
    NOT_ALIGNED,
    SKIPPED,
    STOPPED,
    StepIndex,
)
from counterbias.records import TaggedBatch


def tagged_batch(
    fragments: NDArray[np.int64], made: int, kinds: NDArray[np.uint8], result: NDArray[np.int64], pool: NDArray[np.int32],
    index: StepIndex, site_of: NDArray[np.int64], data: NDArray[np.uint8], offsets: NDArray[np.int64], own: int,
) -> TaggedBatch:  # fmt: skip
    """List what ``-o`` gets of fragments.

    ``offsets`` say where records start in ``data``; the first ``own`` are the batch's, then come the mates of earlier batches.
    """
    kind = kinds[:made] & 7
    multimapped = (kinds[:made] & MULTIMAPPED) != 0
    sets = result[:made]
    sizes = _sizes(sets, index, pool)
    code = np.full(made, -1, dtype=np.int32)
    code[kind == LOW_QUALITY] = -3
    code[kind == NOT_ALIGNED] = -4
    one = (kind == ASSIGNED) & (sizes == 1)
    code[one] = index.members[index.member_offsets[sets[one]]]
    ambiguous = (kind == ASSIGNED) & (sizes > 1)
    code[ambiguous] = -2

    # Four possible entries per fragment: read 1 and read 2 as multimapped, then both as what they were assigned to.
    records = fragments[:made][:, [3, 7]]
    present = records != -1
    records = np.where(records < -1, own - 2 - records, records)
    last = (kind != SKIPPED) & (kind != STOPPED)
    shown = np.concatenate((present & multimapped[:, None], present & last[:, None]), axis=1)
    entry_code = np.stack((np.full(made, -5, dtype=np.int32),) * 2 + (code,) * 2, axis=1)
    chosen = shown.ravel()
    fragment_of = np.repeat(np.arange(made), 4)[chosen]
    column = np.tile(np.arange(4), made)[chosen]
    entries = np.tile(records, 2).ravel()[chosen]
    codes = entry_code.ravel()[chosen]

    with_members = codes == -2
    counts = np.where(with_members, sizes[fragment_of], 0)
    member_offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    parts = [_members(int(sets[f]), index, pool) for f in fragment_of[with_members]]
    sizes_of_records = (
        data[offsets[:, None] + np.arange(4)].view("<i4").ravel().astype(np.int64) + 4
    )
    return TaggedBatch(
        buffer=data,
        offsets=offsets,
        lengths=sizes_of_records,
        record=entries,
        code=codes,
        repeated=(column >= 2) & multimapped[fragment_of],
        member_offsets=member_offsets,
        members=np.concatenate(parts) if parts else np.empty(0, dtype=np.int32),
        site=site_of[fragment_of],
        second=(column & 1) == 1,
    )


def _sizes(sets: NDArray[np.int64], index: StepIndex, pool: NDArray[np.int32]) -> NDArray[np.int64]:
    known = np.maximum(sets, 0)
    sizes = index.member_offsets[known + 1] - index.member_offsets[known]
    pooled = np.flatnonzero(sets < 0)
    sizes[pooled] = pool[-3 - sets[pooled]]
    return np.asarray(sizes, dtype=np.int64)


def _members(code: int, index: StepIndex, pool: NDArray[np.int32]) -> NDArray[np.int32]:
    if code < 0:
        place = -3 - code
        return pool[place + 1 : place + 1 + int(pool[place])].copy()
    return index.members[index.member_offsets[code] : index.member_offsets[code + 1]]
