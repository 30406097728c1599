"""The data that plug-ins see: what a bias model learns from, and its report of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from counterbias.window import Window

#: Parts into which blocks of the genome are split, see :class:`FoldedSample`.
PARTS = 10
#: A tile with μ fragments per position weighs 1 / (1 + DISPERSION · μ).
DISPERSION = 1.0


@dataclass(frozen=True, slots=True)
class Tiles:
    """Stretches of consecutive positions with the number of reads that start at each.

    They are for objectives that need counts. The window of position ``j`` of tile ``i`` is
    ``sequence[i, j : j + width]``.

    Args:
        sequence: uint8 (tiles, length + width - 1), 0-3 = A, C, G, T, 5'→3' on the tile's strand,
            without N.
        counts: float32 (tiles, length), fragments that begin at each position on the tile's strand;
            pairs with the same two ends count once. They need not be whole numbers.
    """

    sequence: NDArray[np.uint8]
    counts: NDArray[np.float32]

    def weights(self) -> NDArray[np.float64]:
        """Return what each tile weighs: float64 (tiles,).

        A tile weighs less the more fragments start in it, as a neighbourhood does in the sampling
        of windows.
        """
        return np.asarray(1.0 / (1.0 + DISPERSION * self.counts.mean(axis=1, dtype=np.float64)))


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a model learns from: windows around read starts, and background windows nearby.

    Contexts are uint8 (n, width), 0-3 = A, C, G, T, 5'→3' on the read's strand, without N; column
    ``upstream`` is the read's first base. Weights are float64 (n,), positive.

    Args:
        window: the window of all contexts.
        foreground, foreground_weight: contexts of read starts.
        background, background_weight: contexts of positions nearby, on the same strand.
        tiles: for objectives that need counts; None where the sample is too small for any, or the
            model does not declare ``needs_tiles``.
        validation: the same from other blocks of the genome, for early stopping and the choice
            between candidates; None where there are none, and within a validation part.
        origin: int64 (background windows,), the row of ``foreground`` near which each was drawn;
            None where that is not known.
    """

    window: Window
    foreground: NDArray[np.uint8]
    foreground_weight: NDArray[np.float64]
    background: NDArray[np.uint8]
    background_weight: NDArray[np.float64]
    tiles: Tiles | None = None
    validation: TrainingSet | None = None
    origin: NDArray[np.int64] | None = None

    def joined(self) -> TrainingSet:
        """Return the training and the validation part as one set, without a validation part."""
        other = self.validation
        if other is None:
            return self
        every = [part.tiles for part in (self, other) if part.tiles is not None]
        tiles = every[0] if every else None
        if len(every) == 2:
            tiles = Tiles(
                np.concatenate([one.sequence for one in every]),
                np.concatenate([one.counts for one in every]),
            )
        origin = None
        if self.origin is not None and other.origin is not None:
            origin = np.concatenate([self.origin, other.origin + len(self.foreground)])
        return TrainingSet(
            self.window,
            np.concatenate([self.foreground, other.foreground]),
            np.concatenate([self.foreground_weight, other.foreground_weight]),
            np.concatenate([self.background, other.background]),
            np.concatenate([self.background_weight, other.background_weight]),
            tiles,
            origin=origin,
        )

    def sets(self) -> NDArray[np.int64] | None:
        """Return read starts with the background drawn near them: int64 (sets, 1 + size).

        A row holds a read start, then its background windows, as rows of the foreground followed by
        the background: ``np.concatenate([foreground, background])[sets]`` are the windows. Sets are
        of one size, the most frequent one: starts with less background (at the edge of a block or
        contig) are left out; where a start has more, its first windows are taken. Background is
        denser where more reads start nearby, which a single window cannot tell from its own bias;
        within a set the density is the same for all windows.

        Returns:
            the sets; None where ``origin`` is not known, or there is no background.

        Raises:
            ValueError: ``origin`` does not fit the windows.
        """
        origin = self.origin
        if origin is None:
            return None
        if len(origin) != len(self.background) or (
            len(origin) and not 0 <= origin.min() <= origin.max() < len(self.foreground)
        ):
            raise ValueError("origin does not name a foreground window for each background window")
        per_start = np.bincount(origin, minlength=len(self.foreground))
        sizes = np.bincount(per_start[per_start > 0])
        if not len(sizes):
            return None
        size = int(sizes.argmax())
        starts = np.flatnonzero(per_start >= size)
        order = np.argsort(origin, kind="stable")
        first = np.searchsorted(origin[order], starts)
        nearby = order[first[:, None] + np.arange(size)]  # (sets, size)
        return np.concatenate([starts[:, None], len(self.foreground) + nearby], axis=1)


@dataclass(frozen=True, slots=True)
class FoldedSample:
    """A sample split into folds by blocks of the genome, so that each fold can be held out.

    Blocks are assigned to :data:`PARTS` *parts*; a fold is one or more pairs of parts. Each row of
    ``foreground_parts`` and the others names two parts: that of the window or tile, and that of a
    neighbouring block so near that windows would overlap, or the first one again. A model for which
    a fold is held out learns from the rows that name no part of it (:meth:`without`).

    Args:
        everything: all windows and tiles; its validation part is None.
        foreground_parts, background_parts, tile_parts: int8 (rows, 2); ``tile_parts`` is empty
            without tiles.
        folds: number of folds, 1 to :data:`PARTS` / 2.
    """

    everything: TrainingSet
    foreground_parts: NDArray[np.int8]
    background_parts: NDArray[np.int8]
    tile_parts: NDArray[np.int8]
    folds: int = 5

    def fold_of(self, parts: NDArray[np.int8]) -> NDArray[np.int64]:
        """Return the fold of each row: int8 (n, 2) → int64 (n,)."""
        return self._fold(parts[:, 0])

    def without(self, fold: int | None) -> TrainingSet:
        """Return what a model may learn from with a fold held out (None: with none).

        One part of the other folds becomes the validation part.
        """
        check = self._check(fold)
        training = self._take(
            *(self._unseen(parts, fold) & (parts != check).all(axis=1) for parts in self._every())
        )
        validation = self._take(
            *(self._unseen(parts, fold) & (parts == check).all(axis=1) for parts in self._every())
        )
        usable = len(validation.foreground) > 0 and len(validation.background) > 0
        return replace(training, validation=validation if usable else None)

    def can_train(self) -> bool:
        """Whether ``without(None)`` has read starts and background to learn from."""
        check, origin = self._check(None), self.everything.origin
        front, back = (
            (parts != check).all(axis=1) for parts in (self.foreground_parts, self.background_parts)
        )
        return bool(front.any() and (back if origin is None else back & front[origin]).any())

    def of_fold(self, fold: int) -> TrainingSet:
        """Return the windows and tiles of one fold."""
        return self._take(*(self._fold(parts[:, 0]) == fold for parts in self._every()))

    def learnable(
        self, fold: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return masks of the starts, background windows and tiles outside a held-out fold."""
        front, back, tiles = (self._unseen(parts, fold) for parts in self._every())
        return front, back, tiles

    def _check(self, fold: int | None) -> np.int8:
        """Return the validation part for a model with a fold held out."""
        other = 0 if fold is None else (fold + 1) % self.folds
        every = np.arange(PARTS, dtype=np.int8)
        found: np.int8 = every[(self._fold(every) == other) & (every % 2 == 1)][0]
        return found

    def _every(self) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
        return self.foreground_parts, self.background_parts, self.tile_parts

    def _fold(self, part: NDArray[np.int8]) -> NDArray[np.int64]:
        return np.asarray(part.astype(np.int64) // 2 * self.folds // (PARTS // 2))

    def _unseen(self, parts: NDArray[np.int8], fold: int | None) -> NDArray[np.bool_]:
        if fold is None:
            return np.ones(len(parts), bool)
        return np.asarray((self._fold(parts) != fold).all(axis=1))

    def _take(
        self, front: NDArray[np.bool_], back: NDArray[np.bool_], chosen: NDArray[np.bool_]
    ) -> TrainingSet:
        """Select windows and tiles by masks; background is dropped with its read start."""
        whole, tiles = self.everything, None
        origin = whole.origin
        if origin is not None:
            back = back & front[origin]
            origin = (np.cumsum(front) - 1)[origin[back]]
        if whole.tiles is not None and chosen.any():
            tiles = Tiles(whole.tiles.sequence[chosen], whole.tiles.counts[chosen])
        return TrainingSet(
            whole.window,
            whole.foreground[front],
            whole.foreground_weight[front],
            whole.background[back],
            whole.background_weight[back],
            tiles,
            origin=origin,
        )


@dataclass(frozen=True, slots=True)
class FitReport:
    """A model's report of its fit; all of it is written to the quality report.

    All numbers must be finite.

    Args:
        seconds: wall time of the fit.
        parameters: number of free parameters.
        curves: name → value per epoch, as in ``{"foreground_validation_perplexity": [3.9, 3.8]}``.
        perplexity: name → perplexity per base on the validation part, as in ``{"foreground": 3.7,
            "background": 3.9}``.
        details: anything else worth reading (the chosen hidden size, epochs …), JSON types only.
            Two keys are known: ``device``, where the model was trained, ``cpu`` or the GPU's name;
            and ``remarks``, a list of what the user should be warned of, one line each.
    """

    seconds: float
    parameters: int
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    perplexity: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should be warned of, one line each."""
        remarks = self.details.get("remarks", ())
        if isinstance(remarks, str) or not isinstance(remarks, Sequence):
            remarks = (remarks,)
        return tuple(" ".join(str(one).split()) for one in remarks)
