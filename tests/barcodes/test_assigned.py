"""UMIs counted by the assignments that other programs left in the tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterbias.cli import main
from tests.barcodes.small_cells import count, counted, line

UMI = ("CB:Z:x", "UB:Z:")


def tagged(place: str, umi: str, *tags: str) -> str:
    """Return a read of cell x with a UMI and tags of another program."""
    return line(place, UMI[0], UMI[1] + umi, *tags)


@pytest.mark.parametrize("nonunique", ["none", "all"])
def test_tags_of_htseq_count_give_the_same_table(
    folder: Path, tmp_path: Path, nonunique: str
) -> None:
    tables = []
    tags: list[str] = []
    for alignments in (folder / "cells.bam", tmp_path / "tagged.bam"):
        tables.append(tmp_path / f"{alignments.stem}.tsv")
        output = ["-q", "-c", str(tables[-1]), "--nonunique", nonunique]
        output += [] if tags else ["-o", str(tmp_path / "tagged.bam"), "-p", "bam"]
        words = [*output, *tags, str(alignments), str(folder / "genes.gtf")]
        assert main(["count-barcodes", *words]) == 0
        tags = ["--bias-assigned", "XF"]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert b"__ambiguous" in tables[0].read_bytes()


def test_tags_of_featurecounts_by_hand(tmp_path: Path) -> None:
    reads = [
        # Assigned, wherever the read lies; twice the same UMI.
        tagged("a", "AAAA", "XS:Z:Assigned", "XN:i:1", "XT:Z:b"),
        tagged("c", "AAAA", "XS:Z:Assigned", "XN:i:1", "XT:Z:b"),
        # featureCounts -O: counted for both.
        tagged("a", "CCCC", "XS:Z:Assigned", "XN:i:2", "XT:Z:a,c"),
        tagged("a", "CCCC", "XS:Z:Assigned", "XN:i:1", "XT:Z:c"),
        tagged("a", "GGGG", "XS:Z:Unassigned_Ambiguity"),
        tagged("a", "TTTT", "XS:Z:Unassigned_NoFeatures"),
        # What its filters leave out is a read of nothing, and its cell is none.
        line("a", "CB:Z:y", "UB:Z:ACAC", "XS:Z:Unassigned_Singleton"),
    ]
    table = count(tmp_path, reads, "--bias-assigned", "XT")
    assert table[""] == ["x"]
    assert counted(table) == {"b": ["1"], "c": ["1"], "__no_feature": ["1"], "__ambiguous": ["1"]}
