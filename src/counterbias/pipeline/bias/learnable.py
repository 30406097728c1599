"""Whether reads have starts that a model can learn from and be judged by; and if not, why.

All commands share this definition. A sample, or one read end of it, that cannot be learnt from gets
no model (:class:`~counterbias.no_model.NoModel`), and its weights are 1: ``count`` reports it and
goes on, ``compare`` and ``train`` leave the sample out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from counterbias import sampling
from counterbias.evaluation.folds import Folds, make_folds
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.drawing import draw_end
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.records import PRESENT
from counterbias.sampling import DrawnWindows, FoldedWindows, Starts


@dataclass(frozen=True, slots=True)
class SplitEnd:
    """The starts of a read end, and the windows drawn for it, split into folds of the genome."""

    starts: Starts
    folds: Folds
    folded: FoldedWindows


def split_end(context: SampleContext, reads: ReadEnd) -> SplitEnd:
    """Draw the windows of a read end and split them into folds."""
    starts = sampling.find_starts(context.sites, end=reads.end)
    folds = make_folds(starts.positions)
    rng = np.random.default_rng([context.options.seed, 1, reads.numbers[0]])
    return _split(context, starts, folds, draw_end(context, reads, starts, rng))


def _split(context: SampleContext, starts: Starts, folds: Folds, drawn: DrawnWindows) -> SplitEnd:
    choice = context.choice
    return SplitEnd(starts, folds, drawn.fold(choice.window, folds, choice.model.judging_folds))


def why_unlearnable(context: SampleContext, reads: ReadEnd, split: SplitEnd) -> str:
    """Return why no start of a read end can be learnt from, one line; empty where one can be."""
    if split.folded.sample.can_train():
        return ""
    return _why(context, reads, split.starts, split.folded)


def is_learnable(context: SampleContext, reads: ReadEnd) -> bool:
    """Whether a read end has a start that can be learnt from."""
    return not why_unlearnable(context, reads, split_end(context, reads))


def why_unlearnable_drawn(
    context: SampleContext, reads: ReadEnd, starts: Starts, drawn: DrawnWindows
) -> str:
    """Return the same for windows that are not split into folds yet."""
    bare = replace(drawn, tiles=None, tile_positions=None)
    split = _split(context, starts, make_folds(starts.positions), bare)
    return why_unlearnable(context, reads, split)


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
        width = context.choice.window.width
        return (
            f"{what}: of {len(starts):,} distinct ones none has its window of {width} bases "
            f"within the genome{inside}, without an N"
        )
    return f"{what}: of {len(starts):,} distinct ones none has a place near by to compare it with"
