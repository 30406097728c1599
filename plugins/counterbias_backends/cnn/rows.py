"""What the networks learn from, laid out for compiled code: rows of windows, and batches of rows in random order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from counterbias import Tiles, TrainingSet
from counterbias_backends.cnn.parameters import Shape, word_codes

#: A tile with μ fragments per place weighs 1 / (1 + DISPERSION · μ).
DISPERSION = 1.0
#: Rows that are neighbours in memory and drawn together. They were put in random order before, and are read many times as fast.
TOGETHER = 32


@dataclass(frozen=True)
class Rows:
    """Rows of windows: tiles, sets of a read start with its background, or single windows; see :mod:`.gradients`.

    Args:
        sequence: uint8, (n, length + width − 1) where windows overlap, otherwise (n, length · width).
        codes: uint16 (n, (length − 1) · stride + places), its words.
        counts: float64 (n, length); 1 at a read start, 0 in the background.
        weights: float64 (n,).
        mass: what the loss is divided by: mean of weight (windows) or of weight · reads (tiles, sets) per row.
        squares: whether ``counts`` are scores of windows, to be learnt by least squares.
        stride: words from one window of a row to the next.
        sets: whether a row's windows are a read start and its background, instead of consecutive positions.
        members: int64 (n, windows), where windows do not overlap: which ones of the sample they are, the read starts coming first.
        chosen: int64, the rows that are learnt from.
        mixed: whether rows lie in random order.
    """

    sequence: NDArray[np.uint8]
    codes: NDArray[np.uint16]
    counts: NDArray[np.float64]
    weights: NDArray[np.float64]
    mass: float
    squares: bool = False
    stride: int = 1
    sets: bool = False
    members: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 1), np.int64))
    chosen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    mixed: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    def within(self, mask: NDArray[np.bool_]) -> Rows:
        """Give the same rows, of which some are learnt from."""
        chosen = np.flatnonzero(mask)
        weights = self.weights[chosen]
        # Single windows weigh 1 on average.
        mass = weights * self.counts[chosen].sum(axis=1) if self.counts.shape[1] > 1 else weights
        return replace(self, chosen=chosen, mass=float(mass.mean()) if len(chosen) else 1.0)


@dataclass(frozen=True)
class Data:
    """What a network learns from, or is judged by: windows, singly or in sets, and tiles where there are any."""

    windows: Rows
    tiles: Rows | None

    def within(self, windows: NDArray[np.bool_], tiles: NDArray[np.bool_]) -> Data:
        """Give the same data, of which some rows are learnt from; without any of them there are no tiles."""
        return Data(
            self.windows.within(windows),
            None if self.tiles is None or not tiles.any() else self.tiles.within(tiles),
        )


class Draw:
    """Rows in random order, a batch at a time, over and over.

    Of many rows that lie in memory in random order (:func:`shuffled`), :data:`TOGETHER` neighbours stay together.
    """

    def __init__(self, rows: Rows, size: int, rng: np.random.Generator) -> None:
        self.rows, self._size, self._rng = rows, min(size, len(rows.chosen)), rng
        self._together = TOGETHER if rows.mixed and len(rows.chosen) >= TOGETHER * self._size else 1
        self._order, self._at = np.zeros(0, np.int64), 0

    @property
    def size(self) -> int:
        """Rows per batch."""
        return self._size

    @property
    def scale(self) -> float:
        """What the loss of a batch is multiplied by."""
        return 1 / (self._size * self.rows.mass)

    def take(self, batches: int) -> NDArray[np.int64]:
        """Give the rows of so many batches, one after another, int64 (batches · size,)."""
        parts = []
        for _ in range(batches):
            if self._at + self._size > len(self._order):
                self._order, self._at = self._shuffle(), 0
            self._at += self._size
            parts.append(self._order[self._at - self._size : self._at])
        return np.concatenate(parts)

    def _shuffle(self) -> NDArray[np.int64]:
        chosen, together = self.rows.chosen, self._together
        if together == 1:
            return self._rng.permutation(chosen)
        whole = len(chosen) // together
        first = int(
            self._rng.integers(0, len(chosen) - whole * together + 1)
        )  # not always the same rows are left over
        return self._rng.permutation(
            chosen[first : first + whole * together].reshape(-1, together)
        ).ravel()


def shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """Put rows in random order."""
    order = rng.permutation(len(rows))
    new = np.empty(len(rows), np.int64)
    new[order] = np.arange(len(rows))
    members = rows.members[order] if len(rows.members) else rows.members
    return replace(
        rows, sequence=rows.sequence[order], codes=rows.codes[order], counts=rows.counts[order], weights=rows.weights[order],
        members=members, chosen=np.sort(new[rows.chosen]), mixed=True,
    )  # fmt: skip


def window_rows(sample: TrainingSet, shape: Shape) -> Rows:
    """Give sets where it is known which windows belong together, else single windows; the two sides weigh the same in all."""
    sets = None if sample.origin is None else _sets(sample, sample.origin, shape)
    if sets is not None:
        return sets
    sequence = np.concatenate([sample.foreground, sample.background]).astype(np.uint8, copy=False)
    weights = np.concatenate(
        [side / side.sum() for side in (sample.foreground_weight, sample.background_weight)]
    ) * (len(sequence) / 2)  # fmt: skip
    counts = np.zeros((len(sequence), 1))
    counts[: len(sample.foreground)] = 1
    every = np.arange(len(sequence))
    return Rows(
        sequence,
        checked_codes(sequence, shape),
        counts,
        weights,
        1.0,
        members=every[:, None],
        chosen=every,
    )


def _sets(sample: TrainingSet, origin: NDArray[np.int64], shape: Shape) -> Rows | None:
    """Give each read start with the background windows drawn near it; None where no start has any.

    Sets are of one size, the most frequent one: starts with less background (at the edge of a block or contig) are left out, and of more
    the first windows are taken. Background lies the denser the more reads start near by, which a single window cannot tell from its own
    bias; within a set it is the same for all. Raises ValueError where ``origin`` does not fit the windows.
    """
    if len(origin) != len(sample.background) or (
        len(origin) and not 0 <= origin.min() <= origin.max() < len(sample.foreground)
    ):
        raise ValueError("origin does not name a foreground window for each background window")
    own = np.bincount(origin, minlength=len(sample.foreground))
    sizes = np.bincount(own[own > 0])
    if not len(sizes):
        return None
    size = int(sizes.argmax())
    starts = np.flatnonzero(own >= size)
    order = np.argsort(origin, kind="stable")
    first = np.searchsorted(origin[order], starts)
    rivals = order[first[:, None] + np.arange(size)]  # (n, size)
    windows = np.concatenate(
        [sample.foreground[starts, None], sample.background[rivals]], axis=1
    )  # (n, 1 + size, width)
    codes = checked_codes(windows.reshape(-1, shape.width), shape).reshape(len(starts), -1)
    counts = np.zeros((len(starts), 1 + size))
    counts[:, 0] = 1
    weights = sample.foreground_weight[starts]
    return Rows(
        windows.reshape(len(starts), -1),
        codes,
        counts,
        weights,
        float(weights.mean()),
        stride=shape.places,
        sets=True,
        members=np.concatenate([starts[:, None], len(sample.foreground) + rivals], axis=1),
        chosen=np.arange(len(starts)),
    )


def tile_rows(tiles: Tiles, shape: Shape, cap: float) -> Rows:
    """Give tiles as rows. A tile weighs the less the more fragments begin in it, as a neighbourhood does in the core's sampling."""
    counts = (
        tiles.counts.astype(np.float64)
        if not cap
        else np.minimum(tiles.counts, cap, dtype=np.float64)
    )
    weights = 1.0 / (1.0 + DISPERSION * counts.mean(axis=1))
    mass = float((weights * counts.sum(axis=1)).mean())
    return Rows(
        tiles.sequence,
        checked_codes(tiles.sequence, shape),
        counts,
        weights,
        mass,
        chosen=np.arange(len(counts)),
    )


def checked_codes(sequence: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint16]:
    """Number the words of sequences. Raises ValueError where they hold something else than bases."""
    # The compiled code uses words as addresses.
    if sequence.size and sequence.max() > 3:
        raise ValueError("windows hold a value that is not 0, 1, 2 or 3")
    return word_codes(sequence, shape.kmer)
