"""Find the graph of a Bayesian network by hill climbing on the conditional likelihood (Jones et al. 2012).

The score of a graph is ln L − c · parameters · ln n, where L is the probability of telling read starts from background windows as they
are, given all windows: ``L = Σ ln P(class | window)``. Each side's tables are its own conditional frequencies with a pseudocount.
A move adds a column or an edge, deletes one, or reverses an edge; the best move is made until none raises the score.

L does not fall apart into columns, so every move has to be weighed against all windows. What makes that fast: a move changes the log
odds d of a window by a δ that depends on the few bases of one table only. With slope g and curvature h of ln P(class) in d, the
change of L is close to ``Σ g δ + ½ Σ h δ²``, and both sums need only the totals of g and h per word: one pass of additions per move.
Only the moves that look best so are computed in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias import InputError

#: Moves computed in full, each round: so many; and, where none of these raises the score, up to so many.
EXACT, EXACT_AT_END = 4, 16


@dataclass(frozen=True, slots=True)
class Samples:
    """Windows of both classes, read starts first.

    Args:
        columns: uint8 (width, n).
        weight: float64 (n,), scaled so that their sum is the effective number of windows, (Σw)²/Σw².
        starts: how many are read starts.
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
    ) -> Samples:
        """Join the classes. Raises InputError where one is empty, ValueError on a base that is none."""
        if not len(foreground) or not len(background):
            raise InputError("bayesnet needs read starts and background windows", remedy="use more reads")
        columns = np.ascontiguousarray(np.concatenate((foreground, background)).T)
        if columns.max() > 3:  # bases are used as addresses
            raise ValueError("contexts hold a value that is not 0, 1, 2 or 3")
        weight = np.concatenate((foreground_weight, background_weight))
        return cls(columns, weight * (weight.sum() / (weight @ weight)), len(foreground))


@dataclass(slots=True)
class Found:
    """A graph, its tables, and how it was found.

    Args:
        graph: column → itself and its parents, ascending by column.
        logs: column → ln P(base | parents) of foreground and background; the column's own base fastest, then the first parent's.
        scores: the score after each move.
        moves: kind → number of moves made.
    """

    graph: dict[int, tuple[int, ...]]
    logs: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]
    scores: list[float] = field(default_factory=list)
    moves: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Move:
    """A change of one or two columns' parents. Args: kind; gain: of the score, about; graph: the columns that change, () to leave out."""

    kind: str
    gain: float
    graph: dict[int, tuple[int, ...]]


def climb(samples: Samples, max_parents: int, max_distance: int, penalty: float, pseudocount: float) -> Found:
    """Find a graph of which no single move raises the score; nothing is random."""
    return _Climber(samples, max_parents, max_distance, penalty, pseudocount).run()


class _Climber:
    def __init__(self, samples: Samples, max_parents: int, max_distance: int, penalty: float, pseudocount: float) -> None:
        self.samples, self.width = samples, len(samples.columns)
        self.max_parents, self.max_distance, self.pseudocount = max_parents, max_distance, pseudocount
        self.cost = penalty * np.log(len(samples.weight))  # of one parameter
        n = samples.columns.shape[1]
        self.graph: dict[int, tuple[int, ...]] = {column: () for column in range(self.width)}
        self.code = {column: np.zeros(n, np.uint16) for column in range(self.width)}  # each window's entry of the column's table
        self.ratio = {column: np.zeros(1) for column in range(self.width)}  # the table: foreground minus background
        starts = float(samples.weight[: samples.starts].sum())
        self.odds = np.full(n, np.log(starts / (float(samples.weight.sum()) - starts)))
        self.slope, self.curvature = np.empty(n), np.empty(n)
        self.zeros = np.zeros(n)

    def run(self) -> Found:
        likelihood = self.likelihood(self.zeros)
        scores, moves = [likelihood], Counter()
        while True:
            _slopes(self.odds, self.samples.weight, self.samples.starts, self.slope, self.curvature)
            chosen, best, gained = None, 0.0, likelihood
            for rank, move in enumerate(sorted(self.moves(), key=lambda move: -move.gain)):
                if rank >= (EXACT_AT_END if chosen is None else EXACT):
                    break
                after = self.likelihood(self.change(move))
                gain = after - likelihood - self.cost * self.added(move)
                if gain > best + 1e-9 * abs(likelihood):
                    chosen, best, gained = move, gain, after
            if chosen is None:
                break
            self.make(chosen)
            likelihood = gained
            moves[chosen.kind] += 1
            scores.append(scores[-1] + best)
        graph = {column: own for column, own in self.graph.items() if own}
        return Found(graph, {column: self.logs(own) for column, own in graph.items()}, scores, moves)

    # -- moves -------------------------------------------------------------------------------------------------------

    def moves(self) -> list[Move]:
        """Give all moves, each with about the gain that it brings."""
        below = self.reached()
        found: list[Move] = []
        deleted: dict[tuple[int, int], float] = {}
        added: dict[tuple[int, int], float] = {}
        for column, own in self.graph.items():
            if not own:
                added.update(self.additions(column, np.array([column])))
                continue
            for parent, gain in self.deletions(column):
                deleted[parent, column] = gain
            near = range(max(0, column - self.max_distance), min(self.width, column + self.max_distance + 1))
            # An edge from a column that this one leads to would close a circle.
            candidates = [other for other in near if other not in own and not below[column, other]]
            if candidates and len(own) < self.max_parents:
                added.update(self.additions(column, np.array(candidates)))
        for (parent, column), gain in added.items():
            own = self.graph[column]
            longer = (*own[:1], *sorted((*own[1:], parent))) if own else (column,)
            found.append(self.move("add", gain, {column: longer}))
        for (parent, column), gain in deleted.items():
            found.append(self.move("delete", gain, {column: tuple(other for other in self.graph[column] if other != parent)}))
        found.extend(self.reversals(below))
        return found

    def move(self, kind: str, gain: float, graph: dict[int, tuple[int, ...]]) -> Move:
        """Make a move out of a gain of the likelihood alone."""
        move = Move(kind, 0.0, graph)
        return Move(kind, gain - self.cost * self.added(move), graph)

    def added(self, move: Move) -> int:
        """Count the parameters that a move adds, as seqbias counts them: words less one, for both sides."""
        return 2 * sum(4 ** len(own) - 4 ** len(self.graph[column]) for column, own in move.graph.items())

    def additions(self, column: int, candidates: NDArray[np.int64]) -> Iterator[tuple[tuple[int, int], float]]:
        """Give about the gain of L for each new parent of a column (the column itself, where it is not in the graph)."""
        size = len(self.ratio[column])
        gains = np.empty(len(candidates))
        totals = np.empty((4 * size, 4))
        _weigh_additions(
            self.code[column], self.samples.columns, candidates, self.samples.weight, self.samples.starts, self.slope, self.curvature,
            self.ratio[column], self.pseudocount, totals, gains,
        )  # fmt: skip
        return (((int(parent), column), float(gain)) for parent, gain in zip(candidates, gains, strict=True))

    def deletions(self, column: int) -> Iterator[tuple[int, float]]:
        """Give about the gain of L for each parent of a column that is let go (itself, where it has none)."""
        own = self.graph[column]
        foreground, background = self.counts(self.code[column], len(self.ratio[column]))
        slope = np.bincount(self.code[column], self.slope, len(self.ratio[column]))
        curvature = np.bincount(self.code[column], self.curvature, len(self.ratio[column]))
        for digit in range(1, len(own)) if len(own) > 1 else (0,):
            change = -self.ratio[column]
            if len(own) > 1:
                low = 4**digit
                kept = [table.reshape(-1, 4, low).sum(axis=1).ravel() for table in (foreground, background)]
                shorter = _log_conditional(kept[0], self.pseudocount) - _log_conditional(kept[1], self.pseudocount)
                change = change + np.repeat(shorter.reshape(-1, 1, low), 4, axis=1).ravel()
            yield own[digit], float(slope @ change + 0.5 * (curvature @ change**2))

    def reversals(self, below: NDArray[np.bool_]) -> Iterator[Move]:
        """Give the edges that can be turned round without a circle."""
        for column, own in self.graph.items():
            for parent in own[1:]:
                other = self.graph[parent]
                if not other or len(other) >= self.max_parents:
                    continue
                # Another way from parent to column would close a circle.
                if any(below[parent, middle] for middle in own[1:] if middle != parent):
                    continue
                turned = {
                    column: tuple(one for one in own if one != parent),
                    parent: (parent, *sorted((*other[1:], column))),
                }
                change = self.change(Move("reverse", 0.0, turned))
                yield self.move("reverse", float(self.slope @ change + 0.5 * (self.curvature @ change**2)), turned)

    def reached(self) -> NDArray[np.bool_]:
        """Tell which columns are reached along edges from which, bool (from, to)."""
        below = np.zeros((self.width, self.width), bool)
        for column, own in self.graph.items():
            below[list(own[1:]), column] = True
        for middle in range(self.width):
            below |= below[:, middle, None] & below[middle]
        return below

    # -- what a move does --------------------------------------------------------------------------------------------

    def counts(self, code: NDArray[np.uint16], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the weight of each word at starts and in the background."""
        starts, weight = self.samples.starts, self.samples.weight
        return np.bincount(code[:starts], weight[:starts], size), np.bincount(code[starts:], weight[starts:], size)

    def encode(self, own: tuple[int, ...]) -> NDArray[np.uint16]:
        """Give each window's entry of a table: the first column is the lowest digit."""
        code = np.zeros(self.samples.columns.shape[1], np.uint16)
        for column in own[::-1]:
            code <<= 2
            code |= self.samples.columns[column]
        return code

    def logs(self, own: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give ln P(base | parents) of both sides."""
        foreground, background = self.counts(self.encode(own), 4 ** len(own))
        return _log_conditional(foreground, self.pseudocount), _log_conditional(background, self.pseudocount)

    def ratio_of(self, own: tuple[int, ...]) -> NDArray[np.float64]:
        """Give the table that is added to the log odds."""
        if not own:
            return np.zeros(1)
        foreground, background = self.logs(own)
        return foreground - background

    def change(self, move: Move) -> NDArray[np.float64]:
        """Give the change of each window's log odds."""
        total = self.zeros
        for column, own in move.graph.items():
            total = total + self.ratio_of(own)[self.encode(own)] - self.ratio[column][self.code[column]]
        return total

    def likelihood(self, change: NDArray[np.float64]) -> float:
        """Give ln P(class | windows) after a change of the log odds."""
        return float(_log_likelihood(self.odds, change, self.samples.weight, self.samples.starts))

    def make(self, move: Move) -> None:
        """Make a move."""
        self.odds += self.change(move)
        for column, own in move.graph.items():
            self.graph[column], self.code[column], self.ratio[column] = own, self.encode(own), self.ratio_of(own)


def _log_conditional(counts: NDArray[np.float64], pseudocount: float) -> NDArray[np.float64]:
    """Turn weights of words into ln P(lowest digit | the others)."""
    table = counts.reshape(-1, 4) + pseudocount
    return np.asarray(np.log(table / table.sum(axis=1, keepdims=True))).ravel()


@njit(cache=True, nogil=True)
def _slopes(odds, weight, starts, slope, curvature):  # type: ignore[no-untyped-def]
    """Fill in first and second derivative of each window's ln P(class) by its log odds."""
    for i in range(len(odds)):
        p = 1.0 / (1.0 + np.exp(-odds[i]))
        slope[i] = weight[i] * ((1.0 if i < starts else 0.0) - p)
        curvature[i] = -weight[i] * p * (1.0 - p)


@njit(cache=True, nogil=True)
def _log_likelihood(odds, change, weight, starts):  # type: ignore[no-untyped-def]
    """Sum ln P(class) over windows: −ln(1 + exp(−d)) for starts, −ln(1 + exp(d)) for the others."""
    total = 0.0
    for i in range(len(odds)):
        wrong = odds[i] + change[i]
        if i < starts:
            wrong = -wrong
        # Either way of the formula keeps exp within range.
        total -= weight[i] * (max(wrong, 0.0) + np.log1p(np.exp(-abs(wrong))))
    return total


@njit(cache=True, nogil=True)
def _weigh_additions(code, columns, candidates, weight, starts, slope, curvature, ratio, pseudocount, totals, gains):  # type: ignore[no-untyped-def]
    """Fill in about the gain of ln L for each new parent of the column whose table entries are ``code`` and ``ratio``.

    ``totals`` float64 (4 · table, 4) is for scratch: per word the weight at starts and in the background, slope and curvature.
    """
    size, n = len(ratio), len(code)
    for number in range(len(candidates)):
        bases = columns[candidates[number]]
        for cell in range(4 * size):
            for kind in range(4):
                totals[cell, kind] = 0.0
        for i in range(n):
            cell = np.uint64(code[i]) + np.uint64(size) * np.uint64(bases[i])
            totals[cell, 0 if i < starts else 1] += weight[i]
            totals[cell, 2] += slope[i]
            totals[cell, 3] += curvature[i]
        gain = 0.0
        for first in range(0, 4 * size, 4):
            at_starts, elsewhere = 4.0 * pseudocount, 4.0 * pseudocount
            for cell in range(first, first + 4):
                at_starts += totals[cell, 0]
                elsewhere += totals[cell, 1]
            for cell in range(first, first + 4):
                new = np.log((totals[cell, 0] + pseudocount) / at_starts) - np.log((totals[cell, 1] + pseudocount) / elsewhere)
                change = new - ratio[cell % size]
                gain += totals[cell, 2] * change + 0.5 * totals[cell, 3] * change * change
        gains[number] = gain
