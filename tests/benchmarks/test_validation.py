"""The scripts behind "Does it work?": known answers by hand, and a tiny run of each."""

from __future__ import annotations

import gzip
import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests import ROOT

SCRIPTS = ROOT / "benchmarks" / "validation"


@pytest.fixture(scope="module", autouse=True)
def _paths() -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(SCRIPTS), str(SCRIPTS.parent)]
    yield
    sys.path[:] = before


def script(name: str) -> ModuleType:
    """Import a script; where tests of the same name are loaded already, as of ``differential``, they come back afterwards."""
    other = sys.modules.get(name)
    if other is None or Path(str(other.__file__)).parent == SCRIPTS:
        return importlib.import_module(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, name)
        return importlib.import_module(name)


def parsed(printed: str, heading: str) -> dict[str, dict[str, str]]:
    """Give a table of the report: first cell of a row → heading → cell."""
    part = printed.split(f"### {heading}\n", 1)[1].split("\n###", 1)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def number(cell: str) -> float:
    return float(cell.split(" ± ")[0].replace("−", "-"))


# -- reporting ---------------------------------------------------------------------------------------------------------


def test_mean_and_error_by_hand() -> None:
    rep = script("reporting")
    mean = rep.mean([1.0, 3.0, None, float("nan")])
    assert (mean.value, mean.error, mean.number) == (2.0, pytest.approx(1.0), 2)
    assert mean.text(1, sign=True) == "+2.0 ± 1.0"
    assert rep.mean([-0.5]).text(2) == "−0.50"
    assert rep.mean([]).text() == "–"


def test_json_holds_no_nan(tmp_path: Path) -> None:
    rep = script("reporting")
    rep.write_json(
        tmp_path / "x.json",
        "x.py",
        ["--seeds", "1"],
        {"a": [float("nan"), np.float64(2), np.bool_(True)], "b": np.arange(2)},
    )
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["command"] == "python benchmarks/validation/x.py --seeds 1"
    assert (content["a"], content["b"]) == ([None, 2.0, True], [0, 1])


# -- simulated truth ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """Run the script on two tiny samples; give its file, what it printed, and its folder."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("simulated")
    options = [
        "--models",
        "pwm",
        "--pairs",
        "6000,15000",
        "--null",
        "6000",
        "--seeds",
        "1",
        "--genes",
        "60",
        "--fewest",
        "20",
    ]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert (
            script("simulated").main(
                [*options, "--json", str(folder / "s.json"), "--figures", str(folder)]
            )
            == 0
        )
    return json.loads((folder / "s.json").read_text()), out.getvalue(), folder


def test_corrected_counts_lie_between_raw_and_chance(
    simulated: tuple[dict[str, Any], str, Path],
) -> None:
    content, printed, _ = simulated
    table = parsed(printed, "By depth")
    errors = {label: number(row["15,000 pairs"]) for label, row in table.items()}
    assert errors["chance"] < errors["corrected, true bias"] < errors["raw"]
    assert errors["corrected, pwm"] < errors["raw"]
    assert {row["model"] for row in content["rows"] if row["biased"]} == {"pwm", "true bias"}
    difference = parsed(printed, "By depth, difference to raw")["corrected, pwm"]["15,000 pairs"]
    assert number(difference) == pytest.approx(errors["corrected, pwm"] - errors["raw"], abs=0.0011)


def test_without_bias_nothing_changes(simulated: tuple[dict[str, Any], str, Path]) -> None:
    table = parsed(simulated[1], "Without bias")
    assert table["raw"] == {**table["corrected, pwm"], "RMSE log2": "raw"}
    gate = parsed(simulated[1], "Gain, part of the bias that is removed, gate")["pwm"]
    assert (gate["used, biased"], gate["used, unbiased"]) == ("2 of 2", "0 of 1")


def test_the_true_bias_removes_all_of_it(simulated: tuple[dict[str, Any], str, Path]) -> None:
    table = parsed(simulated[1], "Gain, part of the bias that is removed, gate")
    assert number(table["true bias"]["bias removed, 15,000 pairs"]) == pytest.approx(1, abs=0.1)
    assert number(table["pwm"]["bias removed, 15,000 pairs"]) == pytest.approx(0.98, abs=0.1)


def test_the_bias_of_a_model_file_is_simulated(tmp_path: Path) -> None:
    from counterbias import EndModel, ModelFile, TrainingSet, Window, load_plugins, save_models

    window, rng = Window(3, 4), np.random.default_rng(1)
    foreground, background = (rng.integers(0, 4, (400, 8)).astype(np.uint8) for _ in range(2))
    foreground[:250, 3] = 0
    model = load_plugins().registration("pwm").backend.load()(window)
    model.fit(TrainingSet(window, foreground, np.ones(400), background, np.ones(400)), rng)
    save_models(
        tmp_path / "x.model",
        ModelFile("pwm", "", "", window, (EndModel("both", model, offset=0.25, slope=0.5),)),
    )
    world = script("simulated").make_world(1, 20, 0.9, tmp_path / "x.model")
    assert world.log_bias(foreground) == pytest.approx(0.5 * model.log_bias(foreground) + 0.25)
    assert world.genome.lengths == script("simulated").make_world(1, 20, 0.9).genome.lengths


def test_share_removed_by_hand() -> None:
    class Truth:
        unbiased_fragments = np.array([100.0, 100.0, 100.0, 100.0, 1.0])
        mean_bias = np.array([2.0, 4.0, 1.0, 0.5, 64.0])

    raw = np.array([10.0, 5.0, 4.0, 3.0, 1.0])
    found = {"raw": raw, "corrected": raw / np.sqrt(Truth.mean_bias) * 3}
    # Half of the bias is removed, and half of its standard deviation over four genes, √(5/4), is left.
    assert script("simulated").share_removed(found, Truth, 50) == (
        pytest.approx(0.5),
        pytest.approx(0.5 * np.sqrt(5 / 4)),
    )


def test_resume_adds_nothing_twice_and_figures_repeat(
    simulated: tuple[dict[str, Any], str, Path], tmp_path: Path
) -> None:
    content, _, folder = simulated
    shutil.copy(folder / "s.json", tmp_path / "s.json")
    options = [
        "--models",
        "pwm",
        "--pairs",
        "6000,15000",
        "--null",
        "6000",
        "--seeds",
        "1",
        "--genes",
        "60",
        "--fewest",
        "20",
    ]
    assert (
        script("simulated").main(
            [*options, "--json", str(tmp_path / "s.json"), "--resume", "--figures", str(tmp_path)]
        )
        == 0
    )
    assert json.loads((tmp_path / "s.json").read_text())["rows"] == content["rows"]
    assert (tmp_path / "simulated.svg").read_bytes() == (folder / "simulated.svg").read_bytes()
    other = ["--genes", "61", "--json", str(tmp_path / "s.json"), "--resume"]
    assert script("simulated").main(other) == 1


# -- differential expression --------------------------------------------------------------------------------------------


def test_scenarios_are_read_from_their_words() -> None:
    differential = script("differential")
    plain, other = differential.scenarios("single,deep-half-varied-unchanged")
    assert (plain.library, plain.contrast, plain.changed, plain.variation) == (
        "single",
        "strong",
        0.2,
        0.05,
    )
    assert (other.library, other.contrast, other.changed, other.variation) == (
        "deep",
        "half",
        0.0,
        0.2,
    )
    assert all(differential.scenario(name) for name in differential.SCENARIOS.split(","))


def test_calls_are_judged_by_hand() -> None:
    genes = {"a": True, "b": True, "c": False, "d": False}
    adjusted = {("raw", "DESeq2"): [0.01, 0.2, 0.04, "NA"], ("raw", "edgeR"): [0.9, 0.9, 0.9, 0.05]}
    names = ("method", "test", "gene", "adjusted")
    lines = [
        (*key, gene, str(p))
        for key, values in adjusted.items()
        for gene, p in zip(genes, values, strict=True)
    ]
    results = {name: [line[number] for line in lines] for number, name in enumerate(names)}
    assert script("differential").judge(results, genes) == [
        {"method": "raw", "test": "DESeq2", "false": 1, "true": 1, "fdr": 0.5},
        {"method": "raw", "test": "edgeR", "false": 0, "true": 0, "fdr": 0.0},
    ]


@pytest.mark.slow
def test_the_true_bias_removes_what_differs_between_groups(
    r_packages: tuple[str, ...], tmp_path: Path
) -> None:
    """Groups differ in bias: raw counts give false calls, which the true bias takes away, in a single-end library too."""
    import contextlib
    import io

    options = [
        "--models",
        "pwm",
        "--seeds",
        "6",
        "--genes",
        "60",
        "--scale",
        "0.5",
        "--json",
        str(tmp_path / "d.json"),
    ]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert (
            script("differential").main(
                [*options, "--scenarios", "single,single-equal", "--figures", str(tmp_path)]
            )
            == 0
        )
    content = json.loads((tmp_path / "d.json").read_text())
    first = content["studies"][0]
    calls = {(row["method"], row["test"]): row for row in first["calls"]}
    assert set(calls) == {
        (method, test)
        for method in (
            "raw",
            "pwm, offsets",
            "pwm, corrected",
            "true bias, offsets",
            "true bias, corrected",
        )
        for test in ("DESeq2", "edgeR", "voom")
    } - {("pwm, offsets", "voom"), ("true bias, offsets", "voom")}  # voom takes no offsets
    assert calls["raw", "DESeq2"]["false"] > 5
    assert calls["true bias, offsets", "DESeq2"]["false"] <= 2
    assert calls["true bias, corrected", "voom"]["false"] <= 2
    assert all(
        0 <= row["true"] <= first["changed"] < first["tested"] <= 60 for row in first["calls"]
    )
    table = parsed(out.getvalue(), "Part of the difference in bias that is removed")
    assert number(table["true bias"]["single"]) == pytest.approx(1, abs=0.05)
    assert 0.1 < number(table["pwm"]["single"]) < 1.2
    summary = parsed(out.getvalue(), "Summary")
    assert number(summary["single"]["bias differs by"]) > 0.2
    assert number(summary["single-equal"]["bias differs by"]) == 0
    assert summary["single"]["true bias, offsets"].startswith(
        f"{calls['true bias, offsets', 'DESeq2']['false']} / "
    )
    assert first["applied"] == {"pwm": 3}
    raw = next(
        one
        for one in content["studies"][1]["calls"]
        if (one["method"], one["test"]) == ("raw", "DESeq2")
    )
    assert raw["false"] <= 3
    cost = parsed(out.getvalue(), "What it costs where the bias is the same")[
        "single-equal, DESeq2"
    ]
    assert abs(number(cost["pwm, offsets"])) <= 4
    assert (tmp_path / "differential.svg").stat().st_size < 150_000
    resumed = ["--scenarios", "single", "--resume"]
    assert script("differential").main([*options, *resumed]) == 0
    assert json.loads((tmp_path / "d.json").read_text())["studies"] == content["studies"]
    assert script("differential").main([*options, *resumed, "--fewest", "11"]) == 1


def test_without_r_the_benchmark_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script("differential").main([]) == 1
    said = capsys.readouterr().err
    assert (
        "R has no DESeq2, edgeR, limma, statmod; install Debian's r-bioc-deseq2 r-bioc-edger r-bioc-limma r-cran-statmod"
        in said
    )
    assert said.count("\n") == 1


# -- peers -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Give a small world and its reads."""
    import argparse

    peers = script("peers")
    world = peers.make_world(3, 40, 0.9)
    return world, peers.draw_reads(
        world, argparse.Namespace(pairs=4000), True, tmp_path_factory.mktemp("peers")
    )


def test_transcripts_are_what_reads_come_from(drawn: tuple[Any, Any]) -> None:
    world, reads = drawn
    records = (reads.folder / "transcripts.fa").read_text().split(">")[1:]
    sequences = ["".join(record.splitlines()[1:]) for record in records]
    both = "N".join(
        [*sequences, *(one.translate(str.maketrans("ACGT", "TGCA"))[::-1] for one in sequences)]
    )
    lines, mates = (
        gzip.decompress(Path(path).read_bytes()).decode().splitlines() for path in reads.mates
    )
    assert len(lines) == 4 * 4000
    found = sum(line in both for line in lines[1:4000:4])
    assert found > 0.8 * 1000  # the others hold a sequencing error: 75 bases at 0.2 %
    assert [line.split("/")[0] for line in lines[::4]] == [
        line.split("/")[0] for line in mates[::4]
    ]
    assert set(reads.transcript_gene.values()) == set(world.genes.gene_ids)


def test_transcripts_sum_to_genes_by_hand() -> None:
    peers = script("peers")

    class Truth:
        gene_ids = ("g1", "g2")

    class Reads:
        truth = Truth
        transcript_gene = {"a": "g1", "b": "g1", "c": "g2"}  # noqa: RUF012

    found = peers.gene_level(
        Reads, ["c", "a", "b"], ["5", "1", "2"], {"a": "100", "b": "10", "c": "7"}, 1.5
    )
    assert (found.molecules.tolist(), found.fragments.tolist(), found.seconds) == (
        [3.0, 5.0],
        [120.0, 35.0],
        1.5,
    )


def test_difference_to_a_rival_is_paired_by_hand() -> None:
    peers = script("peers")
    errors = {
        ("corrected, pwm", 1): 0.3,
        ("corrected, pwm", 2): 0.5,
        ("salmon --seqBias", 1): 0.1,
        ("salmon --seqBias", 2): 0.5,
    }
    rows = [
        {"biased": True, "genes": "all", "truth": truth, "tool": tool, "seed": seed, "rmse": error}
        for (tool, seed), error in errors.items()
        for truth in ("fragments", "molecules")
    ]
    assert (
        peers.duel(rows).splitlines()[2] == "| corrected, pwm | +0.100 ± 0.100 | +0.100 ± 0.100 |"
    )
    assert peers.duel([row for row in rows if row["tool"] != "salmon --seqBias"]) == ""


def test_a_tool_that_is_not_installed_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = [
        "--models",
        "pwm",
        "--seeds",
        "1",
        "--pairs",
        "8000",
        "--genes",
        "50",
        "--fewest",
        "20",
        "--json",
        str(tmp_path / "p.json"),
    ]
    assert script("peers").main(options) == 0
    printed = capsys.readouterr()
    assert "salmon is not installed and is left out" in printed.err
    table = parsed(printed.out, "With bias, all genes")
    assert list(table) == ["raw", "weighted, pwm", "corrected, pwm", "chance"]
    assert json.loads((tmp_path / "p.json").read_text())["versions"] == {
        "salmon": None,
        "kallisto": None,
    }


@pytest.mark.parametrize("program", ["salmon", "kallisto"])
def test_peer_finds_the_truth(program: str, drawn: tuple[Any, Any]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian package {program})")
    import argparse

    peers = script("peers")
    _, reads = drawn
    found = getattr(peers, program)(reads, argparse.Namespace(threads=1))
    assert list(found) == [program, f"{program} --{'seqBias' if program == 'salmon' else 'bias'}"]
    judged = peers.judge({"raw": found[program], **found}, reads, 20, 1)
    assert all(row["pearson"] > 0.9 for row in judged)
    for one in found.values():
        assert one.molecules.sum() == pytest.approx(1e6, rel=1e-3)


# -- real reads --------------------------------------------------------------------------------------------------------


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


# -- the unseen end ----------------------------------------------------------------------------------------------------


def test_slope_and_difference_by_hand() -> None:
    truth = np.array([-1.0, 0.0, 1.0, 2.0])
    told = script("unseen_end").compare(0.5 * truth + 7, truth, 1)
    assert (told["genes"], told["pearson"], told["slope"]) == (
        4,
        pytest.approx(1),
        pytest.approx(0.5),
    )
    assert told["rmse"] == pytest.approx(0.5 * truth.std())
    assert told["slope_error"] == pytest.approx(0, abs=1e-9)


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


# -- MAQC --------------------------------------------------------------------------------------------------------------


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
    # Judged on all of its starts, the bias is seen in every one of these small samples; eight genes cannot tell whether they gain by it.
    assert found["pwm"]["applied"] == 6
    assert all(0.2 < gain < 0.4 for gain in found["pwm"]["gain"])
    changed, low, high = found["pwm"]["minus_raw"]["corrected"]["rmse"]
    assert low < 0 < high
    assert 0 < abs(changed) < 0.02
    assert found["pwm, ungated"]["minus_raw"]["corrected"]["rmse"][0] != changed  # no slope
    assert (tmp_path / "maqc.svg").stat().st_size < 150_000


# -- the paper ---------------------------------------------------------------------------------------------------------


def test_taqman_truth_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paper = script("paper")
    fields = [
        f"{sample}{place}_{what}"
        for sample in "ABCD"
        for place in range(1, 5)
        for what in ("value", "detection")
    ]
    assays = [("G", "2", "P"), ("G", "4", "P"), ("H", "9", "A")]
    rows = [[symbol, *([value, call] * 16)] for symbol, value, call in assays]
    rows[0][1:5] = [
        "1",
        "P",
        "100",
        "A",
    ]  # sample A, replicates 1 and 2: the second one was not detected
    text = "\n".join("\t".join(row) for row in [["Symbol", *fields], *rows]) + "\n"
    (tmp_path / "taqman.tsv").write_text(text)
    assert (
        paper.main(
            ["--taqman", str(tmp_path / "taqman.tsv"), "--truth", str(tmp_path / "truth.tsv")]
        )
        == 0
    )
    lines = [line.split("\t") for line in (tmp_path / "truth.tsv").read_text().splitlines()]
    assert lines[0] == ["Symbol", "A", "B", "C", "D"]
    assert float(lines[1][1]) == pytest.approx(((1 + 2 + 2) / 3 + 4) / 2)
    assert lines[1][2:] == ["3", "3", "3"]
    assert lines[2] == ["H", "NA", "NA", "NA", "NA"]
    assert "1 genes in A" in capsys.readouterr().err


def test_paper_tables(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    options = [
        "--hidden",
        "4",
        "--iterations",
        "1",
        "--windows",
        "1000",
        "--models",
        "pwm",
        "--seeds",
        "1",
    ]
    assert (
        script("paper").main(
            [*options, "--json", str(tmp_path / "p.json"), "--figures", str(tmp_path)]
        )
        == 0
    )
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "p.json").read_text())
    assert [(row["cell"], row["bases"], row["parameters"]) for row in content["training"]] == [
        ("gru", 21, 280), ("lstm", 21, 360), ("gru", 41, 280), ("lstm", 41, 360)]  # fmt: skip
    for row in content["training"]:
        assert all(1 < value <= 4.2 for value in row["perplexity"].values())
    for row in content["changes"]:
        assert row["distance"] > 0
        assert 70 <= row["up"] + row["down"] <= 88
    assert (
        number(
            parsed(printed, "Log-Pearson between methods, weighted")["pwm, 21"]["seqbias (R), 21"]
        )
        > 0.98
    )
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        "paper_training.svg",
        "paper_changes.svg",
    }


# -- wrong options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("differential", ["--scenarios", "single-odd"]),
        ("differential", ["--replicates", "1"]),
        ("simulated", ["--resume"]),
        ("simulated", ["--seeds", "one"]),
        ("paper", ["--taqman", "x.tsv"]),
        ("peers", ["--pairs", "many"]),
    ],
    ids=["scenario", "replicates", "resume-without-json", "seeds", "taqman-without-truth", "pairs"],
)
def test_wrong_options(name: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script(name).main(options)
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["real_reads", "maqc", "paper"])
def test_missing_data_is_said(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COUNTERBIAS_DATA", str(tmp_path))
    assert script(name).main([]) == 1
    assert "set COUNTERBIAS_DATA" in capsys.readouterr().err


def test_single_reads_and_copies_are_simulated_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--models",
        "pwm",
        "--pairs",
        "4000",
        "--null",
        "",
        "--seeds",
        "1",
        "--genes",
        "30",
        "--single",
        "--duplicates",
        "0.3",
    ]
    assert script("simulated").main([*words, "--json", str(tmp_path / "s.json")]) == 0
    assert "bias left, 4,000 pairs" in capsys.readouterr().out
    found = json.loads((tmp_path / "s.json").read_text())
    assert (found["settings"]["single"], found["settings"]["duplicates"]) == (True, 0.3)
    model, true = found["rows"]
    assert model["applied"]
    assert true["removed"] == pytest.approx(1, abs=0.1)
    assert true["left"] < model["left"]


def test_stranded_ends_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--model",
        "pwm",
        "--pairs",
        "6000",
        "--weaker",
        "0",
        "--seeds",
        "1",
        "--genes",
        "40",
        "--json",
        str(tmp_path / "e.json"),
    ]
    assert script("stranded_ends").main(words) == 0
    assert "| 6,000 | 0 | 1 of 1 |" in capsys.readouterr().out
    row = json.loads((tmp_path / "e.json").read_text())["rows"][0]
    assert row["passed"][0]
    assert row["left"]["as a count does"] < 0.8 * row["left"]["none"]
