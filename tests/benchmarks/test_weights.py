"""The benchmark of weights and effective lengths, at a tiny size; and what it relies on."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from counterbias.evaluation.units import Units
from counterbias.records import Positions
from tests.helpers.scripts import load as load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("weights")


@pytest.fixture(scope="module")
def rows(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Run the paired-end library once."""
    path = tmp_path_factory.mktemp("benchmark") / "out.json"
    size = ("--genes", "40", "--fragments", "30000")
    assert (
        script.main(["--data", "", "--libraries", "3", "--seeds", "4", *size, "--json", str(path)])
        == 0
    )
    found: list[dict[str, object]] = json.loads(path.read_text())["simulation"]
    return found


def test_every_setting_has_its_row(rows: list[dict[str, object]]) -> None:
    labels = [setting.label for setting in load_script("weights_simulated").SETTINGS]
    assert [row["setting"] for row in rows] == labels
    table = load_script("weights_tables").simulation_table(rows)
    assert "### paired-end" in table
    assert all(f"| {label} |" in table for label in labels)


def test_paired_effective_lengths_agree_with_the_simulated_truth(
    rows: list[dict[str, float]],
) -> None:
    """With the true bias, effective lengths are the mean bias of genes' fragments, noiseless."""
    known = rows[-1]
    assert known["effective"] < 0.3 * known["effective_raw"]
    assert abs(known["effective_length"]) < 0.02, "short genes and long genes alike"


def test_corrected_counts_are_nearest_to_the_truth(rows: list[dict[str, float]]) -> None:
    defaults = rows[0]
    assert defaults["corrected"] < defaults["raw"]
    assert defaults["effective"] < 0.8 * defaults["effective_raw"]
    assert rows[1]["ess"] > defaults["ess"] > rows[3]["ess"], "a lower cap keeps more of the sample"


def test_real_reads(
    script: ModuleType,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(data_dir))
    assert script.main(["--libraries", "", "--data", "yeast", "--folds", "1", "--seeds", "1"]) == 0
    table = capsys.readouterr().out
    assert "| gain, clipped |" in table
    assert "context transcript" in table


def test_reads_are_counted_at_their_strand_and_position() -> None:
    units = Units(
        np.zeros(2, np.int32),
        np.array([5, 5]),
        np.array([8, 7]),
        np.array([0, 1], np.uint8),
        np.array([0, 3, 5]),
        np.zeros(5),
    )
    position, strand = np.array([6, 6, 9, 5]), np.array([0, 1, 0, 1], np.uint8)
    starts = Positions(np.zeros(4, np.int32), position, strand, np.array([2.0, 3.0, 4.0, 5.0]))
    assert load_script("weights_real").count_at(units, starts).tolist() == [0, 2, 0, 5, 3]


def test_unknown_set(script: ModuleType) -> None:
    with pytest.raises(SystemExit):
        script.parse_arguments(["--data", "worm"])
    with pytest.raises(SystemExit):
        script.parse_arguments(["--libraries", "9"])
