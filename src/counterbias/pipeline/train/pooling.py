"""Pool the windows of several samples: each sample's weight, and how many windows are kept.

Windows have weights, which express a sample's share. Tiles have counts, which models compare within
a neighbourhood, so the tiles of small samples are repeated instead: a start then counts as much in
a tile as in a window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterbias.records import FoldedSample, Tiles, TrainingSet

#: The most starts, and tiles, of a cohort that a pooled model learns from. A single sample has at
#: most 100,000 starts.
MOST_STARTS, MOST_TILES = 200_000, 100_000
#: Rates of tiles are rounded to this many decimals, so that 0.99… counts as one.
_DECIMALS = 9


def even_cap(sizes: Sequence[int], most: int) -> int:
    """Return the largest cap such that all sizes, each at most the cap, sum to at most ``most``."""
    left = most
    ordered = sorted(sizes)
    for done, size in enumerate(ordered):
        fair = left // (len(ordered) - done)
        if size > fair:
            return fair
        left -= size
    return max(ordered, default=0)


def factors(masses: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Return what each sample's weights are multiplied by to sum to its share of the same total.

    ``masses`` are the sums of weights now. Samples without weight get 0, and the others share
    theirs.
    """
    there = [share if mass > 0 else 0.0 for mass, share in zip(masses, shares, strict=True)]
    total, all_shares = sum(masses), sum(there)
    return [
        share / all_shares * total / mass if share > 0 else 0.0
        for mass, share in zip(masses, there, strict=True)
    ]


def thin(
    sample: FoldedSample, share: float, tile_share: float, rng: np.random.Generator
) -> FoldedSample:
    """Keep a random share of the windows and of the tiles, 0 to 1."""
    whole = sample.everything
    front = _some(len(whole.foreground), share, rng)
    back, origin = _some(len(whole.background), share, rng), None
    if whole.origin is not None:
        # Windows that belong together stay or go together.
        row_of = np.full(len(whole.foreground), -1, np.int64)
        row_of[front] = np.arange(len(front))
        back = np.flatnonzero(row_of[whole.origin] >= 0)
        origin = row_of[whole.origin[back]]
    tiles, rows = whole.tiles, np.arange(len(sample.tile_parts))
    if tiles is not None:
        rows = _some(len(tiles.counts), tile_share, rng)
        tiles = Tiles(tiles.sequence[rows], tiles.counts[rows])
    kept = TrainingSet(
        window=whole.window,
        foreground=whole.foreground[front],
        foreground_weight=whole.foreground_weight[front],
        background=whole.background[back],
        background_weight=whole.background_weight[back],
        tiles=tiles,
        origin=origin,
    )
    parts = (sample.foreground_parts[front], sample.background_parts[back], sample.tile_parts[rows])
    return FoldedSample(kept, *parts, sample.folds)


def pool_samples(
    samples: Sequence[FoldedSample], shares: Sequence[float], rng: np.random.Generator
) -> FoldedSample:
    """Join samples that are split into the same folds.

    The foreground weights of each sample are scaled to sum to its share, its background weights by
    the same factor. The total of all weights does not change.
    """
    parts = [sample.everything for sample in samples]
    scale = factors([float(part.foreground_weight.sum()) for part in parts], shares)
    tiles, tile_parts = _pool_tiles(samples, scale, rng)
    pooled = TrainingSet(
        window=parts[0].window,
        foreground=np.concatenate([part.foreground for part in parts]),
        foreground_weight=np.concatenate(
            [part.foreground_weight * by for part, by in zip(parts, scale, strict=True)]
        ),
        background=np.concatenate([part.background for part in parts]),
        background_weight=np.concatenate(
            [part.background_weight * by for part, by in zip(parts, scale, strict=True)]
        ),
        tiles=tiles,
        origin=_pool_origins(parts),
    )
    sides = [
        np.concatenate([getattr(sample, name) for sample in samples])
        for name in ("foreground_parts", "background_parts")
    ]
    return FoldedSample(pooled, sides[0], sides[1], tile_parts, samples[0].folds)


def _pool_origins(parts: Sequence[TrainingSet]) -> NDArray[np.int64] | None:
    """Number the joined foreground windows that background windows belong to.

    None where this is unknown for one of the parts.
    """
    before = np.cumsum([0, *(len(part.foreground) for part in parts)])
    known = [
        part.origin + first
        for part, first in zip(parts, before, strict=False)
        if part.origin is not None
    ]
    return np.concatenate(known) if len(known) == len(parts) else None


def _pool_tiles(
    samples: Sequence[FoldedSample], scale: Sequence[float], rng: np.random.Generator
) -> tuple[Tiles | None, NDArray[np.int8]]:
    """Join tiles and their parts, each sample's repeated in proportion to its windows' weights.

    Those of the sample with the smallest weights appear once, and no tile is dropped unless there
    would be more than MOST_TILES.
    """
    there = [
        (one.everything.tiles, one.tile_parts, by) for one, by in zip(samples, scale, strict=True)
    ]
    kept = [
        (tiles, parts, by)
        for tiles, parts, by in there
        if tiles is not None and len(tiles.counts) and by > 0
    ]
    if not kept:
        return None, np.empty((0, 2), np.int8)
    least = min(by for *_, by in kept)
    rates = [by / least for *_, by in kept]
    wanted = sum(rate * len(parts) for rate, (_, parts, _) in zip(rates, kept, strict=True))
    rates = [rate * min(1.0, MOST_TILES / wanted) for rate in rates]
    rows = [
        _repeated(len(parts), rate, rng) for rate, (_, parts, _) in zip(rates, kept, strict=True)
    ]
    joined = Tiles(
        np.concatenate(
            [tiles.sequence[chosen] for chosen, (tiles, *_) in zip(rows, kept, strict=True)]
        ),
        np.concatenate(
            [tiles.counts[chosen] for chosen, (tiles, *_) in zip(rows, kept, strict=True)]
        ),
    )
    return joined, np.concatenate(
        [parts[chosen] for chosen, (_, parts, _) in zip(rows, kept, strict=True)]
    )


def _repeated(size: int, rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """List rows ``rate`` times: the whole part of it for all, the fraction for a random choice."""
    whole = int(round(rate, _DECIMALS))
    rest = _some(size, max(0.0, rate - whole), rng)
    return np.concatenate((np.tile(np.arange(size, dtype=np.int64), whole), rest))


def _some(size: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a share of the rows, at least one if there are any, in ascending order.

    With a share of 1 all are returned and nothing is drawn.
    """
    share = round(share, _DECIMALS)
    if share >= 1 or size == 0:
        return np.arange(size, dtype=np.int64)
    if share <= 0:
        return np.empty(0, np.int64)
    return np.sort(rng.choice(size, max(1, round(share * size)), replace=False)).astype(np.int64)
