"""`counterbias compare` as users call it: small simulated samples, the quick backends, and everything that may go wrong."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import counterbias
from counterbias import simulation
from counterbias.cli import COMMANDS, main
from counterbias.cli.compare import build_compare_parser
from counterbias.evaluation.truth import Joined, TruthTable
from counterbias.model import Backend
from counterbias.pipeline.compare import cache as comparison_cache
from counterbias.pipeline.compare import comparison, trials
from counterbias.pipeline.compare import report as comparison_report
from counterbias.pipeline.compare.candidates import Candidate
from counterbias.plugins import Manager, load_plugins
from counterbias.writers import comparison_schema

QUICK = "pwm,heptamer,vlmm"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate two samples of one library with a known abundance and a strong bias."""
    root = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(5)
    genome = simulation.simulate_genome(rng, {"chr1": 400_000})
    genes = simulation.simulate_annotation(
        rng, genome.lengths, 60, design=simulation.AnnotationDesign(overlapping=0.0)
    )
    bias = simulation.simulate_priming_bias(rng, strength=1.0)
    abundance = simulation.simulate_abundance(rng, genes)
    simulation.write_fasta(root / "genome.fa", genome)
    simulation.write_gtf(root / "genes.gtf", genes)
    for name in ("one", "two"):
        library = simulation.Library(12_000, spliced_context=False)
        reads = simulation.simulate_reads(rng, genome, genes, abundance, library, bias)
        simulation.write_bam(root / f"{name}.bam", reads, order="pos")
        simulation.write_truth(root / f"{name}.truth.tsv", reads.truth)
    return root


def command(
    folder: Path, out: Path, *more: object, samples: tuple[str, ...] = ("one",), models: str = QUICK
) -> list[str]:
    words = [
        "compare",
        "-q",
        "-o",
        out,
        "-s",
        "no",
        "-r",
        "pos",
        "--models",
        models,
        "--bias-genome",
        folder / "genome.fa",
        *more,
    ]
    return [
        str(word)
        for word in [*words, *(folder / f"{name}.bam" for name in samples), folder / "genes.gtf"]
    ]


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "comparison.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def document(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "comparison.json").read_text())
    return found


@pytest.fixture(scope="module")
def done(folder: Path) -> Path:
    """Compare the quick models, against the truth of well-covered genes."""
    out = folder / "done"
    assert main(command(folder, out, "--folds", "3", *truth_of(folder), "--bias-threads", "2")) == 0
    return out


def truth_of(folder: Path) -> tuple[object, ...]:
    """Give the options for the truth of genes with at least 100 expected fragments."""
    table = pd.read_csv(folder / "one.truth.tsv", sep="\t")
    table[table.unbiased_fragments >= 100].to_csv(folder / "covered.tsv", sep="\t", index=False)
    return "--truth", folder / "covered.tsv", "--truth-column", "abundance", "--truth-id", "gene_id"


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


def test_every_option_stands_in_the_reference(root: Path) -> None:
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
    from counterbias.evaluation.comparison import mean_points, summarise
    from counterbias.genome import Genome
    from counterbias.options import CountingOptions
    from counterbias.pipeline.compare.candidates import find_candidates
    from counterbias.pipeline.compare.evaluation import Trial, evaluate_backend, fold_sample
    from counterbias.pipeline.counting.counter import count_alignments
    from counterbias.records import Window

    gtf = str(folder / "genes.gtf")
    genes = load_annotation(gtf, stranded=False)
    transcripts = load_annotation(gtf, id_attributes=("gene_id", "transcript_id"), stranded=False)
    options = CountingOptions(order="pos", stranded="no")
    sites = count_alignments(str(folder / "one.bam"), genes, options, want_sites=True)[0].sites
    assert sites is not None
    sample = fold_sample(
        sites, genes.features, transcripts.features, Genome(str(folder / "genome.fa"))
    )
    kind = find_candidates(["vlmm"], [Window()], load_plugins())[0].kind
    assert kind is not None
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
        for found in [evaluate_backend(kind, sample, Trial(fold, seed))]
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
    told = next(one for one in document(done)["samples"][0]["models"] if one["model"] == "vlmm")[
        "reliability"
    ]
    points = mean_points(trials)
    assert len(told["predicted"]) == 15
    for name in ("predicted", "observed", "error"):
        assert told[name] == pytest.approx(getattr(points, name), rel=1e-6)


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
        told = model["truth"]
        for measure in ("pearson", "spearman", "r2", "rmse"):
            apart = told["corrected_minus_raw"][measure]
            assert apart["low"] <= apart["value"] <= apart["high"]
            assert apart["value"] == pytest.approx(
                told["corrected"][measure]["value"] - told["raw"][measure]["value"], abs=1e-6
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


def test_figures_are_there(done: Path) -> None:
    pytest.importorskip("matplotlib")
    names = (
        "composition",
        "fold_change",
        "before_after",
        "gain_cost",
        "reliability",
        "truth",
        "truth_difference",
    )
    wanted = {f"one.{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert {path.name for path in (done / "figures").iterdir()} == wanted
    text = (done / "figures" / "one.truth_difference.svg").read_text()
    assert "<dc:date>" not in text
    assert all(name in text for name in QUICK.split(","))


def test_figures_have_the_same_bytes_again(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from counterbias.figures import ModelFigures, SampleFigures, draw_sample

    fpkm = np.linspace(1.0, 2000.0, 50)
    shares = {base: [0.25] * 3 for base in "ACGT"}
    expression = {"raw": fpkm, "weighted": fpkm * 1.1, "corrected": fpkm[::-1].copy()}
    difference = {
        name: {"rmse": (-0.1, -0.2, 0.0), "pearson": (0.1, 0.0, 0.2)}
        for name in ("weighted", "corrected")
    }
    composition = {"both": dict.fromkeys(("before", "after", "background"), shares)}
    points = {
        "predicted": (-1.0, 0.0, 1.0),
        "observed": (-1.2, 0.1, np.nan),
        "error": (0.1, 0.1, np.nan),
    }
    model = ModelFigures(
        "a $model_1$",
        True,
        0.5,
        0.1,
        2.0,
        (-1, 0, 1),
        composition,
        expression,
        expression,
        difference,
        points,
    )
    sample = SampleFigures("<s>", np.full(50, 20.0), [model], fpkm, "A")
    content = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        written = draw_sample(sample, tmp_path / name)
        content.append({Path(path).name: Path(path).read_bytes() for path in written})
    assert len(content[0]) == 14
    assert content[0] == content[1]
    assert b"a $model_1$" in content[0]["<s>.gain_cost.svg"]


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count what pwm fits."""
    from counterbias_backends import pwm

    model = pwm.counterbias_backends()[0].load()
    seen: list[str] = []
    own = model.fit

    def fit(self: Any, sample: Any, rng: Any) -> Any:
        seen.append("pwm")
        return own(self, sample, rng)

    monkeypatch.setattr(model, "fit", fit)
    return seen


def test_a_second_run_fits_nothing(
    folder: Path, tmp_path: Path, fits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(folder, tmp_path, "--folds", "2", "--no-figures", models="pwm")
    assert main(words) == 0
    assert len(fits) == 6 * (1 + 2 * 2), "each for the whole and without each of five folds"
    first = {
        name: (tmp_path / name).read_bytes()
        for name in ("comparison.tsv", "comparison.json", "per_gene.tsv")
    }
    assert main(words) == 0
    assert len(fits) == 30
    assert {name: (tmp_path / name).read_bytes() for name in first} == first
    assert main([*words[:1], "--seeds", "1,2,7", *words[1:]]) == 0  # only the new seed's trials
    assert len(fits) == 6 * (5 + 2)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert main(words) == 0
    assert len(fits) == 6 * (7 + 5)  # what is damaged is computed anew
    assert main([*words[:1], "--no-cache", *words[1:]]) == 0
    assert len(fits) == 6 * (12 + 5)


def test_results_are_kept_apart_by_the_programs_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in's version says nothing of what the program around it computes."""
    cache = comparison_cache.Cache(tmp_path)
    cache.store({"what": "trial"}, {"gain": 1})
    assert cache.load({"what": "trial"}) == ({"gain": 1}, {})
    monkeypatch.setattr(comparison_cache, "version", lambda distribution: "99.0")
    assert cache.load({"what": "trial"}) is None


def test_threads_change_no_number(folder: Path, tmp_path: Path, done: Path) -> None:
    assert main(command(folder, tmp_path, "--folds", "3", *truth_of(folder), "--no-figures")) == 0
    timed = {"train_seconds", "windows_per_second", "memory_mb"}
    strip = [
        [{k: v for k, v in row.items() if k not in timed} for row in rows(out)]
        for out in (tmp_path, done)
    ]
    assert strip[0] == strip[1]
    assert (tmp_path / "per_gene.tsv").read_bytes() == (done / "per_gene.tsv").read_bytes()


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
        ("pwm:pseudocount=50", "5,5"), ("pwm:pseudocount=50", "10,10"), ("pwm", "5,5"), ("pwm", "10,10"),
    ]  # fmt: skip
    header = (tmp_path / "per_gene.tsv").read_text().splitlines()[0].split("\t")
    assert header[:4] == ["sample", "feature", "length", "raw"]
    assert "pwm[5,5].corrected" in header
    told = capsys.readouterr().out
    assert "Recommended: --bias-model pwm" in told
    assert "gains" in told


def test_a_fitted_model_takes_part_without_a_fit(
    folder: Path, tmp_path: Path, fits: list[str]
) -> None:
    model = counterbias.fit_model(
        folder / "two.bam", folder / "genes.gtf", folder / "genome.fa", model="pwm"
    )
    counterbias.save_models(tmp_path / "other.model", model)
    fits.clear()
    assert (
        main(
            command(
                folder,
                tmp_path / "out",
                "--folds",
                "2",
                "--no-figures",
                models=str(tmp_path / "other.model"),
            )
        )
        == 0
    )
    assert fits == []
    (row,) = rows(tmp_path / "out")
    assert float(row["gain_cap5"]) > 0.1
    assert row["parameters"] == "0"


def test_the_model_that_made_the_reads_is_found_to_be_the_best(
    folder: Path, tmp_path: Path
) -> None:
    truth = str(tmp_path / "true.model")
    model = counterbias.fit_model(
        folder / "two.bam", folder / "genes.gtf", folder / "genome.fa", model="vlmm"
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
    # Counts are too noisy to tell the models apart by the truth; that correction brings counts nearer to it is told.
    assert float(found[truth]["truth_corrected_minus_raw_rmse_high"]) < 0
    assert document(tmp_path / "out")["recommendation"]["model"] == truth


# -- models that misbehave ---------------------------------------------------------------------------------------------


class Sound(counterbias.BiasModel):
    """A model without any bias."""

    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        return counterbias.FitReport(0.0, 1)

    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.zeros(len(contexts))

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {}

    def from_arrays(self, arrays: Any) -> None:
        pass


class Broken(Sound):
    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        raise ZeroDivisionError("no luck\ntoday")


class NotANumber(Sound):
    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(contexts)) == 3, np.nan, 0.0)


class WrongShape(Sound):
    def log_bias(self, contexts: np.ndarray) -> np.ndarray:
        return np.zeros((len(contexts), 1))


class NotANumberAlong(Sound):
    def along(self, sequence: np.ndarray) -> np.ndarray:
        return np.full(len(sequence) - self.window.width + 1, np.nan)


class WrongShapeAlong(Sound):
    def along(self, sequence: np.ndarray) -> np.ndarray:
        return np.zeros(2)


class Reportless(Sound):
    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        return None  # type: ignore[return-value]


@pytest.fixture
def with_plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[counterbias.BiasModel]], None]:
    """Install a plug-in with one backend, ``mine``."""

    def install(model: type[counterbias.BiasModel]) -> None:
        class Plugin:
            @counterbias.hookimpl
            def counterbias_backends(self) -> list[Backend]:
                return [Backend("mine", "a model of one's own", lambda: model)]

        def load() -> Manager:
            manager = load_plugins()
            manager.register(Plugin(), name="mine")
            return manager

        monkeypatch.setattr(comparison, "load_plugins", load)

    return install


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Broken, "ZeroDivisionError: no luck today"),
        (NotANumber, "log_bias() gave NaN or infinity for 1 of"),
        (WrongShape, "log_bias() gave shape ("),
        (NotANumberAlong, "along() gave NaN or infinity for"),
        (WrongShapeAlong, "along() gave shape (2,) for"),
        (Reportless, "fit() gave NoneType, not a FitReport"),
    ],
)
def test_a_model_that_misbehaves_is_named_and_the_others_go_on(
    model: type[counterbias.BiasModel],
    said: str,
    with_plugin: Callable[[type[counterbias.BiasModel]], None],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_plugin(model)
    assert (
        main(
            command(
                folder, tmp_path, "--folds", "2", "--seeds", "1", "--no-figures", models="mine,pwm"
            )
        )
        == 3
    )
    mine, pwm = rows(tmp_path)
    assert (mine["status"], pwm["status"]) == ("failed", "ok")
    assert said in mine["reason"]
    assert mine["gain_cap5"] == "NA"
    told = capsys.readouterr()
    assert "counterbias: these models failed, see comparison.tsv for why: mine (one)" in told.err
    assert "Recommended: --bias-model pwm" in told.out
    genes = pd.read_csv(tmp_path / "per_gene.tsv", sep="\t")
    assert genes["mine.weighted"].isna().all()
    assert genes["pwm.weighted"].notna().all()


def test_no_model_helps_where_none_gains(
    with_plugin: Callable[[type[counterbias.BiasModel]], None],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_plugin(Sound)
    assert (
        main(
            command(folder, tmp_path, "--folds", "2", "--seeds", "1", "--no-figures", models="mine")
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "Recommended: no correction." in told
    assert "No model helps" in told
    assert document(tmp_path)["recommendation"]["model"] is None
    (row,) = rows(tmp_path)
    assert row["used"] == "no"
    assert float(row["distance_corrected"]) == pytest.approx(0, abs=1e-12)


class Patient(Sound):
    """A model that would be fitted for a minute; it tells of its progress."""

    def fit(
        self, sample: counterbias.TrainingSet, rng: np.random.Generator
    ) -> counterbias.FitReport:
        if self.resources.progress is not None:
            for step in range(600):
                time.sleep(0.1)
                self.resources.progress("waiting", step, 600)
        return counterbias.FitReport(0.0, 1)


def test_ctrl_c_ends_the_fits_that_are_under_way(
    with_plugin: Callable[[type[counterbias.BiasModel]], None],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_plugin(Patient)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "wait", interrupted)
    begin = time.perf_counter()
    assert (
        main(
            command(folder, tmp_path, "--folds", "2", "--seeds", "1", "--no-figures", models="mine")
        )
        == 130
    )
    assert time.perf_counter() - begin < 20
    assert not (tmp_path / "comparison.tsv").exists()


def test_only_a_model_measured_in_every_sample_is_recommended() -> None:
    """Gains of different samples do not compare: one that had only the easy sample to show must not win."""

    def outcome(label: str, gain: float, status: str = "ok") -> trials.Outcome:
        candidate = Candidate(label, counterbias.Window(), None)
        measured = [{"fold": fold, "values": {"gain_cap5": gain}} for fold in range(3)]
        return trials.Outcome(
            candidate, status, "", measured, {}, {"applied": True, "parameters": 5}
        )

    hard = SimpleNamespace(
        name="hard", outcomes=[outcome("both", 0.1), outcome("easy only", 0.0, "skipped")]
    )
    easy = SimpleNamespace(name="easy", outcomes=[outcome("both", 0.6), outcome("easy only", 0.5)])
    nothing = SimpleNamespace(
        name="nothing",
        outcomes=[outcome("both", 0.0, "skipped"), outcome("easy only", 0.0, "skipped")],
    )
    candidates = [one.candidate for one in hard.outcomes]
    found = comparison_report.recommendation(
        SimpleNamespace(candidates=candidates, samples=[hard, easy, nothing])
    )  # type: ignore[arg-type]
    assert found.model == "both"


def test_what_the_truth_lacks_is_told_per_column_and_only_where_it_lacks_something() -> None:
    table = TruthTable("t.tsv", "id", {"A": {}, "B": {}}, {"A": 0, "B": 2}, ("x",))
    truth = Joined(np.ones(3), 3, 0, 0)

    def told(columns: tuple[str, ...]) -> list[str]:
        samples = [
            SimpleNamespace(name=name, outcomes=[], truth=truth, group=None) for name in columns
        ]
        options = SimpleNamespace(truth=SimpleNamespace(columns=columns))
        return comparison_report.remarks(
            SimpleNamespace(samples=samples, truth=table, options=options, candidates=[])  # type: ignore[arg-type]
        )

    assert told(("A", "A")) == []
    (line,) = told(("A", "B"))
    assert "2 cells without a value" in line


def test_reasons_of_folds_do_not_depend_on_which_ended_first() -> None:
    outcome = trials.Outcome(Candidate("pwm", counterbias.Window(), None))
    jobs = [
        SimpleNamespace(outcome=outcome, trial=SimpleNamespace(fold=fold, seed=1))
        for fold in range(2)
    ]
    notes: dict[int, str] = {}
    for number in (1, 0):
        failed: Future[dict[str, Any]] = Future()
        failed.set_exception(counterbias.InputError("nothing to learn from"))
        assert trials._settle(jobs[number], number, failed, notes) is None  # type: ignore[arg-type]
    trials._note(jobs, notes)  # type: ignore[arg-type]
    assert outcome.reason.startswith("fold 0, seed 1: ")


def test_missing_packages_are_a_reason_and_no_failure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterbias.pipeline.compare import candidates

    monkeypatch.setattr(
        candidates, "missing_modules", lambda backend: ("torch",) if backend.name == "vlmm" else ()
    )
    assert (
        main(
            command(
                folder, tmp_path, "--folds", "1", "--seeds", "1", "--no-figures", models="vlmm,pwm"
            )
        )
        == 0
    )
    vlmm, pwm = rows(tmp_path)
    assert (vlmm["status"], vlmm["reason"], pwm["status"]) == (
        "skipped",
        "training needs torch",
        "ok",
    )


def test_a_sample_with_hardly_a_read(folder: Path, tmp_path: Path) -> None:
    import pysam

    few = str(tmp_path / "few.bam")
    with (
        pysam.AlignmentFile(str(folder / "one.bam")) as source,
        pysam.AlignmentFile(few, "wb", template=source) as target,
    ):
        for number, read in enumerate(source):
            if number < 20:
                target.write(read)
    words = command(
        folder, tmp_path / "out", "--folds", "2", "--seeds", "1", "--no-figures", samples=()
    )
    assert main([*words[:-1], few, words[-1]]) == 0
    found = rows(tmp_path / "out")
    assert [row["status"] for row in found] == ["skipped"] * 3
    assert all(row["reason"] != "NA" for row in found)
    assert document(tmp_path / "out")["recommendation"]["model"] is None


def test_one_sample_alone_in_its_group(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "groups.tsv"
    sheet.write_text("sample\tgroup\none\ta\n")
    words = command(
        folder,
        tmp_path / "out",
        "--folds",
        "1",
        "--seeds",
        "1",
        "--no-figures",
        "--groups",
        sheet,
        models="pwm",
    )
    assert main(words) == 0
    assert "one is alone in group 'a'" in capsys.readouterr().err
    (row,) = rows(tmp_path / "out")
    assert (row["group"], row["replicate_rmse_raw"]) == ("a", "NA")


def test_without_matplotlib_all_but_figures_is_written(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from counterbias import figures

    monkeypatch.setattr(figures, "is_available", lambda: False)
    assert main(command(folder, tmp_path, "--folds", "1", "--seeds", "1", models="heptamer")) == 0
    assert "pip install 'counterbias[compare]'" in capsys.readouterr().err
    assert list((tmp_path / "figures").iterdir()) == []
    assert (tmp_path / "comparison.json").exists()


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD_TABLES = {
    "nothing in common": (
        "gene\tA\nx\t1\ny\t2\n",
        "no name of column 'gene' is the identifier of a feature",
    ),
    "twice": ("gene\tA\nx\t1\nx\t2\n", "line 3: 'x' stands in line 2 already"),
    "no number": ("gene\tA\nx\thigh\n", "line 2: 'high' in column 'A' is not a number"),
    "infinite": ("gene\tA\nx\tinf\n", "'inf' in column 'A' is not a number"),
    "no column": ("gene\tB\nx\t1\n", "there is no column 'A'"),
    "ragged": ("gene\tA\nx\t1\t2\n", "3 columns, the first line has 2"),
    "empty": ("", "the truth table is empty"),
}


def test_an_attribute_that_no_feature_has(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(command(folder, tmp_path / "out", *truth_of(folder), "--truth-attribute", "gene_nam"))
        == 1
    )
    assert "no feature has the attribute 'gene_nam'" in capsys.readouterr().err


@pytest.mark.parametrize("case", sorted(BAD_TABLES))
def test_bad_truth(
    case: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, said = BAD_TABLES[case]
    (tmp_path / "truth.tsv").write_text(content)
    assert (
        main(
            command(
                folder, tmp_path / "out", "--truth", tmp_path / "truth.tsv", "--truth-column", "A"
            )
        )
        == 1
    )
    told = capsys.readouterr()
    assert said in told.err
    assert "truth.tsv" in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not (tmp_path / "out").exists(), "a folder that was made for nothing goes again"


def test_bad_input_leaves_a_folder_of_the_user_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert (
        main(
            command(
                folder, tmp_path / "out", "--truth", tmp_path / "none.tsv", "--truth-column", "A"
            )
        )
        == 1
    )
    assert (tmp_path / "out").is_dir()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--truth-column", "A"], "needs --truth FILE"),
        (["--truth", "genes.gtf"], "needs --truth-column"),
        (["--truth", "nowhere.tsv", "--truth-column", "A"], "cannot be read"),
        (["--truth", "nowhere.tsv", "--truth-column", "A,B"], "2 columns for 1 alignment files"),
        (["--groups", "a,b"], "2 groups for 1 alignment files"),
        (["--folds", "6"], "there are 5 folds"),
        (["--folds", "0"], "at least 1"),
        (["--seeds", "x"], "give a number"),
        (["--models", "nosuch"], "no backend 'nosuch'"),
        (["--models", "nosuch.model"], "no such model file"),
        (["--models", "pwm:size=3"], "no such option"),
        (["--windows", "10"], "not a window"),
    ],
)
def test_wrong_options(
    more: list[str], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(folder, tmp_path / "out", *more)) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_file_in_the_place_of_the_folder_and_a_doubled_sample(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(command(folder, tmp_path / "file")) == 1
    assert "names a file" in capsys.readouterr().err
    assert main(command(folder, tmp_path / "out", samples=("one", "one"))) == 1
    assert "both named 'one'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--bias-model", "pwm", *command(folder, tmp_path / "out")[1:]])
    assert stop.value.code == 2
