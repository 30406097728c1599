"""One batch of records on its way through counting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import Batch
from counterbias.pipeline.counting.fragments import FragmentBatch


class BatchWork:
    """A batch of records and what is made of it; used again for later batches.

    Args:
        batch: the records, and their rows once they are decoded.

    Attributes:
        problem: (records decoded, problem) where the batch cannot be decoded, else None.
        fragments: its fragments.
        missing: in name order, (fragment, row) of the records without their mates.
        missing_count: number of these.
        group, mate: scratch of :func:`.pairing.pair_by_name`.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.problem: tuple[int, int] | None = None
        self.fragments = FragmentBatch.empty(np.empty(4096, dtype=np.int32))
        self.missing: NDArray[np.int64] = np.empty((0, 2), dtype=np.int64)
        self.missing_count = 0
        self.group: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.mate: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def make_room(self) -> None:
        """Make room for as many fragments as there are records."""
        count = self.batch.count
        self.fragments.make_room(count)
        if len(self.missing) < count:
            self.missing = np.empty((2 * count, 2), dtype=np.int64)
            self.group = np.empty(2 * count, dtype=np.int64)
            self.mate = np.empty(2 * count, dtype=np.int64)
