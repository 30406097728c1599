"""The pages on lengths by transcripts: commands, R code, and the numbers of the example."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from counterbias.cli import main
from counterbias.lengths import FeatureBias, FragmentLayout, FragmentLengths, transcript_lengths
from counterbias.records import (
    PRESENT,
    REVERSE,
    EndSites,
    Features,
    FeatureTranscripts,
    StartSites,
)
from tests.docs.pages import commands, section
from tests.docs.r_code import Result, r_blocks, read_rows, run_block

PAGE = Path("docs") / "how-to" / "lengths-by-transcripts.md"
SAMPLES = [f"sample{number}" for number in range(1, 7)]


# -- the how-to page -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate and count as the page says, without a bias model.

    There are fewer reads, without bias, and no genes that overlap, whose ambiguous fragments no
    length can make up for.
    """
    folder = tmp_path_factory.mktemp("transcripts")
    page = (root / PAGE).read_text()
    (simulate,) = commands(section(page, "The samples"))
    count = next(iter(commands(section(page, "Count, with lengths by transcripts"))))
    smaller = ["20000" if word == "100000" else word for word in simulate]
    unbiased = ["--genes", "80", "--overlapping", "0", "--bias-model", "none"]
    unbiased += ["--fold-changes", "2", "--seed", "3"]
    (folder / "counted").mkdir()
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert main([*smaller, *unbiased, "-q"]) == 0
        assert main([*count, "-q"]) == 0
    rows = (folder / "study" / "samples.tsv").read_text().splitlines()
    conditions = ["sample\tcondition", *("\t".join(row.split("\t")[:2]) for row in rows[1:])]
    (folder / "samples.tsv").write_text("\n".join(conditions) + "\n")
    return folder


def run(root: Path, study: Path, heading: str) -> tuple[str, Result]:
    return run_block(r_blocks((root / PAGE).read_text())[heading], study)


def table(path: Path, column: str) -> dict[str, float]:
    """Return first column → another column."""
    head, *rows = read_rows(path)
    place = head.index(column)
    return {row[0]: float(row[place]) for row in rows}


def error(found: dict[str, float], truth: dict[str, float], genes: list[str]) -> float:
    """Return the standard deviation of log2(found / truth)."""
    return float(np.std([np.log2(found[gene] / truth[gene]) for gene in genes]))


def test_the_table_of_tpm_is_closer_to_the_molecules_than_fpkm(
    root: Path, study: Path, r_packages: tuple[str, ...]
) -> None:
    _, result = run(root, study, "TPM per gene")
    for sample in SAMPLES:
        tpm = {gene: row[sample] for gene, row in result.items()}
        counts = study / "counted" / f"{sample}.counts.tsv"
        assert tpm == pytest.approx(table(counts, "tpm_corrected"), rel=1e-6)
        truth = study / "study" / f"{sample}.genes.tsv"
        molecules, expected = table(truth, "abundance"), table(truth, "unbiased_fragments")
        genes = [gene for gene in tpm if expected[gene] >= 50]
        assert len(genes) > 20
        by_union = error(table(counts, "fpkm_raw"), molecules, genes)
        assert error(tpm, molecules, genes) < 0.75 * by_union


def test_isoforms_that_are_known_are_near_the_truth(
    root: Path, study: Path, r_packages: tuple[str, ...]
) -> None:
    code = r_blocks((root / PAGE).read_text())["Isoforms of one sample"]
    printed, result = run_block(code + "rownames(result) <- result$transcript_id\n", study)
    told = re.match(r"(\d+) of (\d+) isoforms are known", printed)
    assert told is not None
    known, several = map(int, told.groups())
    assert len(result) == known
    assert 10 < known < several
    molecules = table(study / "study" / "sample1.transcripts.tsv", "abundance")
    genes = {row[0]: row[1] for row in read_rows(study / "study" / "sample1.transcripts.tsv")[1:]}
    away = []
    for name, row in result.items():
        of_gene = sum(molecules[other] for other in genes if genes[other] == genes[name])
        assert row["IsoPct_se"] < 10
        away.append((row["IsoPct"] - 100 * molecules[name] / of_gene) / row["IsoPct_se"])
    # The standard errors say how near.
    assert np.sqrt(np.mean(np.square(away))) < 1.5


def test_tximport_reads_the_isoforms(root: Path, study: Path, r_packages: tuple[str, ...]) -> None:
    heading = "Isoforms of all samples"
    _, result = run(root, study, heading)
    for sample in SAMPLES:
        path = study / "counted" / f"{sample}.isoforms.results"
        assert {name: row[sample] for name, row in result.items()} == pytest.approx(
            table(path, "TPM"), rel=1e-6
        )
    # What the page says of genes: tximport's average length is the table's effective length.
    summing = (
        'names <- read.delim("counted/sample1.isoforms.results")[, 1:2]\n'
        "result <- summarizeToGene(isoforms, names)$length\n"
    )
    _, lengths = run_block(r_blocks((root / PAGE).read_text())[heading] + summing, study)
    counts = study / "counted" / "sample1.counts.tsv"
    raw, effective = table(counts, "raw"), table(counts, "effective_length")
    found = {gene: row["sample1"] for gene, row in lengths.items() if raw[gene] > 0}
    assert len(found) > 50
    assert found == pytest.approx({gene: effective[gene] for gene in found}, rel=1e-6)


def test_offsets_find_the_genes_whose_molecules_change(
    root: Path, study: Path, r_packages: tuple[str, ...]
) -> None:
    printed, result = run(root, study, "DESeq2")
    assert "length_change" in printed
    with (study / "study" / "truth.tsv").open(newline="") as stream:
        truth = {
            row["gene_id"]: float(row["log2_fold_change_group2"])
            for row in csv.DictReader(stream, delimiter="\t")
        }
    both = np.array([[row["log2FoldChange"], truth[gene]] for gene, row in result.items()])
    assert len(both) > 50
    assert np.corrcoef(both.T)[0, 1] > 0.8
    tables = [study / "counted" / f"{sample}.counts.tsv" for sample in SAMPLES]
    logs = {
        gene: np.log2([table(path, "effective_length")[gene] for path in tables])
        for gene in list(result)[:5]
    }
    for gene, lengths in logs.items():  # samples 1 to 3 are the first group
        change = lengths[3:].mean() - lengths[:3].mean()
        assert result[gene]["length_change"] == pytest.approx(change, abs=1e-6)


# -- the example of the explanation ----------------------------------------------------------------

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
