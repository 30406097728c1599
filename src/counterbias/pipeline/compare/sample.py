"""Everything that a comparison computes for one sample.

Models are first fitted one after the other with all threads, as a count does. This yields counts
per gene, and the time and memory of training, which no other fit disturbs. Then come the trials on
held-out blocks, one thread each, as many at the same time as there are threads. Nothing that the
cache holds is computed again. A model that fails is left out of what follows, and never stops the
others.
"""

from __future__ import annotations

from collections.abc import Sequence

from counterbias.pipeline.compare.cache import Cache
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.pipeline.compare.counts import count_with
from counterbias.pipeline.compare.design import Design, PreparedSample, StepsDone
from counterbias.pipeline.compare.outcome import OK, SKIPPED, Outcome
from counterbias.pipeline.compare.trials import run_trials


def number_of_steps(candidates: Sequence[Candidate], ends: int, design: Design) -> int:
    """Return the steps of one sample: a count and all trials for each model that can be fitted."""
    able = sum(1 for one in candidates if one.choice is not None)
    return able * (1 + ends * len(design.folds) * len(design.seeds))


def run_models(
    sample: PreparedSample,
    candidates: Sequence[Candidate],
    design: Design,
    cache: Cache,
    step: StepsDone,
) -> list[Outcome]:
    """Fit and measure every candidate in one sample.

    Args:
        sample: the sample.
        candidates: the models.
        design: the trials of each.
        cache: has results already, and gets the new ones.
        step: called after each step.
    """
    outcomes = [Outcome(one) for one in candidates]
    trials_per_end = len(design.folds) * len(design.seeds)
    for outcome in outcomes:
        candidate = outcome.candidate
        if candidate.choice is None:
            outcome.give_up(SKIPPED, candidate.reason)
            continue
        count_with(sample, outcome, cache)
        ends_left_out = len(sample.ends) if outcome.status != OK else len(outcome.count["nothing"])
        what = "counted" if outcome.status == OK else outcome.reason
        step(1 + ends_left_out * trials_per_end, f"{candidate}: {what}")
    run_trials(sample, [one for one in outcomes if one.status == OK], design, cache, step)
    return outcomes
