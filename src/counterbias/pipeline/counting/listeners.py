"""Who is called while a file is counted, and when, as in htseq-count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterbias.alignments import AlignmentHeader
from counterbias.records import TaggedBatch

if TYPE_CHECKING:  # counting without barcodes does without it
    from counterbias.pipeline.counting.molecules import MoleculeCounter

#: htseq-count reports its progress at each multiple of this many fragments.
PROGRESS = 100_000


@dataclass(frozen=True, slots=True)
class Listeners:
    """Callbacks for what happens in a file, in the order in which htseq-count reports it.

    Args:
        on_header: called with the header once it has been read.
        progress: called with the number of fragments done, and whether they are pairs, at each
            multiple of 100,000 when the next fragment begins.
        warn: called with each of htseq-count's warnings (without ``Warning:``) as it arises.
        record_sink: called with the records to write to ``-o``, batch by batch.
        batch_done: called after each batch with the fragments done, whether they are pairs, and the
            file's bytes read and in all (:meth:`~counterbias.alignments.Source.bytes_read`).
        molecules: counts the fragments by their barcodes, batch by batch.
    """

    on_header: Callable[[AlignmentHeader], None] | None = None
    progress: Callable[[int, bool], None] | None = None
    warn: Callable[[str], None] | None = None
    record_sink: Callable[[TaggedBatch], None] | None = None
    batch_done: Callable[[int, bool, int, int], None] | None = None
    molecules: MoleculeCounter | None = None


NO_LISTENERS = Listeners()


class Reporter:
    """Passes progress and warnings on.

    htseq-count finds a missing mate while it works on a fragment, so its warning comes after the
    progress up to that fragment. Here a batch is done as a whole: before a warning in its middle,
    :meth:`begin` is called with the fragments up to there.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._begun = 0

    def warn(self, text: str) -> None:
        """Pass a warning on."""
        if self._listeners.warn:
            self._listeners.warn(text)

    def begin(self, fragments: int, paired: bool) -> None:
        """Report the multiples passed now that this many fragments of the file have begun."""
        if self._listeners.progress:
            first = max(self._begun, 1)
            for number in range(-(-first // PROGRESS) * PROGRESS, fragments, PROGRESS):
                self._listeners.progress(number, paired)
        self._begun = fragments
