"""``counterbias train``: one model of many samples, equal weights, and blocks that no judge saw."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest

import counterbias
from counterbias import TrainingSet, Window
from counterbias.cli import main
from counterbias.cli.naming import training_report_name
from counterbias.cli.train import build_train_parser
from counterbias.pipeline.bias import cross_fitting
from counterbias.pipeline.bias.auto import backend_for
from counterbias.writers.training import COLUMNS
from tests.train.cohorts import CNN, SAMPLES, report, rows, train

# -- the result --------------------------------------------------------------------------------


def test_each_sample_is_told_of_on_standard_output(ran: Path) -> None:
    table = rows(ran.with_suffix(".tsv").read_text())
    assert tuple(table[0]) == COLUMNS
    assert [row["sample"] for row in table] == ["a", "b", "small"]
    for row, reads in zip(table, SAMPLES.values(), strict=True):
        assert 0.8 * reads < int(row["reads"]) <= reads
        assert int(row["starts"]) <= int(row["reads"])
        assert float(row["difference"]) == pytest.approx(
            float(row["pooled"]) - float(row["own"]), abs=2e-4
        )
        assert row["own_model"] == "pwm"
    assert float(table[2]["difference"]) > 0, "a small sample gains by pooling"


def test_model_names_its_samples_and_is_calibrated(ran: Path) -> None:
    model = counterbias.load_model(ran)
    assert model.training.samples == ("a", "b", "small")
    (end,) = model.ends
    assert 0 < end.slope <= 1
    assert end.held_out_gain is not None
    assert end.held_out_gain > 0.1
    assert (model.cap, model.factor) == (math.inf, 1.0)
    reported = report(ran)
    assert next(iter(reported)) == "counterbias_train"
    assert end.starts == sum(gain["starts"] for gain in reported["gains"])
    assert reported["ends"][0]["calibration"]["gain"] == pytest.approx(end.held_out_gain)
    assert reported["inputs"]["alignments"].keys() == SAMPLES.keys()
    assert reported["summary"]["compared"] == 3
    assert sum(reported["summary"][which] for which in ("pooled", "own", "neither")) == 3


def test_order_and_threads_change_no_byte(folder: Path, ran: Path, tmp_path: Path) -> None:
    table = train(
        folder, tmp_path / "x.model", "small", "b", "a", model="pwm", more=("--bias-threads", 2)
    )
    assert (tmp_path / "x.model").read_bytes() == ran.read_bytes()
    assert table == ran.with_suffix(".tsv").read_text()


def test_networks_train_on_pooled_tiles_alike_with_any_order_and_threads(
    folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("numba")
    more = tuple(word for setting in CNN for word in ("--bias-option", setting))
    one = train(folder, tmp_path / "1.model", "a", "small", model="cnn", more=more)
    two = train(
        folder, tmp_path / "2.model", "small", "a", model="cnn", more=(*more, "--bias-threads", 2)
    )
    assert one == two
    assert (tmp_path / "1.model").read_bytes() == (tmp_path / "2.model").read_bytes()
    assert report(tmp_path / "1.model")["ends"][0]["tiles"] > 100


@pytest.mark.parametrize("model", ["vlmm", "cnn"])
def test_one_sample_gives_the_model_that_counting_gives(
    folder: Path, tmp_path: Path, model: str
) -> None:
    """To the last bit: windows, folds, model, judges, gains and calibration."""
    more = tuple(
        word
        for setting in (*CNN, "distil_steps=40")
        if model == "cnn"
        for word in ("--bias-option", setting)
    )
    table = rows(train(folder, tmp_path / "one.model", "a", model=model, more=more))
    files = (folder / "a.bam", folder / "genes.gtf")
    options = (
        "-q",
        "-s",
        "no",
        "-r",
        "pos",
        "--bias-model",
        model,
        "--bias-genome",
        folder / "genome.fa",
        *more,
    )
    outputs = ("--bias-output", tmp_path / "c", "-c", tmp_path / "c.tsv")
    assert main(["count", *map(str, (*options, *outputs, *files))]) == 0
    ours, counted = (
        counterbias.load_model(tmp_path / "one.model"),
        counterbias.load_model(tmp_path / "c.model"),
    )
    for name, array in counted.ends[0].model.to_arrays().items():
        assert np.array_equal(ours.ends[0].model.to_arrays()[name], array)
    assert (ours.ends[0].slope, ours.ends[0].offset) == (
        counted.ends[0].slope,
        counted.ends[0].offset,
    )
    (gain,) = report(tmp_path / "one.model")["gains"]
    found = json.loads((tmp_path / "c.counterbias.json").read_text())["ends"][0]["calibration"]
    assert (
        (gain["pooled"], gain["pooled_error"])
        == (gain["own"], gain["own_error"])
        == (found["gain"], found["gain_error"])
    )
    assert (gain["difference"], gain["difference_error"]) == (0, 0)
    assert float(table[0]["difference"]) == 0.0


def test_a_sample_twice_teaches_what_it_teaches_once(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "a.bam", tmp_path / "copy.bam")
    genes, genome = folder / "genes.gtf", folder / "genome.fa"
    once = counterbias.train_cohort(
        {"a": folder / "a.bam"},
        genes,
        counterbias.BiasOptions("pwm", str(genome)),
        train=counterbias.TrainOptions(own=False),
    )
    twice = counterbias.train_cohort(
        {"a": folder / "a.bam", "copy": tmp_path / "copy.bam"},
        genes,
        counterbias.BiasOptions("pwm", str(genome)),
        train=counterbias.TrainOptions(own=False),
    )
    windows = np.random.default_rng(1).integers(0, 4, (500, 21)).astype(np.uint8)
    first, second = once.model.ends[0].log_bias(windows), twice.model.ends[0].log_bias(windows)
    assert np.corrcoef(first, second)[0, 1] > 0.999
    assert np.abs(first - second).max() < 0.1
    assert twice.gains[0].factor == 1.0
    assert twice.gains[0].pooled == pytest.approx(once.gains[0].pooled, abs=0.02)


def test_equal_samples_or_by_reads(folder: Path, ran: Path, tmp_path: Path) -> None:
    equal = rows(
        train(
            folder,
            tmp_path / "r.model",
            *SAMPLES,
            model="pwm",
            more=("--bias-pool", "samples", "--bias-no-own"),
        )
    )
    by_reads = rows(ran.with_suffix(".tsv").read_text())
    assert float(equal[2]["factor"]) > 2 > 1 > float(equal[0]["factor"])
    assert all(0.7 < float(row["factor"]) < 1.4 for row in by_reads), (
        "one read of any sample counts about the same"
    )
    assert all(
        row["own"] == row["difference"] == row["better"] == row["own_model"] == "NA"
        for row in equal
    )
    assert report(tmp_path / "r.model")["summary"]["compared"] == 0
    assert (tmp_path / "r.model").read_bytes() != ran.read_bytes()


def test_no_base_that_is_judged_was_seen_by_its_judge(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No model of any sample saw 21 bases of what it judges; windows of 41 bases are unique."""
    reorder(folder / "b.bam", tmp_path / "reordered.bam")
    learnt: dict[int, set[bytes]] = {}
    judged = []
    model = counterbias.load_plugins().backends["pwm"].backend.load()
    fit, score = model.fit, cross_fitting.score

    def remembered(self: Any, sample: TrainingSet, rng: np.random.Generator) -> Any:
        sets = [sample, *([] if sample.validation is None else [sample.validation])]
        learnt[id(self)] = {
            piece for one in sets for piece in pieces(one.foreground, one.background)
        }
        kept.append(self)
        return fit(self, sample, rng)

    def looked_at(judge: Any, contexts: np.ndarray, *, threads: int) -> np.ndarray:
        judged.append(len(contexts))
        assert not learnt[id(judge)] & pieces(contexts)
        return np.asarray(score(judge, contexts, threads=threads))

    kept: list[Any] = []  # so that no number occurs twice
    monkeypatch.setattr(model, "fit", remembered)
    monkeypatch.setattr(cross_fitting, "score", looked_at)
    samples = {
        "a": folder / "a.bam",
        "b": tmp_path / "reordered.bam",
        "small": folder / "small.bam",
    }
    counterbias.train_cohort(
        samples,
        folder / "genes.gtf",
        counterbias.BiasOptions("pwm", str(folder / "genome.fa"), window=Window(20, 20)),
    )
    # Three samples' own models and the pooled one, each with five judges; every sample is judged by
    # its own judges and the pooled ones.
    assert (len(kept), len(judged)) == (4 * 6, 6 * 5 * 2)
    assert min(len(seen) for seen in learnt.values()) > 5_000
    assert sum(judged) > 20_000


def pieces(*contexts: np.ndarray) -> set[bytes]:
    """Return all stretches of 21 bases, of both strands alike."""
    forward = np.concatenate(
        [one[:, first : first + 21] for one in contexts for first in range(0, 21, 2)]
    )
    return {row.tobytes() for row in forward} | {row.tobytes() for row in 3 - forward[:, ::-1]}


def reorder(source: Path, target: Path) -> None:
    """Write an alignment file whose header names the contigs the other way round."""
    with pysam.AlignmentFile(source) as file:
        header = file.header.to_dict()
        header["SQ"] = header["SQ"][::-1]
        records = [record.to_dict() for record in file]
    with pysam.AlignmentFile(target, "wb", header=header) as out:
        for record in records:
            out.write(pysam.AlignedSegment.from_dict(record, out.header))


def test_stranded_pairs_have_a_model_per_read(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "stranded.bam", tmp_path / "again.bam")
    table = rows(
        train(
            folder,
            tmp_path / "s.model",
            "stranded",
            str(tmp_path / "again.bam"),
            model="heptamer",
            stranded="yes",
        )
    )
    assert [(row["sample"], row["end"]) for row in table] == [
        (s, e) for s in ("again", "stranded") for e in ("read1", "read2")
    ]
    assert [end.label for end in counterbias.load_model(tmp_path / "s.model").ends] == [
        "read1",
        "read2",
    ]


def test_single_reads_and_unstranded_pairs_pool(folder: Path, tmp_path: Path) -> None:
    table = rows(
        train(folder, tmp_path / "m.model", "a", "pairs", more=("--bias-no-own",), model="pwm")
    )
    assert [row["end"] for row in table] == ["both", "both"]


def test_pooled_models_that_train_together_are_fitted_with_one_call(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(folder / "stranded.bam", tmp_path / "again.bam")
    samples = "stranded", str(tmp_path / "again.bam")
    options: dict[str, Any] = {"model": "pwm", "stranded": "yes", "more": ("--bias-no-own",)}
    table = train(folder, tmp_path / "alone.model", *samples, **options)
    kind = counterbias.load_plugins().backends["pwm"].backend.load()
    original, calls = kind.cross_fit_together, []

    def together(cls: type[counterbias.BiasModel], fits: Any) -> Any:
        calls.append(len(fits))
        return original(fits)

    monkeypatch.setattr(kind, "cross_fit_together", classmethod(together))
    assert train(folder, tmp_path / "one_by_one.model", *samples, **options) == table
    monkeypatch.setattr(kind, "trains_together", lambda self: True)
    assert train(folder, tmp_path / "together.model", *samples, **options) == table
    assert calls == [1, 1, 2]
    assert (tmp_path / "together.model").read_bytes() == (tmp_path / "alone.model").read_bytes()


def test_fitting_from_python_chooses_the_model_by_itself(folder: Path) -> None:
    fitted = counterbias.fit_model(
        folder / "small.bam",
        folder / "genes.gtf",
        counterbias.BiasOptions("auto", str(folder / "genome.fa")),
    )
    starts = fitted.ends[0].starts
    assert starts is not None
    assert 700 <= starts < 2000
    assert fitted.backend == backend_for(starts, counterbias.load_plugins()) == "pwm"


# -- counting with it --------------------------------------------------------------------------


def test_counting_with_a_cohort_model(
    folder: Path, ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = [
        str(word)
        for word in (
            "count",
            "-q",
            "-s",
            "no",
            "-r",
            "pos",
            folder / "small.bam",
            folder / "genes.gtf",
        )
    ]
    capsys.readouterr()
    assert main(plain) == 0
    wanted = capsys.readouterr().out
    bias = (
        "--bias-model",
        ran,
        "--bias-genome",
        folder / "genome.fa",
        "--bias-output",
        tmp_path / "small",
    )
    assert main([*plain, *map(str, bias)]) == 0
    assert capsys.readouterr().out == wanted, "standard output stays htseq-count's"
    written = json.loads((tmp_path / "small.counterbias.json").read_text())
    assert written["inputs"]["model"] == str(ran)
    assert written["ends"][0]["calibration"]["applied"] is True
    used = counterbias.load_model(tmp_path / "small.model")
    assert used.training.samples == ("a", "b", "small")
    assert used.ends[0].slope != counterbias.load_model(ran).ends[0].slope, (
        "it is calibrated on each sample"
    )
    with open(tmp_path / "small.counts.tsv") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert sum(float(row["weighted"]) for row in table) == pytest.approx(
        sum(float(row["raw"]) for row in table), rel=1e-6
    )
    assert any(row["weighted"] != row["raw"] for row in table)


# -- documentation and benchmark ---------------------------------------------------------------


def test_every_option_stands_in_the_reference(root: Path) -> None:
    page = (root / "docs" / "reference" / "train.md").read_text(encoding="utf-8")
    options = [
        option for action in build_train_parser().actions for option in action.option_strings
    ]
    assert len(options) > 20
    assert [option for option in options if f"`{option}`" not in page] == []
    assert [column for column in COLUMNS if f"`{column}`" not in page] == []


def test_report_stands_beside_the_model() -> None:
    assert training_report_name("x/cohort.model") == "x/cohort.counterbias-train.json"
    assert training_report_name("cohort") == "cohort.counterbias-train.json"
    assert training_report_name("x/.model") == "x/.model.counterbias-train.json"


def test_yeast_lanes(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "yeast"
    samples = {name: folder / f"{name}.bam" for name in ("isowt5", "isowt6")}
    found = counterbias.train_cohort(
        samples, folder / "genes.gtf", counterbias.BiasOptions("vlmm", str(folder / "genome.fa"))
    )
    assert all(gain.pooled > gain.own - 2 * gain.difference_error for gain in found.gains)
    assert all(gain.pooled > 3 * gain.pooled_error for gain in found.gains)
