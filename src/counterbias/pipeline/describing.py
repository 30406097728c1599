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
from counterbias.pipeline.judging import held_out_set
from counterbias.records import Positions, Stretches, Window
from counterbias.sampling import Assembled
from counterbias.scoring import score

if TYPE_CHECKING:
    from counterbias.pipeline.fitting import Context, EndClass, FittedEnd

#: The wide window in which a signature is looked for, and the starts that are looked at.
WIDE, WIDE_STARTS = Window(40, 40), 20_000
#: What of a calibration stands in the QC file.
CALIBRATION = ("applied", "reason", "slope", "constant", "gain", "gain_error")


def _inverse(context: Context, end: FittedEnd, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give 1/b of windows, capped as reads are."""
    inverse = np.exp(-end.calibration(score(end.model, contexts, threads=context.threads)))
    return np.minimum(inverse, context.cap * np.median(inverse)) if len(inverse) and context.cap is not None else inverse


def describe_end(
    context: Context, end: FittedEnd, assembled: Assembled, starts: Positions, dealt: folds.Folds, held_out_bins: units.Units
) -> dict[str, Any]:
    """Make the end's entry in ``ends`` of the QC file; ``held_out_bins`` are its :func:`held_out_units`."""
    training, held_out, window = assembled.training, assembled.held_out, context.kind.window
    inverse = _inverse(context, end, held_out.foreground)
    parts = (held_out.foreground, held_out.foreground_weight, inverse, held_out.background, held_out.background_weight)
    learnt = (
        training.foreground,
        training.foreground_weight,
        _inverse(context, end, training.foreground),
        training.background,
        training.background_weight,
    )
    validation = training.validation
    own = end.model.own if isinstance(end.model, Blend) else end.model  # plug-ins know the models that they brought
    report = {
        "end": end.reads.label,
        "block": dealt.block,
        "blocks": len(dealt.keys),
        "unique_starts": len(starts),
        "training_starts": len(training.foreground),
        "validation_starts": 0 if validation is None else len(validation.foreground),
        "held_out_starts": len(held_out.foreground),
        "skipped": assembled.skipped,
        "offsets": list(range(-window.upstream, window.downstream + 1)),
        "composition": composition.composition_report(*parts),
        "divergence": {
            "held_out": composition.divergence_report(*parts),
            "training": composition.divergence_report(*learnt),
        },
        "calibration": {name: getattr(end.calibration, name) for name in CALIBRATION},
        "training": _training(context, end),
        "metrics": context.manager.qc_metrics(own, held_out_set(assembled)),
    }
    if end.signature is not None:
        report["signature"] = _signature_report(end.signature)
    return {**report, **_measure(context, end, held_out_bins)}


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


def _training(context: Context, end: FittedEnd) -> dict[str, Any]:
    """Tell what the backend told of its training; nothing for a model that was loaded."""
    told = end.training
    if told is None:
        return {}
    more = end.blended | ({} if context.passes == 1 else {"passes": end.passes})
    return {
        "parameters": told.parameters,
        "curves": _plain(told.curves),
        "perplexity": _plain(told.perplexity),
        "details": _plain(told.details) | more,
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def held_out_units(context: Context, starts: Positions, dealt: folds.Folds) -> units.Units:
    """Give the units of the held-out fold."""
    every = units.make_units(starts, context.features, context.contig_of, block=dealt.block)
    return every.take(dealt.of(every.contig, every.start) == folds.HELD_OUT_FOLD)


def _measure(context: Context, end: FittedEnd, chosen: units.Units) -> dict[str, Any]:
    """Measure gain, deviance, AUC on held-out units with the log bias as the model gives it; its size as the count uses it."""
    stretches = Stretches(chosen.contig, chosen.start, chosen.end, chosen.strand)
    log_bias = context.score_stretches(end.model, stretches, threads=context.threads)
    relative = measures.relative_bias(log_bias, chosen)
    auc, log_loss = measures.discrimination(log_bias, chosen, relative=relative)
    gains = measures.gains(log_bias, chosen, relative=relative)
    found: dict[str, Any] = {name: {"value": gain.value, "error": gain.standard_error} for name, gain in gains.items()}
    return {
        "gain": {**found, "units": len(chosen)},
        "reliability": reliability(end.calibration(log_bias), chosen).report(),
        "deviance_explained": measures.deviance_explained(log_bias, chosen, relative=relative),
        "auc": auc,
        "log_loss": log_loss,
    }


def find_signature(context: Context, reads: EndClass, starts: Positions) -> composition.Signature | None:
    """Look for the bias signature in a window wider than the model's; ``starts`` are the end class's distinct starts."""
    rng = np.random.default_rng([context.seed, 3, reads.numbers[0]])
    drawn = sampling.draw(context.sites, rng, end=reads.end, most=WIDE_STARTS, distinct=starts)
    foreground, valid = context.extract(drawn.foreground, WIDE)
    background, background_valid = context.extract(drawn.background, WIDE)
    if not valid.any() or not background_valid.any():
        return None
    first = composition.composition(foreground[valid], drawn.foreground.weight[valid])
    second = composition.composition(background[background_valid], drawn.background.weight[background_valid])
    profile, noise = composition.symmetrised_kl(first, second), composition.noise_floor(first, second)
    found = composition.signature_span(profile, noise, upstream=WIDE.upstream, window=context.kind.window)
    offsets = tuple(range(-WIDE.upstream, WIDE.downstream + 1))
    return replace(found, offsets=offsets, profile=tuple(profile.tolist()), noise=noise)
