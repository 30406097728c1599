"""The results of counting: start sites, counts, and records to write. Coordinates are 0-based."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

#: Bits of :attr:`EndSites.bits`.
PRESENT, REVERSE, CLIPPED, TRAINABLE = 1, 2, 4, 8
#: htseq-count's special counters, in its order: fragments that are not counted for a feature.
CLASSES = (
    "__no_feature",
    "__ambiguous",
    "__too_low_aQual",
    "__not_aligned",
    "__alignment_not_unique",
)


@dataclass(frozen=True, slots=True)
class EndSites:
    """The 5' ends of one read of each counted fragment: read 1 or the single read, or read 2.

    Args:
        contig: int32 (n,), index into :attr:`StartSites.contigs`, -1 where the read is missing or
            unmapped.
        position: int32 (n,), 0-based position of the read's 5'-most aligned base, on the read's
            strand.
        bits: uint8 (n,), PRESENT, REVERSE (maps to the - strand), CLIPPED (soft- or hard-clipped at
            its 5' end), TRAINABLE (primary and unique alignment, not clipped).
    """

    contig: NDArray[np.int32]
    position: NDArray[np.int32]
    bits: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class StartSites:
    """One row per (fragment, feature) counted: all that later stages need of the alignments.

    Rows are in the order in which fragments were completed, whatever the number of threads.

    Args:
        contigs, contig_lengths: those of the alignment header.
        feature: int32 (n,), index into :attr:`Features.ids`.
        share: float32 (n,), the part of the fragment that the feature got (``--nonunique
            fraction``), or None: all 1.
        ends: one entry for single-end, two for paired-end data.
    """

    contigs: tuple[str, ...]
    contig_lengths: tuple[int, ...]
    feature: NDArray[np.int32]
    share: NDArray[np.float32] | None
    ends: tuple[EndSites, ...]

    def __len__(self) -> int:
        return len(self.feature)

    def of_rows(self, rows: slice) -> StartSites:
        """Return the start sites of some rows."""
        share = None if self.share is None else np.ascontiguousarray(self.share[rows])
        ends = tuple(
            EndSites(
                np.ascontiguousarray(end.contig[rows]),
                np.ascontiguousarray(end.position[rows]),
                np.ascontiguousarray(end.bits[rows]),
            )
            for end in self.ends
        )
        feature = np.ascontiguousarray(self.feature[rows])
        return replace(self, feature=feature, share=share, ends=ends)

    @property
    def line(self) -> NDArray[np.int64]:
        """Start of each contig when all are joined, then the total length: int64 (contigs + 1,)."""
        return np.concatenate(([0], np.cumsum(np.asarray(self.contig_lengths, dtype=np.int64))))


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """The counts of one alignment file.

    Args:
        path: the file as the user named it.
        paired: whether the first record is paired-end (htseq-count's rule for the file).
        fragments: number of reads or pairs processed.
        counts: (n_features,), int64, or float64 with ``nonunique="fraction"``.
        touched: bool (n_features,), with ``fraction`` the features that got any part of a fragment
            (htseq-count writes ``0`` for the others and ``0.5``, ``1.0`` … for these); else None.
        classes: the five numbers of :data:`CLASSES`, in that order.
        sites: start sites of the counted fragments, or None if they were not requested.
        seconds: wall time of the pass.
    """

    path: str
    paired: bool
    fragments: int
    counts: NDArray[np.int64] | NDArray[np.float64]
    touched: NDArray[np.bool_] | None
    classes: tuple[int, int, int, int, int]
    sites: StartSites | None
    seconds: float


@dataclass(frozen=True, slots=True)
class TaggedBatch:
    """Records to write to ``-o``, in the order in which htseq-count writes them.

    An *entry* is one line of output. A fragment has one entry per record (read 1 first), and twice
    as many where htseq-count writes it twice: with ``--nonunique`` other than ``none`` a fragment
    with NH > 1 is written as ``__alignment_not_unique``, then again with what it was assigned to.
    Fragments skipped as secondary or supplementary alignments have no entry.

    The arrays are valid only during the call that takes the batch: the buffers are reused.

    Args:
        buffer: uint8, holds the BAM records.
        offsets: int64 (records,), where each record's 4 bytes ``block_size`` start in ``buffer``.
        lengths: int64 (records,), bytes of each record, these 4 included.
        record: int64 (entries,), the record to write (index into ``offsets``).
        code: int32 (entries,), what the record's fragment was assigned to: a feature's index, or
            ``-1 - c`` for class ``c`` of :data:`CLASSES` (``-2`` is ``__ambiguous``: write
            ``__ambiguous[a+b]`` with the entry's members).
        repeated: bool (entries,), whether the record is written for the second time: htseq-count
            then leaves ``XF:Z:__alignment_not_unique`` in place and appends a second ``XF``.
        member_offsets: int64 (entries + 1,); entry ``e`` has the members
            ``member_offsets[e]:member_offsets[e + 1]``, none unless ambiguous.
        members: int32, feature indices, ascending (the order of their identifiers).
        site: int64 (entries,), the fragment's first row in :class:`StartSites`, -1 where it has
            none or none are kept.
        second: bool (entries,), whether the record is the pair's read 2, whose 5' end is in
            ``ends[1]``.
    """

    buffer: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    record: NDArray[np.int64]
    code: NDArray[np.int32]
    repeated: NDArray[np.bool_]
    member_offsets: NDArray[np.int64]
    members: NDArray[np.int32]
    site: NDArray[np.int64]
    second: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.record)
