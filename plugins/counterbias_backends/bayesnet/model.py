"""The bias model ``bayesnet``, which learns which columns matter and which others each depends on.

In: windows with weights. Out: the sum over the network's columns of ln P(base | parents' bases) at
read starts, minus the same in the background. Both sides share one graph, which :mod:`.search`
finds, but each has its own probabilities.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import BiasModel, FitReport, InputError, TrainingSet, Window, take_arrays
from counterbias_backends.arrays import take_logs
from counterbias_backends.bayesnet.options import MAX_COLUMNS, Options

if TYPE_CHECKING:
    from counterbias_backends.bayesnet.search import Graph
    from counterbias_backends.tables import TableSum


class BayesianNetwork(BiasModel):
    """Score windows by a Bayesian network of their columns."""

    Options = Options

    def __init__(self, window: Window, options: Any = None) -> None:
        super().__init__(window, options)
        self._graph: Graph = {}
        # Foreground and background, the columns' tables one after another.
        self._logs: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._sum: TableSum | None = None

    def fit(self, sample: TrainingSet, rng: np.random.Generator) -> FitReport:
        """Find the graph, then count; nothing is random.

        Raises InputError where there are no windows.
        """
        from counterbias_backends.bayesnet.search import LabelledWindows, climb

        began = time.perf_counter()
        windows = LabelledWindows.of(
            self.as_contexts(sample.foreground),
            sample.foreground_weight,
            self.as_contexts(sample.background),
            sample.background_weight,
        )
        found = climb(windows, self.options, self.resources)
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
                    for column, columns in found.graph.items()
                    for parent in columns[1:]
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
        """Score the windows of a sequence: uint8 (n + width - 1,) → float64 (n,), nats."""
        if self._sum is None:
            raise RuntimeError("bayesnet: along was called before fit")
        return self._sum.along(sequence)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the graph and ln P(base | parents) of foreground and background.

        ``columns`` is int64 (width, 7): row j holds only -1 where column j is not used, otherwise
        j, its parents, then -1. The logs are float64, 4^(1 + parents) numbers for one column after
        another: the column's own base changes fastest, then the first parent's.
        """
        if self._logs is None:
            raise RuntimeError("bayesnet: to_arrays was called before fit")
        columns = np.full((self.window.width, MAX_COLUMNS), -1, np.int64)
        for column, table in self._graph.items():
            columns[column, : len(table)] = table
        return {
            "columns": columns,
            "log_foreground": self._logs[0],
            "log_background": self._logs[1],
        }

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`to_arrays` returned.

        Raises InputError where the arrays do not fit the window or each other.
        """
        logs = dict(arrays)
        columns = {"columns": logs.pop("columns")} if "columns" in logs else {}
        given = take_arrays(
            columns, {"columns": (self.window.width, MAX_COLUMNS)}, largest=self.window.width
        )
        graph = _read_graph(given["columns"])
        size = sum(4 ** len(table) for table in graph.values())
        taken = take_logs(logs, log_foreground=(size,), log_background=(size,))
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
        for columns in self._graph.values():
            size = 4 ** len(columns)
            terms.append(Term(columns[::-1], logs[first : first + size]))
            first += size
        return TableSum(terms, self.window.width)

    def _perplexities(self, held_out: TrainingSet | None) -> dict[str, float]:
        """Return the weighted perplexity per base of the columns in use, where there are any."""
        found: dict[str, float] = {}
        if held_out is None or self._logs is None or not self._graph:
            return found
        for name, logs, contexts, weights in (
            ("foreground", self._logs[0], held_out.foreground, held_out.foreground_weight),
            ("background", self._logs[1], held_out.background, held_out.background_weight),
        ):
            total = float(weights.sum())
            if total:
                log_p = np.dot(self._terms(logs)(self.as_contexts(contexts)), weights)
                found[name] = float(np.exp(-log_p / total / len(self._graph)))
        return found


def _read_graph(columns: NDArray[np.float64]) -> Graph:
    """Turn the array of a model file into a graph. Raises InputError where it is not one."""
    graph: Graph = {}
    for column, row in enumerate(columns.tolist()):
        used = [int(value) for value in row if value != -1]
        whole = row[: len(used)] == used and row[len(used) :] == [-1.0] * (len(row) - len(used))
        within = len(set(used)) == len(used) and all(0 <= value < len(columns) for value in used)
        if not whole or not within or (used and used[0] != column):
            raise InputError(
                f"array 'columns' of the model has a row {column} "
                "that is not a column with its parents"
            )
        if used:
            graph[column] = tuple(used)
    return graph
