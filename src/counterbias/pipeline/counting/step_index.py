"""The annotation's steps, laid out for the compiled loops of :mod:`.assignment`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.records import Steps

#: Most buckets of the step index: few enough to stay in the processor's cache.
BUCKETS = 1 << 20


@dataclass(frozen=True, slots=True)
class StepIndex:
    """Steps laid out for the compiled loops.

    Args:
        contig_of: int32 (contigs of the header,), the annotation's contig for each, -1 for none.
        offsets: int64 (vectors + 1,), rows of ``steps`` per vector.
        steps: int64 (steps,), start << 32 | set.
        bucket_offsets: int64 (vectors + 1,); bucket ``b`` of a vector begins at position
            ``b << shift``.
        buckets: int32, the step in which each bucket starts.
        shift: bits of a position within a bucket.
        member_offsets, members: the sets: those of :class:`Steps`, then one for each feature that
            is nowhere alone.
        single: int32 (features,), the set that holds only this feature.
    """

    contig_of: NDArray[np.int32]
    offsets: NDArray[np.int64]
    steps: NDArray[np.int64]
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
    # No alignment extends beyond 31 bits, whatever the annotation says; starts share an integer
    # with the sets.
    starts = np.minimum(np.ascontiguousarray(steps.starts, dtype=np.int64), 0x7FFFFFFF)
    extent = np.where(
        offsets[1:] > offsets[:-1], starts[np.maximum(offsets[1:] - 1, 0)] if len(starts) else 0, 0
    )
    shift = 6
    while int((extent >> shift).sum()) > BUCKETS:
        shift += 1
    sizes = (extent >> shift) + 1
    bucket_offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    # A bucket has the last step that starts at its edge or before: that of the edges from the
    # step's start to that of the next one.
    edge = np.repeat(bucket_offsets[:-1], np.diff(offsets)) + ((starts + (1 << shift) - 1) >> shift)
    buckets = np.repeat(
        np.arange(-1, len(starts), dtype=np.int32),
        np.diff(edge, prepend=0, append=bucket_offsets[-1]),
    )

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
        steps=starts << 32 | np.asarray(steps.sets, dtype=np.int64),
        bucket_offsets=bucket_offsets,
        buckets=buckets,
        shift=shift,
        member_offsets=np.concatenate((member_offsets, more)),
        members=np.concatenate((members, missing.astype(np.int32))),
        single=single,
    )
