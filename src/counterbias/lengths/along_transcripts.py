"""Fragment lengths along transcripts.

Along a feature's merged blocks, a fragment that skips an exon seems longer than it is. Along its
transcripts it has one length where all of them that it fits agree; only such fragments are measured
here. Long fragments disagree a little more often, which matters far less.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.lengths import classes
from counterbias.lengths.distribution import MOST_FRAGMENTS, FragmentLengths, summarise_lengths
from counterbias.lengths.ends import (
    BOTH,
    bases_before,
    ends_of,
    fragments_by_feature,
    last_upto,
    offset_on_line,
)
from counterbias.loops import helper, loop
from counterbias.records import Features, FeatureTranscripts, StartSites


def transcript_fragment_lengths(
    sites: StartSites,
    features: Features,
    contig_of: NDArray[np.int64],
    transcripts: FeatureTranscripts,
) -> FragmentLengths | None:
    """Measure fragment lengths along the transcripts of features.

    Returns None for single-end data, or where too few fragments have one length
    (:func:`~counterbias.lengths.distribution.summarise_lengths`).
    """
    if len(sites.ends) < 2:
        return None
    some = slice(None, None, max(1, -(-len(sites) // MOST_FRAGMENTS)))
    fragments = fragments_by_feature(sites.of_rows(some), np.diff(transcripts.offsets) > 0)
    found = _measure(
        fragments.rows, fragments.offsets, fragments.columns,
        np.asarray(contig_of)[features.block_contig], features.block_offsets, features.block_start,
        features.block_end, bases_before(features), transcripts.offsets, transcripts.exon_offsets,
        transcripts.start, transcripts.end, *transcripts.edges,
    )  # fmt: skip
    return summarise_lengths(found)


@loop(
    "i4[::1], i8[::1], (i4[::1], i4[::1], u1[::1], i4[::1], i4[::1], u1[::1]), i8[::1], "
    "i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1]",
)
def _measure(  # type: ignore[no-untyped-def]
    rows, row_offsets, columns, block_contig, block_offsets, block_start, block_end, before,
    transcript_offsets, exon_offsets, start, end, edge_offsets, all_edges,
):  # fmt: skip
    """List the lengths of the fragments that have one."""
    found, used = np.empty(len(rows), np.int64), 0
    for f in range(len(transcript_offsets) - 1):
        low, high = transcript_offsets[f], transcript_offsets[f + 1]
        if row_offsets[f] == row_offsets[f + 1]:
            continue
        edges = all_edges[edge_offsets[f] : edge_offsets[f + 1]]
        if len(edges) > classes.MOST_EDGES or len(edges) * (high - low) > classes.MOST_PLACES:
            continue
        place = classes.cut_segments(exon_offsets[low : high + 1], start, end, edges)
        for i in range(row_offsets[f], row_offsets[f + 1]):
            known, left, right = ends_of(
                rows[i], block_contig[block_offsets[f]], columns[0], columns[1], columns[2],
                columns[3], columns[4], columns[5], True,
            )  # fmt: skip
            if known == BOTH:
                blocks = block_offsets[f], block_offsets[f + 1]
                length = _one_length(
                    offset_on_line(left, *blocks, block_start, block_end, before),
                    offset_on_line(right, *blocks, block_start, block_end, before),
                    edges,
                    place,
                )
                if length > 0:
                    found[used] = length
                    used += 1
    return found[:used]


@helper
def _one_length(left, right, edges, place):  # type: ignore[no-untyped-def]
    """Return the length of a fragment in all transcripts that it fits; 0 where they disagree."""
    if left < 0 or right < 0:
        return 0
    near = last_upto(left, edges, 0, len(edges))
    far = last_upto(right, edges, near, len(edges))
    common = 0
    for t in range(place.shape[1]):
        if place[near, t] >= 0 and place[far, t] >= 0:
            length = (place[far, t] + right - edges[far]) - (place[near, t] + left - edges[near])
            if common > 0 and length + 1 != common:
                return 0
            common = length + 1
    return common
