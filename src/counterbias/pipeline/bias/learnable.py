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
from counterbias.pipeline.bias.drawing import DrawnWindows, draw_end
from counterbias.records import PRESENT
from counterbias.sampling import Folded, Starts

if TYPE_CHECKING:
    from counterbias.pipeline.bias.fitting import ReadEnd, SampleContext


@dataclass(frozen=True, slots=True)
class SplitEnd:
    """The starts of an end class, and their windows dealt to folds of the genome."""

    starts: Starts
    folds: folds.Folds
    folded: Folded


def split_end(context: SampleContext, reads: ReadEnd) -> SplitEnd:
    """Draw the windows of an end class and deal them to folds."""
    starts = sampling.find_starts(context.sites, end=reads.end)
    dealt = folds.make_folds(starts.positions)
    drawn = draw_end(
        context, reads, starts, np.random.default_rng([context.seed, 1, reads.numbers[0]])
    )
    return SplitEnd(
        starts, dealt, drawn.fold(context.kind.window, dealt, context.kind.model.judging_folds)
    )


def why_nothing(context: SampleContext, reads: ReadEnd, dealt: SplitEnd) -> str:
    """Say why no start of an end class can be learnt from, one line; empty where one can be."""
    return (
        "" if dealt.folded.sample.can_train() else _why(context, reads, dealt.starts, dealt.folded)
    )


def teaches(context: SampleContext, reads: ReadEnd) -> bool:
    """Tell whether an end class has a start that can be learnt from."""
    return not why_nothing(context, reads, split_end(context, reads))


def why_nothing_drawn(
    context: SampleContext, reads: ReadEnd, starts: Starts, drawn: DrawnWindows
) -> str:
    """Say the same of windows that are not dealt to folds yet."""
    bare = replace(drawn, tiles=None, tile_positions=None)
    dealt = folds.make_folds(starts.positions)
    return why_nothing(
        context,
        reads,
        SplitEnd(
            starts, dealt, bare.fold(context.kind.window, dealt, context.kind.model.judging_folds)
        ),
    )


def _why(context: SampleContext, reads: ReadEnd, starts: Starts, folded: Folded) -> str:
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
