"""Simulated samples with a known bias."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from counterbias.records import Tiles, TrainingSet, Window


def planted_effects(window: Window) -> NDArray[np.float64]:
    """Return the true log bias per offset and base: float64 (width, 4), nats.

    It is strong at the read start and fades on both sides.
    """
    offsets = np.arange(window.width) - window.upstream
    strength = 0.8 * np.exp(-np.abs(offsets) / 4.0)
    phases = offsets[:, None] * 1.3 + np.arange(4) * 1.9
    return np.asarray(strength[:, None] * np.sin(phases), dtype=np.float64)


def planted_log_bias(window: Window, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Score contexts by :func:`planted_effects`: uint8 (n, width) → float64 (n,), nats.

    This is the true log bias, up to a constant.
    """
    return np.asarray(
        planted_effects(window)[np.arange(window.width), contexts].sum(axis=1), dtype=np.float64
    )


def planted_sample(window: Window, *, starts: int, seed: int, tiles: bool = True) -> TrainingSet:
    """Simulate a sample with the bias :func:`planted_effects` and a validation part.

    Args:
        window: its window.
        starts: foreground windows; there are twice as many background windows, and a quarter as
            many of each in the validation part.
        seed: the same seed gives the same sample.
        tiles: whether there are tiles; a sample may be too small for any.
    """
    rng = np.random.default_rng(seed)
    validation = _planted_part(window, max(starts // 4, 2), rng, tiles)
    return dataclasses.replace(_planted_part(window, starts, rng, tiles), validation=validation)


def _planted_part(
    window: Window, starts: int, rng: np.random.Generator, tiles: bool
) -> TrainingSet:
    effects = planted_effects(window)
    odds = np.exp(effects) * 0.25
    edges = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)[:, :3]
    foreground = (rng.random((starts, window.width, 1)) > edges).sum(axis=2).astype(np.uint8)
    background = rng.integers(0, 4, (2 * starts, window.width), dtype=np.uint8)
    tile_set = None
    if tiles:
        sequence = rng.integers(
            0, 4, (max(starts // 40, 2), 100 + window.width - 1), dtype=np.uint8
        )
        views = sliding_window_view(sequence, window.width, axis=1)
        truth = planted_log_bias(window, views.reshape(-1, window.width)).reshape(views.shape[:2])
        tile_set = Tiles(sequence, rng.poisson(0.4 * np.exp(truth)).astype(np.float32))
    weights = np.sqrt(rng.integers(1, 4, starts)).astype(np.float64)
    origin = np.repeat(np.arange(starts, dtype=np.int64), 2)
    return TrainingSet(
        window, foreground, weights, background, np.ones(2 * starts), tile_set, origin=origin
    )


def reverse_complement(sample: TrainingSet) -> TrainingSet:
    """Return the sample seen from the other strand.

    Every window is reversed and complemented, and upstream and downstream are swapped.
    """
    tiles = sample.tiles
    return TrainingSet(
        window=Window(sample.window.downstream, sample.window.upstream),
        foreground=other_strand(sample.foreground),
        foreground_weight=sample.foreground_weight,
        background=other_strand(sample.background),
        background_weight=sample.background_weight,
        tiles=None
        if tiles is None
        else Tiles(other_strand(tiles.sequence), tiles.counts[:, ::-1].copy()),
        validation=None if sample.validation is None else reverse_complement(sample.validation),
        origin=sample.origin,
    )


def other_strand(bases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reverse and complement each row: uint8 (n, length)."""
    return np.ascontiguousarray(3 - bases[:, ::-1])
