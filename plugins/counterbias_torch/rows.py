"""What networks learn from, as plain arrays: rows of windows with their targets and weights.

Three layouts: *tiles* (windows of consecutive positions, with the fragments that begin at each),
*sets* (a read start with the background windows drawn near it), and single windows. Imports no
torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias import InputError, Tiles, TrainingSet

#: The losses of a row. SOFTMAX: −Σ target · ln softmax of its windows' scores; LOGISTIC: read start
#: (target 1) or not (0); BASES: −ln p of its window; SQUARES: half the squared difference between
#: score and target.
LOSSES = SOFTMAX, LOGISTIC, BASES, SQUARES = ("softmax", "logistic", "bases", "squares")
#: Positions of the pieces into which tiles are cut for networks that score windows one by one.
STRETCH = 25


@dataclass(frozen=True)
class Rows:
    """Rows of windows.

    Args:
        sequence: uint8, (n, places + width − 1) where windows overlap, otherwise
            (n, places · width).
        targets: float32 (n, places); what they mean depends on the loss.
        weights: float32 (n,).
        loss: one of :data:`LOSSES`.
        overlapping: whether a row's windows are those of consecutive positions.
    """

    sequence: NDArray[np.uint8]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    loss: str
    overlapping: bool = False

    def __len__(self) -> int:
        return len(self.sequence)

    @property
    def places(self) -> int:
        """Windows per row."""
        return int(self.targets.shape[1])


@dataclass(frozen=True)
class Part:
    """The rows that one network learns from, or is validated on.

    Args:
        rows: may be shared by several networks.
        chosen: int64, its rows among them.
    """

    rows: Rows
    chosen: NDArray[np.int64]

    @classmethod
    def of_all(cls, rows: Rows) -> Part:
        """Take all rows."""
        return cls(rows, np.arange(len(rows)))

    @property
    def starts(self) -> int:
        """Read starts among its sets or windows."""
        return int(self.rows.targets[self.chosen].sum())

    @property
    def mass(self) -> float:
        """What divides the sum of losses per row: reads of a tile or set, bases of a window, or 1.

        Each of them is multiplied by the rows' weights, and averaged over the rows.
        """
        weights = self.rows.weights[self.chosen].astype(np.float64)
        if self.rows.loss == SOFTMAX:
            weights = weights * self.rows.targets[self.chosen].sum(axis=1)
        mean = float(weights.mean()) if len(weights) else 1.0
        return mean * self.rows.sequence.shape[1] if self.rows.loss == BASES else mean

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Part, Part]:
        """Split off a random fraction of the rows, at least one: return the others, and these."""
        order = rng.permutation(self.chosen)
        held = max(1, round(fraction * len(order)))
        return Part(self.rows, np.sort(order[held:])), Part(self.rows, np.sort(order[:held]))


def tile_rows(tiles: Tiles, most: int, rng: np.random.Generator) -> Rows | None:
    """Return the tiles that hold reads; where there are more than ``most``, that many are drawn.

    A tile weighs less the more fragments begin in it (``Tiles.weights``). None without any.
    """
    if tiles.counts.ndim != 2 or tiles.counts.shape[1] < 2:
        return None
    rows = np.flatnonzero(tiles.counts.sum(axis=1) > 0)
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    if not len(rows):
        return None
    return Rows(
        np.ascontiguousarray(tiles.sequence[rows]),
        tiles.counts[rows].astype(np.float32),
        tiles.weights()[rows].astype(np.float32),
        SOFTMAX,
        overlapping=True,
    )


def stretches(rows: Rows, places: int = STRETCH) -> Rows | None:
    """Cut tiles into stretches of at most ``places`` positions; those without reads are left out.

    Positions at the end of a tile that fill no stretch are dropped. None without any read.
    """
    flank = rows.sequence.shape[1] - rows.places
    places = min(places, rows.places)
    parts = []
    for first in range(0, rows.places - places + 1, places):
        kept = rows.targets[:, first : first + places].sum(axis=1) > 0
        parts.append(
            (
                rows.sequence[kept, first : first + places + flank],
                rows.targets[kept, first : first + places],
                rows.weights[kept],
            )
        )
    sequence, targets, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if not len(sequence):
        return None
    return Rows(sequence, targets, weights, rows.loss, overlapping=True)


def set_rows(sample: TrainingSet, most: int, rng: np.random.Generator) -> Rows | None:
    """Return each read start with the background drawn near it (``TrainingSet.sets``).

    Where there are more than ``most``, that many are drawn. None where it is not known which
    windows belong together.
    """
    sets = sample.sets()
    if sets is None:
        return None
    if len(sets) > most:
        sets = sets[np.sort(rng.choice(len(sets), most, replace=False))]
    every = np.concatenate([sample.foreground, sample.background])
    targets = np.zeros(sets.shape, np.float32)
    targets[:, 0] = 1
    return Rows(
        np.ascontiguousarray(every[sets].reshape(len(sets), -1), np.uint8),
        targets,
        sample.foreground_weight[sets[:, 0]].astype(np.float32),
        SOFTMAX,
    )


def classified_rows(sample: TrainingSet, most: int, rng: np.random.Generator) -> Rows:
    """Return the windows of both sides, at most ``most`` of each, for the logistic loss.

    Each side has half of the weight; the mean weight is 1.
    """
    parts = []
    for windows, weights, target in (
        (sample.foreground, sample.foreground_weight, 1.0),
        (sample.background, sample.background_weight, 0.0),
    ):
        windows, weights = _at_most(most, windows, weights, rng)
        parts.append((windows, weights / weights.sum(), np.full(len(windows), target)))
    sequence, shares, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Rows(
        np.ascontiguousarray(sequence, np.uint8),
        targets[:, None].astype(np.float32),
        (shares * len(shares) / 2).astype(np.float32),
        LOGISTIC,
    )


def language_rows(
    windows: NDArray[np.uint8], weights: NDArray[np.float64], most: int, rng: np.random.Generator
) -> Rows:
    """Return windows of one side, at most ``most``, to be predicted base by base."""
    windows, weights = _at_most(most, windows, weights, rng)
    return Rows(
        np.ascontiguousarray(windows, np.uint8),
        np.ones((len(windows), 1), np.float32),
        (weights / weights.mean()).astype(np.float32),
        BASES,
    )


def check_sides(sample: TrainingSet) -> None:
    """Raise InputError where there are no windows of a side."""
    for name, windows in (
        ("read starts", sample.foreground),
        ("background windows", sample.background),
    ):
        if not len(windows):
            raise InputError(f"no {name} to train a network with", remedy="use more reads")


def _at_most(
    most: int, windows: NDArray[np.uint8], weights: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    if len(windows) <= most:
        return windows, weights
    rows = np.sort(rng.choice(len(windows), most, replace=False))
    return windows[rows], weights[rows]
