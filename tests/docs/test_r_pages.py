"""The pages with R code: each block runs, and its result is what the page says.

One process of R runs all of them: to load DESeq2 takes longer than most blocks.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from counterbias.cli import main
from tests.docs.conftest import write_conditions
from tests.docs.pages import commands, section
from tests.docs.r_code import Code, Result, r_blocks, read_rows, run_blocks

HOW_TO = Path("docs") / "how-to"
EXPRESSION, TXIMPORT = "differential-expression.md", "tximport.md"
MATRICES, TRANSCRIPTS = "matrices.md", "lengths-by-transcripts.md"
SAMPLES = [f"sample{number}" for number in range(1, 7)]
#: Heading of a test → columns of its result: log2 fold change, p, adjusted p.
TESTS = {
    "DESeq2": ("log2FoldChange", "pvalue", "padj"),
    "edgeR": ("logFC", "PValue", "FDR"),
    "limma-voom": ("logFC", "P.Value", "adj.P.Val"),
}

#: (page, heading) → what the block prints, and its result.
Results = Mapping[tuple[str, str], tuple[str, Result]]


@pytest.fixture(scope="module")
def results(
    root: Path,
    two_conditions: Path,
    isoform_study: Path,
    differential_script: Path,
    r_packages: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """Run all blocks of the pages, each by itself in its study's folder, and some others."""
    tables = sorted(map(str, (two_conditions / "counted").glob("*.counts.tsv")))
    assert main(["collect", "-q", "-o", str(two_conditions / "cohort"), *tables]) == 0
    blocks = {
        (page, heading): Code(code, isoform_study if page == TRANSCRIPTS else two_conditions)
        for page in (EXPRESSION, TXIMPORT, MATRICES, TRANSCRIPTS)
        for heading, code in r_blocks((root / HOW_TO / page).read_text()).items()
    }
    isoforms = TRANSCRIPTS, "Isoforms of one sample"
    blocks[isoforms] = blocks[isoforms].followed_by("rownames(result) <- result$transcript_id\n")
    blocks["beside", "DESeq2's lengths"] = Code(
        blocks[TXIMPORT, "DESeq2"].code.partition("dds <- DESeq(")[0]
        + 'result <- assay(dds, "avgTxLength")\n',
        two_conditions,
    )
    blocks["beside", "edgeR's offsets"] = Code(
        blocks[TXIMPORT, "edgeR"].code.partition("design <-")[0]
        + "result <- y$offset; dimnames(result) <- dimnames(y$counts)\n",
        two_conditions,
    )
    blocks["beside", "tximport's lengths"] = blocks[
        TRANSCRIPTS, "Isoforms of all samples"
    ].followed_by(
        'names <- read.delim("counted/sample1.isoforms.results")[, 1:2]\n'
        "result <- summarizeToGene(isoforms, names)$length\n"
    )
    script = root / "benchmarks" / "validation" / "differential.R"
    blocks["beside", script.name] = Code(
        f'commandArgs <- function(...) "."\nsource("{script}")\nresult <- methods\n',
        differential_script,
    )
    return run_blocks(blocks, tmp_path_factory.mktemp("blocks"))


def column(path: Path, name: str) -> dict[str, float]:
    """Return first column → another column."""
    head, *rows = read_rows(path)
    place = head.index(name)
    return {row[0]: float(row[place]) for row in rows}


def matrix(folder: Path, name: str) -> Result:
    """Return a column of the samples' tables: gene → sample → number."""
    columns = {
        sample: column(folder / "counted" / f"{sample}.counts.tsv", name) for sample in SAMPLES
    }
    genes = columns[SAMPLES[0]]
    return {gene: {sample: columns[sample][gene] for sample in SAMPLES} for gene in genes}


def planned(folder: Path) -> dict[str, float]:
    """Return gene → its true log2 fold change."""
    return column(folder / "study" / "truth.tsv", "log2_fold_change_group2")


def assert_same(found: Result, wanted: Result, relative: float = 1e-8) -> None:
    for gene, row in found.items():
        assert row == pytest.approx(wanted[gene], rel=relative, nan_ok=True), gene


# -- differential-expression.md --------------------------------------------------------------------


@pytest.mark.parametrize("heading", TESTS)
def test_each_test_on_the_page_finds_the_changed_genes(
    heading: str, two_conditions: Path, results: Results
) -> None:
    printed, result = results[EXPRESSION, heading]
    change, _, adjusted = TESTS[heading]
    assert change in printed  # the block ends with the table
    truth = planned(two_conditions)
    assert 50 < len(result) <= len(truth)
    called = [gene for gene, row in result.items() if row[adjusted] < 0.05]
    large = [gene for gene in result if abs(truth[gene]) > 2]
    assert len(large) >= 4
    assert len(set(large) & set(called)) >= 0.7 * len(large)
    both = np.array([[row[change], truth[gene]] for gene, row in result.items()])
    assert np.corrcoef(both.T)[0, 1] > 0.8


def test_the_page_tells_how_much_the_bias_differs(two_conditions: Path, results: Results) -> None:
    """Apparent changes follow the true mean biases of genes, which only the first group has."""
    printed, result = results[EXPRESSION, "Does the bias of your conditions differ?"]
    spread = float(printed.split("over genes:")[1].split()[0])
    assert spread == pytest.approx(
        np.std([row["apparent_change"] for row in result.values()], ddof=1), abs=1e-3
    )
    assert spread > 0.1
    bias = column(two_conditions / "study" / "sample1.genes.tsv", "mean_bias")
    both = np.array(
        [[row["apparent_change"], -np.log2(bias[gene])] for gene, row in result.items()]
    )
    assert np.corrcoef(both.T)[0, 1] > 0.8


@pytest.fixture(scope="module")
def differential_script(two_conditions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of differential.R, with the genes that the pages keep."""
    folder = tmp_path_factory.mktemp("differential")
    (folder / "samples.tsv").write_text((two_conditions / "samples.tsv").read_text())
    raw = matrix(two_conditions, "raw")
    genes = [gene for gene, row in raw.items() if np.mean([*row.values()]) >= 10]
    for name in ("raw", "corrected", "effective_length"):
        values = matrix(two_conditions, name)
        lines = [["gene", *SAMPLES], *([gene, *values[gene].values()] for gene in genes)]
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        (folder / f"{name}.tsv").write_text(text)
    (folder / "genes.tsv").write_text("\n".join(["gene", *sorted(genes)]) + "\n")
    (folder / "methods.tsv").write_text(
        "method\tcounts\tlengths\tquantified\n"
        "offsets\traw.tsv\teffective_length.tsv\t\n"
        "corrected\tcorrected.tsv\t\t\n"
    )
    return folder


def test_the_benchmark_tests_as_the_page_does(differential_script: Path, results: Results) -> None:
    """differential.R, which makes the figures of the docs, returns the p-values of the page."""
    rows = read_rows(differential_script / "results.tsv")[1:]
    found = {(row[0], row[1], row[2]): row[4] for row in rows}
    genes = {gene for *_, gene in found}
    for heading, method, test in (
        ("DESeq2", "offsets", "DESeq2"),
        ("edgeR", "offsets", "edgeR"),
        ("limma-voom", "corrected", "voom"),
    ):
        result = results[EXPRESSION, heading][1]
        assert genes == set(result)
        theirs = [float(found[method, test, gene].replace("NA", "nan")) for gene in result]
        assert theirs == pytest.approx(
            [row[TESTS[heading][2]] for row in result.values()], rel=1e-6, nan_ok=True
        ), heading


# -- tximport.md -----------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", ["Read the genes", "Read the tables of counts instead"])
def test_lengths_are_ours_whichever_file_is_read(
    heading: str, two_conditions: Path, results: Results
) -> None:
    printed, found = results[TXIMPORT, heading]
    raw = matrix(two_conditions, "raw")
    assert set(found) == set(raw)
    assert_same(found, matrix(two_conditions, "effective_length"))
    shown = [line.split() for line in printed.splitlines() if line.startswith("SIMG")]
    assert len(shown) == 6
    assert all([*map(float, numbers)] == [*raw[gene].values()] for gene, *numbers in shown)


def test_deseq2_keeps_our_lengths(two_conditions: Path, results: Results) -> None:
    found = results["beside", "DESeq2's lengths"][1]
    assert len(found) > 50
    assert_same(found, matrix(two_conditions, "effective_length"))


def test_offsets_of_edger_are_our_lengths_but_for_a_factor_per_gene_and_per_sample(
    two_conditions: Path, results: Results
) -> None:
    found = results["beside", "edgeR's offsets"][1]
    lengths = matrix(two_conditions, "effective_length")
    difference = np.array(
        [[row[one] - np.log(lengths[gene][one]) for one in SAMPLES] for gene, row in found.items()]
    )
    difference -= difference.mean(axis=1, keepdims=True)
    assert np.allclose(difference, difference.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("test", ["DESeq2", "edgeR"])
def test_results_are_those_without_tximport(test: str, results: Results) -> None:
    found, wanted = results[TXIMPORT, test][1], results[EXPRESSION, test][1]
    assert set(found) == set(wanted)
    assert len(found) > 50
    for gene, row in found.items():
        for name in TESTS[test]:
            assert row[name] == pytest.approx(wanted[gene][name], rel=1e-4, nan_ok=True), gene


def test_voom_finds_nearly_what_it_finds_in_corrected_counts(results: Results) -> None:
    """The counts differ by a factor per gene, and so do the weights that voom gives them."""
    found, wanted = results[TXIMPORT, "limma-voom"][1], results[EXPRESSION, "limma-voom"][1]
    assert set(found) == set(wanted)
    changes = np.array([[row["logFC"], wanted[gene]["logFC"]] for gene, row in found.items()])
    assert np.abs(changes[:, 0] - changes[:, 1]).max() < 0.1


def test_the_correction_brings_fold_changes_closer_to_the_truth(
    two_conditions: Path, results: Results
) -> None:
    found = results[TXIMPORT, "Before and after"][1]
    assert {gene: row["after"] for gene, row in found.items()} == pytest.approx(
        {gene: row["log2FoldChange"] for gene, row in results[TXIMPORT, "DESeq2"][1].items()},
        rel=1e-6,
    )
    truth = planned(two_conditions)
    error = {
        which: np.std([row[which] - truth[gene] for gene, row in found.items()])
        for which in ("before", "after")
    }
    assert error["after"] < 0.9 * error["before"]


# -- matrices.md -----------------------------------------------------------------------------------


def test_deseq2_finds_the_same_in_matrices(results: Results) -> None:
    found, wanted = results[MATRICES, "R"][1], results[EXPRESSION, "DESeq2"][1]
    assert set(found) == set(wanted)
    assert_same(found, wanted, 1e-6)


# -- lengths-by-transcripts.md ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def isoform_study(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate and count as the page says, without a bias model.

    There are fewer reads, without bias, and no genes that overlap, whose ambiguous fragments no
    length can make up for.
    """
    folder = tmp_path_factory.mktemp("transcripts")
    page = (root / HOW_TO / TRANSCRIPTS).read_text()
    (simulate,) = commands(section(page, "The samples"))
    count = next(iter(commands(section(page, "Count, with lengths by transcripts"))))
    smaller = ["20000" if word == "100000" else word for word in simulate]
    unbiased = ["--genes", "80", "--overlapping", "0", "--bias-model", "none"]
    unbiased += ["--fold-changes", "2", "--seed", "3"]
    (folder / "counted").mkdir()
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert main([*smaller, *unbiased, "-q"]) == 0
        assert main([*count, "-q"]) == 0
    write_conditions(folder / "study")
    return folder


def error_of(found: dict[str, float], truth: dict[str, float], genes: list[str]) -> float:
    """Return the standard deviation of log2(found / truth)."""
    return float(np.std([np.log2(found[gene] / truth[gene]) for gene in genes]))


def test_the_table_of_tpm_is_closer_to_the_molecules_than_fpkm(
    isoform_study: Path, results: Results
) -> None:
    _, result = results[TRANSCRIPTS, "TPM per gene"]
    for sample in SAMPLES:
        tpm = {gene: row[sample] for gene, row in result.items()}
        counts = isoform_study / "counted" / f"{sample}.counts.tsv"
        assert tpm == pytest.approx(column(counts, "tpm_corrected"), rel=1e-6)
        truth = isoform_study / "study" / f"{sample}.genes.tsv"
        molecules, expected = column(truth, "abundance"), column(truth, "unbiased_fragments")
        genes = [gene for gene in tpm if expected[gene] >= 50]
        assert len(genes) > 20
        by_union = error_of(column(counts, "fpkm_raw"), molecules, genes)
        assert error_of(tpm, molecules, genes) < 0.75 * by_union


def test_isoforms_that_are_known_are_near_the_truth(isoform_study: Path, results: Results) -> None:
    printed, result = results[TRANSCRIPTS, "Isoforms of one sample"]
    told = re.match(r"(\d+) of (\d+) isoforms are known", printed)
    assert told is not None
    known, several = map(int, told.groups())
    assert len(result) == known
    assert 10 < known < several
    truth = isoform_study / "study" / "sample1.transcripts.tsv"
    molecules = column(truth, "abundance")
    genes = {row[0]: row[1] for row in read_rows(truth)[1:]}
    away = []
    for name, row in result.items():
        of_gene = sum(molecules[other] for other in genes if genes[other] == genes[name])
        assert row["IsoPct_se"] < 10
        away.append((row["IsoPct"] - 100 * molecules[name] / of_gene) / row["IsoPct_se"])
    # The standard errors say how near.
    assert np.sqrt(np.mean(np.square(away))) < 1.5


def test_tximport_reads_the_isoforms(isoform_study: Path, results: Results) -> None:
    _, result = results[TRANSCRIPTS, "Isoforms of all samples"]
    for sample in SAMPLES:
        path = isoform_study / "counted" / f"{sample}.isoforms.results"
        assert {name: row[sample] for name, row in result.items()} == pytest.approx(
            column(path, "TPM"), rel=1e-6
        )
    # What the page says of genes: tximport's average length is the table's effective length.
    _, lengths = results["beside", "tximport's lengths"]
    counts = isoform_study / "counted" / "sample1.counts.tsv"
    raw, effective = column(counts, "raw"), column(counts, "effective_length")
    found = {gene: row["sample1"] for gene, row in lengths.items() if raw[gene] > 0}
    assert len(found) > 50
    assert found == pytest.approx({gene: effective[gene] for gene in found}, rel=1e-6)


def test_offsets_find_the_genes_whose_molecules_change(
    isoform_study: Path, results: Results
) -> None:
    printed, result = results[TRANSCRIPTS, "DESeq2"]
    assert "length_change" in printed
    truth = planned(isoform_study)
    both = np.array([[row["log2FoldChange"], truth[gene]] for gene, row in result.items()])
    assert len(both) > 50
    assert np.corrcoef(both.T)[0, 1] > 0.8
    lengths = matrix(isoform_study, "effective_length")
    for gene in list(result)[:5]:
        logs = np.log2([lengths[gene][sample] for sample in SAMPLES])
        change = logs[3:].mean() - logs[:3].mean()  # samples 1 to 3 are the first group
        assert result[gene]["length_change"] == pytest.approx(change, abs=1e-6)
