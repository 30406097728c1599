"""Composition around read starts: k-mer frequencies, their divergence, and its signature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.loops import loop
from counterbias.records import Window

#: Lengths of k-mers whose divergence is measured.
KMERS = (1, 2, 3, 4)
#: Least divergence of a signature, in bits, summed over offsets.
MIN_SIGNATURE = 0.05
#: Least share of a signature's divergence that each of its offsets has.
MIN_SHARE = 0.02
#: Share of a signature before the read start above which reads were trimmed.
MOSTLY = 0.7
#: Share of a signature outside the window up to which the window holds it. Of trimmed reads' less:
#: the usual window is made for reads that were not trimmed, so that these need another one.
MUCH_OUTSIDE, MUCH_OUTSIDE_TRIMMED = 0.25, 0.1
#: Bases of margin that a suggested window has on either side of a signature.
MARGIN = 4


@dataclass(frozen=True, slots=True)
class Composition:
    """k-mer frequencies per offset of weighted windows.

    Args:
        k: length of the k-mers.
        frequency: float64 (offsets, 4**k), rows sum to 1; offset ``j`` is the k-mer's first column.
            k-mers are numbered with their first base as the highest digit (AA, AC, AG, AT, CA …).
        effective: effective number of windows, (Σw)²/Σw².
    """

    k: int
    frequency: NDArray[np.float64]
    effective: float


def composition(
    contexts: NDArray[np.uint8], weights: NDArray[np.float64] | None = None, *, k: int = 1
) -> Composition:
    """Count weighted k-mers per offset of windows, uint8 (n, width), without N.

    The frequencies of an empty set are uniform.
    """
    n, width = contexts.shape
    weights = np.ones(n) if weights is None else weights
    offsets, kmers = width - k + 1, 4**k
    total, squares = float(weights.sum()), float((weights**2).sum())
    if total <= 0:
        return Composition(k, np.full((offsets, kmers), 1.0 / kmers), 0.0)
    sums = np.zeros((offsets, kmers))
    _add_windows(
        np.ascontiguousarray(contexts, np.uint8), np.asarray(weights, np.float64), kmers - 1, sums
    )
    return Composition(k, sums / total, total**2 / squares)


@loop("u1[:, ::1], f8[::1], i8, f8[:, ::1]")
def _add_windows(contexts, weights, mask, sums):  # type: ignore[no-untyped-def]
    """Add each window's weight to its k-mers at their offsets; ``mask`` is 4**k − 1."""
    width = contexts.shape[1]
    before = width - sums.shape[0]
    for row in range(len(contexts)):
        code = 0
        for j in range(width):
            code = (4 * code + np.int64(contexts[row, j] & 3)) & mask
            if j >= before:
                sums[j - before, code] += weights[row]


def symmetrised_kl(first: Composition, second: Composition) -> NDArray[np.float64]:
    """Return ½ KL(p‖q) + ½ KL(q‖p) per offset, float64 (offsets,), bits.

    Half a window is added to each k-mer on either side, so that k-mers seen on one side only do not
    make it infinite.
    """
    p, q = _smooth(first), _smooth(second)
    return np.asarray(((p - q) * (np.log2(p) - np.log2(q))).sum(axis=1) / 2)


def noise_floor(first: Composition, second: Composition) -> float:
    """Return the mean symmetrised KL of two sets of windows from the same distribution, in bits.

    Twice the KL of n windows from their source, times n, is chi-square distributed with 4**k − 1
    degrees of freedom, so sets of n and m effective windows differ by
    (4**k − 1)/(2 ln 2) · (1/n + 1/m).
    """
    if first.effective <= 0 or second.effective <= 0:
        return float("nan")
    return float((4**first.k - 1) / (2 * np.log(2)) * (1 / first.effective + 1 / second.effective))


def _smooth(one: Composition) -> NDArray[np.float64]:
    raised = one.frequency * max(one.effective, 1.0) + 0.5
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Signature:
    """Where around the read start the composition differs from the background.

    Offsets count from the read's first base (0), negative before it.

    Args:
        found: whether the divergence exceeds the noise anywhere.
        first, last: the first and last offset of the signature.
        peak: the offset where it is strongest.
        before_start: share of the excess divergence at negative offsets, 0 to 1.
        outside: share outside the window in use.
        window: the window that holds it: the one in use if that does, else a wider one.
        offsets, profile: the wide profile in which it was found: symmetrised KL per offset, bits.
        noise: the profile's noise floor.
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
    def covered(self) -> bool | None:
        """Whether the window in use holds it; None without a signature."""
        return self.outside <= _most_outside(self.before_start, self.peak) if self.found else None

    @property
    def precedes_start(self) -> bool:
        """Whether most of it lies before the read start, as in reads trimmed at their 5' end."""
        return self.found and _precedes(self.before_start, self.peak)


def _precedes(before_start: float, peak: int) -> bool:
    return before_start > MOSTLY and peak < 0


def _most_outside(before_start: float, peak: int) -> float:
    return MUCH_OUTSIDE_TRIMMED if _precedes(before_start, peak) else MUCH_OUTSIDE


def signature_span(
    profile: NDArray[np.float64], noise: float, *, upstream: int, window: Window
) -> Signature:
    """Find the signature in a wide profile of divergences.

    The level of the two outer eighths (or the noise floor, if higher) is the baseline. The
    signature spans the offsets whose excess is above four noise floors and above
    :data:`MIN_SHARE` of the total, bridging gaps of up to two offsets around the peak.

    Args:
        profile: float64 (offsets,), symmetrised KL, bits.
        noise: its noise floor.
        upstream: number of its offsets before the read start.
        window: the window in use.
    """
    offsets = np.arange(len(profile)) - upstream
    edge = max(2, len(profile) // 8)
    base = max(noise, float(np.median(np.concatenate((profile[:edge], profile[-edge:])))))
    excess = np.maximum(profile - base, 0.0)
    strong = excess > 4 * noise
    strong &= excess > MIN_SHARE * excess[strong].sum() if strong.any() else False
    if not strong.any() or excess[strong].sum() < MIN_SIGNATURE:
        return Signature(False, 0, 0, 0, 0.0, 0.0, window)
    peak = int(np.argmax(excess))
    marks = np.flatnonzero(strong)
    group = np.concatenate(([0], np.cumsum(np.diff(marks) > 3)))
    marks = marks[group == group[np.flatnonzero(marks == peak)[0]]]
    first, last = int(offsets[marks[0]]), int(offsets[marks[-1]])
    total = float(excess[strong].sum())
    before = float(excess[strong & (offsets < 0)].sum()) / total

    def outside(of: Window) -> float:
        beyond = (offsets < -of.upstream) | (offsets > of.downstream)
        return float(excess[strong & beyond].sum()) / total

    missed, most, holding = outside(window), _most_outside(before, int(offsets[peak])), window
    if missed > most:
        holding = _widened(window, first, last)
        if outside(holding) > most:  # there is more of it beyond a gap
            every = offsets[strong]
            holding = _widened(window, int(every[0]), int(every[-1]))
    return Signature(True, first, last, int(offsets[peak]), before, missed, holding)


def _widened(window: Window, first: int, last: int) -> Window:
    """Widen a window so that it holds the offsets ``first`` to ``last``, with a margin."""
    return Window(max(window.upstream, MARGIN - first), max(window.downstream, last + MARGIN))


def composition_report(
    foreground: NDArray[np.uint8],
    weight: NDArray[np.float64],
    inverse_bias: NDArray[np.float64],
    background: NDArray[np.uint8],
    background_weight: NDArray[np.float64],
) -> dict[str, dict[str, list[float]]]:
    """Return the shares of A, C, G, T per offset: ``before``, ``after`` weighting, ``background``.

    ``inverse_bias`` is the weight of each start, 1/b, capped as that of reads.
    """
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
) -> list[dict[str, int | float | list[float]]]:
    """Return the symmetrised KL between starts and background for each k, with noise floors.

    It is taken before and after weighting; ``inverse_bias`` is the weight of each start, 1/b,
    capped as that of reads. Empty without windows on either side.
    """
    if not len(foreground) or not len(background):
        return []
    entries: list[dict[str, int | float | list[float]]] = []
    for k in [k for k in KMERS if k <= foreground.shape[1]]:
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
