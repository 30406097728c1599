"""Whether reads have starts that a model can learn from and be judged by; and if not, why.

One definition for all commands. A sample, or one end of it, that has none gets no model (:class:`~counterbias.no_model.NoModel`), and its
weights are 1: `count` says so and goes on, `compare` and `train` leave the sample out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from counterbias import sampling
from counterbias.evaluation import folds
from counterbias.pipeline.bias.drawing import draw_end
from counterbias.records import PRESENT
from counterbias.sampling import DrawnWindows, FoldedWindows, Starts

if TYPE_CHECKING:
    from counterbias.pipeline.bias.fitting import ReadEnd, SampleContext


@dataclass(frozen=True, slots=True)
class SplitEnd:
    """The starts of an end class, and their windows split into folds of the genome."""

    starts: Starts
    folds: folds.Folds
    folded: FoldedWindows


def split_end(context: SampleContext, reads: ReadEnd) -> SplitEnd:
    """Draw the windows of an end class and split them into folds."""
    starts = sampling.find_starts(context.sites, end=reads.end)
    split = folds.make_folds(starts.positions)
    drawn = draw_end(
        context, reads, starts, np.random.default_rng([context.seed, 1, reads.numbers[0]])
    )
    return SplitEnd(
        starts, split, drawn.fold(context.kind.window, split, context.kind.model.judging_folds)
    )


def why_nothing(context: SampleContext, reads: ReadEnd, split: SplitEnd) -> str:
    """Say why no start of an end class can be learnt from, one line; empty where one can be."""
    return (
        "" if split.folded.sample.can_train() else _why(context, reads, split.starts, split.folded)
    )


def teaches(context: SampleContext, reads: ReadEnd) -> bool:
    """Tell whether an end class has a start that can be learnt from."""
    return not why_nothing(context, reads, split_end(context, reads))


def why_nothing_drawn(
    context: SampleContext, reads: ReadEnd, starts: Starts, drawn: DrawnWindows
) -> str:
    """Say the same of windows that are not split into folds yet."""
    bare = replace(drawn, tiles=None, tile_positions=None)
    split = folds.make_folds(starts.positions)
    return why_nothing(
        context,
        reads,
        SplitEnd(
            starts, split, bare.fold(context.kind.window, split, context.kind.model.judging_folds)
        ),
    )


def _why(context: SampleContext, reads: ReadEnd, starts: Starts, folded: FoldedWindows) -> str:
    second = reads.label == "read2"
    what = "no start of read 2 can be learnt from" if second else "no read start can be learnt from"
    of = {"both": "", "read1": " 1", "read2": " 2"}[reads.label]
    sites = context.sites
    there = sum(int(((sites.ends[number].bits & PRESENT) != 0).sum()) for number in reads.numbers)
    if not there:
        return f"{what}: no read{of} was assigned to a feature"
    if not len(starts):
        return f"{what}: of {there:,} assigned reads{of} none is unclipped and uniquely aligned"
    if not len(folded.windows.foreground):
        inside = " and its exons" if folded.skipped["outside_exon"] else ""
        width = context.kind.window.width
        return f"{what}: of {len(starts):,} distinct ones none has its window of {width} bases within the genome{inside}, without an N"
    return f"{what}: of {len(starts):,} distinct ones none has a place near by to compare it with"
