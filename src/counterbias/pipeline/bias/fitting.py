"""Start sites → one calibrated bias model per read end, judged on genomic blocks it never saw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.evaluation.composition import Signature
from counterbias.evaluation.units import Units
from counterbias.model import BiasModel
from counterbias.no_model import NoModel
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.cross_fitting import CrossFitted, EndSample, cross_fit_together
from counterbias.pipeline.bias.deferred import Deferred
from counterbias.pipeline.bias.diagnostics import find_signature, judged_units
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.bias.fitted_end import FittedEnd
from counterbias.pipeline.bias.held_out import calibrate_scores
from counterbias.pipeline.bias.learnable import SplitEnd, split_end, why_unlearnable
from counterbias.pipeline.bias.prior import blend, prior_end
from counterbias.pipeline.bias.stopwatch import Stopwatch
from counterbias.scoring import score
from counterbias.weights import UNUSED, Calibration, recentred, ungated


@dataclass(frozen=True, slots=True)
class _DrawnEnd:
    """A read end whose windows are drawn.

    Args:
        reads: the read end.
        split: its windows.
        unlearnable: why nothing can be learnt from them; empty where something can.
        modelled: whether a model is to be fitted, or taken from the file.
    """

    reads: ReadEnd
    split: SplitEnd
    unlearnable: str
    modelled: bool


def fit_ends(
    context: SampleContext,
    every_end: Sequence[ReadEnd],
    stopwatch: Stopwatch,
    *,
    executor: Executor | None = None,
) -> tuple[FittedEnd, ...]:
    """Draw windows, fit (unless the models come from a file), and judge, all read ends at once.

    What only the report needs, the signature and the exon bins, is worked out by ``executor`` where
    there is one, as far as possible while the models are fitted.
    """
    drawn, deferred = [], []
    for reads in every_end:
        with stopwatch.stage("sampling"):
            end = _draw(context, reads)
        drawn.append(end)
        deferred.append(_defer(context, end, executor) if end.modelled else None)
    modelled = [end for end in drawn if end.modelled]
    fitted: Iterator[CrossFitted | str] = iter(())
    if modelled:
        with stopwatch.stage("training"):
            fitted = iter(_fit(context, modelled))
    ends = []
    for end, later in zip(drawn, deferred, strict=True):
        found = next(fitted) if end.modelled else end.unlearnable
        if isinstance(found, str):
            ends.append(_end_without_model(context, end.reads, end.split, found))
            continue
        with stopwatch.stage("evaluation"):
            ends.append(_judge(context, end.reads, found, end.split))
        if later is not None:
            ends[-1].signature, ends[-1].units = later
    return tuple(ends)


def _draw(context: SampleContext, reads: ReadEnd) -> _DrawnEnd:
    """Draw the windows of a read end."""
    split = split_end(context, reads)
    unlearnable, file = why_unlearnable(context, reads, split), context.choice.fitted
    none_in_file = file is not None and isinstance(file.end(reads.numbers[0]).model, NoModel)
    return _DrawnEnd(reads, split, unlearnable, not unlearnable and not none_in_file)


def _defer(
    context: SampleContext, end: _DrawnEnd, executor: Executor | None
) -> tuple[Deferred[Signature | None], Deferred[Units]]:
    """Begin with the signature and the units of a read end, which do not depend on the model."""
    reads, starts, made = end.reads, end.split.starts, end.split.folds
    return (
        Deferred(executor, lambda: find_signature(context, reads, starts)),
        Deferred(executor, lambda: judged_units(context, starts.positions, made)),
    )


def _end_without_model(
    context: SampleContext, reads: ReadEnd, split: SplitEnd, unlearnable: str
) -> FittedEnd:
    """Return a read end that no model is used for.

    Nothing can be learnt from it, or tells whether the model of a file fits it, for the reason
    ``unlearnable``; or that file has no model of it.
    """
    choice = context.choice
    if choice.fitted is None:
        model: BiasModel = NoModel(choice.window, choice.options, unlearnable)
        reason = unlearnable
    else:
        model = choice.fitted.end(reads.numbers[0]).model
        reason = f"nothing tells whether it fits: {unlearnable}"
        if isinstance(model, NoModel):
            reason = f"there is none in {choice.path}: {model.reason}"
    none = np.empty(0)
    sample = split.folded.sample
    return FittedEnd(
        reads=reads,
        split=split,
        model=model,
        calibration=replace(UNUSED, reason=reason),
        fitted=CrossFitted(model, None, (None,) * sample.folds, sample),
        scores=(none, none),
        background=(none, none),
        learnable=not unlearnable,
    )


def settle_ends(ends: tuple[FittedEnd, ...]) -> None:
    """Correct an end whose own model gains too little where another end's model passes the gate.

    The library is then known to be biased, and leaving one end out would leave half of the bias in
    effective lengths. The end is corrected with the slope that its own starts ask for, which is
    near 0 where it has no bias (``benchmarks/validation/stranded_ends.py``). Where no model passes,
    nothing is corrected.
    """
    if not any(end.calibration.applied for end in ends):
        return
    for end in ends:
        if not end.calibration.applied:
            end.calibration = recentred(ungated(end.calibration), *end.background)


def _fit(context: SampleContext, drawn: Sequence[_DrawnEnd]) -> list[CrossFitted | str]:
    """Fit the models of read ends, or take them from the file.

    Where the backend refuses so few starts, its reason stands in for the model.
    """
    ends = []
    for end in drawn:
        number = end.reads.numbers[0]
        rng = np.random.default_rng([context.options.seed, 2, number])
        ends.append(EndSample(end.split.folded.sample, number, rng))
    with context.blaming("was fitted to"):
        found = cross_fit_together(context.choice, ends, context.resources)
    return [one if isinstance(one, CrossFitted) else _why_refused(one) for one in found]


def _why_refused(refusal: InputError) -> str:
    return f"{refusal.problem}; {refusal.remedy}" if refusal.remedy else refusal.problem


def _judge(
    context: SampleContext, reads: ReadEnd, fitted: CrossFitted, split: SplitEnd
) -> FittedEnd:
    """Calibrate the model of a read end, blended with the prior where there is one."""
    number, windows, threads = reads.numbers[0], split.folded.windows, context.options.threads
    with context.blaming("scored"):
        scores = fitted.score(windows, threads=threads)
    model: BiasModel | Blend = fitted.model
    blended: dict[str, float] = {}
    if context.prior is None:
        calibration = _own_calibration(context, number, len(split.starts))
        if calibration is None:
            calibration = calibrate_scores(*scores, windows, own=fitted.report is not None)
    else:
        prior = prior_end(context.prior, number)
        model, calibration, blended = blend(model, scores, prior, windows, threads=threads)
        fitted = fitted.blended(model)
        scores = fitted.score(windows, threads=threads)
    # The bias that is to average 1 is that of the model itself, not of those that judge it.
    with context.blaming("scored"):
        background = (score(model, windows.background, threads=threads), windows.background_weight)
    return FittedEnd(
        reads=reads,
        split=split,
        model=model,
        calibration=recentred(calibration, *background),
        fitted=fitted,
        scores=scores,
        background=background,
        blended=blended,
    )


def _own_calibration(context: SampleContext, number: int, starts: int) -> Calibration | None:
    """Return the calibration in a model file that has learnt from this very sample.

    Judged on what it has seen, a model would be flattered. None for other files. The sample is
    recognised by its name and its number of distinct starts.
    """
    file = context.choice.fitted
    if file is None or file.end(number).starts != starts:
        return None
    if len(file.training.samples) != 1 or not file.training.includes(context.sample):
        return None
    end = file.end(number)
    gain = math.nan if end.held_out_gain is None else end.held_out_gain
    if end.slope == 0:
        reason = "it gained nothing when it was fitted to this sample"
        return Calibration(False, 0.0, 0.0, gain, math.nan, starts, reason)
    length_slope = max(end.slope, 1.0) if end.length_slope is None else end.length_slope
    return Calibration(True, end.slope, 0.0, gain, math.nan, starts, length_slope=length_slope)
