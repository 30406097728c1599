"""``heptamer``: the bias of the heptamer at the start of a read.

In: windows that hold at least the read's first seven bases. Out: per heptamer
ln P(at read starts) − ln P(elsewhere). ``scheme=robust`` compares read starts with windows nearby,
and shrinks rare heptamers towards the bias of their single bases; ``scheme=published`` is the
paper's form, without pseudocounts. Source: Hansen, Brenner & Dudoit 2010, Nucleic Acids Research
38:e131.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import Backend, BiasModel, FitReport, InputError, TrainingSet, Window, hookimpl
from counterbias_backends.arrays import take_logs

if TYPE_CHECKING:
    from counterbias_backends.tables import TableSum

#: Bases per word, and number of words.
SIZE, WORDS = 7, 4**7
SCHEMES = ("robust", "published")
#: Read positions (from 0) of the words that the paper averages: at the start of reads (its 1 and
#: 2), and within them (its 24 to 29).
INITIAL, INTERIOR = range(2), range(23, 29)


@dataclass(frozen=True)
class Options:
    """Options of ``heptamer``.

    Args:
        scheme: ``robust``, or ``published`` for the paper's form.
        pseudocount: with ``robust``, windows added per heptamer on average, distributed according
            to the base composition; above 0.
    """

    scheme: str = "robust"
    pseudocount: float = 3.0

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(
                f"--bias-option scheme={self.scheme}: there is no such scheme",
                remedy=f"choose {' or '.join(SCHEMES)}",
            )
        if not 0 < self.pseudocount < float("inf"):
            raise InputError(f"--bias-option pseudocount={self.pseudocount}: must be above 0")


class Heptamer(BiasModel):
    """Score windows by the read's first seven bases.

    Raises InputError for a window that does not hold them.
    """

    Options = Options

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        needed = SIZE - 1 + (INITIAL[-1] if self.options.scheme == "published" else 0)
        if window.downstream < needed:
            raise InputError(
                f"window {window} is too small for heptamer (scheme {self.options.scheme})",
                remedy=f"at least {needed} bases downstream are needed, "
                f"as in --bias-window {window.upstream},{max(needed, 10)}",
            )
        self._log_foreground: NDArray[np.float64] | None = None  # (16384,)
        self._log_background: NDArray[np.float64] | None = None  # (16384,)
        self._sum: TableSum | None = None

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Count heptamers at read starts and elsewhere; nothing is random."""
        began = time.perf_counter()
        published = self.options.scheme == "published"
        foreground = np.ascontiguousarray(self.as_contexts(sample.foreground).T)
        background = np.ascontiguousarray(self.as_contexts(sample.background).T)
        start = self.window.upstream
        within = [start + position for position in INTERIOR]
        from_reads = published and within[-1] + SIZE <= self.window.width
        at_starts = [start + position for position in INITIAL] if published else [start]
        initial = _mean_counts(foreground, sample.foreground_weight, at_starts)
        if from_reads:
            other = _mean_counts(foreground, sample.foreground_weight, within)
        else:
            # Background is the same everywhere, so all positions of its windows are counted.
            everywhere = range(self.window.width - SIZE + 1)
            other = _mean_counts(background, sample.background_weight, everywhere)
        if published:
            self._set(*_as_published(initial, other))
        else:
            self._set(*_shrunk(initial, other, self.options.pseudocount))
        return FitReport(
            seconds=time.perf_counter() - began,
            parameters=2 * (WORDS - 1),
            perplexity=self._perplexity(sample.validation),
            details={
                "scheme": self.options.scheme,
                "elsewhere": "the reads' positions 24-29" if from_reads else "background windows",
                "heptamers_seen": int(np.count_nonzero(initial)),
            },
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Look up the read's first seven bases: uint8 (n, width) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("heptamer: log_bias was called before fit")
        return self._sum(self.as_contexts(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("heptamer: along was called before fit")
        return self._sum.along(sequence)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return ln P of each heptamer, float64 (16384,), at read starts and elsewhere.

        AAAAAAA comes first; the last base changes fastest.
        """
        if self._log_foreground is None or self._log_background is None:
            raise RuntimeError("heptamer: to_arrays was called before fit")
        return {"log_foreground": self._log_foreground, "log_background": self._log_background}

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned. Raises InputError where it does not fit."""
        taken = take_logs(arrays, log_foreground=(WORDS,), log_background=(WORDS,))
        self._set(taken["log_foreground"], taken["log_background"])

    def _set(
        self, log_foreground: NDArray[np.float64], log_background: NDArray[np.float64]
    ) -> None:
        from counterbias_backends.tables import TableSum, Term

        self._log_foreground, self._log_background = log_foreground, log_background
        columns = tuple(range(self.window.upstream, self.window.upstream + SIZE))
        self._sum = TableSum([Term(columns, log_foreground - log_background)], self.window.width)

    def _perplexity(self, held_out: TrainingSet | None) -> dict[str, float]:
        """Return the weighted perplexity per base of the first seven, where there are windows."""
        found: dict[str, float] = {}
        if held_out is None or self._log_foreground is None or self._log_background is None:
            return found
        for name, logs, contexts, weights in (
            ("foreground", self._log_foreground, held_out.foreground, held_out.foreground_weight),
            ("background", self._log_background, held_out.background, held_out.background_weight),
        ):
            total = float(weights.sum())
            if total:
                columns = np.ascontiguousarray(self.as_contexts(contexts).T)
                counts = _mean_counts(columns, weights, [self.window.upstream])
                found[name] = float(np.exp(-np.dot(counts, logs) / total / SIZE))
        return found


def _mean_counts(
    columns: NDArray[np.uint8], weights: NDArray[np.float64], places: Sequence[int]
) -> NDArray[np.float64]:
    """Return the weight of each heptamer, float64 (16384,), as a mean over places.

    Args:
        columns: uint8 (width, n).
        weights: float64 (n,).
        places: the columns of the heptamers' first bases.
    """
    from counterbias_backends.tables import count_words

    total = np.zeros(WORDS)
    for place in places:
        total += count_words(columns, range(place, place + SIZE), weights)
    return total / len(places)


def _as_published(
    initial: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logs of the proportions.

    A heptamer that either side lacks has no weight in the paper, and no bias here.
    """
    known = (initial > 0) & (other > 0)
    if not known.any():
        return np.full(WORDS, -np.log(WORDS)), np.full(WORDS, -np.log(WORDS))
    foreground, background = initial / initial.sum(), other / other.sum()
    unbiased = np.where(background > 0, background, np.where(foreground > 0, foreground, 1 / WORDS))
    return np.log(np.where(known, foreground, unbiased)), np.log(unbiased)


def _shrunk(
    initial: NDArray[np.float64], other: NDArray[np.float64], pseudocount: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logs of the proportions, with pseudocounts in each side's base composition.

    So a heptamer that was hardly seen has the bias of its bases instead of the noise of its few
    reads.
    """
    logs = []
    for counts in (initial, other):
        filled = counts + pseudocount * WORDS * _composition(counts)
        logs.append(np.log(filled / filled.sum()))
    return logs[0], logs[1]


def _composition(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of each heptamer if its bases were independent, float64 (16384,).

    One window is added per base.
    """
    cube = counts.reshape((4,) * SIZE)
    product = np.ones(1)
    for place in range(SIZE):
        bases = cube.sum(axis=tuple(other for other in range(SIZE) if other != place)) + 1
        product = np.multiply.outer(product, bases / bases.sum()).ravel()
    return product


def _load() -> type[BiasModel]:
    return Heptamer


@hookimpl
def counterbias_backends() -> list[Backend]:
    """Offer ``heptamer``."""
    return [
        Backend(
            "heptamer",
            "the read's first seven bases (Hansen et al. 2010), as published or robust",
            _load,
        )
    ]
