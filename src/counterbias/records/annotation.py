"""An annotation: features, and the genome cut at their edges. Coordinates: 0-based, half open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Features:
    """The features that are counted, in the order in which they are written.

    A *block* is an interval of a feature, merged with those that overlap or touch it on the same
    contig and strand. Feature ``i`` has the blocks ``block_offsets[i]:block_offsets[i + 1]``,
    sorted by contig, strand and position.

    Args:
        ids: n identifiers, sorted as Python sorts strings (HTSeq's order).
        attributes: additional attribute → n values.
        contigs: contig names of the annotation, in order of appearance.
        block_offsets: int64 (n + 1,).
        block_contig: int32 (m,), index into ``contigs``.
        block_strand: int8 (m,), 0 ``+``, 1 ``-``, 2 ``.``.
        block_start, block_end: int64 (m,).
    """

    ids: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    contigs: tuple[str, ...]
    block_offsets: NDArray[np.int64]
    block_contig: NDArray[np.int32]
    block_strand: NDArray[np.int8]
    block_start: NDArray[np.int64]
    block_end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bases per feature, int64 (n,): the length of the union of its intervals."""
        total = np.concatenate(([0], np.cumsum(self.block_end - self.block_start)))
        return np.asarray(
            total[self.block_offsets[1:]] - total[self.block_offsets[:-1]], dtype=np.int64
        )

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits by which the same features are known in another run.

        They depend on the identifiers, and on contig, strand and place of every block. Contigs
        count by their order along the blocks, so that ``1`` and ``chr1`` are the same.
        """
        import hashlib  # not needed to count

        found = hashlib.sha256("\n".join(self.ids).encode("utf-8", "surrogateescape"))
        used, first = np.unique(self.block_contig, return_index=True)
        rank = np.zeros(len(self.contigs), dtype=np.int32)
        rank[used[np.argsort(first)]] = np.arange(len(used))
        columns = (self.block_offsets, rank[self.block_contig], self.block_strand)
        for values in (*columns, self.block_start, self.block_end):
            found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Steps:
    """The genome cut at every edge of a feature; each step has the set of the features there.

    A *vector* is a contig or, if ``stranded``, one strand of it, as in HTSeq. Vector ``v`` (see
    :meth:`vector`) has the rows ``offsets[v]:offsets[v + 1]`` of ``starts`` and ``sets``. Its first
    step starts at 0, and a step ends where the next one starts; the last one has no end. Set ``s``
    holds the features ``members[member_offsets[s]:member_offsets[s + 1]]``, ascending; set 0 is
    empty.

    Args:
        stranded: whether there are two vectors per contig (``+``, ``-``), otherwise one.
        contigs: contigs on which the annotation has counted features.
        offsets: int64 (vectors + 1,).
        starts: int64 (steps,), ascending within a vector.
        sets: int32 (steps,).
        member_offsets: int64 (sets + 1,).
        members: int32 (sum of set sizes,), feature indices.
    """

    stranded: bool
    contigs: tuple[str, ...]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    sets: NDArray[np.int32]
    member_offsets: NDArray[np.int64]
    members: NDArray[np.int32]

    def vector(self, contig: int, strand: int) -> int:
        """Return the number of the vector of a contig (index into ``contigs``) and strand."""
        return 2 * contig + strand if self.stranded else contig


@dataclass(frozen=True)
class FeatureTranscripts:
    """The transcripts of each feature, as chains of exons along its blocks.

    The blocks of a feature, laid end to end in the order of :class:`Features`, are one line;
    *offsets* count along it from 0, half open, towards higher genome positions whatever the strand.
    Feature ``i`` has the transcripts ``offsets[i]:offsets[i + 1]``, in order of appearance in the
    file; transcript ``t`` has the exons ``exon_offsets[t]:exon_offsets[t + 1]``, ascending,
    disjoint and not touching each other.

    Args:
        ids: t identifiers.
        offsets: int64 (features + 1,).
        exon_offsets: int64 (t + 1,).
        start, end: int64 (exons,), offsets along the feature's line.
        missing: uint8 (features,), why a feature has no transcripts here: 0 it has,
            :data:`UNNAMED` one of its lines names no transcript, :data:`SCATTERED` it does not lie
            on one strand of one contig, :data:`TOO_MANY` it has more than :data:`MOST_TRANSCRIPTS`.
    """

    ids: tuple[str, ...]
    offsets: NDArray[np.int64]
    exon_offsets: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    missing: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bases per transcript, int64 (t,)."""
        total = np.concatenate(([0], np.cumsum(self.end - self.start)))
        return np.asarray(np.diff(total[self.exon_offsets]), np.int64)

    @cached_property
    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The edges of each feature's exons, the same for all samples.

        Where those of each feature begin, int64 (features + 1,), and the edges, int64, ascending
        within a feature, each once.
        """
        exon_offsets = self.exon_offsets[self.offsets]
        owner = np.repeat(np.arange(len(exon_offsets) - 1), np.diff(exon_offsets))
        stride = int(self.end.max(initial=0)) + 1
        keys = np.sort(np.concatenate((owner * stride + self.start, owner * stride + self.end)))
        keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique would take far longer
        offsets = np.searchsorted(keys, np.arange(len(exon_offsets)) * stride)
        return offsets.astype(np.int64), keys % stride


#: Values of :attr:`FeatureTranscripts.missing`.
UNNAMED, SCATTERED, TOO_MANY = 1, 2, 3
#: Most transcripts of a feature that are told apart.
MOST_TRANSCRIPTS = 1000


@dataclass(frozen=True, slots=True)
class Annotation:
    """The content of a GTF or GFF3 file, as far as it is needed.

    Args:
        path: the file as the user named it.
        features: the counted features.
        steps: the genome cut at their edges.
        lines: the number of lines that htseq-count reports as GFF lines.
        transcripts: those of the features, where they were asked for; else None.
    """

    path: str
    features: Features
    steps: Steps
    lines: int
    transcripts: FeatureTranscripts | None = None
