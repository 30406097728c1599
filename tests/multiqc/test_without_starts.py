"""MultiQC shows samples without a model, with the reason, and draws no empty plots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterbias_multiqc import checks
from counterbias_multiqc.parser import parse_report
from counterbias_multiqc.thresholds import Thresholds
from tests.helpers import multiqc_builders as builders
from tests.helpers.samples_without_starts import NO_READ_2, SINGLE, write_pairs, write_singles

pytest.importorskip("multiqc", reason="MultiQC is not installed (extra multiqc)")

THRESHOLDS = Thresholds()


def count(folder: Path, *samples: str, model: str = "pwm") -> None:
    from counterbias.cli import main

    options = [
        "-q",
        "-s",
        "yes",
        "--nonunique",
        "all",
        "--bias-model",
        model,
        "--bias-genome",
        str(folder / "genome.fa"),
    ]
    options += ["--bias-output", f"{folder}/", "-c", str(folder / "table.tsv")]
    assert (
        main(
            [
                "count",
                *options,
                *(str(folder / f"{name}.sam") for name in samples),
                str(folder / "genes.gtf"),
            ]
        )
        == 0
    )


@pytest.fixture(scope="module")
def singles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("singles")
    write_singles(folder)
    count(folder, "good", "empty", "unknown")
    return folder


@pytest.fixture(scope="module")
def shown(singles: Path) -> builders.Outcome:
    return builders.run(singles, output=singles / "out", require_logs=True)


def test_the_report_shows_samples_without_a_model(shown: builders.Outcome) -> None:
    assert shown.status == 0
    assert shown.messages == ()
    assert set(shown.rows) == {"good", "empty", "unknown"}
    for name in ("empty", "unknown"):
        row = shown.rows[name]
        assert row["check_starts"] == "fail"
        assert row["model"] == "none"
        assert "bias_removed" not in row
    assert shown.rows["unknown"]["unique_starts"] == 100
    assert shown.rows["good"]["model"] == "pwm"


def test_the_check_gives_the_reason(singles: Path) -> None:
    for name in ("empty", "unknown"):
        found = checks.check_sample(
            parse_report((singles / f"{name}.counterbias.json").read_text()), THRESHOLDS
        )
        assert (found["starts"].level, found["starts"].reason) == (
            "fail",
            f"no model: {SINGLE[name]}",
        )
        assert "removed" not in found
        assert "size" not in found
    good = checks.check_sample(
        parse_report((singles / "good.counterbias.json").read_text()), THRESHOLDS
    )
    assert good["starts"].level == "pass"


def test_one_end_without_a_model_hides_nothing_of_the_other(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    count(tmp_path, "no2")
    report = parse_report((tmp_path / "no2.counterbias.json").read_text())
    found = checks.check_sample(report, THRESHOLDS)
    assert (found["starts"].level, found["starts"].reason) == (
        "fail",
        f"no model for read 2: {NO_READ_2}",
    )
    assert checks.is_weighted(report)
    assert found["removed"].level == "pass"
    other = builders.document("poor", ends=[builders.end(starts=10)])
    drawn = checks.with_enough_starts(
        {"no2": report, "poor": parse_report(json.dumps(other))}, Thresholds(starts_warn=1000)
    )
    assert set(drawn) == {"no2"}


def test_older_files_without_the_key_have_a_model(tmp_path: Path) -> None:
    path = builders.write(tmp_path, "old")
    text = path.read_text().replace('"no_model": null, ', "")
    assert parse_report(text).ends[0].no_model is None


@pytest.mark.parametrize("names", [("empty",), ("empty", "good")])
def test_large_cohorts_may_have_such_samples(
    singles: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """The plots of large cohorts do not need what samples without a model lack."""
    for number in range(60):
        report = json.loads(
            (singles / f"{names[number % len(names)]}.counterbias.json").read_text()
        )
        report["sample"] = f"s{number}"
        (tmp_path / f"s{number}.counterbias.json").write_text(json.dumps(report))
    shown = builders.run(tmp_path, output=tmp_path / "out", require_logs=True)
    assert shown.status == 0
    assert len(shown.rows) == 60
