"""UMIs with a bias model: weights of reads become layers of the table of cells."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pysam
import pytest
from scipy.io import mmread
from scipy.optimize import brentq

from counterbias.cli import main
from counterbias.pipeline.counting import molecules
from counterbias.pipeline.counting.umis import weights_of_umis
from tests.barcodes.small_cells import CELLS


def run(folder: Path, *options: object) -> int:
    """Count with a model, into ``folder``."""
    words = ["count-barcodes", "-q", "-s", "yes", "--bias-genome", folder / "genome.fa"]
    words += [*options, folder / "cells.bam", folder / "genes.gtf"]
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def weighted(folder: Path) -> anndata.AnnData:
    """Count with a model, and write h5ad and the alignments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(molecules, "CHUNK", 500)  # so that there are several
        written = ("-c", folder / "x.h5ad", "-o", folder / "x.bam", "-p", "BAM")
        model = ("--bias-model", "pwm", "--bias-output", folder / "x", "--bias-lengths", "union")
        model += ("--bias-bigwig", folder / "x")
        assert run(folder, *model, *written, "--correct-UMI-distance", "1") == 0
    return anndata.read_h5ad(folder / "x.h5ad")


def closest(umis: dict[str, int], distance: int) -> dict[str, str]:
    """Return UMI → the one that takes its reads."""
    left, into = sorted(umis, key=lambda umi: -umis[umi]), {}
    while left:
        centre = left[0]
        for umi in left:
            if sum(a != b for a, b in zip(umi, centre, strict=True)) <= distance:
                into[umi] = centre
        left = [umi for umi in left if umi not in into]
    return into


def test_the_quality_report_records_the_options(folder: Path, weighted: anndata.AnnData) -> None:
    del weighted
    report = json.loads((folder / "x.counterbias.json").read_text())
    assert (
        report["options"].items() >= {"cell_tag": "CB", "umi_tag": "UB", "umi_distance": 1}.items()
    )
    assert report["command_line"].startswith("counterbias count-barcodes ")


def test_each_umi_counts_by_the_mean_weight_of_its_reads_and_their_number(
    folder: Path, weighted: anndata.AnnData
) -> None:
    reads: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    numbers: dict[str, dict[str, int]] = {cell: defaultdict(int) for cell in CELLS}
    with pysam.AlignmentFile(str(folder / "x.bam")) as stream:
        for record in stream:
            if record.has_tag("CB"):
                place = str(record.get_tag("XF"))
                weight = float(record.get_tag("ZW")) if record.has_tag("ZW") else 1.0
                cell, umi = str(record.get_tag("CB")), str(record.get_tag("UB"))
                reads[cell, umi].append((place.partition("[")[0], weight))
                numbers[cell][umi] += 1
            else:
                assert record.get_tag("XF") == "__too_low_aQual"
                assert not record.has_tag("ZW")
    raw = pd.DataFrame(0.0, weighted.obs_names, weighted.var_names)
    means: list[tuple[str, str, float]] = []
    supporting = 0
    for cell in CELLS:
        into = closest(numbers[cell], 1)
        joined: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for umi in numbers[cell]:
            for place, weight in reads[cell, umi]:
                joined[into[umi]][place].append(weight)
        for places in joined.values():
            best = sorted(places, key=lambda place: -len(places[place]))
            if len(best) > 1 and len(places[best[0]]) == len(places[best[1]]):
                continue
            raw.loc[cell, best[0]] += 1
            if not best[0].startswith("__"):
                means.append((cell, best[0], float(np.mean(places[best[0]]))))
                supporting += len(places[best[0]])
    expected = raw.copy()
    expected.iloc[:, :-5] = 0.0
    rate = brentq(lambda rate: rate / (1 - np.exp(-rate)) - supporting / len(means), 1e-6, 100)
    for cell, feature, mean in means:
        expected.loc[cell, feature] += (1 - np.exp(-rate)) / (1 - np.exp(-rate / mean))
    assert np.array_equal(weighted.X, raw)
    assert np.array_equal(weighted.layers["raw"], raw)
    assert np.allclose(weighted.layers["weighted"], expected, rtol=1e-5)
    # Not by accident: there is bias, and UMIs have several reads.
    assert np.abs(weighted.layers["weighted"] - weighted.X).max() > 1
    assert 1.3 < supporting / len(means) < 3


def test_umis_weigh_less_the_more_reads_they_have() -> None:
    means = np.array([0.25, 1.0, 4.0])
    assert np.array_equal(weights_of_umis(means, 1.0), means)  # every read is a molecule of its own
    assert np.allclose(weights_of_umis(means, 1.001), means, rtol=5e-3)
    some = weights_of_umis(means, 2.0)
    assert means[0] < some[0] < some[1] < some[2] < means[2]
    assert some[1] == 1
    assert np.allclose(weights_of_umis(means, 50.0), 1.0, rtol=1e-5)  # every molecule is seen
    # Worked out: molecules have 1 read on average, so that those seen have 1/(1 - 1/e).
    seen = 1 - np.exp(-1)
    assert np.allclose(weights_of_umis(means, 1 / seen), seen / (1 - np.exp(-1 / means)))


def test_corrected_umis_follow_lengths_within_each_cell(
    folder: Path, weighted: anndata.AnnData
) -> None:
    table = pd.read_csv(folder / "x.counts.tsv", sep="\t", index_col=0)
    raw = weighted.to_df().iloc[:, :-5]
    factor = (table.length / table.effective_length).where(table.raw > 0, 0)
    scaled = raw * factor.to_numpy()
    scaled = scaled.mul(raw.sum(axis=1) / scaled.sum(axis=1), axis=0)
    corrected = weighted.layers["corrected"]
    assert np.allclose(corrected[:, :-5], scaled, rtol=1e-5)
    assert np.array_equal(corrected[:, -5:], weighted.X[:, -5:])
    assert np.abs(corrected - weighted.X).max() > 0.05


def test_files_of_all_cells_are_those_of_count(folder: Path, weighted: anndata.AnnData) -> None:
    del weighted
    words = ["count", "-q", "-s", "yes", "--bias-genome", folder / "genome.fa"]
    words += ["--bias-model", "pwm", "--bias-output", folder / "y", "--bias-lengths", "union"]
    words += ["--bias-bigwig", folder / "y"]
    words += ["-c", folder / "y.tsv", folder / "cells.bam", folder / "genes.gtf"]
    assert main([str(word) for word in words]) == 0
    for ending in (".counts.tsv", ".model", ".forward.bw", ".reverse.bw"):
        assert Path(f"{folder}/x{ending}").read_bytes() == Path(f"{folder}/y{ending}").read_bytes()


@pytest.mark.parametrize("main_table", ["raw", "weighted", "corrected", "rounded"])
def test_layers_lie_in_files_beside_the_table(
    folder: Path, weighted: anndata.AnnData, tmp_path: Path, main_table: str
) -> None:
    layers = {"raw": weighted.X, **weighted.layers}
    layers["rounded"] = np.rint(layers["weighted"])
    beside = {name for name in ("raw", "weighted", "corrected") if name != main_table}
    model = ("--bias-model", folder / "x.model", "--bias-output", tmp_path / "m/")
    options = (
        "--bias-lengths",
        "union",
        "--correct-UMI-distance",
        "1",
        "--bias-counts",
        main_table,
    )
    for ending in ("mtx", "tsv"):
        assert run(folder, *model, *options, "-c", tmp_path / f"x.{ending}") == 0
    names = {main_table: "x", **{name: f"x.{name}" for name in beside}}
    assert {path.name for path in tmp_path.glob("x*")} == {
        *(f"{name}.{ending}" for name in names.values() for ending in ("mtx", "tsv")),
        "x_features.tsv",
        "x_samples.tsv",
    }
    for name, stem in names.items():
        table = pd.read_csv(tmp_path / f"{stem}.tsv", sep="\t", index_col=0).T
        assert list(table.index) == CELLS
        assert np.allclose(mmread(tmp_path / f"{stem}.mtx"), layers[name], rtol=1e-5)
        assert np.allclose(table, layers[name], rtol=1e-4, atol=1e-6)


def test_loom_files_have_layers_and_no_lengths_unless_asked_for(
    folder: Path, weighted: anndata.AnnData, tmp_path: Path
) -> None:
    model = ("--bias-model", folder / "x.model", "--bias-output", tmp_path / "m")
    assert run(folder, *model, "-c", tmp_path / "x.loom", "--correct-UMI-distance", "1") == 0
    with h5py.File(tmp_path / "x.loom") as loom:
        assert set(loom["layers"]) == {"raw", "weighted"}
        assert np.array_equal(loom["matrix"][()].T, weighted.X)
        found = loom["layers/weighted"][()].T
    assert np.allclose(found, weighted.layers["weighted"], rtol=1e-5)


def test_lengths_alone(folder: Path, tmp_path: Path) -> None:
    words = ["count-barcodes", "-q", "-s", "yes", "--bias-lengths", "transcripts"]
    words += ["-c", str(tmp_path / "x.h5ad"), "--bias-model", "none"]
    words += ["--bias-output", str(tmp_path / "x"), "--counts-output-sparse"]
    files = [str(folder / "cells.bam"), str(folder / "genes.gtf")]
    assert main([*words, *files]) == 0
    found = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert set(found.layers) == {"raw", "corrected"}
    assert np.allclose(found.layers["corrected"].sum(axis=1), found.X.sum(axis=1))
    assert (tmp_path / "x.isoforms.results").exists()


def test_layers_without_a_place_are_warned_of(
    folder: Path, weighted: anndata.AnnData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del weighted
    model = ("--bias-model", folder / "x.model", "--bias-output", tmp_path / "m")
    assert run(folder, *model) == 0
    shown, messages = capsys.readouterr()
    assert shown.startswith("\tcell0\tcell1")
    assert "Warning: weighted UMIs of each cell are not written" in messages
    assert run(folder, *model, "-c", tmp_path / "x.weighted.tsv", "-o", tmp_path / "x.sam") == 0
    # A layer must not replace what is written or read.
    taken = tmp_path / "x.weighted.tsv"
    assert run(folder, *model, "-c", tmp_path / "x.tsv", "-o", taken) == 1
    assert "-c and -o would write the same file twice" in capsys.readouterr().err


def test_a_pipe_takes_the_main_table_alone(
    folder: Path, weighted: anndata.AnnData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the names of its folders: here a dot is in one."""
    del weighted
    (tmp_path / "v1.0").mkdir()
    pipe = tmp_path / "v1.0/pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        model = ("--bias-model", folder / "x.model", "--bias-output", tmp_path / "m")
        assert run(folder, *model, "-c", pipe) == 0
        assert os.read(reader, 1 << 16).startswith(b"\tcell0\tcell1")
    finally:
        os.close(reader)
    assert "Warning: weighted UMIs of each cell are not written" in capsys.readouterr().err
