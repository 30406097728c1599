"""The outcome of one model in one sample: its results, or why it failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from counterbias.pipeline.compare.candidates import Candidate

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


@dataclass(slots=True)
class Outcome:
    """What became of one model in one sample.

    Args:
        candidate: the model.
        status: ``ok``, ``failed`` (the model is at fault) or ``skipped`` (it cannot be trained
            here, or there are too few reads).
        reason: why, in one line; also what went wrong in single folds.
        trials: one mapping per trial: ``fold``, ``seed``, ``end``, ``values``, ``reliability``
            (its bins) and more.
        columns: the columns of a count, name → (features,); empty if there was none.
        count: the other results of that count, as :func:`.counts.count_with` lists them.
        unlearnable: whether nothing can be learnt from the sample; ``reason`` says why.
    """

    candidate: Candidate
    status: str = OK
    reason: str = ""
    trials: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    count: dict[str, Any] = field(default_factory=dict)
    unlearnable: bool = False

    def give_up(self, status: str, reason: str) -> None:
        """Note why there are no numbers for the model; a fault outweighs a lack of reads.

        The counts of a model that fails later are not kept: nothing it computes can be relied on.
        """
        if self.status == FAILED:
            return
        self.status, self.reason = status, " ".join(reason.split())
        if status == FAILED:
            self.columns = {}


def why_left_out(outcomes: Sequence[Outcome]) -> str:
    """Return why no model can learn anything from a sample; empty if one can.

    Such a sample is left out of the comparison.
    """
    asked = [one for one in outcomes if one.candidate.choice is not None]
    return asked[0].reason if asked and all(one.unlearnable for one in asked) else ""


def finite_or_none(value: Any) -> float | None:
    """Return a number as JSON can hold it: None for NaN and infinity."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
