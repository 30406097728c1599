"""Recommend one of several models by its trials, and explain why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from counterbias.evaluation.trial_means import Mean, Trials, paired_difference, summarise, value_of


@dataclass(frozen=True, slots=True)
class Contender:
    """A model that may be recommended.

    Args:
        model, window: the names that users give.
        parameters: number of free parameters; of two equally good models, the one with fewer is
            preferred.
        used, samples: number of samples in which a count would use it, and of all samples.
        trials: those of all samples; ``fold`` differs between samples.
        unused: why a count would not use it, in the first sample where it would not.
    """

    model: str
    window: str
    parameters: float
    used: int
    samples: int
    trials: Trials
    unused: str = ""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The model to use, or None, and the reason in plain words."""

    model: str | None
    window: str | None
    reason: str


def recommend(contenders: Sequence[Contender]) -> Recommendation:
    """Choose by held-out gain (capped at five reads per position).

    Models that a count would not use in half of the samples or more are not considered. The model
    with the highest mean gain is chosen, unless models with fewer parameters come within one
    standard error of it (of the paired difference): then the smallest of them.
    """
    measured = [one for one in contenders if math.isfinite(_gain(one).value)]
    if not contenders:
        return Recommendation(None, None, "No model could be fitted and measured.")
    open_ = [one for one in contenders if 2 * one.used > one.samples]
    if not open_:
        return Recommendation(None, None, _why_none(contenders))
    able = [one for one in measured if one in open_ and _gain(one).value > 0]
    if not able:
        return Recommendation(
            None,
            None,
            "No model could be shown to gain anything on held-out blocks: there are too few reads "
            "to tell.",
        )
    best = max(able, key=lambda one: (_gain(one).value, -one.parameters))
    chosen, apart = best, Mean(0.0, 0.0, 0.0)
    for one in sorted(able, key=lambda one: one.parameters):
        if one.parameters >= best.parameters:
            break
        behind = paired_difference(best.trials, one.trials)
        if math.isfinite(behind.error) and behind.value <= behind.error:
            chosen, apart = one, behind
            break
    return Recommendation(
        chosen.model, chosen.window, _why(chosen, best, apart, able, len(contenders))
    )


def _gain(one: Contender) -> Mean:
    return summarise(one.trials, value_of("gain_cap5"))


def _named(one: Contender, every: Sequence[Contender]) -> str:
    """Name a model, with its window where there are several."""
    return (
        f"{one.model} (window {one.window})"
        if len({other.window for other in every}) > 1
        else one.model
    )


def _why(
    chosen: Contender, best: Contender, apart: Mean, able: Sequence[Contender], compared: int
) -> str:
    """Explain why a model was chosen."""
    gain = _gain(chosen)
    lines = [
        f"On genomic blocks that it did not learn from, {_named(chosen, able)} gains "
        f"{_with_error(gain)} bits per read."
    ]
    if chosen is not best:
        simpler = (
            f"has only {chosen.parameters:,.0f} parameters instead of {best.parameters:,.0f}"
            if chosen.parameters
            else "needs no training"
        )
        lines.append(
            f"{_named(best, able)} gains {_with_error(apart)} bits more, which is within one "
            f"standard error. {_named(chosen, able)} {simpler} and is preferred."
        )
        return " ".join(lines)
    others = [one for one in able if one is not chosen]
    if not others:
        return " ".join([*lines, *(["No other model helps."] if compared > 1 else [])])
    second = max(others, key=lambda one: _gain(one).value)
    ahead = paired_difference(chosen.trials, second.trials)
    lines.append(
        f"The next best is {_named(second, able)}, {_with_error(ahead)} bits per read behind in "
        "the same blocks."
    )
    return " ".join(lines)


def _why_none(contenders: Sequence[Contender]) -> str:
    """Explain why no model was chosen."""
    names = ", ".join(_named(one, contenders) for one in contenders)
    best = max(
        contenders,
        key=lambda one: _gain(one).value if math.isfinite(_gain(one).value) else -math.inf,
    )
    gain = _gain(best)
    if math.isfinite(gain.error) and gain.value > 2 * gain.error:
        # The table shows a gain, so the reason has to reconcile it with a count's decision.
        return (
            f"{_named(best, contenders)} gains {_with_error(gain)} bits per read on genomic blocks "
            "that it did not learn from, but a count would not use it: "
            f"{best.unused or 'it was not clearly better than chance'}. Leave the counts as they "
            "are, or pool this sample with others (`counterbias train`)."
        )
    return (
        f"No model helps: none of {names} distinguishes held-out read starts from nearby places "
        "clearly better than chance. A count would leave all weights at 1; leave the counts as "
        "they are."
    )


def _with_error(mean: Mean) -> str:
    return f"{mean.value:.3f}" + (f" ± {mean.error:.3f}" if math.isfinite(mean.error) else "")
