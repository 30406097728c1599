"""How networks were trained → the report of a fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from counterbias import FitReport
from counterbias_torch.fitting import Trained
from counterbias_torch.lessons import Lesson
from counterbias_torch.rows import BASES, LOGISTIC, Rows
from counterbias_torch.trainer import Job


def report_of(
    lesson: Lesson, trained: Sequence[Trained], roles: Sequence[str], begun: FitReport
) -> FitReport:
    """Add curves, perplexities and details to a report.

    Args:
        lesson: what the networks learnt from.
        trained: the networks.
        roles: their names; '' where there is only one.
        begun: the report so far.
    """
    curves: dict[str, list[float]] = {}
    perplexity: dict[str, float] = {}
    details: dict[str, object] = {**begun.details, "starts": lesson.starts}
    for job, one, role in zip(lesson.jobs, trained, roles, strict=True):
        prefix = f"{role}_" if role else ""
        for side, losses in (
            ("training", one.course.training),
            ("validation", one.course.validation),
        ):
            if not losses:
                continue
            for part, values in zip(job.parts, zip(*losses, strict=True), strict=True):
                name = f"{prefix}{side}_{_measure(part.rows)}"
                curves[name] = [_as_reported(part.rows, value) for value in values]
        if job.parts[0].rows.loss == BASES and one.course.validation:
            perplexity[role] = _perplexity(one.course.validation[one.course.best - 1][0])
        details |= {f"{prefix}{name}": value for name, value in _details(job, one).items()}
    if remarks := remarks_of(trained):
        details["remarks"] = remarks
    return replace(begun, curves=curves, perplexity=perplexity, details=details)


def _details(job: Job, one: Trained) -> dict[str, object]:
    return {
        "epochs": len(one.course.training),
        "best_epoch": one.course.best,
        "steps_per_epoch": one.plan.steps,
        "batches": list(one.plan.batches),
        "rows": [len(part.chosen) for part in job.parts],
        "validation_rows": [len(part.chosen) for part in job.validation],
        "weight_decay": one.plan.decay,
    }


def remarks_of(trained: Sequence[Trained]) -> list[str]:
    """Return what the user should know of the training, one line each."""
    return sorted({_remark(one) for one in trained if one.pieces > 1})


def _remark(one: Trained) -> str:
    rows = " and ".join(map(str, one.plan.batches))
    return (
        f"memory was too small for batches of {rows} rows: their gradients were added up from "
        f"{one.pieces} pieces each"
    )


def _measure(rows: Rows) -> str:
    """Return the name of a part's measure: tiles and sets have a gain, windows a loss."""
    if rows.loss == BASES:
        return "perplexity"
    if rows.loss == LOGISTIC:
        return "log_loss"
    return "gain" if rows.overlapping else "start_gain"


def _as_reported(rows: Rows, loss: float) -> float:
    """Return a loss as a perplexity, or as what is gained over all places being alike, in bits."""
    if rows.loss == BASES:
        return _perplexity(loss)
    return loss if rows.loss == LOGISTIC else (math.log(rows.places) - loss) / math.log(2)


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, 700.0))  # beyond, it is more than a float can hold
