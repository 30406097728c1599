"""Lanes, unseen ends and MAQC: known answers by hand, and real reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.validation.scripts import number, parsed, script

# -- real reads --------------------------------------------------------------------------------


def test_exonic_positions_by_hand(tmp_path: Path) -> None:
    real = script("real_reads")
    exons = ((3, 5, "a"), (5, 6, "b"), (20, 30, "a"))
    lines = [
        f'XIII\tt\texon\t{first}\t{last}\t.\t+\t.\tgene_id "{gene}";\n'
        for first, last, gene in exons
    ]
    (tmp_path / "genes.gtf").write_text(
        "".join(lines) + 'I\tt\texon\t1\t9\t.\t+\t.\tgene_id "c";\n'
    )
    sample = script("estimates").Sample(
        tmp_path / "x.bam", tmp_path / "genes.gtf", tmp_path / "x.fa"
    )
    found = real.exonic_positions(sample, "XIII", 3, 22)
    assert found.position.tolist() == [3, 4, 5, 19, 20, 21] * 2
    assert found.strand.tolist() == [0] * 6 + [1] * 6


def test_lanes_agree_and_the_unbiased_set_is_left_alone(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--sets",
        "unbiased",
        "--folds",
        "0,1",
        "--models",
        "pwm",
        "--lane-seeds",
        "1",
        "--json",
        str(tmp_path / "r.json"),
    ]
    assert script("real_reads").main([*options, "--figures", str(tmp_path)]) == 0
    row = parsed(capsys.readouterr().out, "Two lanes of one library")["pwm"]
    assert number(row["log bias, isowt5–isowt6"]) > 0.97
    content = json.loads((tmp_path / "r.json").read_text())
    assert not any(
        trial["calibration"]["applied"]
        for trial in content["measures"][0]["trials"]
        if "calibration" in trial
    )
    assert content["lanes"][0]["applied"] == [True, True, True]
    assert (tmp_path / "lanes.svg").stat().st_size < 150_000


# -- the unseen end ----------------------------------------------------------------------------


def test_slope_and_difference_by_hand() -> None:
    truth = np.array([-1.0, 0.0, 1.0, 2.0])
    compared = script("unseen_end").compare(0.5 * truth + 7, truth, 1)
    assert (compared["genes"], compared["pearson"], compared["slope"]) == (
        4,
        pytest.approx(1),
        pytest.approx(0.5),
    )
    assert compared["rmse"] == pytest.approx(0.5 * truth.std())
    assert compared["slope_error"] == pytest.approx(0, abs=1e-9)


def test_read_1_alone_by_hand(tmp_path: Path) -> None:
    import pysam

    header = pysam.AlignmentHeader.from_references(["c"], [100])
    lines = (
        "p 99 c 11 60 5M = 41 35 ACGTA IIIII",
        "p 147 c 41 60 5M = 11 -35 ACGTA IIIII",
        "q 69 c 51 0 * = 51 0 ACGTA IIIII",
    )
    with pysam.AlignmentFile(str(tmp_path / "p.bam"), "wb", header=header) as file:
        for line in lines:
            file.write(pysam.AlignedSegment.fromstring(line.replace(" ", "\t"), header))
    script("unseen_end").single_reads(tmp_path / "p.bam", tmp_path / "s.bam")
    with pysam.AlignmentFile(str(tmp_path / "s.bam"), check_sq=False) as file:
        found = [
            (
                read.query_name,
                read.flag,
                read.reference_start,
                read.next_reference_id,
                read.template_length,
            )
            for read in file
        ]
    assert found == [("p", 0, 10, -1, 0)]


def test_both_ends_find_the_size_of_the_bias(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(tmp_path))
    size = [
        "--genes",
        "60",
        "--fragments",
        "15000",
        "--fewest",
        "20",
        "--seeds",
        "1",
        "--simulated",
        "220,40",
        "--assumed",
        "200,80",
    ]
    assert (
        script("unseen_end").main(
            [*size, "--models", "true bias,pwm", "--json", str(tmp_path / "u.json")]
        )
        == 0
    )
    printed = capsys.readouterr()
    assert "simulation only" in printed.err
    slope = {
        (row["model"], row["way"]): row["slope"]
        for row in json.loads((tmp_path / "u.json").read_text())["simulated"]
        if row["class"] == "all"
    }
    assert slope["true bias", "start alone, where fragments fit"] < 0.6
    assert slope["true bias", "both ends, 200 ± 80"] == pytest.approx(1, abs=0.15)
    assert slope["true bias", "both ends, 220 ± 40"] == pytest.approx(1, abs=0.15)
    assert (
        slope["pwm", "both ends, 200 ± 80"] > 1.6 * slope["pwm", "start alone, where fragments fit"]
    )
    assert "| true bias | both ends, 200 ± 80 |" in printed.out


def test_read_1_of_fly_gives_what_pairs_give(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(data_dir))
    unseen = script("unseen_end")
    rows = list(
        unseen.run_fly(
            unseen.parse_arguments(["--models", "pwm", "--seeds", "1", "--assumed", "200,80"])
        )
    )
    slope = {(row["learnt"], row["way"]): row["slope"] for row in rows}
    assert slope["pairs", "both ends, 200 ± 80"] == pytest.approx(1, abs=0.03)
    assert slope["pairs", "start alone"] == pytest.approx(0.5, abs=0.05)
    assert min(row["pearson"] for row in rows) > 0.98


# -- MAQC --------------------------------------------------------------------------------------


def test_fold_changes_by_hand() -> None:
    maqc = script("maqc")
    counts = {"UHR": np.array([[7.5, 1.0], [0.0, 0.0]]), "HBR": np.array([[1.0, 3.5], [0.5, 4.0]])}
    cohort = maqc.Cohort(("a", "b"), {"raw": counts}, 0, [])
    totals = {"UHR": 10.0, "HBR": 20.0}
    assert maqc.changes(cohort, "raw", totals).tolist() == [
        pytest.approx(np.log2(0.8 / 0.1)),
        pytest.approx(np.log2(0.15 / 0.4)),
    ]
    drawn = {"UHR": np.array([1, 1]), "HBR": np.array([0, 1])}
    assert maqc.changes(cohort, "raw", totals, drawn)[0] == pytest.approx(np.log2(0.05 / 0.1))


def test_maqc_gives_intervals(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        script("maqc").main(
            ["--models", "pwm", "--json", str(tmp_path / "m.json"), "--figures", str(tmp_path)]
        )
        == 0
    )
    genes = parsed(capsys.readouterr().out, "Genes, pwm, ungated")
    assert genes["PARVB"]["SEQC"] == "+1.68"
    assert 4 <= len(genes) <= 10
    found = json.loads((tmp_path / "m.json").read_text())["models"]
    value, low, high = found["pwm"]["of"]["raw"]["pearson"]
    assert low < value < high
    # On all of its starts, the bias is seen in each of these small samples; eight genes are
    # too few to show whether correction helps.
    assert found["pwm"]["applied"] == 6
    assert all(0.2 < gain < 0.4 for gain in found["pwm"]["gain"])
    changed, low, high = found["pwm"]["minus_raw"]["corrected"]["rmse"]
    assert low < 0 < high
    assert 0 < abs(changed) < 0.02
    assert found["pwm, ungated"]["minus_raw"]["corrected"]["rmse"][0] != changed  # no slope
    assert (tmp_path / "maqc.svg").stat().st_size < 150_000
