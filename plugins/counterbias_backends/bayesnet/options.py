"""The options of ``bayesnet``: names, defaults and limits."""

from __future__ import annotations

from dataclasses import dataclass

from counterbias import InputError

#: Most columns per table: 4^7 numbers.
MAX_COLUMNS = 7


@dataclass(frozen=True)
class Options:
    """Options of ``bayesnet``.

    Args:
        max_parents: most columns per table, including the column itself (as seqbias counts them).
        max_distance: most columns between a column and a parent.
        penalty: c of the score, ln L − c · parameters · ln n; seqbias has 1, and 0.25 with fewer
            than 10,000 starts.
        pseudocount: added to the weight of each word, above 0.
    """

    max_parents: int = 4
    max_distance: int = 10
    penalty: float = 0.05
    pseudocount: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_parents <= MAX_COLUMNS:
            self._refuse("max_parents", f"must be from 1 to {MAX_COLUMNS}")
        if self.max_distance < 0:
            self._refuse("max_distance", "must not be below 0")
        if not 0 <= self.penalty < float("inf"):
            self._refuse("penalty", "must not be below 0")
        if not 0 < self.pseudocount < float("inf"):
            self._refuse("pseudocount", "must be above 0")

    def _refuse(self, name: str, problem: str) -> None:
        raise InputError(f"--bias-option {name}={getattr(self, name)}: {problem}")
