"""Find the graph of a Bayesian network by hill climbing on the conditional likelihood.

The score of a graph is ln L − c · parameters · ln n, where L is the probability of labelling all
windows correctly as read starts or background: ``ln L = Σ ln P(class | window)``. Each side's
tables are its own conditional frequencies with a pseudocount. A move adds a column or an edge,
deletes one, or reverses an edge; the best move is made until none raises the score. Source: Jones
et al. 2012.

L does not factorise into columns, so every move has to be weighed against all windows. What makes
that fast: a move changes the log odds d of a window by a δ that depends on the few bases of one
table only. With slope g and curvature h of ln P(class) in d, the change of ln L is close to
``Σ g δ + ½ Σ h δ²``, and both sums need only the totals of g and h per word: one pass of additions
per move. Only the moves that then look best are calculated exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterbias import InputError, Resources
from counterbias.loops import loop
from counterbias_backends.bayesnet.options import Options
from counterbias_backends.progress import Steps

#: Moves calculated exactly in each round; and where none of these raises the score, at most.
EXACT, EXACT_AT_END = 4, 16
#: Tables that are kept, each with two bytes per window.
REMEMBERED = 200

#: The columns of a table: a column itself, then its parents, ascending; empty where it is not used.
Columns = tuple[int, ...]
#: Column → the columns of its table.
Graph = dict[int, Columns]


@dataclass(frozen=True, slots=True)
class LabelledWindows:
    """Windows of both classes, read starts first.

    Args:
        columns: uint8 (width, n).
        weight: float64 (n,), scaled so that their sum is the effective number of windows,
            (Σw)²/Σw².
        starts: number of read starts.
    """

    columns: NDArray[np.uint8]
    weight: NDArray[np.float64]
    starts: int

    @classmethod
    def of(
        cls,
        foreground: NDArray[np.uint8],
        foreground_weight: NDArray[np.float64],
        background: NDArray[np.uint8],
        background_weight: NDArray[np.float64],
    ) -> LabelledWindows:
        """Join the classes.

        Raises InputError where one is empty, ValueError for anything but bases.
        """
        if not len(foreground) or not len(background):
            raise InputError(
                "bayesnet needs read starts and background windows", remedy="use more reads"
            )
        columns = np.ascontiguousarray(np.concatenate((foreground, background)).T)
        if columns.max() > 3:  # bases are used as addresses
            raise ValueError("contexts hold a value that is not 0, 1, 2 or 3")
        weight = np.concatenate((foreground_weight, background_weight))
        return cls(columns, weight * (weight.sum() / (weight @ weight)), len(foreground))


@dataclass(slots=True)
class FoundGraph:
    """A graph, its tables, and how it was found.

    Args:
        graph: the columns that are used, in ascending order.
        logs: column → ln P(base | parents) of foreground and background; the column's own base
            changes fastest, then the first parent's.
        scores: the score at first and after each move.
        moves: action → number of moves made.
    """

    graph: Graph
    logs: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]
    scores: list[float] = field(default_factory=list)
    moves: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Move:
    """A change of one or two columns' tables.

    Args:
        action: ``add``, ``delete`` or ``reverse``.
        gain: about what it adds to the score.
        graph: the columns that change.
    """

    action: str
    gain: float
    graph: Graph


def climb(
    windows: LabelledWindows, options: Options, resources: Resources | None = None
) -> FoundGraph:
    """Find a graph whose score no single move raises.

    Nothing is random, and the number of threads changes nothing.
    """
    resources = resources or Resources()
    progress = Steps(resources, "finding the graph of bayesnet", 0)  # unknown number of moves
    with ThreadPoolExecutor(resources.threads) as pool:
        try:
            return _Climber(windows, options, pool).run(progress)
        finally:
            progress.finish()


class _Climber:
    """A graph that changes move by move.

    Attributes:
        graph: the columns of each column's table.
        tables: columns of a table → each window's entry of it, and the table (foreground minus
            background) that is added to the log odds.
        odds: float64 (n,), the log odds of each window.
        slope, curvature: float64 (n,), derivatives of ln P(class) with respect to the log odds.
    """

    def __init__(
        self, windows: LabelledWindows, options: Options, pool: ThreadPoolExecutor
    ) -> None:
        self.windows, self.options, self.pool = windows, options, pool
        self.width, n = windows.columns.shape
        self.cost = options.penalty * np.log(len(windows.weight))  # of one parameter
        self.graph: Graph = dict.fromkeys(range(self.width), ())
        self.tables: dict[Columns, tuple[NDArray[np.uint16], NDArray[np.float64]]] = {
            (): (np.zeros(n, np.uint16), np.zeros(1))
        }
        starts = float(windows.weight[: windows.starts].sum())
        self.odds = np.full(n, np.log(starts / (float(windows.weight.sum()) - starts)))
        self.slope, self.curvature = np.empty(n), np.empty(n)
        self.zeros = np.zeros(n)

    def run(self, progress: Steps) -> FoundGraph:
        """Make the best move until none raises the score."""
        windows = self.windows
        likelihood = self.likelihood(self.zeros)
        scores, moves = [likelihood], Counter[str]()
        while True:
            _slopes(self.odds, windows.weight, windows.starts, self.slope, self.curvature)
            chosen, best, gained = None, 0.0, likelihood
            for rank, move in enumerate(sorted(self.moves(), key=lambda move: -move.gain)):
                if rank >= (EXACT_AT_END if chosen is None else EXACT):
                    break
                after = self.likelihood(self.change(move))
                gain = after - likelihood - self.cost * self.added(move.graph)
                if gain > best + 1e-9 * abs(likelihood):
                    chosen, best, gained = move, gain, after
            if chosen is None:
                break
            self.make(chosen)
            likelihood = gained
            moves[chosen.action] += 1
            scores.append(scores[-1] + best)
            progress.advance()
        graph = {column: columns for column, columns in self.graph.items() if columns}
        logs = {column: self.logs(columns) for column, columns in graph.items()}
        return FoundGraph(graph, logs, scores, moves)

    # -- moves ------------------------------------------------------------------------------------

    def moves(self) -> list[Move]:
        """Return all moves, each with its approximate gain."""
        below = self.reached()
        per_column = self.pool.map(lambda column: self.moves_of(column, below), self.graph)
        return [move for moves in per_column for move in moves]

    def moves_of(self, column: int, below: NDArray[np.bool_]) -> list[Move]:
        """Return the moves that add or delete a parent of a column, or reverse an edge to it."""
        columns = self.graph[column]
        found = list(self.deletions(column))
        nearby = range(column, column + 1)
        if columns:
            reach = self.options.max_distance
            nearby = range(max(0, column - reach), min(self.width, column + reach + 1))
        # An edge from a column that this one leads to would close a circle.
        candidates = [
            other for other in nearby if other not in columns and not below[column, other]
        ]
        if candidates and len(columns) < self.options.max_parents:
            found.extend(self.additions(column, candidates))
        for parent in columns[1:]:
            others = [other for other in columns[1:] if other != parent]
            # So would another path from the parent to the column.
            if (
                0 < len(self.graph[parent]) < self.options.max_parents
                and not below[parent, others].any()
            ):
                found.append(self.reversal(column, parent))
        return found

    def move(self, action: str, gain: float, graph: Graph) -> Move:
        """Make a move from its gain of ln L, which leaves out the penalty."""
        return Move(action, gain - self.cost * self.added(graph), graph)

    def added(self, graph: Graph) -> int:
        """Count the parameters that a change adds, as seqbias: words minus 1, on both sides."""
        sizes = ((len(columns), len(self.graph[column])) for column, columns in graph.items())
        return 2 * sum(int(4**new) - int(4**old) for new, old in sizes)

    def additions(self, column: int, candidates: list[int]) -> Iterator[Move]:
        """Weigh each new parent of a column (the column itself, where it is not in the graph)."""
        columns, windows = self.graph[column], self.windows
        code, ratio = self.table(columns)
        gains = np.empty(len(candidates))
        _weigh_additions(
            code, windows.columns, np.array(candidates), windows.weight, windows.starts, self.slope,
            self.curvature, ratio, self.options.pseudocount, np.empty((4 * len(ratio), 4)), gains,
        )  # fmt: skip
        for parent, gain in zip(candidates, gains.tolist(), strict=True):
            longer = (column, *sorted((*columns[1:], parent))) if columns else (column,)
            yield self.move("add", gain, {column: longer})

    def deletions(self, column: int) -> Iterator[Move]:
        """Weigh the loss of each parent of a column (of the column itself, where it has none)."""
        columns, windows = self.graph[column], self.windows
        code, ratio = self.table(columns)
        totals = np.zeros((len(ratio), 4))
        if columns:
            _total(code, windows.weight, windows.starts, self.slope, self.curvature, totals)
        for digit in range(1, len(columns)) if len(columns) > 1 else range(len(columns)):
            change = -ratio
            if digit:
                kept = totals[:, :2].reshape(-1, 4, 4**digit, 2).sum(axis=1).reshape(-1, 2)
                shorter = self.log_conditional(kept[:, 0]) - self.log_conditional(kept[:, 1])
                change = change + np.repeat(shorter.reshape(-1, 1, 4**digit), 4, axis=1).ravel()
            gain = float(totals[:, 2] @ change + 0.5 * (totals[:, 3] @ change**2))
            rest = tuple(other for other in columns if other != columns[digit])
            yield self.move("delete", gain, {column: rest})

    def reversal(self, column: int, parent: int) -> Move:
        """Weigh the reversal of the edge from a parent to a column."""
        reversed_edge = {
            column: tuple(other for other in self.graph[column] if other != parent),
            parent: (parent, *sorted((*self.graph[parent][1:], column))),
        }
        old_column, old_parent = self.table(self.graph[column]), self.table(self.graph[parent])
        new_column, new_parent = (self.table(reversed_edge[one]) for one in (column, parent))
        gain = _weigh_reversal(
            *old_column, *old_parent, *new_column, *new_parent, self.slope, self.curvature
        )
        return self.move("reverse", gain, reversed_edge)

    def reached(self) -> NDArray[np.bool_]:
        """Return which columns are reached along edges from which, bool (from, to)."""
        below = np.zeros((self.width, self.width), bool)
        for column, columns in self.graph.items():
            below[list(columns[1:]), column] = True
        for middle in range(self.width):
            below |= below[:, middle, None] & below[middle]
        return below

    # -- what a move does -------------------------------------------------------------------------

    def table(self, columns: Columns) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
        """Return each window's entry of a table, and the table; recent ones are remembered."""
        known = self.tables.get(columns)
        if known is None:
            foreground, background = self.logs(columns)
            known = self.tables[columns] = (self.encode(columns), foreground - background)
        return known

    def encode(self, columns: Columns) -> NDArray[np.uint16]:
        """Return each window's entry of a table; the first column is the lowest digit."""
        code = np.zeros(self.windows.columns.shape[1], np.uint16)
        for column in columns[::-1]:
            code <<= 2
            code |= self.windows.columns[column]
        return code

    def logs(self, columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ln P(base | parents) of both sides."""
        totals = np.zeros((4 ** len(columns), 4))
        windows, code = self.windows, self.encode(columns)
        _total(code, windows.weight, windows.starts, self.zeros, self.zeros, totals)
        return self.log_conditional(totals[:, 0]), self.log_conditional(totals[:, 1])

    def log_conditional(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn weights of words into ln P(lowest digit | the others)."""
        table = counts.reshape(-1, 4) + self.options.pseudocount
        return np.asarray(np.log(table / table.sum(axis=1, keepdims=True))).ravel()

    def change(self, move: Move) -> NDArray[np.float64]:
        """Return how a move changes each window's log odds."""
        total = self.zeros
        for column, columns in move.graph.items():
            code, ratio = self.table(columns)
            total = total + ratio[code]
            code, ratio = self.table(self.graph[column])
            total = total - ratio[code]
        return total

    def likelihood(self, change: NDArray[np.float64]) -> float:
        """Return ln L after a change of the log odds."""
        return float(_log_likelihood(self.odds, change, self.windows.weight, self.windows.starts))

    def make(self, move: Move) -> None:
        """Make a move, and forget tables that are unlikely to be needed again."""
        self.odds += self.change(move)
        self.graph.update(move.graph)
        if len(self.tables) > REMEMBERED:
            kept = {(), *self.graph.values()} & self.tables.keys()
            self.tables = {columns: self.tables[columns] for columns in kept}


@loop("f8[::1], f8[::1], i8, f8[::1], f8[::1]")
def _slopes(
    odds: NDArray[np.float64],
    weight: NDArray[np.float64],
    starts: int,
    slope: NDArray[np.float64],
    curvature: NDArray[np.float64],
) -> None:
    """Write the derivatives of each window's ln P(class) with respect to its log odds."""
    for i in range(len(odds)):
        p = 1.0 / (1.0 + np.exp(-odds[i]))
        slope[i] = weight[i] * ((1.0 if i < starts else 0.0) - p)
        curvature[i] = -weight[i] * p * (1.0 - p)


@loop("f8[::1], f8[::1], f8[::1], i8")
def _log_likelihood(
    odds: NDArray[np.float64],
    change: NDArray[np.float64],
    weight: NDArray[np.float64],
    starts: int,
) -> float:
    """Return Σ ln P(class): −ln(1 + exp(−d)) for read starts, −ln(1 + exp(d)) for the others."""
    total = 0.0
    for i in range(len(odds)):
        wrong = odds[i] + change[i]
        if i < starts:
            wrong = -wrong
        # In this form, exp cannot overflow.
        total -= weight[i] * (max(wrong, 0.0) + np.log1p(np.exp(-abs(wrong))))
    return total


@loop("u2[::1], f8[::1], i8, f8[::1], f8[::1], f8[:, ::1]")
def _total(
    code: NDArray[np.uint16],
    weight: NDArray[np.float64],
    starts: int,
    slope: NDArray[np.float64],
    curvature: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> None:
    """Add up the columns of ``totals``, (words, 4), for each word.

    They are the weight at read starts, that in the background, the slope and the curvature.
    """
    for i in range(len(code)):
        totals[code[i], 0 if i < starts else 1] += weight[i]
        totals[code[i], 2] += slope[i]
        totals[code[i], 3] += curvature[i]


@loop("u2[::1], f8[::1], u2[::1], f8[::1], u2[::1], f8[::1], u2[::1], f8[::1], f8[::1], f8[::1]")
def _weigh_reversal(
    code_a: NDArray[np.uint16],
    old_a: NDArray[np.float64],
    code_b: NDArray[np.uint16],
    old_b: NDArray[np.float64],
    code_c: NDArray[np.uint16],
    new_a: NDArray[np.float64],
    code_d: NDArray[np.uint16],
    new_b: NDArray[np.float64],
    slope: NDArray[np.float64],
    curvature: NDArray[np.float64],
) -> float:
    """Return the approximate gain of ln L where two tables replace two others."""
    gain = 0.0
    for i in range(len(slope)):
        change = new_a[code_c[i]] - old_a[code_a[i]] + new_b[code_d[i]] - old_b[code_b[i]]
        gain += change * (slope[i] + 0.5 * curvature[i] * change)
    return gain


@loop(
    "u2[::1], u1[:, ::1], i8[::1], f8[::1], i8, f8[::1], f8[::1], f8[::1], f8, f8[:, ::1], f8[::1]",
)
def _weigh_additions(
    code: NDArray[np.uint16],
    columns: NDArray[np.uint8],
    candidates: NDArray[np.int64],
    weight: NDArray[np.float64],
    starts: int,
    slope: NDArray[np.float64],
    curvature: NDArray[np.float64],
    ratio: NDArray[np.float64],
    pseudocount: float,
    totals: NDArray[np.float64],
    gains: NDArray[np.float64],
) -> None:
    """Write the approximate gain of ln L for each new parent of a column.

    Args:
        code, ratio: each window's entry of the column's table, and the table.
        columns, weight, starts: as in :class:`LabelledWindows`.
        candidates: the new parents.
        slope, curvature: as in :class:`_Climber`.
        pseudocount: added to the weight of each word.
        totals: (4 · table, 4), scratch, as for :func:`_total`.
        gains: (candidates,), written.
    """
    size, n = len(ratio), len(code)
    for number in range(len(candidates)):
        bases = columns[candidates[number]]
        for cell in range(4 * size):
            for column in range(4):
                totals[cell, column] = 0.0
        for i in range(n):
            word = np.uint64(code[i]) + np.uint64(size) * np.uint64(bases[i])
            totals[word, 0 if i < starts else 1] += weight[i]
            totals[word, 2] += slope[i]
            totals[word, 3] += curvature[i]
        gain = 0.0
        for first in range(0, 4 * size, 4):
            at_starts, elsewhere = 4.0 * pseudocount, 4.0 * pseudocount
            for cell in range(first, first + 4):
                at_starts += totals[cell, 0]
                elsewhere += totals[cell, 1]
            for cell in range(first, first + 4):
                new = np.log((totals[cell, 0] + pseudocount) / at_starts) - np.log(
                    (totals[cell, 1] + pseudocount) / elsewhere
                )
                change = new - ratio[cell % size]
                gain += totals[cell, 2] * change + 0.5 * totals[cell, 3] * change * change
        gains[number] = gain
