"""Where the reads of a gene start, and which fold each place is held out in.

A *track* is one read end on one strand of one gene. In an unstranded library reads of one gene
start on both strands, with a profile of its own on each; in a stranded one the strand follows from
the read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.compare.evaluation import FoldSample
from counterbias.pipeline.compare.genes import Gene
from counterbias.records import REVERSE, TRAINABLE, Positions, StartSites


@dataclass(slots=True)
class Track:
    """Read starts along a gene, and what models expect of each place.

    Args:
        gene: the gene.
        end: the read end's label.
        sense: whether these reads lie on the gene's strand.
        places: the gene's places, on the reads' strand, weighted by the reads that start there.
        fold: int64 (places,), the fold that each place belongs to.
        outside: starts of the gene's reads of this end and strand that lie outside its exons.
        bias: model → float64 (places,), sum over trials of the bias of each place, by models that
            did not see its fold.
        trials: model → int64 (places,), the number of trials in that sum.
    """

    gene: Gene
    end: str
    sense: bool
    places: Positions
    fold: NDArray[np.int64]
    outside: int
    bias: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    trials: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def observed(self) -> NDArray[np.float64]:
        """The reads that start at each place, float64 (places,)."""
        return self.places.weight

    def add(self, model: str, rows: NDArray[np.int64], bias: NDArray[np.float64]) -> None:
        """Add the bias of some places, NaN where it is unknown, by a model of one trial."""
        total = self.bias.setdefault(model, np.zeros(len(self.fold)))
        number = self.trials.setdefault(model, np.zeros(len(self.fold), np.int64))
        known = np.isfinite(bias)
        total[rows[known]] += bias[known]
        number[rows[known]] += 1

    def mean_bias(self, model: str) -> NDArray[np.float64]:
        """Return a model's mean bias of each place over trials; NaN where no trial held it out."""
        if model not in self.bias:
            return np.full(len(self.fold), np.nan)
        total, number = self.bias[model], self.trials[model]
        mean = np.full(len(total), np.nan)
        np.divide(total, number, out=mean, where=number > 0)
        return mean


def tracks_along(
    genes: Sequence[Gene], ends: Sequence[tuple[ReadEnd, FoldSample]], stranded: str
) -> tuple[Track, ...]:
    """Count the read starts along genes.

    Counted are the reads that models learn from (unclipped, with a unique, primary alignment) and
    that were counted for the gene. Copies of a fragment count as often as they occur.

    Args:
        genes: the genes.
        ends: the read ends, each split into folds.
        stranded: ``yes``, ``no`` or ``reverse``.
    """
    tracks: list[Track] = []
    for gene in genes:
        for end, sample in ends:
            for sense in _senses(end, stranded):
                tracks.append(_track(gene, end, sample, sense))
    return tuple(tracks)


def _senses(end: ReadEnd, stranded: str) -> tuple[bool, ...]:
    """Return whether reads of an end lie on the gene's strand, on the other one, or on either."""
    if stranded == "no":
        return (True, False)
    return ((stranded == "yes") == (end.numbers[0] == 0),)


def _track(gene: Gene, end: ReadEnd, sample: FoldSample, sense: bool) -> Track:
    """Count the starts of one read end on one strand."""
    sites, size = sample.sites, len(gene.positions)
    contig = sites.contigs.index(gene.contig) if gene.contig in sites.contigs else -1
    reverse = gene.reverse == sense
    reads, outside = np.zeros(size, np.int64), 0
    for position in _starts(sites, end, gene.feature, (contig, reverse)):
        row = np.minimum(np.searchsorted(gene.positions, position), size - 1)
        inside = gene.positions[row] == position
        reads += np.bincount(row[inside], minlength=size)
        outside += int(np.count_nonzero(~inside))
    places = Positions(
        np.full(size, contig, np.int32),
        gene.positions,
        np.full(size, int(reverse), np.uint8),
        reads.astype(np.float64),
    )
    return Track(
        gene, end.label, sense, places, sample.fold_of(places.contig, places.position), outside
    )


def _starts(
    sites: StartSites, end: ReadEnd, feature: int, strand: tuple[int, bool]
) -> Iterator[NDArray[np.int64]]:
    """Yield the positions at which a feature's trainable reads start, on one strand of a contig."""
    rows = np.flatnonzero(sites.feature == feature)
    contig, reverse = strand
    for number in end.numbers:
        one = sites.ends[number]
        bits = one.bits[rows]
        kept = rows[
            (bits & TRAINABLE != 0)
            & ((bits & REVERSE != 0) == reverse)
            & (one.contig[rows] == contig)
        ]
        yield one.position[kept].astype(np.int64)
