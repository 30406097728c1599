"""Split the genome into blocks, and blocks into folds.

Reads of one gene share its abundance and its sequence, so a split by reads would test a model on
what it learnt. Blocks of 50 kb are assigned to five folds; where a library covers so little that
fewer than 25 blocks contain reads, smaller blocks are used, down to 1 kb.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterbias.options import FOLDS
from counterbias.records import Positions

#: Block sizes in bases, tried in this order.
BLOCK_SIZES = (50_000, 20_000, 10_000, 5_000, 2_000, 1_000)
#: Blocks with reads that a block size needs.
ENOUGH_BLOCKS = 25
#: The fold that :func:`rotate` holds out.
HELD_OUT_FOLD = 0

_STRIDE = 1 << 40


@dataclass(frozen=True, slots=True)
class Folds:
    """Which genomic block belongs to which fold.

    Args:
        block: bases per block.
        keys: int64 (blocks,), ascending: contig and block number of every block with reads.
        fold: int8 (blocks,).
        count: number of folds.
        half: int8 (blocks,), 0 or 1: which half of its fold a block belongs to; both halves have
            about the same number of starts.
    """

    block: int
    keys: NDArray[np.int64]
    fold: NDArray[np.int8]
    count: int = FOLDS
    half: NDArray[np.int8] | None = None

    def of(self, contig: NDArray[np.int32], position: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the fold of each position, int8 (n,); -1 for blocks without reads."""
        if not len(self.keys):
            return np.full(len(position), -1, np.int8)
        wanted = _block_keys(contig, position, self.block)
        row = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[row] == wanted, self.fold[row], -1).astype(np.int8)

    def parts(self, positions: Positions, *, margin: int) -> NDArray[np.int8]:
        """Return the part of each position, and that of another block within ``margin`` bases.

        int8 (n, 2), the same part twice if no other block is near. A part is 2 · fold + half, see
        :class:`~counterbias.records.FoldedSample`; -1 in blocks without starts.
        """
        own = self._part(positions.contig, positions.position)
        left = self._part(positions.contig, np.maximum(positions.position - margin, 0))
        right = self._part(positions.contig, positions.position + margin)
        near = np.where((left != own) & (left >= 0), left, np.where(right >= 0, right, own))
        return np.stack((own, near), axis=1).astype(np.int8)

    def _part(self, contig: NDArray[np.int32], position: NDArray[np.int64]) -> NDArray[np.int8]:
        half = np.zeros(len(self.keys), np.int8) if self.half is None else self.half
        return replace(self, fold=(2 * self.fold + half).astype(np.int8)).of(contig, position)


def make_folds(starts: Positions, *, folds: int = FOLDS) -> Folds:
    """Split genomic blocks into folds with about the same number of distinct starts.

    Each block, the one with most starts first, goes to the fold with the fewest starts so far
    (ties: the lower fold; equal blocks in genome order): the same sites always give the same folds,
    without a seed.
    """
    tally = StartTally()
    tally.add(starts)
    return tally.folds(folds)


def block_size(starts: Positions) -> int:
    """Return the block size: the first of :data:`BLOCK_SIZES` with enough blocks with starts.

    The smallest if none has enough.
    """
    tally = StartTally()
    tally.add(starts)
    return tally.size


class StartTally:
    """Distinct starts per smallest block, summed over samples, so that a cohort shares its folds.

    All samples must number their contigs alike. The block size is the (lower) median of those that
    the samples would have alone: a sample that covers little of the genome must still have several
    blocks, but must not alone determine the size for many others. Memory is bounded by the genome.
    """

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._keys: NDArray[np.int64] = np.empty(0, np.int64)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, starts: Positions) -> None:
        """Add the distinct starts of a sample."""
        keys = _block_keys(starts.contig, starts.position, BLOCK_SIZES[-1])
        own, counts = _summed(keys, np.ones(len(keys), np.int64))
        enough = (
            size for size in BLOCK_SIZES if len(_enlarged(own, counts, size)[0]) >= ENOUGH_BLOCKS
        )
        self._sizes.append(next(enough, BLOCK_SIZES[-1]))
        self._keys, self._counts = _summed(
            np.concatenate((self._keys, own)), np.concatenate((self._counts, counts))
        )

    def join(self, other: StartTally) -> None:
        """Add the starts of the samples of another tally."""
        self._sizes += other._sizes
        self._keys, self._counts = _summed(
            np.concatenate((self._keys, other._keys)), np.concatenate((self._counts, other._counts))
        )

    def to_arrays(self) -> dict[str, NDArray[np.int64]]:
        """Return all that :meth:`from_arrays` needs."""
        return {
            "sizes": np.array(self._sizes, np.int64),
            "keys": self._keys,
            "counts": self._counts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.int64]]) -> StartTally:
        """Make a tally from what :meth:`to_arrays` returned."""
        tally = cls()
        tally._sizes, tally._keys, tally._counts = (
            arrays["sizes"].tolist(),
            arrays["keys"],
            arrays["counts"],
        )
        return tally

    @property
    def size(self) -> int:
        """The block size in bases."""
        return sorted(self._sizes)[(len(self._sizes) - 1) // 2]

    def folds(self, folds: int = FOLDS) -> Folds:
        """Split the blocks into folds as :func:`make_folds` does."""
        size = self.size
        keys, counts = _enlarged(self._keys, self._counts, size)
        load = np.zeros((folds, 2), np.int64)
        fold, half = np.zeros(len(keys), np.int8), np.zeros(len(keys), np.int8)
        for row in np.argsort(-counts, kind="stable"):
            chosen = int(np.argmin(load.sum(axis=1)))
            fold[row], half[row] = chosen, np.argmin(load[chosen])
            load[chosen, half[row]] += counts[row]
        return Folds(size, keys, fold, folds, half)


def _enlarged(
    keys: NDArray[np.int64], counts: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge smallest blocks into blocks of ``size`` bases."""
    return _summed(keys // _STRIDE * _STRIDE + keys % _STRIDE // (size // BLOCK_SIZES[-1]), counts)


def _summed(
    keys: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct keys, ascending, and the sum of the counts of each."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.flatnonzero(
        np.concatenate((np.ones(min(len(keys), 1), bool), ordered[1:] != ordered[:-1]))
    )
    totals = np.add.reduceat(counts[order], first) if len(first) else counts[:0]
    return ordered[first], totals


def rotate(starts: Positions, *, block: int, held_out: int, folds: int = FOLDS) -> Folds:
    """Hold out every fifth block: those with ``position // block % folds == held_out``.

    They are numbered :data:`HELD_OUT_FOLD` here, all others 1. See :func:`rotation` for short
    contigs.
    """
    keys = np.unique(_block_keys(starts.contig, starts.position, block))
    contig = keys // _STRIDE
    away = (rotation(starts, block=block, folds=folds)[contig] + keys % _STRIDE) % folds == held_out
    return Folds(
        block, keys, np.where(away, HELD_OUT_FOLD, HELD_OUT_FOLD + 1).astype(np.int8), folds
    )


def rotation(starts: Positions, *, block: int, folds: int = FOLDS) -> NDArray[np.int64]:
    """Return the offset added to each contig's block numbers before they are assigned to folds.

    int64, one per contig up to the last one with starts. It is 0 for contigs of at least ``folds``
    blocks. The blocks of shorter contigs are numbered consecutively, as if they were one contig:
    otherwise an assembly of short contigs, or of transcripts, would lie in the first fold only.
    """
    last = np.full(int(starts.contig.max()) + 1 if len(starts) else 0, -1, np.int64)
    np.maximum.at(last, starts.contig, starts.position // block)
    short = np.where(last + 1 < folds, last + 1, 0)
    return np.asarray(np.where(last + 1 < folds, np.cumsum(short) - short, 0), np.int64)


def _block_keys(
    contig: NDArray[np.int32], position: NDArray[np.int64], block: int
) -> NDArray[np.int64]:
    return np.asarray(contig.astype(np.int64) * _STRIDE + position // block, dtype=np.int64)
