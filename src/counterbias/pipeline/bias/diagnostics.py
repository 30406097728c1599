"""Measures of a read end's model on what it did not see, and where the bias signature lies.

Nothing here decides anything about weights, so it may run while reads are weighted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.evaluation import composition, measures
from counterbias.evaluation.folds import Folds
from counterbias.evaluation.reliability import reliability
from counterbias.evaluation.units import Units, make_units
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.cross_fitting import CrossFitted
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.records import Positions, Stretches
from counterbias.sampling import Starts
from counterbias.weights import Calibration
from counterbias.window import Window

#: The wide window in which a signature is looked for, and the starts that are looked at.
WIDE, WIDE_STARTS = Window(40, 40), 20_000
#: About the most positions of exon bins that are measured.
MOST_POSITIONS = 2_000_000


def judged_units(context: SampleContext, starts: Positions, folds: Folds) -> Units:
    """Return the exon bins by which a read end is measured.

    Where they hold many positions, only every second, third … of them is taken.
    """
    every = make_units(starts, context.features, context.contig_of, block=folds.block)
    step = -(-int(every.offsets[-1]) // MOST_POSITIONS)
    return every if step <= 1 else every.take(np.arange(0, len(every), step))


def score_units(
    context: SampleContext, fitted: CrossFitted, folds: Folds, bins: Units
) -> NDArray[np.float64]:
    """Score all positions of exon bins, each by a model that did not see its block.

    Returns:
        float64 (positions,), nats; NaN where there is no such model.
    """
    log_bias = np.full(len(bins.reads), np.nan)
    where = Positions(bins.contig, bins.start, bins.strand, np.ones(len(bins)))
    fold_of = fitted.sample.fold_of(folds.parts(where, margin=0))
    for fold, judge in enumerate(fitted.judges):
        rows = np.flatnonzero(fold_of == fold)
        if judge is not None and len(rows):
            part = bins.take(rows)
            stretches = Stretches(part.contig, part.start, part.end, part.strand)
            chosen = np.zeros(len(bins), bool)
            chosen[rows] = True
            log_bias[np.repeat(chosen, np.diff(bins.offsets))] = context.score_stretches(
                judge, stretches, threads=context.options.threads
            )
    return log_bias


def measure(log_bias: NDArray[np.float64], calibration: Calibration, bins: Units) -> dict[str, Any]:
    """Measure gain, deviance explained and AUC on exon bins, and the size of the bias.

    Args:
        log_bias: float64 (positions,), nats, by models that did not see the bins.
        calibration: what a count makes of it, whose size reliability measures.
        bins: the exon bins.
    """
    relative = measures.relative_bias(log_bias, bins)
    auc, log_loss = measures.discrimination(log_bias, bins, relative=relative)
    gains = measures.gains(log_bias, bins, relative=relative)
    found: dict[str, Any] = {
        name: {"value": gain.value, "error": gain.standard_error} for name, gain in gains.items()
    }
    return {
        "gain": {**found, "units": len(bins)},
        "reliability": reliability(calibration(log_bias), bins).report(),
        "deviance_explained": measures.deviance_explained(log_bias, bins, relative=relative),
        "auc": auc,
        "log_loss": log_loss,
    }


def find_signature(
    context: SampleContext, reads: ReadEnd, starts: Starts
) -> composition.Signature | None:
    """Look for the bias signature in a window wider than the model's.

    ``starts`` are the read end's distinct starts. None where no wide window is whole.
    """
    rng = np.random.default_rng([context.options.seed, 3, reads.numbers[0]])
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
        profile, noise, upstream=WIDE.upstream, window=context.choice.window
    )
    offsets = tuple(range(-WIDE.upstream, WIDE.downstream + 1))
    return replace(found, offsets=offsets, profile=tuple(profile.tolist()), noise=noise)
