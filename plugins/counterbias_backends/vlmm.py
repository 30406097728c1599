"""``vlmm``: a variable-length Markov model (Roberts et al. 2011; Cufflinks, Salmon).

Each base of the window depends on some of the bases before it; their number is the *order* of the
column, and a *layout* is the order of each offset from the read start. In: windows with weights.
Out: the sum over columns of ln P(base | preceding bases) at read starts, minus the same in the
background.
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

#: Layout → offset of its first column from the read's first base, and the order of each column.
LAYOUTS: dict[str, tuple[int, tuple[int, ...]]] = {
    "cufflinks": (-8, (0,) * 5 + (1,) * 3 + (2,) * 8 + (1,) * 3 + (0,) * 2),
    "roberts": (-8, (0,) * 5 + (1,) * 3 + (2,) * 7 + (1,) * 3 + (0,) * 3),
    "salmon": (-3, (0, 1) + (2,) * 7),
}
#: Higher orders have more parameters than any sample could determine.
MAX_ORDER = 7


@dataclass(frozen=True)
class Options:
    """Options of ``vlmm``.

    Args:
        layout: ``cufflinks``, ``roberts``, ``salmon``, one order for all columns, as in ``2``, or
            the order of each column of the window, separated by commas.
        pseudocount: added to the weight of each base where there is no lower order to go by, above
            0.
        backoff: windows added after each word, in the base frequencies of the model of the next
            lower order; with 0, ``pseudocount`` is added to each base whatever the order, as in
            Cufflinks.
    """

    layout: str = "cufflinks"
    pseudocount: float = 1.0
    backoff: float = 300.0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            parts = self.layout.split(",")
            if not all(part.strip().isdecimal() and int(part) <= MAX_ORDER for part in parts):
                raise InputError(
                    f"--bias-option layout={self.layout}: there is no such layout",
                    remedy=f"choose {', '.join(LAYOUTS)}, or give orders from 0 to {MAX_ORDER}, "
                    "as in layout=2 or layout=0,1,2,2",
                )
        if not 0 < self.pseudocount < float("inf"):
            raise InputError(f"--bias-option pseudocount={self.pseudocount}: must be above 0")
        if not 0 <= self.backoff < float("inf"):
            raise InputError(f"--bias-option backoff={self.backoff}: must not be below 0")


def orders(layout: str, window: Window) -> dict[int, int]:
    """Return the order of each column that the model uses, ascending by column.

    Columns outside a named layout are left out, and so is any part of the layout outside the
    window. No order reaches back beyond the window's first column. Raises InputError where a list
    of orders is not as long as the window.
    """
    if layout in LAYOUTS:
        first, listed = LAYOUTS[layout]
        first += window.upstream
    else:
        first, listed = 0, tuple(int(part) for part in layout.split(","))
        if len(listed) == 1:
            listed *= window.width
        if len(listed) != window.width:
            raise InputError(
                f"--bias-option layout={layout}: {len(listed)} orders "
                f"for a window of {window.width} bases"
            )
    placed = {first + number: order for number, order in enumerate(listed)}
    return {
        column: min(order, column) for column, order in placed.items() if 0 <= column < window.width
    }


class MarkovModel(BiasModel):
    """Score windows by two variable-length Markov models."""

    Options = Options

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        self._orders = orders(self.options.layout, window)
        # Foreground and background, the columns' tables one after another.
        self._logs: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._sum: TableSum | None = None

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Count words per column; nothing is random."""
        began = time.perf_counter()
        foreground = self._learn(sample.foreground, sample.foreground_weight)
        background = self._learn(sample.background, sample.background_weight)
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
            parameters=2 * sum(3 * 4**order for order in self._orders.values()),
            perplexity={name: value for name, value in perplexity.items() if value is not None},
            details={
                "offsets": [column - self.window.upstream for column in self._orders],
                "orders": list(self._orders.values()),
            },
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Add up the tables' entries: uint8 (n, width) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("vlmm: log_bias was called before fit")
        return self._sum(self.as_contexts(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("vlmm: along was called before fit")
        return self._sum.along(sequence)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return ln P(base | preceding bases) of foreground and background, float64.

        There are 4^(order + 1) numbers for one column after another. The base itself changes
        fastest, then the one before it.
        """
        if self._logs is None:
            raise RuntimeError("vlmm: to_arrays was called before fit")
        return {"log_foreground": self._logs[0], "log_background": self._logs[1]}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned. Raises InputError where it does not fit."""
        size = sum(4 ** (order + 1) for order in self._orders.values())
        taken = take_logs(arrays, log_foreground=(size,), log_background=(size,))
        self._set(taken["log_foreground"], taken["log_background"])

    def _set(self, foreground: NDArray[np.float64], background: NDArray[np.float64]) -> None:
        self._logs = (foreground, background)
        self._sum = self._terms(foreground - background)

    def _terms(self, logs: NDArray[np.float64]) -> TableSum:
        """Make one term per column."""
        from counterbias_backends.tables import TableSum, Term

        terms, first = [], 0
        for column, order in self._orders.items():
            size = 4 ** (order + 1)
            terms.append(Term(tuple(range(column - order, column + 1)), logs[first : first + size]))
            first += size
        return TableSum(terms, self.window.width)

    def _learn(
        self, contexts: NDArray[np.uint8], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return ln P(base | preceding bases), column after column."""
        from counterbias_backends.tables import count_words

        columns = np.ascontiguousarray(self.as_contexts(contexts).T)
        tables = []
        for column, order in self._orders.items():
            counts = count_words(columns, range(column - order, column + 1), weights)
            table = conditional(counts, self.options.pseudocount, self.options.backoff)
            tables.append(np.log(table).ravel())
        return np.concatenate(tables)

    def _perplexity(
        self, logs: NDArray[np.float64], contexts: NDArray[np.uint8], weights: NDArray[np.float64]
    ) -> float | None:
        """Return the weighted perplexity per base of the columns in use; None without windows."""
        total = float(weights.sum())
        if not total:
            return None
        log_p = np.dot(self._terms(logs)(self.as_contexts(contexts)), weights)
        return float(np.exp(-log_p / total / len(self._orders)))


def conditional(
    counts: NDArray[np.float64], pseudocount: float, backoff: float
) -> NDArray[np.float64]:
    """Turn the weights of words into P(last base | preceding bases), float64 (4 ** order, 4).

    Args:
        counts: float64 (4 ** (order + 1),), the last base changing fastest.
        pseudocount: added per base, at order 0 or without backoff.
        backoff: added per word of preceding bases, in the frequencies found without the first of
            them, and so on down to order 0.
    """
    table = counts.reshape(-1, 4)
    if backoff and len(table) > 1:
        shorter = conditional(counts.reshape(4, -1).sum(axis=0), pseudocount, backoff)
        table = table + backoff * np.tile(shorter, (4, 1))
    else:
        table = table + pseudocount
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def _load() -> type[BiasModel]:
    return MarkovModel


@hookimpl
def counterbias_backends() -> list[Backend]:
    """Offer ``vlmm``."""
    return [
        Backend(
            "vlmm",
            "variable-length Markov model, as in Cufflinks (Roberts et al. 2011) or Salmon",
            _load,
        )
    ]
