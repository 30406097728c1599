"""Known sequence bias of read starts, as priming with random hexamers causes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterbias.records import Window
from counterbias.simulation.kernels import bias_along

#: Standard deviation of a priming bias over random sequence, nats. Weighting reads by its inverse
#: leaves an effective sample size near that of real libraries.
PRIMING_STRENGTH = 0.9
#: Standard deviation of the log bias by offset from the read's first base, before scaling:
#: strongest on the first six bases, as in libraries primed with random hexamers.
_PROFILE = dict(
    zip(
        range(-4, 9),
        (0.10, 0.15, 0.25, 0.35, 0.70, 0.75, 0.60, 0.50, 0.55, 0.45, 0.30, 0.20, 0.12),
        strict=True,
    )
)
#: Offsets of the bases that interact.
_INTERACTING = ((-1, 0), (0, 1), (1, 2), (2, 3), (4, 5), (1, 4))


class SequenceBias(Protocol):
    """What the simulator requires of a bias."""

    @property
    def window(self) -> Window:
        """The bases around a read start that the bias depends on."""
        ...

    def along(self, sequence: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return exp(log bias) of a read start at each position, on either strand.

        Args:
            sequence: uint8 (n,), 0-3 = A, C, G, T; 4 = unknown.

        Returns:
            float64 (n,) for reads on the sequence's strand, and for those on the opposite strand.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScoredBias:
    """A bias defined by any function of windows, such as a fitted model's ``log_bias``.

    Args:
        window: the bases that the function takes.
        score: uint8 (n, width), 0-3 = A, C, G, T → log bias, float64 (n,), nats. It is called from
            several threads.
        strength: factor on the log bias.
    """

    window: Window
    score: Callable[[NDArray[np.uint8]], NDArray[np.float64]]
    strength: float = 1.0

    def along(self, sequence: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return exp(log bias) on both strands (see :meth:`SequenceBias.along`).

        It is 1 where a window holds an unknown base or extends beyond the sequence.
        """
        strands = []
        opposite = np.where(sequence < 4, 3 - sequence, 4).astype(np.uint8)[::-1]
        for bases in (sequence, opposite):
            padded = np.pad(
                bases, (self.window.upstream, self.window.downstream), constant_values=4
            )
            strands.append(np.lib.stride_tricks.sliding_window_view(padded, self.window.width))
        contexts = np.concatenate(strands)
        valid = (contexts < 4).all(axis=1)
        log_bias = np.zeros(len(contexts))
        if valid.any():
            log_bias[valid] = self.strength * np.asarray(
                self.score(np.ascontiguousarray(contexts[valid])), dtype=np.float64
            )
        bias = np.exp(log_bias)
        return bias[: len(sequence)].copy(), bias[len(sequence) :][::-1].copy()


@dataclass(frozen=True, slots=True)
class PrimingBias:
    """A log bias that is a sum over the bases of a window and over some pairs of them.

    Args:
        window: the bases that are summed over.
        weights: float64 (width, 4), nats.
        pair_columns: int64 (pairs, 2), columns of the window that interact.
        pair_weights: float64 (pairs, 4, 4), nats.
    """

    window: Window
    weights: NDArray[np.float64]
    pair_columns: NDArray[np.int64]
    pair_weights: NDArray[np.float64]

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the log bias of windows, uint8 (n, width) → float64 (n,), nats, up to a constant.

        Unknown bases (above 3) add nothing.
        """
        padded = np.pad(self.weights, ((0, 0), (0, 1)))
        columns = np.minimum(contexts, 4)
        total = padded[np.arange(self.window.width), columns].sum(axis=1)
        pairs = np.pad(self.pair_weights, ((0, 0), (0, 1), (0, 1)))
        for (first, second), table in zip(self.pair_columns, pairs, strict=True):
            total = total + table[columns[:, first], columns[:, second]]
        return np.asarray(total, dtype=np.float64)

    def along(self, sequence: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return exp(log bias) on both strands (see :meth:`SequenceBias.along`).

        Bases that are unknown or beyond the ends of the sequence add nothing.
        """
        flank = self.window.width
        padded = np.pad(sequence, flank, constant_values=4)
        forward, reverse = np.empty(len(sequence)), np.empty(len(sequence))
        bias_along(
            padded,
            flank,
            self.weights,
            self.pair_columns,
            self.pair_weights,
            self.window.upstream,
            forward,
            reverse,
        )
        return forward, reverse


def simulate_priming_bias(
    rng: np.random.Generator, *, strength: float = PRIMING_STRENGTH, interactions: float = 0.35
) -> PrimingBias:
    """Draw a priming bias.

    Args:
        rng: source of randomness.
        strength: standard deviation of the log bias over random sequence, nats.
        interactions: size of the effects of pairs of bases relative to those of single bases.
    """
    window = Window(-min(_PROFILE), max(_PROFILE))
    size = np.array(list(_PROFILE.values()))[:, None]
    weights = rng.normal(size=(window.width, 4))
    weights -= weights.mean(axis=1, keepdims=True)
    weights *= size / np.sqrt(np.mean(weights**2, axis=1, keepdims=True))
    columns = np.array(_INTERACTING, dtype=np.int64) + window.upstream
    pairs = rng.normal(size=(len(columns), 4, 4)) * interactions
    pairs -= pairs.mean(axis=1, keepdims=True)
    pairs -= pairs.mean(axis=2, keepdims=True)
    scale = strength / np.sqrt(
        np.mean(weights**2, axis=1).sum() + np.mean(pairs**2, axis=(1, 2)).sum()
    )
    return PrimingBias(window, weights * scale, columns, pairs * scale)
