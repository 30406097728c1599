"""MultiQC shows samples without a bias model: none was asked for, which is no failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from counterbias.cli import main
from counterbias_multiqc import checks
from counterbias_multiqc.parser import parse_report
from counterbias_multiqc.thresholds import Thresholds
from tests.helpers import multiqc_builders as builders

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")

NOTE = "No bias model was asked for"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure lengths of simulated pairs without a model; return the quality report."""
    folder = tmp_path_factory.mktemp("alone")
    study = folder / "study"
    small = ["--genes", "20", "--contigs", "1", "--pairs", "3000", "--stranded", "yes"]
    assert main(["simulate", "-q", "-o", str(study), *small]) == 0
    words = ["-q", "-r", "pos", "--bias-model", "none", "--bias-lengths", "union"]
    words += ["--bias-output", str(folder / "alone"), "-c", str(folder / "table.tsv")]
    assert main(["count", *words, str(study / "sample1.bam"), str(study / "genes.gtf")]) == 0
    return folder / "alone.counterbias.json"


def write(report: Path, folder: Path, sample: str, **changes: Any) -> None:
    """Write the report under another sample's name."""
    document = json.loads(report.read_text()) | {"sample": sample} | changes
    (folder / f"{sample}.counterbias.json").write_text(json.dumps(document))


def description(shown: builders.Outcome, anchor: str) -> str:
    return str(shown.sections[anchor].description)


def test_no_check_of_a_model_is_made(report: Path) -> None:
    parsed = parse_report(report.read_text())
    assert parsed.lengths_alone
    found = checks.check_sample(parsed, Thresholds())
    assert {name: finding.level for name, finding in found.items()} == {
        "assigned": "pass",
        "contigs": "pass",
    }
    assert not checks.is_weighted(parsed)


def test_such_samples_alone(report: Path, tmp_path: Path) -> None:
    for sample in ("s1", "s2"):
        write(report, tmp_path, sample)
    shown = builders.run(tmp_path, output=tmp_path / "out", require_logs=True)
    assert shown.status == 0
    assert shown.messages == ()
    assert {name: row["model"] for name, row in shown.rows.items()} == {"s1": "none", "s2": "none"}
    assert not {"check_starts", "check_weights", "gain_cap5_count_none"} & set(shown.rows["s1"])
    assert f"{NOTE}: effective lengths were measured without one." in description(
        shown, "counterbias-checks"
    )
    # What needs a model has no section, and no empty plot.
    assert {anchor for anchor in shown.sections if anchor.startswith("counterbias")} == {
        "counterbias-checks",
        "counterbias-assignment",
        "counterbias-fragment-lengths",
        "counterbias-changes",
    }


def test_such_samples_next_to_ordinary_ones(report: Path, tmp_path: Path) -> None:
    write(report, tmp_path, "alone")
    builders.write(tmp_path, "modelled")
    shown = builders.run(tmp_path, output=tmp_path / "out", require_logs=True)
    assert shown.status == 0
    assert shown.messages == ()
    assert shown.rows["alone"]["model"] == "none"
    assert shown.rows["modelled"]["model"] == "pwm"
    assert f"{NOTE} in alone." in description(shown, "counterbias-checks")
    assert "Not shown: 1 sample in which all weights are 1." in description(
        shown, "counterbias-weights"
    )
    # It is not one of those with too few read starts.
    assert "Not shown" not in description(shown, "counterbias-composition")


def test_many_such_samples_are_named_in_part(report: Path, tmp_path: Path) -> None:
    for number in range(5):
        write(report, tmp_path, f"alone{number}")
    builders.write(tmp_path, "modelled")
    shown = builders.run(tmp_path, output=tmp_path / "out", require_logs=True)
    assert f"{NOTE} in alone0; alone1; alone2; and 2 more." in description(
        shown, "counterbias-checks"
    )


def test_a_run_with_a_model_is_shown_instead(report: Path, tmp_path: Path) -> None:
    """Two runs of one sample: lengths alone, and with a model; there is one model to compare."""
    ordinary = builders.document("s1")
    inputs = ordinary["inputs"]
    write(report, tmp_path, "s1", inputs=inputs)
    builders.write(tmp_path, "s1", name="other")
    shown = builders.run(tmp_path, output=tmp_path / "out", require_logs=True)
    assert shown.rows["s1"]["model"] == "pwm"
    assert NOTE not in description(shown, "counterbias-checks")
    assert not {anchor for anchor in shown.sections if "model" in anchor}


@pytest.mark.parametrize("mixed", [False, True])
def test_large_cohorts(report: Path, tmp_path: Path, mixed: bool) -> None:
    for number in range(60):
        if mixed and number % 2:
            builders.write(tmp_path, f"s{number}")
        else:
            write(report, tmp_path, f"s{number}")
    shown = builders.run(tmp_path, output=tmp_path / "out", require_logs=True)
    assert shown.status == 0
    assert shown.messages == ()
    assert len(shown.rows) == 60


def test_samples_without_a_model_that_was_asked_for_stay_failures(tmp_path: Path) -> None:
    ends = [builders.end(starts=10, no_model="too few", applied=False)]
    parsed = parse_report(json.dumps(builders.document("poor", ends=ends)))
    assert not parsed.lengths_alone
    assert checks.check_sample(parsed, Thresholds())["starts"].level == "fail"
