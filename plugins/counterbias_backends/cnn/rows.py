"""What the networks learn from, laid out for compiled code: rows of windows, in random batches."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from counterbias import Tiles, TrainingSet
from counterbias_backends.cnn.parameters import Shape, word_codes

#: Rows that are neighbours in memory and drawn together, which makes reading them many times as
#: fast. They were put in random order before.
TOGETHER = 32


@dataclass(frozen=True)
class Rows:
    """Rows of windows: tiles, sets of a read start with its background, or single windows.

    :mod:`.gradients` says what each of them is.

    Args:
        sequence: uint8, (n, length + width − 1) where windows overlap, otherwise
            (n, length · width).
        codes: uint16 (n, (length − 1) · stride + places), the words of the sequence.
        counts: float64 (n, length); of windows, 1 at a read start and 0 in the background.
        weights: float64 (n,).
        mass: divides the loss: the mean per row of the weight (windows) or of weight · reads
            (tiles, sets).
        squares: whether ``counts`` are scores of windows, to be learnt by least squares.
        stride: words from one window of a row to the next.
        sets: whether a row's windows are a read start and its background, instead of those of
            consecutive positions.
        members: int64 (n, windows), where windows do not overlap: their indices in the training
            set, read starts first.
        chosen: int64, the rows that are learnt from.
        mixed: whether the rows are in random order.
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
        """Return the same rows, of which only those in the mask are learnt from."""
        chosen = np.flatnonzero(mask)
        weights = self.weights[chosen]
        # Single windows weigh 1 on average.
        mass = weights * self.counts[chosen].sum(axis=1) if self.counts.shape[1] > 1 else weights
        return replace(self, chosen=chosen, mass=float(mass.mean()) if len(chosen) else 1.0)


@dataclass(frozen=True)
class Data:
    """What a network learns from, or is evaluated on.

    Args:
        windows: sets or single windows.
        tiles: None where there are none.
    """

    windows: Rows
    tiles: Rows | None

    @property
    def parts(self) -> list[Rows]:
        """Tiles, where there are any, and windows."""
        return [rows for rows in (self.tiles, self.windows) if rows is not None]

    def within(self, windows: NDArray[np.bool_], tiles: NDArray[np.bool_]) -> Data:
        """Return the same data, of which only the rows in the masks are learnt from.

        Where the mask holds no tile, there are none.
        """
        return Data(
            self.windows.within(windows),
            None if self.tiles is None or not tiles.any() else self.tiles.within(tiles),
        )


class Batches:
    """An endless stream of batches of rows in random order.

    Of many rows that are in random order in memory (:func:`shuffled`), :data:`TOGETHER` neighbours
    stay together.

    Args:
        rows: those of which ``chosen`` are drawn.
        size: rows per batch, at most.
    """

    def __init__(self, rows: Rows, size: int, rng: np.random.Generator) -> None:
        self.rows, self._size, self._rng = rows, min(size, len(rows.chosen)), rng
        self._together = TOGETHER if rows.mixed and len(rows.chosen) >= TOGETHER * self._size else 1
        self._order, self._next = np.zeros(0, np.int64), 0

    @property
    def size(self) -> int:
        """Rows per batch."""
        return self._size

    @property
    def scale(self) -> float:
        """What the loss of a batch is multiplied by."""
        return 1 / (self._size * self.rows.mass)

    def take(self, batches: int) -> NDArray[np.int64]:
        """Return the rows of the next batches, one after another, int64 (batches · size,)."""
        parts = []
        for _ in range(batches):
            if self._next + self._size > len(self._order):
                self._order, self._next = self._shuffle(), 0
            self._next += self._size
            parts.append(self._order[self._next - self._size : self._next])
        return np.concatenate(parts)

    def _shuffle(self) -> NDArray[np.int64]:
        chosen, together = self.rows.chosen, self._together
        if together == 1:
            return self._rng.permutation(chosen)
        whole = len(chosen) // together
        # A random first row, so that it is not always the same rows that are left over.
        first = int(self._rng.integers(0, len(chosen) - whole * together + 1))
        groups = chosen[first : first + whole * together].reshape(-1, together)
        return self._rng.permutation(groups).ravel()


def shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """Put rows in random order."""
    order = rng.permutation(len(rows))
    new = np.empty(len(rows), np.int64)
    new[order] = np.arange(len(rows))
    return replace(
        rows,
        sequence=rows.sequence[order],
        codes=rows.codes[order],
        counts=rows.counts[order],
        weights=rows.weights[order],
        members=rows.members[order] if len(rows.members) else rows.members,
        chosen=np.sort(new[rows.chosen]),
        mixed=True,
    )


def window_rows(sample: TrainingSet, shape: Shape) -> Rows:
    """Return sets where it is known which windows belong together, otherwise single windows.

    All single windows of the foreground together weigh as much as those of the background.
    """
    sequence = np.concatenate([sample.foreground, sample.background]).astype(np.uint8, copy=False)
    members = sample.sets()
    if members is not None:
        return _sets(sequence[members], members, sample.foreground_weight, shape)
    shares = [side / side.sum() for side in (sample.foreground_weight, sample.background_weight)]
    counts = np.zeros((len(sequence), 1))
    counts[: len(sample.foreground)] = 1
    every = np.arange(len(sequence))
    return Rows(
        sequence,
        checked_codes(sequence, shape),
        counts,
        np.concatenate(shares) * (len(sequence) / 2),
        1.0,
        members=every[:, None],
        chosen=every,
    )


def _sets(
    windows: NDArray[np.uint8],
    members: NDArray[np.int64],
    foreground_weight: NDArray[np.float64],
    shape: Shape,
) -> Rows:
    """Return sets, whose windows are uint8 (sets, 1 + size, width), as rows."""
    counts = np.zeros(members.shape)
    counts[:, 0] = 1
    weights = foreground_weight[members[:, 0]]
    return Rows(
        windows.reshape(len(members), -1),
        checked_codes(windows.reshape(-1, shape.width), shape).reshape(len(members), -1),
        counts,
        weights,
        float(weights.mean()),
        stride=shape.places,
        sets=True,
        members=members,
        chosen=np.arange(len(members)),
    )


def tile_rows(tiles: Tiles, shape: Shape, cap: float) -> Rows:
    """Return tiles as rows; counts above ``cap`` are cut to it, unless it is 0."""
    if cap:
        tiles = replace(tiles, counts=np.minimum(tiles.counts, np.float32(cap)))
    counts, weights = tiles.counts.astype(np.float64), tiles.weights()
    return Rows(
        tiles.sequence,
        checked_codes(tiles.sequence, shape),
        counts,
        weights,
        float((weights * counts.sum(axis=1)).mean()),
        chosen=np.arange(len(counts)),
    )


def checked_codes(sequence: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint16]:
    """Number the words of sequences. Raises ValueError where they hold anything but bases."""
    # The compiled code uses words as addresses.
    if sequence.size and sequence.max() > 3:
        raise ValueError("windows hold a value that is not 0, 1, 2 or 3")
    return word_codes(sequence, shape.kmer)
