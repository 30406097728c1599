"""``counterbias collect --h5ad``: an AnnData file of the cohort."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from counterbias import __version__
from tests.collect.cohort import SAMPLES, change_report, collect, matrix


@pytest.fixture
def data(tables: list[Path], tmp_path: Path) -> Any:
    """Collect the samples, the second one stranded; return what anndata reads."""
    change_report(tables[1], lambda report: report["options"].update(stranded="yes"))
    collect(tmp_path / "cohort", *tables, options=("--h5ad",))
    return anndata.read_h5ad(tmp_path / "cohort" / "cohort.h5ad")


def test_matrices_are_those_of_the_text_files(data: Any, tmp_path: Path) -> None:
    assert data.shape == (3, 12)
    assert data.X.dtype == np.float32
    for name, values in (("raw", data.X), *data.layers.items()):
        if name != "weighted":
            found = matrix(tmp_path / "cohort" / f"{name}.tsv")
            np.testing.assert_array_equal(values, found.T)
            assert list(found.index) == list(data.var_names)
            assert list(found.columns) == list(data.obs_names) == list(SAMPLES)
    assert set(data.layers) == {"corrected", "weighted", "effective_length"}


def test_weighted_counts_are_those_of_the_samples(data: Any, tables: list[Path]) -> None:
    own = np.array([matrix(table)["weighted"] for table in tables])
    np.testing.assert_array_equal(data.layers["weighted"], own)


def test_features_and_samples_are_those_of_the_text_files(data: Any, tmp_path: Path) -> None:
    assert list(data.var.columns) == ["gene_name", "length"]
    features = matrix(tmp_path / "cohort" / "features.tsv")
    assert data.var["length"].tolist() == features["length"].tolist()
    assert data.var["gene_name"].tolist() == features["gene_name"].tolist()
    samples = pd.read_csv(tmp_path / "cohort" / "samples.tsv", sep="\t", index_col="sample")
    assert list(data.obs.columns) == list(samples.columns)
    assert data.obs["assigned"].tolist() == samples["assigned"].tolist()
    assert data.obs["model"].tolist() == ["heptamer"] * 3
    assert data.obs["model_file"].tolist() == [""] * 3
    assert np.isnan(data.obs["gain_read2"]).all()


def test_options_are_those_that_all_samples_have(data: Any) -> None:
    found = data.uns["counterbias"]
    assert found["version"] == __version__
    options = json.loads(found["options"])
    assert options["mode"] == "union"
    assert options["idattr"] == ["gene_id"]
    assert "stranded" not in options
    assert json.loads(found["versions"])["counterbias"] == [__version__]


def test_a_count_that_float32_would_round_is_kept(tables: list[Path], tmp_path: Path) -> None:
    lines = tables[0].read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    for row in rows[1:]:
        row[3] = "0"
    rows[1][3] = "16777217"
    tables[0].write_text("".join("\t".join(row) + "\n" for row in rows))
    change_report(tables[0], lambda report: report["counting"].update(assigned=16777217.0))
    collect(tmp_path / "cohort", *tables, options=("--h5ad",))
    data = anndata.read_h5ad(tmp_path / "cohort" / "cohort.h5ad")
    assert data.X[0, 0] == 16777217


def test_without_anndata_nothing_is_read(
    tables: list[Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    monkeypatch.setattr("counterbias.writers.cohort_h5ad.find_spec", lambda name: None)
    collect(tmp_path / "cohort", *tables, options=("--h5ad",), status=1)
    assert "writing .h5ad files needs anndata" in capfd.readouterr().err
    assert not (tmp_path / "cohort").exists()


def test_attributes_that_are_called_as_other_columns(tables: list[Path], tmp_path: Path) -> None:
    lines = tables[0].read_text().splitlines(keepends=True)
    head = lines[0].replace("gene_name", "length")
    tables[0].write_text("".join([head, *lines[1:]]))
    collect(tmp_path / "cohort", tables[0], options=("--h5ad",))
    data = anndata.read_h5ad(tmp_path / "cohort" / "cohort.h5ad")
    assert list(data.var.columns) == ["length_attribute", "length"]
    assert data.var["length_attribute"].tolist()[0] == "GENE1"
    tables[0].write_text("".join([lines[0].replace("gene_name", "a/feature"), *lines[1:]]))
    collect(tmp_path / "cohort", tables[0], options=("--h5ad",))
    data = anndata.read_h5ad(tmp_path / "cohort" / "cohort.h5ad")
    assert list(data.var.columns) == ["a_feature", "length"]


def test_without_room_for_it_nothing_is_left(
    tables: list[Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HDF5 must not meet a full disk, which would end the program: room is looked for before."""
    asked: list[int] = []

    def no_room(room: int, folders: list[str]) -> str:
        asked.append(room)
        raise OSError(28, "No space left on device")

    capfd.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr("counterbias.writers.cohort_h5ad.folder_with_room", no_room)
        collect(tmp_path / "cohort", *tables, options=("--h5ad",), status=1)
    line = capfd.readouterr().err
    assert line.startswith(f"counterbias: {tmp_path}/cohort/cohort.h5ad: cannot be written: No spa")
    assert not (tmp_path / "cohort").exists()
    collect(tmp_path / "cohort", *tables, options=("--h5ad",))
    assert (tmp_path / "cohort" / "cohort.h5ad").stat().st_size < asked[0]
