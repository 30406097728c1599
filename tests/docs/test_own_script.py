"""The page on weights in a counting loop of one's own: its loop counts what `count` counts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from counterbias.cli import main
from tests.docs.running import Place, run_page

PAGE = Path("docs") / "how-to" / "own-script.md"


def test_the_loop_has_the_counts_and_weights_of_count(root: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert main(["simulate", "-q", "-o", str(made), "--pairs", "5000", "--genes", "40"]) == 0
    (made / "sample1.bam").rename(tmp_path / "reads.bam")
    (made / "genome.fa").rename(tmp_path / "genome.fa")
    lines = (made / "genes.gtf").read_text().splitlines(keepends=True)
    # One contig has reads but no genes.
    (tmp_path / "genes.gtf").write_text("".join(x for x in lines if not x.startswith("chr4\t")))
    names = run_page(root / PAGE, Place(tmp_path, smaller={"model auto": "model vlmm"})).names

    table = pd.read_csv(tmp_path / "counts.txt", sep="\t", header=None, index_col=0)[1]
    special = table[table.index.str.startswith("__")]
    assert (special[["__no_feature", "__too_low_aQual", "__alignment_not_unique"]] > 10).all()
    assert special["__ambiguous"] > 10
    beside = pd.read_csv(tmp_path / "reads.counts.tsv", sep="\t", index_col="feature")
    assert beside.raw.sum() > 2000
    found = beside[beside.raw > 0]
    assert names["counts"] == dict(found.raw)
    assert names["weighted"] == pytest.approx(dict(found.weighted), rel=1e-5)
    assert (found.weighted / found.raw).std() > 0.01  # the model is used
