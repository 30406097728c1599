"""The bias model ``bayesnet``: which columns matter, and which columns each of them depends on, is learnt.

Comes in: windows with weights. Goes out: the sum over the network's columns of ln P(base | bases of its parents) at read starts minus
the same in the background. Both sides share one graph (:mod:`.search` finds it), each has probabilities of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import BiasModel, FitReport, InputError, TrainingSet, Window, take_arrays
from counterbias_backends.arrays import take_logs

if TYPE_CHECKING:
    from counterbias_backends.tables import TableSum

#: Columns per table, at most: 4^7 numbers.
MAX_COLUMNS = 7

#: Column → the columns of its table: itself, then its parents, ascending.
Graph = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Options:
    """Options of ``bayesnet``.

    Args:
        max_parents: columns per table, at most, the column itself being one of them (as seqbias counts them).
        max_distance: columns between a column and a parent, at most.
        penalty: c of the score, ln L − c · parameters · ln n; seqbias has 1, and 0.25 with fewer than 10,000 starts.
        pseudocount: added to the weight of each word, above 0.
    """

    max_parents: int = 4
    max_distance: int = 10
    penalty: float = 0.05
    pseudocount: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_parents <= MAX_COLUMNS:
            raise InputError(
                f"--bias-option max_parents={self.max_parents}: must be from 1 to {MAX_COLUMNS}"
            )
        if self.max_distance < 0:
            raise InputError(f"--bias-option max_distance={self.max_distance}: must not be below 0")
        if not 0 <= self.penalty < float("inf"):
            raise InputError(f"--bias-option penalty={self.penalty}: must not be below 0")
        if not 0 < self.pseudocount < float("inf"):
            raise InputError(f"--bias-option pseudocount={self.pseudocount}: must be above 0")


class BayesianNetwork(BiasModel):
    """Score windows by a Bayesian network of their columns."""

    Options = Options

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        self._graph: Graph = {}
        self._logs: tuple[NDArray[np.float64], NDArray[np.float64]] | None = (
            None  # foreground, background: tables in turn
        )
        self._sum: TableSum | None = None

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Find the graph, then count; nothing is random. Raises InputError where there are no windows."""
        from counterbias_backends.bayesnet.search import Samples, climb

        began = time.perf_counter()
        samples = Samples.of(self.as_contexts(sample.foreground), sample.foreground_weight, self.as_contexts(sample.background),
                             sample.background_weight)  # fmt: skip
        options = self.options
        found = climb(
            samples,
            options.max_parents,
            options.max_distance,
            options.penalty,
            options.pseudocount,
            self.resources,
        )
        sides = [[found.logs[column][side] for column in found.graph] for side in range(2)]
        self._set(found.graph, *(np.concatenate([np.zeros(0), *tables]) for tables in sides))
        start = self.window.upstream
        return FitReport(
            seconds=time.perf_counter() - began,
            parameters=2 * sum(3 * 4 ** (len(columns) - 1) for columns in found.graph.values()),
            curves={"score": found.scores},
            perplexity=self._perplexities(sample.validation),
            details={
                "offsets": [column - start for column in found.graph],
                "edges": [
                    [parent - start, column - start]
                    for column, own in found.graph.items()
                    for parent in own[1:]
                ],
                "moves": dict(found.moves),
            },
        )

    def log_bias(self, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Add up the tables' entries: uint8 (n, width) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("bayesnet: log_bias was called before fit")
        return self._sum(self.as_contexts(contexts))

    def along(self, sequence: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score consecutive windows without cutting them: uint8 (n + width - 1,) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("bayesnet: along was called before fit")
        return self._sum.along(sequence)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the graph and ln P(base | parents) of foreground and background.

        ``columns`` int64 (width, 7): row j is -1 throughout where column j is not used, else j, its parents, then -1. The logs are
        float64, column after column 4^(1 + parents) numbers: the column's own base changes fastest, then the first parent's.
        """
        if self._logs is None:
            raise RuntimeError("bayesnet: to_arrays was called before fit")
        columns = np.full((self.window.width, MAX_COLUMNS), -1, np.int64)
        for column, own in self._graph.items():
            columns[column, : len(own)] = own
        return {
            "columns": columns,
            "log_foreground": self._logs[0],
            "log_background": self._logs[1],
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take what :meth:`to_arrays` gave; raises InputError where it does not fit the window or itself."""
        left = dict(arrays)
        own_part = {"columns": left.pop("columns")} if "columns" in left else {}
        given = take_arrays(
            own_part, {"columns": (self.window.width, MAX_COLUMNS)}, largest=self.window.width
        )
        graph = _read_graph(given["columns"])
        size = sum(4 ** len(own) for own in graph.values())
        taken = take_logs(left, log_foreground=(size,), log_background=(size,))
        self._set(graph, taken["log_foreground"], taken["log_background"])

    def _set(
        self, graph: Graph, foreground: NDArray[np.float64], background: NDArray[np.float64]
    ) -> None:
        self._graph, self._logs = graph, (foreground, background)
        self._sum = self._terms(foreground - background)

    def _terms(self, logs: NDArray[np.float64]) -> TableSum:
        """Make one term per column of the graph."""
        from counterbias_backends.tables import TableSum, Term

        terms, first = [], 0
        for own in self._graph.values():
            size = 4 ** len(own)
            terms.append(Term(own[::-1], logs[first : first + size]))
            first += size
        return TableSum(terms, self.window.width)

    def _perplexities(self, held_out: TrainingSet | None) -> dict[str, float]:
        """Give the weighted perplexity per base of the columns in use, where there are windows and columns."""
        found: dict[str, float] = {}
        if held_out is None or self._logs is None or not self._graph:
            return found
        for name, logs, contexts, weights in (
            ("foreground", self._logs[0], held_out.foreground, held_out.foreground_weight),
            ("background", self._logs[1], held_out.background, held_out.background_weight),
        ):
            total = float(weights.sum())
            if total:
                found[name] = float(
                    np.exp(
                        -np.dot(self._terms(logs)(self.as_contexts(contexts)), weights)
                        / total
                        / len(self._graph)
                    )
                )
        return found


def _read_graph(columns: NDArray[np.float64]) -> Graph:
    """Turn the array of a model file into a graph; raises InputError where it is none."""
    graph: Graph = {}
    for column, row in enumerate(columns.tolist()):
        used = [int(value) for value in row if value != -1]
        whole = row[: len(used)] == used and row[len(used) :] == [-1.0] * (len(row) - len(used))
        within = len(set(used)) == len(used) and all(0 <= value < len(columns) for value in used)
        if not whole or not within or (used and used[0] != column):
            raise InputError(
                f"array 'columns' of the model has a row {column} that is no column with its parents"
            )
        if used:
            graph[column] = tuple(used)
    return graph
