"""One fitted end class → its entry in the QC file: composition, divergence, gains, and where the signature lies.

Nothing here decides anything about weights; it may be worked out beside the weighing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.blend import Blend
from counterbias.evaluation import composition, folds, measures, units
from counterbias.evaluation.reliability import reliability
from counterbias.no_model import NoModel
from counterbias.records import Positions, Stretches, Window
from counterbias.sampling import FoldedWindows, Starts
from counterbias.scoring import score

if TYPE_CHECKING:
    from counterbias.pipeline.bias.fitting import FittedEnd, ReadEnd, SampleContext

#: The wide window in which a signature is looked for, and the starts that are looked at.
WIDE, WIDE_STARTS = Window(40, 40), 20_000
#: What of a calibration stands in the QC file.
CALIBRATION = ("applied", "reason", "slope", "length_slope", "constant", "gain", "gain_error")
#: Positions of exon bins that are measured, about.
MOST_POSITIONS = 2_000_000


def _inverse(
    context: SampleContext, end: FittedEnd, scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give 1/b by scores, capped as reads are; 1 where there is none."""
    inverse = np.exp(-end.calibration(np.nan_to_num(scores, nan=0.0)))
    return (
        np.minimum(inverse, context.cap * np.median(inverse))
        if len(inverse) and context.cap is not None
        else inverse
    )


def describe_nothing(
    context: SampleContext, end: FittedEnd, folded: FoldedWindows, split: folds.Folds
) -> dict[str, Any]:
    """Make the entry of an end that no model is used for, since nothing can be learnt from it or judged by it."""
    window = context.kind.window
    return {
        "end": end.reads.label,
        "no_model": end.model.reason if isinstance(end.model, NoModel) else None,
        "block": split.block,
        "blocks": len(split.keys),
        "unique_starts": end.starts,
        "training_starts": 0,
        "validation_starts": 0,
        "held_out_starts": 0,
        "skipped": folded.skipped,
        "offsets": list(range(-window.upstream, window.downstream + 1)),
        "calibration": _calibration(end),
    }


def _calibration(end: FittedEnd) -> dict[str, Any]:
    return {name: getattr(end.calibration, name) for name in CALIBRATION}


def describe_end(
    context: SampleContext,
    end: FittedEnd,
    folded: FoldedWindows,
    split: folds.Folds,
    bins: units.Units,
) -> dict[str, Any]:
    """Make the end's entry in ``ends`` of the QC file; ``bins`` are its :func:`judged_units`."""
    windows, window = folded.windows, context.kind.window
    sides = (windows.background, windows.background_weight)
    unseen = (
        windows.foreground,
        windows.foreground_weight,
        _inverse(context, end, end.scores[0]),
        *sides,
    )
    again = score(end.model, windows.foreground, threads=context.threads)
    learnt = (windows.foreground, windows.foreground_weight, _inverse(context, end, again), *sides)
    check = int((folded.sample.foreground_parts[:, 0] == 1).sum())
    report = {
        "end": end.reads.label,
        "block": split.block,
        "blocks": len(split.keys),
        "unique_starts": end.starts,
        "training_starts": len(windows) - check,
        "validation_starts": check,
        "held_out_starts": end.calibration.starts,
        "skipped": folded.skipped,
        "offsets": list(range(-window.upstream, window.downstream + 1)),
        "composition": composition.composition_report(*unseen),
        "divergence": {
            "held_out": composition.divergence_report(*unseen),
            "training": composition.divergence_report(*learnt),
        },
        "calibration": _calibration(end),
        "training": _training(end),
        "metrics": _metrics(context, end),
    }
    if end.signature is not None:
        report["signature"] = _signature_report(end.signature)
    return {**report, **_measure(context, end, split, bins)}


def _metrics(context: SampleContext, end: FittedEnd) -> dict[str, float]:
    """Ask plug-ins for their metrics: of a model that did not see the first fold, on that fold."""
    sample, judge = end.fitted.sample, end.fitted.judges[0]
    model = judge or end.model
    # Plug-ins know what they brought.
    return context.manager.qc_metrics(
        model.own if isinstance(model, Blend) else model, sample.of_fold(0)
    )


def _signature_report(signature: composition.Signature) -> dict[str, Any]:
    return {
        "found": signature.found,
        "first": signature.first,
        "last": signature.last,
        "peak": signature.peak,
        "before_start": signature.before_start,
        "outside": signature.outside,
        "upstream": signature.window.upstream,
        "downstream": signature.window.downstream,
        "offsets": signature.offsets,
        "profile": signature.profile,
        "noise": signature.noise,
    }


def _training(end: FittedEnd) -> dict[str, Any]:
    """Tell what the backend told of its training; nothing for a model that was loaded."""
    told = end.fitted.report
    if told is None:
        return {}
    return {
        "parameters": told.parameters,
        "curves": _plain(told.curves),
        "perplexity": _plain(told.perplexity),
        "details": _plain(told.details) | end.blended,
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def judged_units(context: SampleContext, starts: Positions, split: folds.Folds) -> units.Units:
    """Give the exon bins by which an end class is measured: all of them, or every so-manieth where they hold many positions."""
    every = units.make_units(starts, context.features, context.contig_of, block=split.block)
    step = -(-int(every.offsets[-1]) // MOST_POSITIONS)
    return every if step <= 1 else every.take(np.arange(0, len(every), step))


def score_units(
    context: SampleContext, end: FittedEnd, split: folds.Folds, bins: units.Units
) -> NDArray[np.float64]:
    """Score all positions of exon bins, each by a model that did not see its block, float64 (positions,), nats; NaN where there is none."""
    log_bias = np.full(len(bins.reads), np.nan)
    where = Positions(bins.contig, bins.start, bins.strand, np.ones(len(bins)))
    fold_of = end.fitted.sample.fold_of(split.parts(where, margin=0))
    for fold, judge in enumerate(end.fitted.judges):
        rows = np.flatnonzero(fold_of == fold)
        if judge is not None and len(rows):
            part = bins.take(rows)
            stretches = Stretches(part.contig, part.start, part.end, part.strand)
            chosen = np.zeros(len(bins), bool)
            chosen[rows] = True
            log_bias[np.repeat(chosen, np.diff(bins.offsets))] = context.score_stretches(
                judge, stretches, threads=context.threads
            )
    return log_bias


def _measure(
    context: SampleContext, end: FittedEnd, split: folds.Folds, chosen: units.Units
) -> dict[str, Any]:
    """Measure gain, deviance, AUC on exon bins, with the log bias as models give it that did not see them; its size as a count uses it."""
    log_bias = score_units(context, end, split, chosen)
    relative = measures.relative_bias(log_bias, chosen)
    auc, log_loss = measures.discrimination(log_bias, chosen, relative=relative)
    gains = measures.gains(log_bias, chosen, relative=relative)
    found: dict[str, Any] = {
        name: {"value": gain.value, "error": gain.standard_error} for name, gain in gains.items()
    }
    return {
        "gain": {**found, "units": len(chosen)},
        "reliability": reliability(end.calibration(log_bias), chosen).report(),
        "deviance_explained": measures.deviance_explained(log_bias, chosen, relative=relative),
        "auc": auc,
        "log_loss": log_loss,
    }


def find_signature(
    context: SampleContext, reads: ReadEnd, starts: Starts
) -> composition.Signature | None:
    """Look for the bias signature in a window wider than the model's; ``starts`` are the end class's distinct starts."""
    rng = np.random.default_rng([context.seed, 3, reads.numbers[0]])
    drawn = sampling.draw(context.sites, rng, end=reads.end, most=WIDE_STARTS, starts=starts)
    foreground, valid = context.extract(drawn.foreground, WIDE)
    background, background_valid = context.extract(drawn.background, WIDE)
    if not valid.any() or not background_valid.any():
        return None
    # Every start counts alike: the noise floor knows nothing of places that hold many fragments.
    first = composition.composition(foreground[valid], np.ones(int(valid.sum())))
    second = composition.composition(
        background[background_valid], np.ones(int(background_valid.sum()))
    )
    profile, noise = (
        composition.symmetrised_kl(first, second),
        composition.noise_floor(first, second),
    )
    found = composition.signature_span(
        profile, noise, upstream=WIDE.upstream, window=context.kind.window
    )
    offsets = tuple(range(-WIDE.upstream, WIDE.downstream + 1))
    return replace(found, offsets=offsets, profile=tuple(profile.tolist()), noise=noise)
