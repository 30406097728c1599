"""The bias along the annotated exons, written as bigWig files for a genome browser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.fitted_end import FittedEnd
from counterbias.records import Stretches
from counterbias.writers.bigwig import Run, room_for, runs_of, write_bigwig
from counterbias.writers.endings import track_endings

#: Positions, about, that are scored before they are written.
PART = 1 << 22
#: The report has this warning, too, and must not depend on what the folder holds.
_EARLIER = "; one of its name, if there is any, is of an earlier run"


def write_tracks(
    context: SampleContext, ends: tuple[FittedEnd, ...], prefix: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the bias of each read end in use, per strand of the read.

    A value is log2 of the bias of a read that starts there, by the model and the calibration that
    weight reads. There is one at each position of the features' exons where such a read can be
    counted for them, unless its window is not whole.

    Args:
        context: the sample.
        ends: its read ends, as they are used.
        prefix: start of the files' names.

    Returns:
        the files' names; and what is not written, and why, one line each.

    Raises:
        InputError: a file cannot be written.
    """
    if context.options.ends == "first":
        ends = ends[:1]  # the other one's reads are not weighted
    used = [end for end in ends if end.calibration.applied]
    if not used:
        return (), (f"no bigWig file is written, since no model is used{_EARLIER}",)
    written = []
    for end in used:
        for strand, ending in enumerate(track_endings(end.reads.label)):
            _write_track(context, end, strand, prefix + ending)
            written.append(prefix + ending)
    missing = tuple(
        f"no bigWig file of {end.reads.label} is written, since its model is not used{_EARLIER}"
        for end in ends
        if not end.calibration.applied
    )
    return tuple(written), missing


def _write_track(context: SampleContext, end: FittedEnd, strand: int, filename: str) -> None:
    """Write the bias of reads of one end that lie on one strand."""
    sites = context.sites
    stretches = _stretches(context, end.reads.numbers[0], strand)
    # The same contigs in all files of a run, whatever lies on which strand.
    used = np.unique(context.contig_of[context.features.block_contig])
    contigs = [
        (sites.contigs[number], int(sites.contig_lengths[number]))
        for number in used[used >= 0].tolist()
    ]
    room = room_for(int(stretches.sizes.sum()), len(stretches) + len(contigs))
    write_bigwig(filename, contigs, _runs(context, end, stretches), room=room)


def _runs(context: SampleContext, end: FittedEnd, stretches: Stretches) -> Iterator[Run]:
    """Yield the log2 bias along stretches; about :data:`PART` positions are in memory at a time."""
    upto = np.cumsum(stretches.sizes)
    part = upto // PART
    edges = [0, *(np.flatnonzero(part[1:] != part[:-1]) + 1).tolist(), len(stretches)]
    for first, last in pairwise(edges):
        rows = stretches.take(slice(first, last))
        scores = context.score_stretches(end.model, rows, threads=context.options.threads)
        values = (end.calibration(scores) / math.log(2)).astype(np.float32)
        begins = np.cumsum(rows.sizes) - rows.sizes
        for contig, start, begin, size in zip(
            rows.contig.tolist(),
            rows.start.tolist(),
            begins.tolist(),
            rows.sizes.tolist(),
            strict=True,
        ):
            yield from runs_of(context.sites.contigs[contig], start, values[begin : begin + size])


def _stretches(context: SampleContext, number: int, strand: int) -> Stretches:
    """Join the exons where a read of one end, on one strand, can be counted for a feature.

    In stranded libraries that is one strand of each exon, in others either.
    """
    features, sites = context.features, context.sites
    contig = context.contig_of[features.block_contig]
    kept = contig >= 0
    if context.stranded != "no":
        same = (context.stranded == "yes") == (number == 0)
        kept &= features.block_strand == (strand if same else 1 - strand)
    lengths = np.asarray(sites.contig_lengths, np.int64)
    contig = contig[kept]
    start = features.block_start[kept]
    end = np.minimum(features.block_end[kept], lengths[contig])
    inside = start < end
    return _joined(contig[inside], start[inside], end[inside], strand)


def _joined(
    contig: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64], strand: int
) -> Stretches:
    """Sort intervals, and join those that overlap or touch."""
    order = np.lexsort((start, contig))
    contig, start, end = contig[order], start[order], end[order]
    # Contigs are laid end to end, with a gap, so that a running maximum stays on its own.
    beyond = int(end.max(initial=0)) + 1
    furthest = np.maximum.accumulate(contig * beyond + end)
    new = np.ones(len(start), np.bool_)
    new[1:] = (contig * beyond + start)[1:] > furthest[:-1]
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(start)) - 1 if len(first) else first
    return Stretches(
        contig[first].astype(np.int32),
        start[first],
        furthest[last] - contig[first] * beyond,
        np.full(len(first), strand, np.uint8),
    )
