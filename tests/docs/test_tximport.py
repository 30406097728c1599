"""The page on tximport: its R code runs, and offsets are those of our own columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.docs.r_code import Result, r_blocks, read_rows, run_blocks

HOW_TO = Path("docs") / "how-to"
SAMPLES = [f"sample{number}" for number in range(1, 7)]
#: In place of the test of DESeq2: what its offsets are made of.
LENGTHS_OF_DESEQ2 = 'result <- assay(dds, "avgTxLength")\n'
#: In place of that of edgeR: its offsets.
OFFSETS_OF_EDGER = "result <- y$offset; dimnames(result) <- dimnames(y$counts)\n"


@pytest.fixture(scope="module")
def results(
    root: Path, two_conditions: Path, r_packages: tuple[str, ...]
) -> dict[str, tuple[str, Result]]:
    """Run the blocks of the page, those of the page without tximport, and what is added."""
    page = r_blocks((root / HOW_TO / "tximport.md").read_text())
    plain = r_blocks((root / HOW_TO / "differential-expression.md").read_text())
    added = {
        "lengths": page["DESeq2"].partition("dds <- DESeq(")[0] + LENGTHS_OF_DESEQ2,
        "offsets": page["edgeR"].partition("design <-")[0] + OFFSETS_OF_EDGER,
    }
    tests = {f"plain {name}": plain[name] for name in ("DESeq2", "edgeR", "limma-voom")}
    return run_blocks(page | tests | added, two_conditions)


def columns(folder: Path, name: str) -> Result:
    """Return a column of the samples' tables: gene → sample → number."""
    found: Result = {}
    for sample in SAMPLES:
        head, *rows = read_rows(folder / "counted" / f"{sample}.counts.tsv")
        place = head.index(name)
        for row in rows:
            found.setdefault(row[0], {})[sample] = float(row[place])
    return found


def assert_same(found: Result, wanted: Result) -> None:
    for gene, row in found.items():
        assert row == pytest.approx(wanted[gene], rel=1e-8), gene


@pytest.mark.parametrize("heading", ["Read the genes", "Read the tables of counts instead"])
def test_lengths_are_ours_whichever_file_is_read(
    heading: str, two_conditions: Path, results: dict[str, tuple[str, Result]]
) -> None:
    printed, found = results[heading]
    assert set(found) == set(columns(two_conditions, "raw"))
    assert_same(found, columns(two_conditions, "effective_length"))
    raw = columns(two_conditions, "raw")
    shown = [line.split() for line in printed.splitlines() if line.startswith("SIMG")]
    assert len(shown) == 6
    assert all([*map(float, numbers)] == [*raw[gene].values()] for gene, *numbers in shown)


def test_deseq2_keeps_our_lengths(
    two_conditions: Path, results: dict[str, tuple[str, Result]]
) -> None:
    found = results["lengths"][1]
    assert len(found) > 50
    assert_same(found, columns(two_conditions, "effective_length"))


def test_offsets_of_edger_are_our_lengths_but_for_a_factor_per_gene_and_per_sample(
    two_conditions: Path, results: dict[str, tuple[str, Result]]
) -> None:
    found, lengths = results["offsets"][1], columns(two_conditions, "effective_length")
    difference = np.array(
        [[row[one] - np.log(lengths[gene][one]) for one in SAMPLES] for gene, row in found.items()]
    )
    difference -= difference.mean(axis=1, keepdims=True)
    assert np.allclose(difference, difference.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize(
    ("test", "names"),
    [("DESeq2", ("log2FoldChange", "pvalue", "padj")), ("edgeR", ("logFC", "PValue", "FDR"))],
)
def test_results_are_those_without_tximport(
    test: str, names: tuple[str, ...], results: dict[str, tuple[str, Result]]
) -> None:
    found, wanted = results[test][1], results[f"plain {test}"][1]
    assert set(found) == set(wanted)
    assert len(found) > 50
    for gene, row in found.items():
        for name in names:
            assert row[name] == pytest.approx(wanted[gene][name], rel=1e-4, nan_ok=True), gene


def test_voom_finds_nearly_what_it_finds_in_corrected_counts(
    results: dict[str, tuple[str, Result]],
) -> None:
    """The counts differ by a factor per gene, and so do the weights that voom gives them."""
    found, wanted = results["limma-voom"][1], results["plain limma-voom"][1]
    assert set(found) == set(wanted)
    changes = np.array([[row["logFC"], wanted[gene]["logFC"]] for gene, row in found.items()])
    assert np.abs(changes[:, 0] - changes[:, 1]).max() < 0.1


def test_the_correction_brings_fold_changes_closer_to_the_truth(
    two_conditions: Path, results: dict[str, tuple[str, Result]]
) -> None:
    found = results["Before and after"][1]
    assert {gene: row["after"] for gene, row in found.items()} == pytest.approx(
        {gene: row["log2FoldChange"] for gene, row in results["DESeq2"][1].items()}, rel=1e-6
    )
    head, *rows = read_rows(two_conditions / "study" / "truth.tsv")
    place = head.index("log2_fold_change_group2")
    truth = {row[head.index("gene_id")]: float(row[place]) for row in rows}
    error = {
        which: np.std([row[which] - truth[gene] for gene, row in found.items()])
        for which in ("before", "after")
    }
    assert error["after"] < 0.9 * error["before"]
