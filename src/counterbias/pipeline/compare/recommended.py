"""The one model that a comparison recommends for all samples."""

from __future__ import annotations

import numpy as np

from counterbias.evaluation.recommendation import Contender, Recommendation, recommend
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.pipeline.compare.outcome import FAILED, OK
from counterbias.pipeline.compare.results import Comparison


def recommendation(result: Comparison) -> Recommendation:
    """Choose one model for all samples.

    It must have been measured in each sample in which any model was.
    """
    measured = sum(any(one.status == OK for one in sample.outcomes) for sample in result.samples)
    contenders = []
    for number, candidate in enumerate(result.candidates):
        contender = _contender(result, number, candidate, measured)
        if contender is not None:
            contenders.append(contender)
    return recommend(contenders)


def _contender(
    result: Comparison, number: int, candidate: Candidate, measured: int
) -> Contender | None:
    """Return a candidate's results over all samples; None if it cannot be recommended.

    ``number`` is its index, ``measured`` the number of samples in which any model was measured.
    """
    measurements = [
        (sample, sample.outcomes[number])
        for sample in result.samples
        if sample.outcomes[number].status == OK
    ]
    failed = any(sample.outcomes[number].status == FAILED for sample in result.samples)
    if not measurements or len(measurements) < measured or failed:
        return None
    if result.training_samples(candidate):
        return None
    unused = [outcome for _, outcome in measurements if not outcome.count["applied"]]
    reasons = [str(reason) for outcome in unused for reason in outcome.count["reasons"]]
    return Contender(
        candidate.label,
        str(candidate.window),
        float(np.mean([outcome.count["parameters"] for _, outcome in measurements])),
        len(measurements) - len(unused),
        len(measurements),
        [
            {**trial, "fold": (sample.name, trial["fold"])}
            for sample, outcome in measurements
            for trial in outcome.trials
        ],
        reasons[0] if reasons else "",
    )
