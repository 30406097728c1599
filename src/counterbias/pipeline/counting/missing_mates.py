"""Mates missing in name order: htseq-count's warnings, and files that are not sorted by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import AlignmentStream
from counterbias.errors import InputError
from counterbias.pipeline.counting.batch_work import BatchWork
from counterbias.pipeline.counting.listeners import Reporter
from counterbias.pipeline.counting.pairing import recall

#: Records without mates that are remembered, to tell an unsorted file from missing mates.
REMEMBERED = 1 << 20


class MissingMates:
    """The records of a file in name order whose mates were not in adjacent lines."""

    def __init__(self, stream: AlignmentStream, reporter: Reporter) -> None:
        self._stream = stream
        self._reporter = reporter
        self._number = 0
        self._remembered: NDArray[np.int64] = np.zeros((0, 2), dtype=np.int64)
        self._slots_used = 0

    def add(self, work: BatchWork, fragments_before: int) -> None:
        """Add a batch's records without mates, and warn of the first one of the file.

        Args:
            work: the batch.
            fragments_before: fragments of earlier batches.

        Raises:
            InputError: a record and its mate are both there, but not adjacent.
        """
        if not work.missing_count:
            return
        batch = work.batch
        if not self._number:
            fragment, row = (int(value) for value in work.missing[0])
            self._reporter.begin(fragments_before + fragment, bool(self._stream.paired))
            self._reporter.warn(
                f"Read {self._stream.name(batch, row)} claims to have an aligned mate which could "
                "not be found in an adjacent line."
            )
            self._remembered = np.zeros((2 * REMEMBERED, 2), dtype=np.int64)
        self._number += work.missing_count
        at, earlier, self._slots_used = recall(
            batch.rows, work.missing, work.missing_count, batch.first_record,
            self._remembered, self._slots_used,
        )  # fmt: skip
        if at >= 0:
            row = int(work.missing[at, 1])
            raise InputError(
                f"read {self._stream.name(batch, row)} and its mate are not adjacent, so the file "
                "is not sorted by name",
                file=self._stream.source.path,
                place=f"records {int(earlier) + 1} and {batch.first_record + row + 1}",
                remedy="give -r pos if it is sorted by position, otherwise sort it with: "
                "samtools sort -n",
            )

    def summarise(self) -> None:
        """Warn at the end of the file if several mates were missing."""
        if self._number > 1:
            self._reporter.warn(f"{self._number} reads with missing mate encountered.")
