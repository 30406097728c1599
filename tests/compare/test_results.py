"""What ``counterbias compare`` writes: columns, measures, genes, replicates, recommendation."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

import counterbias
from counterbias.cli import COMMANDS, main
from counterbias.cli.compare import build_compare_parser
from counterbias.plugins import load_plugins
from counterbias.writers import comparison_schema
from tests.compare.running import QUICK, command, document, rows


def test_every_column_is_there_and_documented(done: Path, root: Path) -> None:
    names = [name for name, _ in comparison_schema.columns()]
    found = rows(done)
    assert list(found[0]) == names
    assert len(names) == len(set(names))
    assert [(row["sample"], row["model"]) for row in found] == [
        ("one", m) for m in QUICK.split(",")
    ]
    page = (root / "docs" / "reference" / "compare.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in names
        if not name.endswith("_se") and not name.startswith("truth_") and f"`{name}`" not in page
    ]
    assert missing == []
    assert comparison_schema.markdown_tables() in page


def test_every_option_is_in_the_reference(root: Path) -> None:
    page = (root / "docs" / "reference" / "compare.md").read_text(encoding="utf-8")
    options = [
        option for action in build_compare_parser().actions for option in action.option_strings
    ]
    assert [option for option in options if f"`{option}`" not in page] == []
    assert "compare" in COMMANDS


def test_measures_make_sense(done: Path) -> None:
    for row in rows(done):
        assert row["status"] == "ok"
        assert row["used"] == "yes"
        assert float(row["gain_cap5"]) > 3 * float(row["gain_cap5_se"]) > 0
        assert float(row["kl1_after"]) < float(row["kl1_before"])
        assert float(row["auc"]) > 0.55
        assert 0.7 < float(row["reliability_slope"]) < 1.4
        assert float(row["reliability_slope_se"]) > 0
        assert int(row["parameters"]) > 100
        assert float(row["windows_per_second"]) > 0
        assert float(row["train_seconds"]) >= 0
        assert int(row["genes_up_corrected"]) > 0
        assert float(row["behind_best"]) >= 0
    assert sorted({row["behind_best"] for row in rows(done)})[0] == "0"


def test_the_table_is_the_accuracy_benchmarks(done: Path, folder: Path) -> None:
    from counterbias.annotation import load_annotation
    from counterbias.evaluation.trial_means import mean_points, summarise
    from counterbias.genome import Genome
    from counterbias.options import AnnotationOptions, CountingOptions
    from counterbias.pipeline.compare.candidates import find_candidates
    from counterbias.pipeline.compare.evaluation import Trial, evaluate_backend, fold_sample
    from counterbias.pipeline.counting import count_alignments
    from counterbias.records import Window

    gtf = str(folder / "genes.gtf")
    genes = load_annotation(AnnotationOptions(gtf), stranded=False)
    by_transcript = AnnotationOptions(gtf, id_attributes=("gene_id", "transcript_id"))
    transcripts = load_annotation(by_transcript, stranded=False)
    options = CountingOptions(order="pos", stranded="no")
    sites = count_alignments(str(folder / "one.bam"), genes, options, want_sites=True).sites
    assert sites is not None
    sample = fold_sample(
        sites, genes.features, transcripts.features, Genome(str(folder / "genome.fa"))
    )
    choice = find_candidates(["vlmm"], [Window()], load_plugins())[0].choice
    assert choice is not None
    trials = [
        {
            "fold": fold,
            "seed": seed,
            "values": found.accuracy,
            "slope": size.slope,
            "reliability": size.report()["bins"],
        }
        for fold in (0, 1, 2)
        for seed in (1, 2)
        for found in [evaluate_backend(choice, sample, Trial(fold, seed))]
        for size in [found.reliability]
    ]
    row = next(row for row in rows(done) if (row["sample"], row["model"]) == ("one", "vlmm"))
    for name in (
        "gain_uniq",
        "gain_cap5",
        "gain_all",
        "r2",
        "auc",
        "ess",
        "kl3_after",
        "half_effective",
    ):
        mean = summarise(trials, lambda trial, name=name: getattr(trial["values"], name))
        assert float(row[name]) == pytest.approx(mean.value, rel=1e-5)
        assert float(row[f"{name}_se"]) == pytest.approx(mean.error, rel=1e-5)
    assert float(row["reliability_slope"]) == pytest.approx(
        summarise(trials, lambda trial: trial["slope"]).value, rel=1e-5
    )
    reported = next(
        one for one in document(done)["samples"][0]["models"] if one["model"] == "vlmm"
    )["reliability"]
    points = mean_points(trials)
    assert len(reported["predicted"]) == 15
    for name in ("predicted", "observed", "error"):
        assert reported[name] == pytest.approx(getattr(points, name), rel=1e-6)


def test_genes_are_those_of_count(
    done: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    genome, files = str(folder / "genome.fa"), [str(folder / "one.bam"), str(folder / "genes.gtf")]
    options = [
        "-q",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-genome",
        genome,
        "--bias-model",
        "vlmm",
        "--bias-lengths",
        "union",  # compare shows what models do, so that lengths are the same for all
        "--bias-output",
        str(tmp_path / "x"),
    ]
    assert main(["count", *options, *files]) == 0
    capsys.readouterr()
    counted = pd.read_csv(tmp_path / "x.counts.tsv", sep="\t", dtype=str)
    compared = pd.read_csv(done / "per_gene.tsv", sep="\t", dtype=str)
    assert (compared.feature == counted.feature).all()
    assert (compared.raw == counted.raw).all()
    assert (compared["vlmm.weighted"] == counted.weighted).all()
    assert (compared["vlmm.corrected"] == counted.corrected).all()


def test_json_has_all_keys_and_a_tag_in_its_first_lines(done: Path) -> None:
    assert '"counterbias_comparison": [1, 1],' in "\n".join(
        (done / "comparison.json").read_text().splitlines()[:10]
    )
    found = document(done)
    assert next(iter(found)) == "counterbias_comparison"
    assert list(found)[1:] == [
        "version",
        "command_line",
        "options",
        "measures",
        "recommendation",
        "samples",
    ]
    assert found["recommendation"]["model"] in QUICK.split(",")
    names = {one["name"] for one in found["measures"]}
    for sample in found["samples"]:
        assert list(sample) == ["sample", "starts", "raw", "models"]
        for model in sample["models"]:
            assert set(model["measures"]) | set(sample["raw"]) == names
            keys = [
                "model",
                "window",
                "status",
                "reason",
                "used",
                "measures",
                "cost",
                "curves",
                "fold_change",
                "reliability",
                "truth",
            ]
            assert list(model) == keys
            assert list(model["cost"]) == [
                "train_seconds",
                "parameters",
                "windows_per_second",
                "memory_mb",
            ]
            assert model["fold_change"]["corrected"][0]["features"] > 0
            assert model["truth"]["features"] > 15


def test_differences_to_raw_are_differences(done: Path) -> None:
    for model in document(done)["samples"][0]["models"]:
        agreement = model["truth"]
        for measure in ("pearson", "spearman", "r2", "rmse"):
            apart = agreement["corrected_minus_raw"][measure]
            assert apart["low"] <= apart["value"] <= apart["high"]
            assert apart["value"] == pytest.approx(
                agreement["corrected"][measure]["value"] - agreement["raw"][measure]["value"],
                abs=1e-6,
            )


def test_replicates_and_correlations_between_models(folder: Path, tmp_path: Path) -> None:
    words = command(
        folder,
        tmp_path,
        "--folds",
        "1",
        "--seeds",
        "1",
        "--groups",
        "a,a",
        "--no-figures",
        samples=("one", "two"),
    )
    assert main(words) == 0
    found = rows(tmp_path)
    assert [row["sample"] for row in found] == ["one"] * 3 + ["two"] * 3
    for row in found:
        assert float(row["replicate_rmse_raw"]) > 0
        assert float(row["replicate_pearson_corrected"]) > 0.9
        assert float(row["replicate_rmse_corrected_minus_raw_se"]) > 0
    assert (
        len({row["replicate_rmse_raw"] for row in found}) == 1
    )  # a pair of samples is as far apart seen from either side
    with open(tmp_path / "between_models.tsv", encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file, delimiter="\t"))
    assert len(pairs) == 2 * 2 * 3
    assert all(0.9 < float(row["pearson"]) <= 1 for row in pairs)


def test_windows_options_and_the_summary(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(
        folder,
        tmp_path,
        "--folds",
        "1,",
        "--seeds",
        "1",
        "--no-figures",
        models="pwm:pseudocount=50,pwm",
    )
    assert main([*words[:-2], "--windows", "5,5", "10,10", *words[-2:]]) == 0
    assert [(row["model"], row["window"]) for row in rows(tmp_path)] == [
        ("pwm:pseudocount=50", "5,5"), ("pwm:pseudocount=50", "10,10"),
        ("pwm", "5,5"), ("pwm", "10,10"),
    ]  # fmt: skip
    header = (tmp_path / "per_gene.tsv").read_text().splitlines()[0].split("\t")
    assert header[:4] == ["sample", "feature", "length", "raw"]
    assert "pwm[5,5].corrected" in header
    stdout = capsys.readouterr().out
    assert "Recommended: --bias-model pwm" in stdout
    assert "gains" in stdout


def test_the_model_that_made_the_reads_is_found_to_be_the_best(
    folder: Path, tmp_path: Path
) -> None:
    truth = str(tmp_path / "true.model")
    model = counterbias.fit_model(
        folder / "two.bam",
        folder / "genes.gtf",
        counterbias.BiasOptions("vlmm", str(folder / "genome.fa")),
    )
    counterbias.save_models(truth, model)
    made = tmp_path / "made"
    genes = ("--genes", "60", "--isoforms", "0", "--overlapping", "0", "--contigs", "1")
    reads = (
        "--pairs",
        "40000",
        "--library",
        "single",
        "--bias-model",
        truth,
        "--strength",
        "1.5",
        "-q",
    )
    assert main(["simulate", "-o", str(made), *genes, *reads]) == 0
    words = [
        "compare",
        "-q",
        "-o",
        str(tmp_path / "out"),
        "-s",
        "no",
        "-r",
        "pos",
        "--folds",
        "3",
        "--seeds",
        "1",
        "--no-figures",
    ]
    words += [
        "--models",
        f"pwm,heptamer,{truth}",
        "--truth",
        str(made / "truth.tsv"),
        "--truth-column",
        "sample1",
    ]
    words += [
        "--bias-genome",
        str(made / "genome.fa"),
        str(made / "sample1.bam"),
        str(made / "genes.gtf"),
    ]
    assert main(words) == 0
    found = {row["model"]: row for row in rows(tmp_path / "out")}
    assert max(found, key=lambda name: float(found[name]["gain_cap5"])) == truth
    # Counts are too noisy to rank the models by the truth, but show that correction helps.
    assert float(found[truth]["truth_corrected_minus_raw_rmse_high"]) < 0
    assert document(tmp_path / "out")["recommendation"]["model"] == truth
