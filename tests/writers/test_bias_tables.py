from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterbias.errors import InputError
from counterbias.pipeline.bias.columns import COLUMNS, bias_columns, fold_changes
from counterbias.writers.bias_tables import write_bias_table

LENGTHS = np.array([1000, 2000, 500])
RAW = np.array([100, 300, 0])
WEIGHTED = np.array([120.0, 280.0, 0.0])
EFFECTIVE = np.array([500.0, 2000.0, 600.0])


def test_columns_by_hand() -> None:
    found = bias_columns(LENGTHS, RAW, WEIGHTED, EFFECTIVE)
    assert tuple(found) == COLUMNS
    # raw × length / effective_length: 200 and 300; scaled from 500 to 400.
    assert found["corrected"].tolist() == pytest.approx([160, 240, 0])
    assert found["fpkm_raw"].tolist() == pytest.approx(
        [1e9 * 100 / (1000 * 400), 1e9 * 300 / (2000 * 400), 0]
    )
    assert found["fpkm_weighted"].tolist() == pytest.approx(
        [1e9 * 120 / (1000 * 400), 1e9 * 280 / (2000 * 400), 0]
    )
    assert found["fpkm_corrected"].tolist() == pytest.approx(
        [1e9 * 160 / (1000 * 400), 1e9 * 240 / (2000 * 400), 0]
    )
    assert found["tpm_corrected"].tolist() == pytest.approx(
        [1e6 * 0.2 / 0.35, 1e6 * 0.15 / 0.35, 0]
    )


def test_without_bias_all_counts_are_the_raw_ones() -> None:
    found = bias_columns(LENGTHS, RAW, RAW.astype(float), LENGTHS.astype(float))
    assert found["corrected"].tolist() == pytest.approx(RAW.tolist())
    assert found["fpkm_corrected"].tolist() == pytest.approx(found["fpkm_raw"].tolist())


def test_a_library_without_reads_gives_zeros() -> None:
    nothing = np.zeros(3)
    found = bias_columns(LENGTHS, nothing, nothing, EFFECTIVE)
    for name in COLUMNS[4:]:
        assert found[name].tolist() == [0, 0, 0]


def test_the_table_is_written_whole_and_always_the_same(tmp_path: Path) -> None:
    columns = bias_columns(LENGTHS, RAW, WEIGHTED, EFFECTIVE)
    path = tmp_path / "sample.counts.tsv"
    write_bias_table(path, ["a", "b", "c"], columns, attributes={"gene_name": ["x", "", "z"]})
    lines = path.read_text().splitlines()
    assert lines[0] == "feature\tgene_name\t" + "\t".join(COLUMNS)
    assert lines[1].split("\t") == [
        "a",
        "x",
        "1000",
        "100",
        "120",
        "500",
        "160",
        "250000",
        "300000",
        "400000",
        "571428.571",
    ]
    assert lines[2].split("\t")[1] == ""
    first = path.read_bytes()
    write_bias_table(path, ["a", "b", "c"], columns, attributes={"gene_name": ["x", "", "z"]})
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["sample.counts.tsv"]


def test_big_counts_keep_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "big.tsv"
    write_bias_table(
        path, ["a"], {"raw": np.array([123_456_789_012]), "weighted": np.array([12_345_678.25])}
    )
    assert path.read_text() == "feature\traw\tweighted\na\t123456789012\t12345678.2\n"


def test_an_unwritable_table_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_bias_table(tmp_path / "missing" / "x.tsv", ["a"], {"raw": np.array([1])})


def test_fold_changes_by_expression() -> None:
    raw = np.arange(0, 101)
    entries = fold_changes(raw, raw * 2.0, bins=10)
    assert len(entries) == 10
    assert sum(int(entry["features"]) for entry in entries) == 100  # type: ignore[call-overload]
    assert entries[0]["raw_min"] == 1
    assert entries[-1]["raw_max"] == 100
    assert all(entry["quantiles"] == [1.0] * 5 for entry in entries)
    assert fold_changes(np.zeros(3), np.zeros(3)) == []
