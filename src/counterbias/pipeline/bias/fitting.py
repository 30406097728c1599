"""Start sites → one calibrated bias model per read end, judged on genomic blocks it never saw."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.model import BiasModel
from counterbias.no_model import NoModel
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.cross_fitting import BackendFault, CrossFitted, cross_fit
from counterbias.pipeline.bias.deferred import Deferred
from counterbias.pipeline.bias.diagnostics import find_signature, judged_units
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.bias.fitted_end import FittedEnd
from counterbias.pipeline.bias.held_out import calibrate_scores
from counterbias.pipeline.bias.learnable import SplitEnd, split_end, why_unlearnable
from counterbias.pipeline.bias.prior import blend, prior_end
from counterbias.pipeline.bias.stopwatch import Stopwatch
from counterbias.sampling import FoldedWindows
from counterbias.scoring import score
from counterbias.weights import UNUSED, Calibration, recentred, ungated


def fit_end(
    context: SampleContext,
    reads: ReadEnd,
    stopwatch: Stopwatch,
    *,
    executor: Executor | None = None,
) -> FittedEnd:
    """Draw windows, fit (unless the model comes from a file), and judge one read end.

    What only the report needs, the signature and the exon bins, is worked out by ``executor`` where
    there is one, as far as possible while the model is fitted.
    """
    with stopwatch.stage("sampling"):
        split = split_end(context, reads)
        starts = split.starts
        unlearnable = why_unlearnable(context, reads, split)
    file = context.choice.fitted
    if unlearnable or (file is not None and isinstance(file.end(reads.numbers[0]).model, NoModel)):
        return _end_without_model(context, reads, split, unlearnable)
    signature = Deferred(executor, lambda: find_signature(context, reads, starts))
    units = Deferred(executor, lambda: judged_units(context, starts.positions, split.folds))
    with stopwatch.stage("training"):
        fitted = _fit(context, reads, split.folded)
    if isinstance(fitted, str):
        return _end_without_model(context, reads, split, fitted)
    with stopwatch.stage("evaluation"):
        end = _judge(context, reads, fitted, split)
    end.signature, end.units = signature, units
    return end


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


def _fit(context: SampleContext, reads: ReadEnd, folded: FoldedWindows) -> CrossFitted | str:
    """Fit the model of a read end, or take it from the file.

    Where the backend refuses so few starts, return its reason.
    """
    number = reads.numbers[0]
    rng = np.random.default_rng([context.options.seed, 2, number])
    try:
        with context.blaming("was fitted to"):
            return cross_fit(context.choice, folded.sample, number, rng, context.resources)
    except BackendFault:
        raise
    except InputError as refusal:
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
