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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from counterbias import InputError, Resources
from counterbias_backends.progress import Steps

#: Moves computed in full, each round: so many; and, where none of these raises the score, up to so many.
EXACT, EXACT_AT_END = 4, 16
#: Tables that are kept, each with two bytes per window.
REMEMBERED = 200


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
            raise InputError(
                "bayesnet needs read starts and background windows", remedy="use more reads"
            )
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


def climb(
    samples: Samples,
    max_parents: int,
    max_distance: int,
    penalty: float,
    pseudocount: float,
    resources: Resources | None = None,
) -> Found:
    """Find a graph of which no single move raises the score; nothing is random, and the number of threads changes nothing."""
    given = resources or Resources()
    # How many moves there will be is not known.
    told = Steps(given, "finding the graph of bayesnet", 0)
    with ThreadPoolExecutor(given.threads) as pool:
        try:
            return _Climber(samples, max_parents, max_distance, penalty, pseudocount, pool).run(
                told
            )
        finally:
            told.finish()


class _Climber:
    def __init__(
        self,
        samples: Samples,
        max_parents: int,
        max_distance: int,
        penalty: float,
        pseudocount: float,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.samples, self.width, self.pool = samples, len(samples.columns), pool
        self.max_parents, self.max_distance, self.pseudocount = (
            max_parents,
            max_distance,
            pseudocount,
        )
        self.cost = penalty * np.log(len(samples.weight))  # of one parameter
        n = samples.columns.shape[1]
        self.graph: dict[int, tuple[int, ...]] = dict.fromkeys(range(self.width), ())
        # Columns of a table → each window's entry of it, and the table (foreground minus background) that is added to the log odds.
        self.tables: dict[tuple[int, ...], tuple[NDArray[np.uint16], NDArray[np.float64]]] = {
            (): (np.zeros(n, np.uint16), np.zeros(1))
        }
        starts = float(samples.weight[: samples.starts].sum())
        self.odds = np.full(n, np.log(starts / (float(samples.weight.sum()) - starts)))
        self.slope, self.curvature = np.empty(n), np.empty(n)
        self.zeros = np.zeros(n)

    def run(self, told: Steps) -> Found:
        likelihood = self.likelihood(self.zeros)
        scores, moves = [likelihood], Counter()
        while True:
            _slopes(self.odds, self.samples.weight, self.samples.starts, self.slope, self.curvature)
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
            moves[chosen.kind] += 1
            scores.append(scores[-1] + best)
            told.advance()
        graph = {column: own for column, own in self.graph.items() if own}
        return Found(
            graph, {column: self.logs(own) for column, own in graph.items()}, scores, moves
        )

    # -- moves -------------------------------------------------------------------------------------------------------

    def moves(self) -> list[Move]:
        """Give all moves, each with about the gain that it brings."""
        below = self.reached()
        return [
            move
            for moves in self.pool.map(lambda column: self.moves_of(column, below), self.graph)
            for move in moves
        ]

    def moves_of(self, column: int, below: NDArray[np.bool_]) -> list[Move]:
        """Give the moves that add to a column's parents, take away from them or turn the edges from them round."""
        own = self.graph[column]
        found = list(self.deletions(column))
        near = (
            range(
                max(0, column - self.max_distance), min(self.width, column + self.max_distance + 1)
            )
            if own
            else (column,)
        )
        # An edge from a column that this one leads to would close a circle.
        candidates = [other for other in near if other not in own and not below[column, other]]
        if candidates and len(own) < self.max_parents:
            found.extend(self.additions(column, candidates))
        for parent in own[1:]:
            other = self.graph[parent]
            # Another way from parent to column would close a circle, too.
            if (
                other
                and len(other) < self.max_parents
                and not below[parent, [one for one in own[1:] if one != parent]].any()
            ):
                found.append(self.reversal(column, parent))
        return found

    def move(self, kind: str, gain: float, graph: dict[int, tuple[int, ...]]) -> Move:
        """Make a move out of a gain of ln L alone."""
        return Move(kind, gain - self.cost * self.added(graph), graph)

    def added(self, graph: dict[int, tuple[int, ...]]) -> int:
        """Count the parameters that a change adds, as seqbias counts them: words less one, for both sides."""
        return 2 * sum(
            4 ** len(own) - 4 ** len(self.graph[column]) for column, own in graph.items()
        )

    def additions(self, column: int, candidates: list[int]) -> Iterator[Move]:
        """Weigh each new parent of a column (the column itself, where it is not in the graph)."""
        own, samples = self.graph[column], self.samples
        code, ratio = self.table(own)
        gains = np.empty(len(candidates))
        _weigh_additions(
            code, samples.columns, np.array(candidates), samples.weight, samples.starts, self.slope, self.curvature, ratio,
            self.pseudocount, np.empty((4 * len(ratio), 4)), gains,
        )  # fmt: skip
        for parent, gain in zip(candidates, gains.tolist(), strict=True):
            longer = (column, *sorted((*own[1:], parent))) if own else (column,)
            yield self.move("add", gain, {column: longer})

    def deletions(self, column: int) -> Iterator[Move]:
        """Weigh each parent of a column that could be let go (the column itself, where it has none)."""
        own, samples = self.graph[column], self.samples
        code, ratio = self.table(own)
        totals = np.zeros((len(ratio), 4))
        if own:
            _total(code, samples.weight, samples.starts, self.slope, self.curvature, totals)
        for digit in range(1, len(own)) if len(own) > 1 else range(len(own)):
            change = -ratio
            if digit:
                kept = totals[:, :2].reshape(-1, 4, 4**digit, 2).sum(axis=1).reshape(-1, 2)
                shorter = _log_conditional(kept[:, 0], self.pseudocount) - _log_conditional(
                    kept[:, 1], self.pseudocount
                )
                change = change + np.repeat(shorter.reshape(-1, 1, 4**digit), 4, axis=1).ravel()
            gain = float(totals[:, 2] @ change + 0.5 * (totals[:, 3] @ change**2))
            yield self.move(
                "delete", gain, {column: tuple(other for other in own if other != own[digit])}
            )

    def reversal(self, column: int, parent: int) -> Move:
        """Weigh turning the edge from a parent to a column round."""
        turned = {
            column: tuple(one for one in self.graph[column] if one != parent),
            parent: (parent, *sorted((*self.graph[parent][1:], column))),
        }
        (code_a, old_a), (code_b, old_b) = (
            self.table(self.graph[column]),
            self.table(self.graph[parent]),
        )
        (code_c, new_a), (code_d, new_b) = self.table(turned[column]), self.table(turned[parent])
        gain = _weigh_reversal(
            code_a, old_a, code_b, old_b, code_c, new_a, code_d, new_b, self.slope, self.curvature
        )
        return self.move("reverse", gain, turned)

    def reached(self) -> NDArray[np.bool_]:
        """Tell which columns are reached along edges from which, bool (from, to)."""
        below = np.zeros((self.width, self.width), bool)
        for column, own in self.graph.items():
            below[list(own[1:]), column] = True
        for middle in range(self.width):
            below |= below[:, middle, None] & below[middle]
        return below

    # -- what a move does --------------------------------------------------------------------------------------------

    def table(self, own: tuple[int, ...]) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
        """Give a table and each window's entry of it; what was looked at before is remembered."""
        known = self.tables.get(own)
        if known is None:
            foreground, background = self.logs(own)
            known = self.tables[own] = (self.encode(own), foreground - background)
        return known

    def encode(self, own: tuple[int, ...]) -> NDArray[np.uint16]:
        """Give each window's entry of a table: the first column is the lowest digit."""
        code = np.zeros(self.samples.columns.shape[1], np.uint16)
        for column in own[::-1]:
            code <<= 2
            code |= self.samples.columns[column]
        return code

    def logs(self, own: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give ln P(base | parents) of both sides."""
        totals = np.zeros((4 ** len(own), 4))
        _total(
            self.encode(own),
            self.samples.weight,
            self.samples.starts,
            self.zeros,
            self.zeros,
            totals,
        )
        return _log_conditional(totals[:, 0], self.pseudocount), _log_conditional(
            totals[:, 1], self.pseudocount
        )

    def change(self, move: Move) -> NDArray[np.float64]:
        """Give the change of each window's log odds."""
        total = self.zeros
        for column, own in move.graph.items():
            for code, ratio, sign in ((*self.table(own), 1), (*self.table(self.graph[column]), -1)):
                total = total + sign * ratio[code]
        return total

    def likelihood(self, change: NDArray[np.float64]) -> float:
        """Give ln L after a change of the log odds."""
        return float(_log_likelihood(self.odds, change, self.samples.weight, self.samples.starts))

    def make(self, move: Move) -> None:
        """Make a move, and forget tables that will hardly be asked for again."""
        self.odds += self.change(move)
        self.graph.update(move.graph)
        if len(self.tables) > REMEMBERED:
            self.tables = {
                own: self.tables[own] for own in {(), *self.graph.values()} if own in self.tables
            }


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
def _total(code, weight, starts, slope, curvature, totals):  # type: ignore[no-untyped-def]
    """Add up per word the weight at starts and in the background, slope and curvature: float64 (words, 4)."""
    for i in range(len(code)):
        totals[code[i], 0 if i < starts else 1] += weight[i]
        totals[code[i], 2] += slope[i]
        totals[code[i], 3] += curvature[i]


@njit(cache=True, nogil=True)
def _weigh_reversal(code_a, old_a, code_b, old_b, code_c, new_a, code_d, new_b, slope, curvature):  # type: ignore[no-untyped-def]
    """Give about the gain of ln L where two tables take the place of two others."""
    gain = 0.0
    for i in range(len(slope)):
        change = new_a[code_c[i]] - old_a[code_a[i]] + new_b[code_d[i]] - old_b[code_b[i]]
        gain += change * (slope[i] + 0.5 * curvature[i] * change)
    return gain


@njit(cache=True, nogil=True)
def _weigh_additions(
    code, columns, candidates, weight, starts, slope, curvature, ratio, pseudocount, totals, gains
):  # type: ignore[no-untyped-def]
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
                new = np.log((totals[cell, 0] + pseudocount) / at_starts) - np.log(
                    (totals[cell, 1] + pseudocount) / elsewhere
                )
                change = new - ratio[cell % size]
                gain += totals[cell, 2] * change + 0.5 * totals[cell, 3] * change * change
        gains[number] = gain
