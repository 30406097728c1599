"""Fit once more against a background that is rid of the bias of its neighbourhood.

Background is drawn near the starts, so that a neighbourhood holds background in proportion to its starts: its abundance times its mean
bias. A model that tells starts from such background learns b relative to the mean b of the neighbourhood, and places (genes) whose
mean bias is high keep part of it. Salmon and Cufflinks divide that out by the effective length. Here each background window's weight
is divided by the mean of the fitted b around it, and the model is fitted again.

Between the two fits nothing is drawn: windows, parts and starts stay. The parts that models are judged by, each start among its own
background windows, do not use the weight of background at all; only the constant of the calibration and the report's compositions do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.records import Positions
from counterbias.sampling import LOCAL_REACH
from counterbias.scoring import score_positions

if TYPE_CHECKING:
    from counterbias.model import BiasModel
    from counterbias.pipeline.fitting import Context, Drawn

#: Passes that ``--bias-passes`` takes.
MOST_PASSES = 5
#: Bases between the places whose bias is averaged.
STEP = 10
#: The mean bias of a neighbourhood is taken to be at least this part of the average one, so that no window's weight runs away.
LEAST_MEAN = 0.05
#: Background windows whose neighbourhoods are scored at a time.
ROWS = 8192


def check_passes(passes: int, *, fitted: str | None, sampling: str) -> None:
    """Refuse a number of passes that cannot be done; ``fitted`` is the model file, or None where a model is fitted."""
    if not 1 <= passes <= MOST_PASSES:
        raise InputError(f"--bias-passes {passes} is not a number from 1 to {MOST_PASSES}", remedy="1 fits once, 2 is enough to fit again")
    if passes > 1 and fitted is not None:
        raise InputError(
            f"--bias-passes {passes} cannot change a model that is already fitted", file=fitted, remedy="leave --bias-passes out"
        )
    if passes > 1 and sampling == "seqbias":
        raise InputError(
            f"--bias-passes {passes} needs background from within {LOCAL_REACH} bases of a start, and --bias-sampling seqbias draws it "
            "from farther away",
            remedy="sample with --bias-sampling local",
        )


def level_background(context: Context, model: BiasModel, drawn: Drawn) -> Drawn:
    """Divide the weight of every background window by the mean fitted bias around it; the total of the weights stays.

    ``drawn`` must be what was drawn at first: its weights are the square root of reads, not those of an earlier pass.
    """
    background, valid = drawn.sample.background, drawn.background[1]
    rows = np.flatnonzero(valid)
    weight = background.weight.copy()
    total = weight[rows].sum()
    if not total > 0:
        return drawn
    mean = local_mean(context, model, background.take(rows))
    mean /= (mean * weight[rows]).sum() / total
    weight[rows] /= np.maximum(mean, LEAST_MEAN)
    weight[rows] *= total / weight[rows].sum()
    level = Positions(background.contig, background.position, background.strand, weight)
    return replace(drawn, sample=replace(drawn.sample, background=level))


def local_mean(context: Context, model: BiasModel, positions: Positions) -> NDArray[np.float64]:
    """Average exp(log bias) over every tenth place within 100 bases of each position, on its strand; float64 (n,).

    Places whose window holds an N or leaves the contig are left out; 1 where none is left.
    """
    offsets = np.arange(-LOCAL_REACH, LOCAL_REACH + 1, STEP, dtype=np.int64)
    out = np.ones(len(positions))
    for first in range(0, len(positions), ROWS):
        part = positions.take(np.arange(first, min(first + ROWS, len(positions))))
        around = Positions(
            np.repeat(part.contig, len(offsets)),
            (part.position[:, None] + offsets).ravel(),
            np.repeat(part.strand, len(offsets)),
            np.ones(len(part) * len(offsets)),
        )
        scores = score_positions(model, context.extract, around, threads=context.threads, chunk=2 * ROWS).reshape(-1, len(offsets))
        known = ~np.isnan(scores)
        number = known.sum(axis=1)
        summed = np.where(known, np.exp(np.where(known, scores, 0.0)), 0.0).sum(axis=1)
        out[first : first + len(part)] = np.divide(summed, number, out=np.ones(len(part)), where=number > 0)
    return out
