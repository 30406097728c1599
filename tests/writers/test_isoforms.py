"""``PREFIX.isoforms.results``: RSEM's columns, whole or not at all, the same bytes every time."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterbias.errors import InputError
from counterbias.records import Isoforms
from counterbias.writers.isoforms import COLUMNS, write_isoforms

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
    assert found.columns[:8].tolist() == list(COLUMNS[:8])
    assert found["TPM"].sum() == pytest.approx(1e6)
    assert found["length"].dtype.kind == "i"


def test_no_isoforms_leave_a_header(tmp_path: Path) -> None:
    nothing = {field.name: getattr(ISOFORMS, field.name)[:0] for field in fields(Isoforms)}
    write_isoforms(tmp_path / "s", FEATURES, Isoforms(**nothing))
    assert (tmp_path / "s").read_text() == "\t".join(COLUMNS) + "\n"


def test_columns_of_unlike_lengths_leave_no_file(tmp_path: Path) -> None:
    columns = {field.name: getattr(ISOFORMS, field.name) for field in fields(Isoforms)}
    short = Isoforms(**columns | {"tpm": np.zeros(2)})
    with pytest.raises(ValueError):
        write_isoforms(tmp_path / "s", FEATURES, short)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="isoforms"):
        write_isoforms(tmp_path / "no" / "s.isoforms.results", FEATURES, ISOFORMS)
