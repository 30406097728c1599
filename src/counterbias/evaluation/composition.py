"""Composition around read starts: k-mer frequencies per offset, their divergence, and where a signature lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias.records import Window

#: Bits, summed over offsets, from which a signature counts as found.
MIN_SIGNATURE = 0.05


@dataclass(frozen=True, slots=True)
class Composition:
    """k-mer frequencies per offset of weighted windows.

    Args:
        k: length of the k-mers.
        frequency: float64 (offsets, 4**k), rows sum to 1; offset ``j`` is the k-mer's first column. k-mers are numbered with
            their first base as the highest digit (AA, AC, AG, AT, CA …).
        effective: number of equally weighted windows with the same variance, (Σw)²/Σw².
    """

    k: int
    frequency: NDArray[np.float64]
    effective: float


def composition(
    contexts: NDArray[np.uint8], weights: NDArray[np.float64] | None = None, *, k: int = 1
) -> Composition:
    """Count k-mers per offset of windows (uint8 (n, width), no N), weighted; frequencies of an empty set are uniform."""
    n, width = contexts.shape
    weights = np.ones(n) if weights is None else weights
    offsets, kinds = width - k + 1, 4**k
    total, squares = float(weights.sum()), float((weights**2).sum())
    if total <= 0:
        return Composition(k, np.full((offsets, kinds), 1.0 / kinds), 0.0)
    sums = np.zeros((offsets, kinds))
    _add_windows(
        np.ascontiguousarray(contexts, np.uint8), np.asarray(weights, np.float64), kinds - 1, sums
    )
    return Composition(k, sums / total, total**2 / squares)


@njit(cache=True, nogil=True)
def _add_windows(contexts, weights, mask, sums):  # type: ignore[no-untyped-def]
    """Add each window's weight to the k-mers that it holds, at their offsets; ``mask`` is 4**k − 1."""
    width = contexts.shape[1]
    before = width - sums.shape[0]
    for row in range(len(contexts)):
        code = 0
        for j in range(width):
            code = (4 * code + np.int64(contexts[row, j] & 3)) & mask
            if j >= before:
                sums[j - before, code] += weights[row]


def symmetrised_kl(first: Composition, second: Composition) -> NDArray[np.float64]:
    """Give ½ KL(p‖q) + ½ KL(q‖p) per offset, in bits; float64 (offsets,).

    Half a window is added to each k-mer on either side, so that k-mers seen once on one side only do not make it infinite.
    """
    p, q = _smooth(first), _smooth(second)
    return np.asarray(((p - q) * (np.log2(p) - np.log2(q))).sum(axis=1) / 2)


def noise_floor(first: Composition, second: Composition) -> float:
    """Give the symmetrised KL, in bits, that two samples of one and the same distribution show on average.

    Twice a sample's KL from its source is chi-square distributed with 4**k − 1 degrees of freedom per window, so that two
    samples of n and m effective windows differ by (4**k − 1)/(2 ln 2) · (1/n + 1/m). Effective numbers are (Σw)²/Σw².
    """
    if first.effective <= 0 or second.effective <= 0:
        return float("nan")
    return float((4**first.k - 1) / (2 * np.log(2)) * (1 / first.effective + 1 / second.effective))


def _smooth(one: Composition) -> NDArray[np.float64]:
    raised = one.frequency * max(one.effective, 1.0) + 0.5
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Signature:
    """Where around the read start composition differs from the background.

    Offsets count from the read's first base (0), negative before it.

    Args:
        found: whether anything stands out of the noise.
        first, last: the offsets between which it lies.
        peak: the offset where it is strongest.
        before_start: share of the excess divergence at negative offsets, 0 to 1.
        outside: share that lies outside the window in use.
        window: the window that would hold it.
        offsets, profile: the wide profile that was looked at: symmetrised KL per offset, bits.
        noise: its noise floor.
    """

    found: bool
    first: int
    last: int
    peak: int
    before_start: float
    outside: float
    window: Window
    offsets: tuple[int, ...] = ()
    profile: tuple[float, ...] = ()
    noise: float = 0.0

    @property
    def precedes_start(self) -> bool:
        """Whether most of the signature lies before the read start, as in reads cut at their 5' end."""
        return self.found and self.before_start > 0.7 and self.peak < 0


def signature_span(
    profile: NDArray[np.float64],
    noise: float,
    *,
    upstream: int,
    window: Window,
    share: float = 0.02,
) -> Signature:
    """Find the signature in a wide profile of divergences.

    ``profile``: symmetrised KL per offset (bits), ``upstream`` its columns before the read start, ``noise`` its noise floor.
    The level of the two outer eighths (or the noise floor, if higher) is the base line. The signature spans the offsets
    whose excess is above four noise floors and above ``share`` of the total, bridging gaps of up to two offsets around the
    peak.
    """
    offsets = np.arange(len(profile)) - upstream
    edge = max(2, len(profile) // 8)
    base = max(noise, float(np.median(np.concatenate((profile[:edge], profile[-edge:])))))
    excess = np.maximum(profile - base, 0.0)
    strong = excess > 4 * noise
    strong &= excess > share * excess[strong].sum() if strong.any() else False
    if not strong.any() or excess[strong].sum() < MIN_SIGNATURE:
        return Signature(False, 0, 0, 0, 0.0, 0.0, window)
    peak = int(np.argmax(excess))
    marks = np.flatnonzero(strong)
    group = np.concatenate(([0], np.cumsum(np.diff(marks) > 3)))
    marks = marks[group == group[np.flatnonzero(marks == peak)[0]]]
    first, last = int(offsets[marks[0]]), int(offsets[marks[-1]])
    total = float(excess[strong].sum())
    before = float(excess[strong & (offsets < 0)].sum()) / total
    inside = (offsets >= -window.upstream) & (offsets <= window.downstream)
    outside = float(excess[strong & ~inside].sum()) / total
    suggested = Window(max(window.upstream, 4 - first), max(window.downstream, last + 4))
    return Signature(True, first, last, int(offsets[peak]), before, outside, suggested)


def composition_report(
    foreground: NDArray[np.uint8],
    weight: NDArray[np.float64],
    inverse_bias: NDArray[np.float64],
    background: NDArray[np.uint8],
    background_weight: NDArray[np.float64],
) -> dict[str, dict[str, list[float]]]:
    """Give the shares of A, C, G, T per offset of starts ``before`` and ``after`` weighting, and of the ``background``."""
    parts = {
        "before": composition(foreground, weight),
        "after": composition(foreground, weight * inverse_bias),
        "background": composition(background, background_weight),
    }
    return {
        name: {letter: part.frequency[:, column].tolist() for column, letter in enumerate("ACGT")}
        for name, part in parts.items()
    }


def divergence_report(
    foreground: NDArray[np.uint8],
    weight: NDArray[np.float64],
    inverse_bias: NDArray[np.float64],
    background: NDArray[np.uint8],
    background_weight: NDArray[np.float64],
    *,
    longest: int = 4,
) -> list[dict[str, int | float | list[float]]]:
    """Give the symmetrised KL between starts and background for k = 1 … ``longest``, before and after weighting, with noise
    floors.

    ``inverse_bias``: weight of each start, 1/b, capped as reads are. Empty where there are no windows on either side.
    """
    if not len(foreground) or not len(background):
        return []
    entries: list[dict[str, int | float | list[float]]] = []
    for k in range(1, min(longest, foreground.shape[1]) + 1):
        reference = composition(background, background_weight, k=k)
        first, second = (
            composition(foreground, weight, k=k),
            composition(foreground, weight * inverse_bias, k=k),
        )
        before, after = symmetrised_kl(first, reference), symmetrised_kl(second, reference)
        entries.append(
            {
                "k": k,
                "before": before.tolist(),
                "after": after.tolist(),
                "mean_before": float(before.mean()),
                "mean_after": float(after.mean()),
                "sum_before": float(before.sum()),
                "sum_after": float(after.sum()),
                "fall": float(1 - after.mean() / before.mean()) if before.mean() > 0 else 0.0,
                "noise_before": noise_floor(first, reference),
                "noise_after": noise_floor(second, reference),
            }
        )
    return entries
