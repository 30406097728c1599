"""The R code of docs/how-to/differential-expression.md: each block runs and finds the genes."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.docs.r_code import Result, r_blocks, read_rows, run_blocks

PAGE = Path("docs") / "how-to" / "differential-expression.md"
#: Heading of a block of R → columns of its result: log2 fold change, adjusted p.
TESTS = {
    "DESeq2": ("log2FoldChange", "padj"),
    "edgeR": ("logFC", "FDR"),
    "limma-voom": ("logFC", "adj.P.Val"),
}


@pytest.fixture(scope="module")
def results(
    root: Path, two_conditions: Path, r_packages: tuple[str, ...]
) -> dict[str, tuple[str, Result]]:
    """Run each block of the page by itself in the study's folder.

    Returns:
        heading → what it prints, and its result: gene → column → value.
    """
    page = (root / PAGE).read_text()
    return run_blocks(r_blocks(page), two_conditions)


def planned(folder: Path) -> dict[str, float]:
    with (folder / "study" / "truth.tsv").open(newline="") as stream:
        return {
            row["gene_id"]: float(row["log2_fold_change_group2"])
            for row in csv.DictReader(stream, delimiter="\t")
        }


@pytest.mark.parametrize("heading", TESTS)
def test_each_test_on_the_page_finds_the_changed_genes(
    heading: str, two_conditions: Path, results: dict[str, tuple[str, Result]]
) -> None:
    printed, result = results[heading]
    change, adjusted = TESTS[heading]
    assert change in printed  # the block ends with the table
    truth = planned(two_conditions)
    assert 50 < len(result) <= len(truth)
    called = [gene for gene, row in result.items() if row[adjusted] < 0.05]
    large = [gene for gene in result if abs(truth[gene]) > 2]
    assert len(large) >= 4
    assert len(set(large) & set(called)) >= 0.7 * len(large)
    both = np.array([[row[change], truth[gene]] for gene, row in result.items()])
    assert np.corrcoef(both.T)[0, 1] > 0.8


def test_the_page_tells_how_much_the_bias_differs(
    two_conditions: Path, results: dict[str, tuple[str, Result]]
) -> None:
    """Apparent changes follow the true mean biases of genes, which only the first group has."""
    printed, result = results["Does the bias of your conditions differ?"]
    spread = float(printed.split("over genes:")[1].split()[0])
    assert spread == pytest.approx(
        np.std([row["apparent_change"] for row in result.values()], ddof=1), abs=1e-3
    )
    assert spread > 0.1
    with (two_conditions / "study" / "sample1.genes.tsv").open(newline="") as stream:
        bias = {
            row["gene_id"]: float(row["mean_bias"])
            for row in csv.DictReader(stream, delimiter="\t")
        }
    both = np.array(
        [[row["apparent_change"], -np.log2(bias[gene])] for gene, row in result.items()]
    )
    assert np.corrcoef(both.T)[0, 1] > 0.8


def test_the_benchmark_tests_as_the_page_does(
    root: Path, two_conditions: Path, results: dict[str, tuple[str, Result]], tmp_path: Path
) -> None:
    """differential.R, which makes the figures of the docs, returns the p-values of the page."""
    (tmp_path / "samples.tsv").write_text((two_conditions / "samples.tsv").read_text())
    tables = [
        read_rows(two_conditions / "counted" / f"sample{number}.counts.tsv")
        for number in range(1, 7)
    ]
    genes = set(results["DESeq2"][1])  # those that the page keeps
    for name in ("raw", "corrected", "effective_length"):
        place = tables[0][0].index(name)
        lines = [
            [rows[0][0], *(row[place] for row in rows)]
            for rows in zip(*(table[1:] for table in tables), strict=True)
        ]
        head = ["gene", *(f"sample{number}" for number in range(1, 7))]
        kept = [head, *(line for line in lines if line[0] in genes)]
        (tmp_path / f"{name}.tsv").write_text("".join("\t".join(line) + "\n" for line in kept))
    methods = (
        "method\tcounts\tlengths\tquantified\n"
        "offsets\traw.tsv\teffective_length.tsv\t\n"
        "corrected\tcorrected.tsv\t\t\n"
    )
    (tmp_path / "genes.tsv").write_text("\n".join(["gene", *sorted(genes)]) + "\n")
    (tmp_path / "methods.tsv").write_text(methods)
    script = root / "benchmarks" / "validation" / "differential.R"
    subprocess.run(
        ["Rscript", "--vanilla", str(script), str(tmp_path)], capture_output=True, check=True
    )
    found = {(row[0], row[1], row[2]): row[4] for row in read_rows(tmp_path / "results.tsv")[1:]}
    for heading, method, test in (
        ("DESeq2", "offsets", "DESeq2"),
        ("edgeR", "offsets", "edgeR"),
        ("limma-voom", "corrected", "voom"),
    ):
        result = results[heading][1]
        assert genes == set(result)
        theirs = [float(found[method, test, gene].replace("NA", "nan")) for gene in result]
        assert theirs == pytest.approx(
            [row[TESTS[heading][1]] for row in result.values()], rel=1e-6, nan_ok=True
        ), heading
