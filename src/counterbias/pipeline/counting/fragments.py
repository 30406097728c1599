"""The fragments of a batch of records: what they are assigned to, and their records' bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.counting.pairing import FRAGMENT_COLUMNS


@dataclass(slots=True)
class FragmentBatch:
    """A batch's fragments and their outcomes, in arrays that may have room for more.

    Args:
        table: int64 (room, FRAGMENT_COLUMNS), the fragments; :mod:`.pairing` has the columns.
        outcomes: uint8 (room,), what became of each, as listed in :mod:`.assignment`.
        sets: int64 (room,), the set of features that each assigned fragment overlaps.
        pool: int32, the members of sets that the annotation does not have.
        pooled: ints used in ``pool``.
        count: number of fragments.
        invalid_nh: the first fragment whose NH tag is not a number, -1 if there is none.
        differing: the first fragment whose mates are assigned differently by their tags, or -1.
        barcodes: int64 (room, 8), where barcodes are asked for; :mod:`.barcodes` has the columns.
        bad_barcode: the fragment and the problem at which finding them stopped, or None.
    """

    table: NDArray[np.int64]
    outcomes: NDArray[np.uint8]
    sets: NDArray[np.int64]
    pool: NDArray[np.int32]
    pooled: int = 0
    count: int = 0
    invalid_nh: int = -1
    differing: int = -1
    barcodes: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 8), dtype=np.int64))
    bad_barcode: tuple[int, int] | None = None

    @classmethod
    def empty(cls, pool: NDArray[np.int32]) -> FragmentBatch:
        """Return a batch without fragments or room for any."""
        return cls(
            table=np.empty((0, FRAGMENT_COLUMNS), dtype=np.int64),
            outcomes=np.empty(0, dtype=np.uint8),
            sets=np.empty(0, dtype=np.int64),
            pool=pool,
        )

    def make_room(self, count: int) -> None:
        """Make room for ``count`` fragments; those there may be lost."""
        if len(self.table) < count:
            self.table = np.empty((2 * count, FRAGMENT_COLUMNS), dtype=np.int64)
            self.outcomes = np.empty(2 * count, dtype=np.uint8)
            self.sets = np.empty(2 * count, dtype=np.int64)

    def enlarge_pool(self) -> None:
        """Double the pool, keeping its content."""
        self.pool = np.concatenate((self.pool, np.empty(len(self.pool), dtype=np.int32)))


@dataclass(frozen=True, slots=True)
class RecordBytes:
    """The records that fragments refer to.

    Args:
        data: uint8, the records.
        offsets: int64 (records,), where each starts in ``data``.
        own: the first ``own`` records are those of the batch; then come mates from earlier ones,
            which the fragment table calls ``-2 - n``.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    own: int
