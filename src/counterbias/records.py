"""Frozen records that the stages pass to each other (numpy only).

Stages import this module and never each other; ``counterbias.pipeline`` alone knows the order.
Coordinates are 0-based, half open. A *contig* index counts within the tuple of contig names that
stands in the same record. A *strand* is 0 for ``+`` and 1 for ``-``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError

#: Bits of :attr:`EndSites.bits`.
PRESENT, REVERSE, CLIPPED, TRAINABLE = 1, 2, 4, 8

#: Parts that blocks of the genome are dealt to, see :class:`FoldedSample`.
PARTS = 10

#: htseq-count's classes of fragments that are not counted for a feature, in its order.
CLASSES = ("__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique")


@dataclass(frozen=True, slots=True)
class Window:
    """The bases around a read start that a bias model sees.

    Args:
        upstream: bases before the read's first base (on the read's strand).
        downstream: bases after it.
    """

    upstream: int = 10
    downstream: int = 10

    def __post_init__(self) -> None:
        if self.upstream < 0 or self.downstream < 0 or self.width > 255:
            raise InputError(
                f"a window of {self.upstream},{self.downstream} cannot be used",
                remedy="give two numbers from 0 to 127, as in --bias-window 10,10",
            )

    @property
    def width(self) -> int:
        """Number of bases: upstream, the read's first base, downstream."""
        return self.upstream + 1 + self.downstream

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``UPSTREAM,DOWNSTREAM``, as in ``10,10``. Raises InputError."""
        try:
            upstream, downstream = (int(part) for part in text.split(","))
        except ValueError:
            raise InputError(
                f"'{text}' is not a window", remedy="give two numbers, as in --bias-window 10,10"
            ) from None
        return cls(upstream, downstream)

    def __str__(self) -> str:
        return f"{self.upstream},{self.downstream}"


@dataclass(frozen=True, slots=True)
class AssumedLengths:
    """A normal distribution of fragment lengths, for libraries that do not show their own, as single-end ones.

    Args:
        mean: bases, 20 to 10,000.
        sd: standard deviation, bases, above 0 and at most ``mean``.

    Raises:
        InputError: numbers that are not finite, or beyond these limits.
    """

    mean: float = 200.0
    sd: float = 80.0

    def __post_init__(self) -> None:
        if not (20 <= self.mean <= 10_000 and 0 < self.sd <= self.mean):  # NaN is refused as well
            raise InputError(
                f"fragments of {self.mean:g} ± {self.sd:g} bases cannot be assumed",
                remedy="give a mean from 20 to 10000 and a standard deviation above 0 and at most the mean, as in 200,80",
            )


@dataclass(frozen=True, slots=True)
class Features:
    """The features that are counted, in the order in which they are written.

    ``blocks_*`` hold, per feature, its intervals merged (per contig and strand), sorted by contig, strand and
    position: feature ``i`` owns rows ``block_offsets[i]:block_offsets[i + 1]``.

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
        return np.asarray(total[self.block_offsets[1:]] - total[self.block_offsets[:-1]], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Steps:
    """The genome cut at every annotated edge; each step holds the set of features there.

    Vector ``v`` (see :meth:`vector`) owns rows ``offsets[v]:offsets[v + 1]`` of ``starts`` and ``sets``. Its first step starts at 0
    and a step ends where the next one starts; the last one has no end. Set ``s`` holds the features
    ``members[member_offsets[s]:member_offsets[s + 1]]`` (ascending); set 0 is empty.

    Args:
        stranded: with True there are two vectors per contig (``+``, ``-``), otherwise one.
        contigs: contig names that the annotation has (of the counted feature type).
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
        """Give the vector's number for a contig (index into ``contigs``) and a strand (0 or 1)."""
        return 2 * contig + strand if self.stranded else contig


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is left of a GTF or GFF3 file. ``lines`` is the number htseq-count reports as GFF lines."""

    path: str
    features: Features
    steps: Steps
    lines: int


@dataclass(frozen=True, slots=True)
class AnnotationOptions:
    """htseq-count's options that decide which lines of the annotation are features (its defaults).

    Args:
        path: the GTF or GFF3 file.
        feature_types: types (third column) that are counted.
        id_attributes: attributes whose values, joined by ``:``, name a feature.
        additional_attributes: attributes written beside the name, in this order; a name may stand twice.
        chromosome: whether a column ``Chromosome`` follows them.
        query: htseq-count's ``--feature-query``, or None.
        stranded: whether the strands of a contig are counted apart.
        quiet: whether to say nothing about progress.
    """

    path: str
    feature_types: tuple[str, ...] = ("exon",)
    id_attributes: tuple[str, ...] = ("gene_id",)
    additional_attributes: tuple[str, ...] = ()
    chromosome: bool = False
    query: str | None = None
    stranded: bool = True
    quiet: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns between a feature's name and its counts."""
        return (*self.additional_attributes, "Chromosome") if self.chromosome else self.additional_attributes


@dataclass(frozen=True, slots=True)
class CountingOptions:
    """htseq-count's options that decide which feature a fragment is counted for (its names and defaults).

    ``seed`` drives ``nonunique="random"`` only.
    """

    order: str = "name"
    stranded: str = "yes"
    mode: str = "union"
    nonunique: str = "none"
    minaqual: int = 10
    secondary_alignments: str = "ignore"
    supplementary_alignments: str = "ignore"
    seed: int = 1


@dataclass(frozen=True, slots=True)
class EndSites:
    """The 5' ends of one read of each counted fragment (read 1 or the single read; or read 2).

    Args:
        contig: int32 (n,), index into :attr:`StartSites.contigs`, -1 where the read is missing or unmapped.
        position: int32 (n,), 0-based position of the read's 5'-most aligned base, on its own strand.
        bits: uint8 (n,): PRESENT, REVERSE (maps to the - strand), CLIPPED (soft- or hard-clipped at its 5' end),
            TRAINABLE (present, unclipped, uniquely and primarily mapped).
    """

    contig: NDArray[np.int32]
    position: NDArray[np.int32]
    bits: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class StartSites:
    """One row per (fragment, feature) that was counted: all that later stages need of the alignments.

    Rows stand in the order in which fragments were completed, whatever the number of threads.

    Args:
        contigs, contig_lengths: the alignment header's.
        feature: int32 (n,), index into :attr:`Features.ids`.
        share: float32 (n,), the part of the fragment that the feature got (``--nonunique fraction``), or None: all 1.
        ends: one entry for single-end, two for paired-end data.
    """

    contigs: tuple[str, ...]
    contig_lengths: tuple[int, ...]
    feature: NDArray[np.int32]
    share: NDArray[np.float32] | None
    ends: tuple[EndSites, ...]

    def __len__(self) -> int:
        return len(self.feature)

    @property
    def line(self) -> NDArray[np.int64]:
        """Where each contig begins on a line that joins all of them, int64 (contigs + 1,); the last entry is its end."""
        return np.concatenate(([0], np.cumsum(np.asarray(self.contig_lengths, dtype=np.int64))))


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """What counting one alignment file gave.

    Args:
        path: the file as the user named it.
        paired: whether the first record was paired-end (htseq-count's rule for the file).
        fragments: number of reads or pairs processed.
        counts: (n_features,) int64, or float64 with ``nonunique="fraction"``.
        touched: bool (n_features,) or None; with ``fraction``, which features got anything (htseq-count writes ``0``
            for the others and ``0.5``, ``1.0`` … for these).
        classes: the five numbers of :data:`CLASSES`, in that order.
        sites: start sites of the counted fragments, or None where nobody asked for them.
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
class Positions:
    """Stranded genome positions, one row each, with a weight.

    Args:
        contig: int32 (n,), index into the contig names that go with it.
        position: int64 (n,), 0-based; the window's column ``upstream`` lies here.
        strand: uint8 (n,), 0 ``+``, 1 ``-``.
        weight: float64 (n,).
    """

    contig: NDArray[np.int32]
    position: NDArray[np.int64]
    strand: NDArray[np.uint8]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.position)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Positions:
        """Give the rows chosen by a mask, by indices or by a slice."""
        return Positions(self.contig[rows], self.position[rows], self.strand[rows], self.weight[rows])


def rows_by_contig(contig: NDArray[Any]) -> dict[int, slice | NDArray[np.int64]]:
    """Give the rows of each contig that occurs, contigs and rows ascending; slices where the rows come contig by contig already."""
    if (contig[1:] >= contig[:-1]).all():
        edges = [0, *(np.flatnonzero(contig[1:] != contig[:-1]) + 1).tolist(), len(contig)]
        return {int(contig[first]): slice(first, last) for first, last in pairwise(edges) if first < last}
    order = np.argsort(contig, kind="stable")
    return {number: order[rows] for number, rows in rows_by_contig(contig[order]).items()}


@dataclass(frozen=True, slots=True)
class Stretches:
    """Runs of consecutive genome positions, one row each; a row lies on one strand.

    Args:
        contig: int32 (n,), index into the contig names that go with it, -1 for none of them.
        start, end: int64 (n,), 0-based and half open.
        strand: uint8 (n,), 0 ``+``, 1 ``-``.
    """

    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Positions per row, int64 (n,)."""
        return self.end - self.start

    def take(self, rows: slice) -> Stretches:
        """Give some neighbouring rows."""
        return Stretches(self.contig[rows], self.start[rows], self.end[rows], self.strand[rows])

    def positions(self) -> Positions:
        """List every position, row after row, each row in genome order; all weights are 1."""
        sizes = self.sizes
        row = np.repeat(np.arange(len(self)), sizes)
        within = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return Positions(self.contig[row], self.start[row] + within, self.strand[row], np.ones(len(row)))


@dataclass(frozen=True, slots=True)
class Tiles:
    """Stretches of consecutive positions with the number of reads starting at each.

    For objectives that need counts. Windows of position ``j`` of tile ``i`` are ``sequence[i, j : j + width]``.

    Args:
        sequence: uint8 (tiles, length + width - 1), 0-3 = A, C, G, T, 5'→3' on the tile's strand; no N.
        counts: float32 (tiles, length), fragments beginning at each position on the tile's strand: pairs with the same two ends are one.
            They need not be whole numbers.
    """

    sequence: NDArray[np.uint8]
    counts: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a backend learns from: windows where reads start and windows nearby.

    Contexts are uint8 (n, width), 0-3 = A, C, G, T, 5'→3' on the read's strand; column ``upstream`` is the
    read's first base. They hold no N. Weights are float64 (n,), positive.

    Args:
        window: the window of all contexts.
        foreground, foreground_weight: windows around read starts.
        background, background_weight: windows nearby, on the same strand.
        tiles: for objectives that need counts, or None where the sample is too small for any.
        validation: the same for genomic blocks apart from these, for early stopping and choice between candidates; None within
            a validation part.
        origin: int64, the row of ``foreground`` near which each background window was drawn; None where that is not known.
    """

    window: Window
    foreground: NDArray[np.uint8]
    foreground_weight: NDArray[np.float64]
    background: NDArray[np.uint8]
    background_weight: NDArray[np.float64]
    tiles: Tiles | None = None
    validation: TrainingSet | None = None
    origin: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class FoldedSample:
    """A sample whose blocks of the genome are dealt to folds, so that models can be judged on what they did not see.

    Blocks are dealt to *parts*, two to a tenth of the starts each; a fold is one or several pairs of parts. Rows of ``foreground_parts``
    and its kin are int8 (n, 2): the part that a window or tile belongs to, and the part of another block so near that windows would
    overlap, or the same again. A model that is not to see a fold learns from rows that name no part of it (:meth:`without`).

    Args:
        everything: all windows and tiles; its validation part is None.
        foreground_parts, background_parts, tile_parts: int8 (rows, 2); ``tile_parts`` is empty without tiles.
        folds: number of folds, 1 to :data:`PARTS` / 2.
    """

    everything: TrainingSet
    foreground_parts: NDArray[np.int8]
    background_parts: NDArray[np.int8]
    tile_parts: NDArray[np.int8]
    folds: int = 5

    def fold_of(self, parts: NDArray[np.int8]) -> NDArray[np.int64]:
        """Give the fold that each row belongs to, int64 (n,)."""
        return self._fold(parts[:, 0])

    def without(self, fold: int | None) -> TrainingSet:
        """Give what a model may learn from that is not to see a fold (None: from all of them); one of the other parts is for validation."""
        other = 0 if fold is None else (fold + 1) % self.folds
        every = np.arange(PARTS, dtype=np.int8)
        check = every[(self._fold(every) == other) & (every % 2 == 1)][0]
        training = self._take(*(self._unseen(parts, fold) & (parts != check).all(axis=1) for parts in self._every()))
        validation = self._take(*(self._unseen(parts, fold) & (parts == check).all(axis=1) for parts in self._every()))
        usable = len(validation.foreground) > 0 and len(validation.background) > 0
        return replace(training, validation=validation if usable else None)

    def of_fold(self, fold: int) -> TrainingSet:
        """Give the windows and tiles of one fold."""
        return self._take(*(self._fold(parts[:, 0]) == fold for parts in self._every()))

    def learnable(self, fold: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which starts, background windows and tiles a model may learn from that is not to see a fold."""
        front, back, tiles = (self._unseen(parts, fold) for parts in self._every())
        return front, back, tiles

    def _every(self) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
        return self.foreground_parts, self.background_parts, self.tile_parts

    def _fold(self, part: NDArray[np.int8]) -> NDArray[np.int64]:
        return np.asarray(part.astype(np.int64) // 2 * self.folds // (PARTS // 2))

    def _unseen(self, parts: NDArray[np.int8], fold: int | None) -> NDArray[np.bool_]:
        if fold is None:
            return np.ones(len(parts), bool)
        return np.asarray((self._fold(parts) != fold).all(axis=1))

    def _take(self, front: NDArray[np.bool_], back: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> TrainingSet:
        """Choose windows and tiles by masks; background goes with its start."""
        whole, tiles = self.everything, None
        origin = whole.origin
        if origin is not None:
            back = back & front[origin]
            origin = (np.cumsum(front) - 1)[origin[back]]
        if whole.tiles is not None and chosen.any():
            tiles = Tiles(whole.tiles.sequence[chosen], whole.tiles.counts[chosen])
        return TrainingSet(
            whole.window, whole.foreground[front], whole.foreground_weight[front], whole.background[back], whole.background_weight[back],
            tiles, None, origin,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a backend tells of its training; every key is written to the QC file.

    Args:
        seconds: wall time of the fit.
        parameters: number of free parameters.
        curves: name → values per epoch, as in ``{"foreground_validation_perplexity": [3.9, 3.8]}``; empty where there are none.
        perplexity: name → perplexity per base on the validation part, as in ``{"foreground": 3.7, "background": 3.9}``.
        details: anything else worth reading, JSON types only (the chosen hidden size, epochs …).
    """

    seconds: float
    parameters: int
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    perplexity: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaggedBatch:
    """Records to be written to ``-o``, in the order in which htseq-count writes them.

    An *entry* is one line of output. A fragment gives one entry per record that it has (read 1 first), and twice as many
    where htseq-count writes it twice: with ``--nonunique`` other than ``none`` a fragment with NH > 1 is written as
    ``__alignment_not_unique``, then once more with what it was assigned to. Fragments dropped by the rules for secondary and
    supplementary alignments have no entry.

    The arrays are only valid during the call that hands the batch over: buffers are used again.

    Args:
        buffer: uint8, holds the BAM records.
        offsets: int64 (records,), where each record's 4 bytes ``block_size`` start in ``buffer``.
        lengths: int64 (records,), bytes of each record, these 4 included.
        record: int64 (entries,), the record to write (index into ``offsets``).
        code: int32 (entries,), what the record's fragment was assigned to: a feature's index, or ``-1 - c`` for class ``c`` of
            :data:`CLASSES` (``-2`` is ``__ambiguous``: write ``__ambiguous[a+b]`` with the entry's members).
        repeated: bool (entries,), True for the second writing of a record: htseq-count then leaves the tag
            ``XF:Z:__alignment_not_unique`` of the first one in place and appends a second ``XF``.
        member_offsets: int64 (entries + 1,); entry ``e`` has the members ``member_offsets[e]:member_offsets[e + 1]``, none unless
            ambiguous.
        members: int32, feature indices, ascending (the order of their identifiers).
        site: int64 (entries,), the fragment's first row in :class:`StartSites`, or -1 where it has none or none are kept.
        second: bool (entries,), True where the record is the pair's read 2 (its 5' end stands in ``ends[1]``).
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
