"""``counterbias simulate`` with groups of samples: what differs between them, and their bias."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from counterbias.simulation import simulate_priming_bias
from tests.simulate.simulated_folders import column, inside, run, save_model, table, windows, words


def test_two_groups_differ_by_the_fold_changes_in_the_table(tmp_path: Path) -> None:
    options = words("--pairs 500 --genes 40 --samples 4 --groups 2 --variation 0 --changed 0.5")
    folder = run(tmp_path / "groups", *options)
    rows = table(folder / "truth.tsv")
    assert list(rows[0]) == [
        "gene_id",
        "sample1",
        "sample2",
        "sample3",
        "sample4",
        "log2_fold_change_group2",
    ]
    planned = column(rows, "log2_fold_change_group2")
    assert 10 <= np.count_nonzero(planned) <= 30
    for first, second, changes in (
        ("sample1", "sample2", 0),
        ("sample1", "sample3", 1),
        ("sample3", "sample4", 0),
    ):
        seen = np.log2(column(rows, second) / column(rows, first))
        assert np.ptp(seen - changes * planned) < 1e-3
    assert [row["group"] for row in table(folder / "samples.tsv")] == [
        "group1",
        "group1",
        "group2",
        "group2",
    ]
    assert (folder / "sample1.bam").read_bytes() != (folder / "sample2.bam").read_bytes()


def test_each_group_has_the_bias_asked_for(tmp_path: Path) -> None:
    """A group's reads are those of a study in which all have its bias; reports name that bias."""
    options = words("--pairs 800 --genes 40 --contigs 2 --samples 4 --groups 2")
    both = run(tmp_path / "both", *options, "--bias-model", "builtin,none")
    alone = {
        name: run(tmp_path / name, *options, "--bias-model", name) for name in ("builtin", "none")
    }
    for sample, name in (
        ("sample1", "builtin"),
        ("sample2", "builtin"),
        ("sample3", "none"),
        ("sample4", "none"),
    ):
        for ending in (".bam", ".genes.tsv", ".transcripts.tsv", ".starts.tsv.gz"):
            assert (both / f"{sample}{ending}").read_bytes() == (
                alone[name] / f"{sample}{ending}"
            ).read_bytes(), sample + ending
    assert np.ptp(column(table(both / "sample2.genes.tsv"), "mean_bias")) > 0.1
    assert set(column(table(both / "sample3.genes.tsv"), "mean_bias")) <= {0.0, 1.0}
    assert set(column(table(both / "sample3.starts.tsv.gz"), "log_bias")) == {0.0}
    rows = table(both / "samples.tsv")
    assert [row["bias_model"] for row in rows] == ["builtin", "builtin", "none", "none"]
    assert {row["strength"] for row in rows} == {"1"}
    report, before = (
        json.loads((folder / "simulation.json").read_text()) for folder in (both, alone["builtin"])
    )
    assert report["options"]["bias_model"] == ["builtin", "none"]
    assert report["log_mean_bias"] == [before["log_mean_bias"], [0.0, 0.0]]
    assert [one["bias_model"] for one in report["samples"]] == [
        "builtin",
        "builtin",
        "none",
        "none",
    ]


def test_groups_differ_in_the_strength_of_one_bias(tmp_path: Path) -> None:
    options = words("--pairs 3000 --genes 20 --samples 2 --groups 2 --strength 1,0.5")
    folder = run(tmp_path / "out", *options)
    bias = simulate_priming_bias(np.random.default_rng([1, 2]), strength=0.9)
    for sample, strength in (("sample1", 1.0), ("sample2", 0.5)):
        rows = table(folder / f"{sample}.starts.tsv.gz")
        rows = [row for row, kept in zip(rows, inside(folder, rows, 15), strict=True) if kept]
        assert (
            np.ptp(
                column(rows, "log_bias")
                - strength * bias.log_bias(windows(folder, rows, bias.window))
            )
            < 3e-4
        )
    assert [row["strength"] for row in table(folder / "samples.tsv")] == ["1", "0.5"]


def test_a_study_of_one_bias_is_described_as_before(tmp_path: Path) -> None:
    folder = run(
        tmp_path / "out", "--pairs", "100", "--genes", "20", "--samples", "2", "--groups", "2"
    )
    assert list(table(folder / "samples.tsv")[0]) == [
        "sample",
        "group",
        "fragments",
        "mapped_fragments",
    ]
    report = json.loads((folder / "simulation.json").read_text())
    assert (report["options"]["bias_model"], report["options"]["strength"]) == ("builtin", 1.0)
    assert len(report["log_mean_bias"]) == 2
    assert "bias_model" not in report["samples"][0]


def test_a_model_file_whose_name_has_a_comma(tmp_path: Path) -> None:
    save_model(tmp_path / "a,b.model")
    options = [
        "--pairs",
        "300",
        "--genes",
        "20",
        "--samples",
        "2",
        "--groups",
        "2",
        "--bias-model",
        str(tmp_path / "a,b.model"),
    ]
    report = json.loads((run(tmp_path / "out", *options) / "simulation.json").read_text())
    assert report["options"]["bias_model"] == "a,b.model"
