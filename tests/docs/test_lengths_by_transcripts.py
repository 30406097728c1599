"""The example of the page on lengths: its numbers are those that the code finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterbias.lengths import FeatureBias, FragmentLayout, FragmentLengths, transcript_lengths
from counterbias.records import (
    PRESENT,
    REVERSE,
    EndSites,
    Features,
    FeatureTranscripts,
    StartSites,
)

#: Exons of 400, 1,200 and 400 bases, 100 bases apart; fragments of 201 bases.
EXONS, SIZE = ((0, 400), (500, 1700), (1800, 2200)), 201
LONG, SHORT = EXONS, (EXONS[0], EXONS[2])


def every_place(exons: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """Return the genome positions of both ends of a fragment at every place of a transcript."""
    bases = [position for start, end in exons for position in range(start, end)]
    return list(zip(bases, bases[SIZE - 1 :], strict=False))


def fragments_of(long: int, short: int) -> StartSites:
    """Return a hundredth of a fragment per place and molecule."""
    places = [(*ends, long / 100) for ends in every_place(LONG)]
    places += [(*ends, short / 100) for ends in every_place(SHORT)]
    left, right, share = (np.array(column) for column in zip(*places, strict=True))
    contig = np.zeros(len(left), np.int32)
    bits = np.full(len(left), PRESENT, np.uint8)
    ends = (
        EndSites(contig, left.astype(np.int32), bits),
        EndSites(contig, right.astype(np.int32), bits | np.uint8(REVERSE)),
    )
    return StartSites(("chr1",), (2200,), contig, share.astype(np.float32), ends)


@pytest.mark.parametrize(
    ("long", "short", "fragments", "length"), [(80, 20, 1560, 1560), (20, 80, 840, 840)]
)
def test_the_gene_that_switches_isoforms(
    root: Path, long: int, short: int, fragments: int, length: int
) -> None:
    page = (root / "docs" / "explanation" / "which-length.md").read_text()
    assert f"{long} × 18 + {short} × 6 = **{fragments:,}**" in page
    sites = fragments_of(long, short)
    assert sites.share is not None
    assert sites.share.sum() == pytest.approx(fragments)
    start, end = (np.array(column) for column in zip(*EXONS, strict=True))
    features = Features(
        ("gene",), {}, ("chr1",), np.array([0, 3]), np.zeros(3, np.int32), np.zeros(3, np.int8),
        start, end,
    )  # fmt: skip
    transcripts = FeatureTranscripts(
        ("long", "short"),
        np.array([0, 2]),
        np.array([0, 1, 3]),
        np.array([0, 0, 1600]),
        np.array([2000, 400, 2000]),
        np.zeros(1, np.uint8),
    )
    lengths = FragmentLengths(np.array([SIZE]), np.ones(1), fragments, float(SIZE), None, 0.0)
    bias = FeatureBias(features, np.array([0]), None, FragmentLayout("no", lengths))
    found = transcript_lengths(bias, transcripts, sites, only=np.ones(1, bool))
    assert found.effective.tolist() == [1800, 600]
    # The prior is worth one fragment.
    assert found.features == pytest.approx([length], rel=2e-3)
    assert found.molecules == pytest.approx([long / 100, short / 100], abs=2e-3)
