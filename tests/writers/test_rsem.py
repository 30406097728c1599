"""RSEM's tables of genes and isoforms: its columns, whole or not at all, the same bytes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterbias.errors import InputError
from counterbias.records import Isoforms
from counterbias.writers.rsem import ISOFORM_COLUMNS, write_genes, write_isoforms

#: One gene with two transcripts, 3 to 1; a gene of one; and one whose transcripts cannot be told
#: apart, so that their errors are as large as their shares.
ISOFORMS = Isoforms(
    ids=("A.1", "A.2", "C.1"),
    feature=np.array([0, 0, 2]),
    length=np.array([1200, 900, 300]),
    effective_length=np.array([1000.5, 700.0, 100.0]),
    expected_count=np.array([1 / 3, 30.0, 0.0]),
    tpm=np.array([750_000.0, 250_000.0, 0.0]),
    fpkm=np.array([1e-12, 2.5, 0.0]),
    iso_pct=np.array([75.0, 25.0, 0.0]),
    expected_count_se=np.array([0.5, 5.0, 12.0]),
    iso_pct_se=np.array([12.25, 12.25, 28.8675134594813]),
)
FEATURES = ("geneA", "geneB", "geneC")


def test_the_file_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "s.isoforms.results"
    write_isoforms(path, FEATURES, ISOFORMS)
    assert path.read_text() == (
        "transcript_id\tgene_id\tlength\teffective_length\texpected_count\tTPM\tFPKM\tIsoPct\t"
        "expected_count_se\tIsoPct_se\n"
        "A.1\tgeneA\t1200\t1000.5\t0.333333333\t750000\t1e-12\t75\t0.5\t12.25\n"
        "A.2\tgeneA\t900\t700\t30\t250000\t2.5\t25\t5\t12.25\n"
        "C.1\tgeneC\t300\t100\t0\t0\t0\t0\t12\t28.8675135\n"
    )


def test_rsem_readers_find_their_columns_by_name(tmp_path: Path) -> None:
    """tximport reads these columns of RSEM's files, in any order, below a header in line 1."""
    path = tmp_path / "s.isoforms.results"
    write_isoforms(path, FEATURES, ISOFORMS)
    found = pd.read_csv(path, sep="\t")
    assert {
        "transcript_id", "gene_id", "length", "effective_length", "expected_count", "TPM"
    } <= set(found.columns)  # fmt: skip
    assert found.columns[:8].tolist() == list(ISOFORM_COLUMNS[:8])
    assert found["TPM"].sum() == pytest.approx(1e6)
    assert found["length"].dtype.kind == "i"


def test_no_isoforms_leave_a_header(tmp_path: Path) -> None:
    nothing = {field.name: getattr(ISOFORMS, field.name)[:0] for field in fields(Isoforms)}
    write_isoforms(tmp_path / "s", FEATURES, Isoforms(**nothing))
    assert (tmp_path / "s").read_text() == "\t".join(ISOFORM_COLUMNS) + "\n"


def test_columns_of_unlike_lengths_leave_no_file(tmp_path: Path) -> None:
    columns = {field.name: getattr(ISOFORMS, field.name) for field in fields(Isoforms)}
    short = Isoforms(**columns | {"tpm": np.zeros(2)})
    with pytest.raises(ValueError):
        write_isoforms(tmp_path / "s", FEATURES, short)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="isoforms"):
        write_isoforms(tmp_path / "no" / "s.isoforms.results", FEATURES, ISOFORMS)


#: Two fragments of three are of gene A; gene B has none, and gene C has no transcripts.
COLUMNS = {
    "length": np.array([1500, 20, 300]),
    "raw": np.array([20, 0, 10]),
    "effective_length": np.array([1000.5, 12.0, 1 / 3]),
    "tpm_corrected": np.array([1e6 / 3, 0.0, 2e6 / 3]),
}
GENE_HEADER = "gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM\n"


def test_the_file_of_genes_by_hand(tmp_path: Path) -> None:
    """FPKM of gene A: 1e9 · 20 / (1000.5 · 30)."""
    path = tmp_path / "s.genes.results"
    write_genes(path, FEATURES, COLUMNS, ISOFORMS)
    assert path.read_text() == (
        GENE_HEADER + "geneA\tA.1,A.2\t1500\t1000.5\t20\t333333.333\t666333.5\n"
        "geneB\t\t20\t12\t0\t0\t0\n"
        "geneC\tC.1\t300\t0.333333333\t10\t666666.667\t1e+09\n"
    )


def test_genes_without_transcripts_and_without_fragments(tmp_path: Path) -> None:
    path = tmp_path / "s.genes.results"
    columns = COLUMNS | {"raw": np.zeros(3, np.int64), "tpm_corrected": np.zeros(3)}
    write_genes(path, FEATURES, columns, None)
    assert path.read_text() == (
        GENE_HEADER + "geneA\t\t1500\t1000.5\t0\t0\t0\n"
        "geneB\t\t20\t12\t0\t0\t0\n"
        "geneC\t\t300\t0.333333333\t0\t0\t0\n"
    )


def test_parts_of_fragments_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.genes.results"
    write_genes(path, FEATURES, COLUMNS | {"raw": np.array([0.5, 1 / 3, 0])}, None)
    found = pd.read_csv(path, sep="\t")
    assert found["expected_count"].tolist() == [0.5, 0.333333333, 0]
