"""``pwm``: position-specific base composition, the simplest bias model and the baseline of all.

Foreground and background are each a product over offsets of the probability of the base there
(order 0). In: windows with weights. Out: per offset and base ln P(foreground) − ln P(background),
summed over the window.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import Backend, BiasModel, FitReport, InputError, TrainingSet, Window, hookimpl
from counterbias_backends.arrays import take_logs

if TYPE_CHECKING:
    from counterbias_backends.tables import TableSum


@dataclass(frozen=True)
class Options:
    """Options of ``pwm``.

    Args:
        pseudocount: added to the weight of each base at each offset, above 0, so that no base has
            probability 0.
    """

    pseudocount: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.pseudocount < float("inf"):
            raise InputError(f"--bias-option pseudocount={self.pseudocount}: must be above 0")


class PositionWeightMatrix(BiasModel):
    """Score windows by the base at each offset, independently of the other offsets."""

    Options = Options
    strand_symmetric = True

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        self._log_foreground: NDArray[np.float64] | None = None  # (width, 4)
        self._log_background: NDArray[np.float64] | None = None  # (width, 4)
        self._sum: TableSum | None = None

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Count bases per offset; nothing is random."""
        began = time.perf_counter()
        foreground = self._log_composition(sample.foreground, sample.foreground_weight)
        background = self._log_composition(sample.background, sample.background_weight)
        self._set(foreground, background)
        perplexity = {}
        if sample.validation is not None:
            held_out = sample.validation
            perplexity["foreground"] = self._perplexity(
                foreground, held_out.foreground, held_out.foreground_weight
            )
            perplexity["background"] = self._perplexity(
                background, held_out.background, held_out.background_weight
            )
        return FitReport(
            seconds=time.perf_counter() - began,
            parameters=2 * 3 * self.window.width,
            perplexity={name: value for name, value in perplexity.items() if value is not None},
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Sum the table's entries over the window: uint8 (n, width) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("pwm: log_bias was called before fit")
        return self._sum(self.as_contexts(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("pwm: along was called before fit")
        return self._sum.along(sequence)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return ln P per offset and base, float64 (width, 4), of foreground and background."""
        if self._log_foreground is None or self._log_background is None:
            raise RuntimeError("pwm: to_arrays was called before fit")
        return {"log_foreground": self._log_foreground, "log_background": self._log_background}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned. Raises InputError where it does not fit."""
        shape = (self.window.width, 4)
        taken = take_logs(arrays, log_foreground=shape, log_background=shape)
        self._set(taken["log_foreground"], taken["log_background"])

    def _set(self, foreground: NDArray[np.float64], background: NDArray[np.float64]) -> None:
        self._log_foreground, self._log_background = foreground, background
        self._sum = self._terms(foreground - background)

    def _terms(self, logs: NDArray[np.float64]) -> TableSum:
        """Make one term per offset of values (width, 4)."""
        from counterbias_backends.tables import TableSum, Term

        return TableSum(
            [Term((offset,), row) for offset, row in enumerate(logs)], self.window.width
        )

    def _log_composition(
        self, contexts: NDArray[np.uint8], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return ln P(base) per offset, float64 (width, 4), from counts and the pseudocount."""
        columns = self.as_contexts(contexts).T
        counts = np.empty((self.window.width, 4))
        for offset, bases in enumerate(columns):
            # A base above 3 makes this too long, which raises ValueError.
            counts[offset] = np.bincount(bases, weights, minlength=4)
        counts += self.options.pseudocount
        return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)), dtype=np.float64)

    def _perplexity(
        self, logs: NDArray[np.float64], contexts: NDArray[np.uint8], weights: NDArray[np.float64]
    ) -> float | None:
        """Return the weighted perplexity per base, or None without windows."""
        total = float(weights.sum())
        if not total:
            return None
        log_p = np.dot(self._terms(logs)(self.as_contexts(contexts)), weights)
        return float(np.exp(-log_p / total / self.window.width))


def _load() -> type[BiasModel]:
    return PositionWeightMatrix


@hookimpl
def counterbias_backends() -> list[Backend]:
    """Offer ``pwm``."""
    return [Backend("pwm", "position-specific base composition (order 0), strand symmetric", _load)]
