"""Windows that follow splices: exon chains and read starts → the bases beyond an exon's edge.

Each position of the genome is represented by one transcript (:func:`make_splices` chooses it), so
that a window depends on its position alone. Only windows that cross an edge of that transcript's
exon take the slow path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop

#: Fraction of the locus's density of read starts that each base of a transcript is charged.
PRICE_OF_A_BASE = 0.5


@dataclass(frozen=True, slots=True)
class Transcripts:
    """Chains of exons, 0-based and half open.

    Transcript ``i`` owns rows ``offsets[i]:offsets[i + 1]``, ascending and disjoint.

    Args:
        contigs: contig names.
        contig: int32 (n,), index into ``contigs``. strand: int8 (n,), 0 ``+``, 1 ``-``, 2 ``.``.
        offsets: int64 (n + 1,). start, end: int64 (m,).
    """

    contigs: tuple[str, ...]
    contig: NDArray[np.int32]
    strand: NDArray[np.int8]
    offsets: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.contig)

    @property
    def spliced(self) -> int:
        """Number of transcripts with more than one exon."""
        return int((np.diff(self.offsets) > 1).sum())

    @property
    def of_exon(self) -> NDArray[np.int64]:
        """The transcript of each exon, int64 (m,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True, slots=True)
class Splices:
    """The exon that represents each position, and the exons before and after it.

    Args:
        owners: contig index of the alignments → (edges, owner): from ``edges[k]`` up to the next
            edge, the exon ``owner[k]`` represents the positions, -1 for none.
        start, end: int64 (m,), of each exon.
        before, after: int64 (m,), the neighbouring exons in its transcript along the contig, -1 for
            none.
    """

    owners: Mapping[int, tuple[NDArray[np.int64], NDArray[np.int64]]]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]

    def on_contig(self, contig: int) -> ContigSplices:
        """Return the splices of one contig, by its index among the alignments' contigs."""
        nothing = np.empty(0, dtype=np.int64)
        edges, owner = self.owners.get(contig, (nothing, nothing))
        return ContigSplices(edges, owner, self)


@dataclass(frozen=True, slots=True)
class ContigSplices:
    """The splices of one contig.

    Args:
        edges, owner: int64 (k,), as in :class:`Splices`.
        splices: the exons that ``owner`` numbers.
    """

    edges: NDArray[np.int64]
    owner: NDArray[np.int64]
    splices: Splices

    def cut_windows(
        self,
        codes: NDArray[np.uint8],
        positions: NDArray[np.int64],
        strands: NDArray[np.uint8],
        upstream: int,
        contexts: NDArray[np.uint8],
        valid: NDArray[np.bool_],
    ) -> None:
        """Cut windows into ``contexts``, each along the transcript of its position.

        ``valid`` gets whether each window is whole and without N.
        """
        exons = self.splices
        _cut_along(
            codes,
            positions,
            strands,
            upstream,
            contexts,
            valid,
            self.edges,
            self.owner,
            exons.start,
            exons.end,
            exons.before,
            exons.after,
        )


def make_splices(
    transcripts: Transcripts,
    contig_of: NDArray[np.int64],
    contig: NDArray[np.int32],
    position: NDArray[np.int64],
) -> Splices:
    """Choose the transcript that represents each position.

    A transcript scores the read starts in its exons, less :data:`PRICE_OF_A_BASE` × the locus's
    density of starts for each of its bases: of two isoforms, the one whose exons have reads wins,
    and one that retains an intron with hardly any reads loses. With equal scores (as without reads)
    the longer one wins, then the one that comes first. The locus's density is the mean over its
    transcripts' bases; a locus is a set of overlapping transcripts on one strand.

    Args:
        transcripts: the exon chains.
        contig_of: per contig of ``transcripts`` its index among the alignments' contigs, or -1.
        contig, position: (n,), read starts, in the alignments' contigs.
    """
    mapped = np.asarray(contig_of)[transcripts.contig]
    of_exon, rows = transcripts.of_exon, np.arange(len(transcripts.start))
    starts_in_exon = np.zeros(len(rows), dtype=np.int64)
    owners: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    exons_on = {
        number: rows[mapped[of_exon] == number]
        for number in np.unique(mapped[mapped >= 0]).tolist()
    }
    for number, exons in exons_on.items():
        here = np.sort(position[contig == number])
        upto, since = (
            np.searchsorted(here, edge[exons]) for edge in (transcripts.end, transcripts.start)
        )
        starts_in_exon[exons] = upto - since
    rank = _rank(transcripts, starts_in_exon)
    for number, exons in exons_on.items():
        first, last = transcripts.start[exons], transcripts.end[exons]
        edges = np.unique(np.concatenate((first, last)))
        order = np.argsort(rank[of_exon[exons]], kind="stable")
        owner = np.full(len(edges), -1, dtype=np.int64)
        _paint(
            np.searchsorted(edges, first[order]),
            np.searchsorted(edges, last[order]),
            exons[order],
            owner,
        )
        owners[number] = edges, owner
    same = of_exon[1:] == of_exon[:-1]
    before = np.concatenate(([-1], np.where(same, rows[:-1], -1)))[: len(rows)]
    after = np.concatenate((np.where(same, rows[1:], -1), [-1]))[: len(rows)]
    return Splices(owners, transcripts.start, transcripts.end, before, after)


def _rank(transcripts: Transcripts, starts_in_exon: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each transcript's rank by score, 0 for the highest; int64 (n,)."""
    size = len(transcripts)
    of_exon = transcripts.of_exon
    reads = np.bincount(of_exon, starts_in_exon, minlength=size)
    length = np.bincount(of_exon, transcripts.end - transcripts.start, minlength=size)
    locus = _loci(transcripts)
    per_locus = np.bincount(locus, length, minlength=1)
    density = np.divide(
        np.bincount(locus, reads, minlength=1),
        per_locus,
        out=np.zeros(len(per_locus)),
        where=per_locus > 0,
    )
    score = reads - PRICE_OF_A_BASE * density[locus] * length
    rank = np.empty(size, dtype=np.int64)
    rank[np.lexsort((np.arange(size), -length, -score))] = np.arange(size)
    return rank


def _loci(transcripts: Transcripts) -> NDArray[np.int64]:
    """Number the sets of overlapping transcripts of one contig and strand; int64 (n,)."""
    size = len(transcripts)
    first, last = (
        transcripts.start[transcripts.offsets[:-1]],
        transcripts.end[transcripts.offsets[1:] - 1],
    )
    line = transcripts.contig.astype(np.int64) * 3 + transcripts.strand
    order = np.lexsort((first, line))
    # Contigs and strands are laid out on one line, far apart: one running maximum serves all.
    stride = np.int64(last.max(initial=0) + 1)
    begin, reach = (
        first[order] + line[order] * stride,
        np.maximum.accumulate(last[order] + line[order] * stride),
    )
    opens = np.concatenate((np.ones(min(size, 1), bool), begin[1:] >= reach[:-1]))
    locus = np.empty(size, dtype=np.int64)
    locus[order] = np.cumsum(opens) - 1
    return locus


@loop("i8[::1], i8[::1], i8[::1], i8[::1]")
def _paint(first, last, exon, owner):  # type: ignore[no-untyped-def]
    """Assign each stretch to the first exon in the list that covers it; skip what is taken."""
    next_free = np.arange(len(owner) + 1)
    for i in range(len(exon)):
        at = first[i]
        while True:
            root = at
            while next_free[root] != root:
                root = next_free[root]
            while next_free[at] != root:
                following = next_free[at]
                next_free[at] = root
                at = following
            if root >= last[i]:
                break
            owner[root] = exon[i]
            next_free[root] = root + 1
            at = root


@loop(
    "u1[::1], i8[::1], u1[::1], i8, u1[:, ::1], b1[::1], i8[::1], i8[::1], i8[::1], i8[::1], "
    "i8[::1], i8[::1]",
)
def _cut_along(  # type: ignore[no-untyped-def]
    codes, positions, strands, upstream, contexts, valid, edges, owner, start, end, before, after
):
    """Walk from each position to the left and to the right.

    On the minus strand left is downstream, and bases are complemented.
    """
    width = contexts.shape[1]
    for row in range(len(positions)):
        here = positions[row]
        minus = strands[row] != 0
        left = width - 1 - upstream if minus else upstream
        stretch = np.searchsorted(edges, here, side="right") - 1
        exon = owner[stretch] if stretch >= 0 else -1
        # One pass if the window lies within the exon; else right of the position, then left of it.
        inside = exon < 0 or (here - left >= start[exon] and here - left + width <= end[exon])
        step = -1 if minus else 1
        good = True
        at = here - left if inside else here
        column = upstream + step * (at - here)
        for _ in range(width if inside else width - left):
            good = good and 0 <= at < len(codes) and codes[at] < 4
            if not good:
                break
            contexts[row, column] = 3 - codes[at] if minus else codes[at]
            column += step
            at += 1
            if not inside and exon >= 0 and at >= end[exon]:
                exon = after[exon]
                at = start[exon] if exon >= 0 else at
        if not inside:
            exon = owner[stretch]
            at, column = here, upstream
            for _ in range(left):
                if not good:
                    break
                at -= 1
                column -= step
                if exon >= 0 and at < start[exon]:
                    exon = before[exon]
                    at = end[exon] - 1 if exon >= 0 else at
                good = 0 <= at < len(codes) and codes[at] < 4
                if good:
                    contexts[row, column] = 3 - codes[at] if minus else codes[at]
        if not good:
            contexts[row, :] = 0
        valid[row] = good
