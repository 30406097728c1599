"""The bias along features: each one's blocks laid end to end, measured batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths.distribution import FragmentLengths
from counterbias.records import Features, Stretches

#: Positions measured at a time by a thread: few enough to stay in a fast cache.
BATCH = 1 << 17

#: Returns the calibrated log bias of all positions of stretches as starts of one end (0 or 1), row
#: after row in genome order: float64 (positions,), nats, NaN where there is none, as on contig -1.
#: Several threads may call it at once.
BiasOf = Callable[[Stretches, int], NDArray[np.float64]]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class FragmentLayout:
    """How the fragments of a sequenced library lie on features.

    Args:
        stranded: htseq-count's ``yes``, ``no`` or ``reverse``.
        lengths: fragment lengths; None to take each read by itself.
        ends: which ends of a fragment are biased: ``both``, or ``first`` for that of read 1 alone.
    """

    stranded: str = "no"
    lengths: FragmentLengths | None = None
    ends: str = "both"


@dataclass(frozen=True, slots=True)
class Lines:
    """The bias along some features.

    Args:
        chosen: int64 (n,), the features.
        offsets: int64 (n + 1,), where the line of each begins in the arrays of bias.
        forward, backward: float64 (positions,), b of reads that start there on the + and on the -
            strand; 1 where there is no log bias.
    """

    chosen: NDArray[np.int64]
    offsets: NDArray[np.int64]
    forward: NDArray[np.float64]
    backward: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FeatureBias:
    """The bias of fragments' ends at all positions of features.

    Which end's model applies: read 1 of a ``yes`` library lies on the feature's strand, the other
    end on the other; ``reverse`` is the opposite; otherwise read 1 (single-end) or either (pooled,
    end 0) may lie on both. Without fragment lengths, both strands are those of read 1 in a stranded
    library.

    Args:
        features: the features.
        contig_of: per contig of ``features`` its index for ``bias_of``, or -1.
        bias_of: the calibrated log bias of positions; None where there is no model: b is 1.
        layout: how fragments lie on features.
    """

    features: Features
    contig_of: NDArray[np.int64]
    bias_of: BiasOf | None
    layout: FragmentLayout

    def measure(
        self,
        work: Callable[[Lines], Result],
        *,
        only: NDArray[np.bool_] | None = None,
        threads: int = 1,
    ) -> Iterator[tuple[NDArray[np.int64], Result]]:
        """Yield batches of features, and what ``work`` returns for each, in a fixed order.

        Args:
            work: called with batch after batch, by several threads at a time.
            only: features to measure, bool (n,); None for all that have a position.
            threads: batches of features measured at the same time.
        """
        lengths = self.features.lengths
        mapped = np.asarray(self.contig_of)[self.features.block_contig]

        def measured(chosen: NDArray[np.int64]) -> Result:
            return work(self._lines(chosen, lengths[chosen], mapped))

        batches = list(self._batches(lengths, only))
        if threads <= 1:
            yield from zip(batches, map(measured, batches), strict=True)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from zip(batches, pool.map(measured, batches), strict=True)

    def _batches(
        self, lengths: NDArray[np.int64], only: NDArray[np.bool_] | None
    ) -> Iterator[NDArray[np.int64]]:
        """Group the wanted features into batches of about :data:`BATCH` positions.

        They are in genome order, so that each contig is read once.
        """
        features = self.features
        wanted = np.flatnonzero(lengths > 0 if only is None else (lengths > 0) & only)
        first = features.block_offsets[wanted]
        wanted = wanted[np.lexsort((features.block_start[first], features.block_contig[first]))]
        batch = np.cumsum(lengths[wanted]) // BATCH
        for number in np.unique(batch):
            yield wanted[batch == number]

    def _lines(
        self,
        chosen: NDArray[np.int64],
        lengths: NDArray[np.int64],
        mapped: NDArray[np.int64],
    ) -> Lines:
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        if self.bias_of is None:
            # A view of a single number, so that long features take no memory.
            ones = np.broadcast_to(1.0, int(offsets[-1]))
            return Lines(chosen, offsets, ones, ones)
        blocks = _blocks_of(self.features, chosen)
        forward, backward = self._two_strands(mapped, blocks, self.bias_of)
        return Lines(chosen, offsets, forward, backward)

    def _two_strands(
        self, mapped: NDArray[np.int64], blocks: NDArray[np.int64], bias_of: BiasOf
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return b of reads on the + and on the - strand at every position of blocks."""
        features, layout = self.features, self.layout
        contig, start, end = (
            mapped[blocks].astype(np.int32),
            features.block_start[blocks],
            features.block_end[blocks],
        )

        def bias(strand: NDArray[np.uint8], number: int) -> NDArray[np.float64]:
            return _bias(bias_of, Stretches(contig, start, end, strand), number)

        if layout.stranded == "no":
            nowhere = np.zeros(len(blocks), np.uint8)
            return bias(nowhere, 0), bias(nowhere + np.uint8(1), 0)
        own = features.block_strand[blocks].astype(np.uint8)
        read_one = own if layout.stranded == "yes" else 1 - own
        read_one = np.where(own > 1, 0, read_one).astype(np.uint8)
        sense = bias(read_one, 0)
        if layout.lengths is None:
            return sense, sense
        if layout.ends == "first":
            other = np.ones(len(sense))
        else:
            other = bias((1 - read_one).astype(np.uint8), 1)
        forward = np.repeat(read_one == 0, end - start)
        return np.where(forward, sense, other), np.where(forward, other, sense)


def _blocks_of(features: Features, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the block rows of features, in order."""
    first = features.block_offsets[chosen]
    count = features.block_offsets[chosen + 1] - first
    return np.asarray(np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum()))


def _bias(bias_of: BiasOf, stretches: Stretches, end: int) -> NDArray[np.float64]:
    """Return b, 1 where there is no log bias."""
    b = np.exp(bias_of(stretches, end))
    unknown = np.isnan(b)
    if unknown.any():
        b[unknown] = 1.0
    return b
