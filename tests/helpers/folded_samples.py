"""Samples split into folds, in whose windows the bases spell out the place of each base."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterbias import sampling
from counterbias.evaluation import folds
from counterbias.records import (
    PRESENT,
    REVERSE,
    TRAINABLE,
    EndSites,
    Positions,
    StartSites,
    TrainingSet,
    Window,
)
from counterbias.sampling import DrawnTiles, DrawnWindows, FoldedWindows

LENGTHS = (90_000, 40_000)
TILE = 100


@dataclass(frozen=True)
class Written:
    """Windows whose bases are the digits, to the base of four, of the number of their place."""

    window: Window

    def cut(self, positions: Positions, wide: Window) -> tuple[np.ndarray, np.ndarray]:
        number = (
            positions.contig.astype(np.int64) * 1_000_000 + positions.position + 1000
        ) * 2 + positions.strand
        digits = np.zeros((len(number), wide.width), np.uint8)
        for column in range(min(11, wide.width)):
            digits[:, column] = number // 4**column % 4
        return digits, np.ones(len(number), bool)

    def bases(self, contexts: np.ndarray, extra: int = 0) -> set[tuple[int, int]]:
        """Return contig and position of every base of these windows, or of the longer tiles."""
        number = sum(
            contexts[:, column].astype(np.int64) * 4**column
            for column in range(min(11, contexts.shape[1]))
        )
        places, strand = number // 2, number % 2
        contig, position = (places + 500_000) // 1_000_000, (places + 500_000) % 1_000_000 - 501_000
        left = np.where(strand == 1, self.window.downstream + extra, self.window.upstream)
        right = np.where(strand == 1, self.window.upstream, self.window.downstream + extra)
        found = set()
        for one, first, last in zip(
            contig.tolist(), (position - left).tolist(), (position + right).tolist(), strict=True
        ):
            found.update((one, base) for base in range(first, last + 1))
        return found

    def of(self, part: TrainingSet) -> set[tuple[int, int]]:
        """Return the bases of all that a model sees in a set."""
        found = self.bases(part.foreground) | self.bases(part.background)
        return found if part.tiles is None else found | self.bases(part.tiles.sequence, TILE - 1)


def make_sites(seed: int, reads: int, crowded: bool) -> StartSites:
    """Return reads on two contigs; crowded ones lie in a tenth of each: blocks are small."""
    rng = np.random.default_rng(seed)
    contig = rng.integers(0, 2, reads).astype(np.int32)
    position = (rng.random(reads) * np.array(LENGTHS)[contig] * (0.1 if crowded else 1.0)).astype(
        np.int32
    )
    bits = (PRESENT | TRAINABLE | np.where(rng.random(reads) < 0.5, REVERSE, 0)).astype(np.uint8)
    return StartSites(
        ("one", "two"),
        LENGTHS,
        np.zeros(reads, np.int32),
        None,
        (EndSites(contig, position, bits),),
    )


def every_tile(starts: Positions) -> Positions:
    """Tile the stretches where reads start, on both strands; return the tiles' 5' ends."""
    contig = np.repeat(np.arange(2, dtype=np.int32), [length // TILE * 2 for length in LENGTHS])
    first = np.concatenate([np.repeat(np.arange(length // TILE) * TILE, 2) for length in LENGTHS])
    strand = np.tile(np.array([0, 1], np.uint8), len(first) // 2)
    near = np.zeros((2, max(LENGTHS) // TILE + 1), bool)
    near[starts.contig, starts.position // TILE] = True
    kept = near[contig, first // TILE]
    return Positions(
        contig[kept], (first + strand * (TILE - 1))[kept], strand[kept], np.ones(int(kept.sum()))
    )


def folded(
    sites: StartSites, window: Window, scheme: str, number: int
) -> tuple[Written, FoldedWindows, folds.Folds]:
    written, starts = Written(window), sampling.unique_starts(sites)
    split = folds.make_folds(starts)
    drawn = sampling.draw(sites, np.random.default_rng(1), scheme=scheme, most=600)
    places, tiles = None, None
    if window.width + TILE - 1 <= 255:
        places = every_tile(starts)
        sequence, _ = written.cut(places, Window(window.upstream, window.downstream + TILE - 1))
        count = len(places)
        tiles = DrawnTiles(
            sequence, TILE, np.arange(count), np.zeros(count, np.int64), np.ones(count)
        )
    cut = written.cut(drawn.foreground, window), written.cut(drawn.background, window)
    return (
        written,
        DrawnWindows(drawn, *cut, None, tiles, places).fold(window, split, number),
        split,
    )
