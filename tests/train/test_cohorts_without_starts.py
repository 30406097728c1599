"""``compare`` and ``train`` where a sample teaches nothing: left out, the rest are as ever."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import counterbias
from counterbias.cli import main
from counterbias.cli.naming import training_report_name
from tests.helpers.samples_without_starts import (
    NO_READ_1,
    NO_READ_2,
    SINGLE,
    write_pairs,
    write_singles,
)


@pytest.fixture(scope="module")
def singles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("singles")
    write_singles(folder)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    return folder


def command(
    name: str, folder: Path, out: Path, *samples: str, more: tuple[object, ...] = ()
) -> list[str]:
    models = (
        ["--models", "pwm", "--folds", "2", "--seeds", "1", "--no-figures"]
        if name == "compare"
        else ["--bias-model", "pwm"]
    )
    options = [
        "-q",
        "-s",
        "yes",
        "--nonunique",
        "all",
        "--bias-genome",
        str(folder / "genome.fa"),
        "-o",
        str(out),
    ]
    files = [str(folder / f"{sample}.sam") for sample in samples]
    return [name, *options, *models, *map(str, more), *files, str(folder / "genes.gtf")]


def done(name: str, folder: Path, out: Path, *samples: str, more: tuple[object, ...] = ()) -> str:
    """Run a command; return its standard output."""
    with pytest.MonkeyPatch.context() as patch:
        stdout = io.StringIO()
        patch.setattr(sys, "stdout", stdout)
        assert main(command(name, folder, out, *samples, more=more)) == 0
    return stdout.getvalue()


def document(folder: Path) -> dict[str, Any]:
    """Read comparison.json, without what differs between equal runs."""
    found: dict[str, Any] = json.loads((folder / "comparison.json").read_text())
    found.pop("command_line")
    for sample in found["samples"]:
        for model in sample["models"]:
            model.pop("cost")
    return found


# -- compare ----------------------------------------------------------------------------------


def test_compare_leaves_it_out_with_its_reason(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stdout = done("compare", singles, tmp_path / "with", "good", *SINGLE, "other")
    stderr = capsys.readouterr().err
    for sample, reason in SINGLE.items():
        assert f"Warning: {sample} is left out: {reason}\n" in stderr
        assert f"skipped: {reason}\n" in stdout
    assert stderr.count("is left out") == len(SINGLE)
    done("compare", singles, tmp_path / "without", "good", "other")
    found, alone = document(tmp_path / "with"), document(tmp_path / "without")
    assert found["recommendation"] == alone["recommendation"]
    assert found["recommendation"]["model"] == "pwm"
    assert [one for one in found["samples"] if one["sample"] not in SINGLE] == alone["samples"]
    for one in found["samples"]:
        if one["sample"] in SINGLE:
            (model,) = one["models"]
            assert (model["status"], model["reason"], model["used"]) == (
                "skipped",
                SINGLE[one["sample"]],
                False,
            )
    with open(tmp_path / "with" / "per_gene.tsv") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["sample"] in SINGLE]
    assert {row["pwm.corrected"] for row in rows} == {"NA"}
    assert sum(float(row["raw"]) for row in rows if row["sample"] == "clipped") == 300


def test_compare_draws_no_figures_of_it(singles: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    argv = [
        word
        for word in command("compare", singles, tmp_path / "c", "good", "empty")
        if word != "--no-figures"
    ]
    assert main(argv) == 0
    text = (tmp_path / "c" / "figures" / "composition.svg").read_text()
    assert ">good: " in text
    assert "empty" not in text


def test_compare_does_not_take_it_for_a_replicate(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done("compare", singles, tmp_path / "c", "good", "empty", more=("--groups", "a,a"))
    stderr = capsys.readouterr().err
    assert "good is alone in group 'a'" in stderr
    assert "empty is alone" not in stderr


@pytest.mark.parametrize("name", ["compare", "train"])
def test_nothing_left_is_one_line_and_writes_nothing(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(command(name, singles, tmp_path / "c", "empty", "clipped")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (last,) = [text for text in captured.err.splitlines() if not text.startswith("Warning: ")]
    assert last.startswith("counterbias: ")
    for sample in ("empty", "clipped"):
        assert (
            f"{sample}: {SINGLE[sample]}" in last
            or f"{sample} is left out: {SINGLE[sample]}" in captured.err
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sample", "label", "reason"), [("no1", "read1", NO_READ_1), ("no2", "read2", NO_READ_2)]
)
def test_compare_measures_the_end_that_can_be_learnt_from(
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    sample: str,
    label: str,
    reason: str,
) -> None:
    done("compare", pairs, tmp_path / "c", sample, "neither")
    stderr = capsys.readouterr().err
    assert (
        f"Warning: {sample}: there is no model of {label}, whose reads count as unbiased: "
        f"{reason}\n" in stderr
    )
    assert f"Warning: neither is left out: {NO_READ_1}; {NO_READ_2}\n" in stderr
    one = document(tmp_path / "c")["samples"][0]["models"][0]
    assert (one["status"], one["used"], one["reason"]) == ("ok", True, None)
    assert one["measures"]["gain_cap5"]["value"] > 0.05, (
        "not halved by an end that nothing was measured in"
    )


def test_compare_skips_a_model_file_that_holds_none(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "count", "-q", "-s", "yes", "--bias-model", "pwm", "--bias-genome", pairs / "genome.fa",
        "--bias-output", f"{tmp_path}/", "-c", tmp_path / "t.tsv",
        pairs / "neither.sam", pairs / "no2.sam", pairs / "genes.gtf",
    )  # fmt: skip
    assert main([str(word) for word in words]) == 0
    none, half = tmp_path / "neither.model", tmp_path / "no2.model"
    done("compare", pairs, tmp_path / "c", "good", more=("--models", f"pwm,{none},{half}"))
    models = {one["model"]: one for one in document(tmp_path / "c")["samples"][0]["models"]}
    assert models[str(none)]["status"] == "skipped"
    assert (
        models[str(none)]["reason"] == f"there is no model in this file: {NO_READ_1}; {NO_READ_2}"
    )
    assert models[str(half)]["status"] == "ok"
    whole, first = (models[name]["measures"]["gain_cap5"]["value"] for name in ("pwm", str(half)))
    assert 0 < first < 0.75 * whole, "a count weighs reads 2 by 1"
    capsys.readouterr()
    assert main(command("compare", pairs, tmp_path / "d", "good", more=("--models", none))) == 1
    error = capsys.readouterr().err
    assert error.startswith("counterbias: no model can be trained: ")
    assert f"{none.name}: there" in error


# -- train ------------------------------------------------------------------------------------


def trained(model: Path) -> dict[str, Any]:
    """Read the report, without what differs between equal runs."""
    found: dict[str, Any] = json.loads(Path(training_report_name(str(model))).read_text())
    for key in ("run", "command_line", "inputs"):
        found.pop(key)
    for end in found["ends"]:
        end["training"].pop("seconds")
    return found


def test_train_leaves_no_trace_of_it_in_the_model(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Samples are read by name: those left out come before, between and after the others."""
    stdout = done("train", singles, tmp_path / "with.model", "good", *SINGLE, "other")
    stderr = capsys.readouterr().err
    for sample, reason in SINGLE.items():
        assert f"Warning: {sample} is left out: {reason}\n" in stderr
    alone = done("train", singles, tmp_path / "without.model", "good", "other")
    assert (tmp_path / "with.model").read_bytes() == (tmp_path / "without.model").read_bytes()
    assert stdout.splitlines()[: len(alone.splitlines())] == alone.splitlines()
    found, wanted = trained(tmp_path / "with.model"), trained(tmp_path / "without.model")
    assert found.pop("skipped") == [
        {"sample": sample, "reason": SINGLE[sample]} for sample in sorted(SINGLE)
    ]
    assert wanted.pop("skipped") == []
    found.pop("warnings"), wanted.pop("warnings")
    assert found == wanted


def test_train_needs_both_ends_of_a_sample(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done("train", pairs, tmp_path / "with.model", "good", "neither", "no1", "no2", "other")
    stderr = capsys.readouterr().err
    for sample, reason in (("neither", NO_READ_1), ("no1", NO_READ_1), ("no2", NO_READ_2)):
        assert f"Warning: {sample} is left out: {reason}\n" in stderr
    done("train", pairs, tmp_path / "without.model", "good", "other")
    assert (tmp_path / "with.model").read_bytes() == (tmp_path / "without.model").read_bytes()
    assert counterbias.load_model(tmp_path / "with.model").training.samples == ("good", "other")


def test_train_does_not_number_contigs_by_a_sample_that_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its header may have another order, and even other lengths: nothing is learnt from it."""
    write_singles(tmp_path)
    (tmp_path / "aaa.sam").write_text("@SQ\tSN:chr2\tLN:70000\n@SQ\tSN:chr1\tLN:60000\n")
    done("train", tmp_path, tmp_path / "with.model", "aaa", "good", "other")
    done("train", tmp_path, tmp_path / "without.model", "good", "other")
    assert (tmp_path / "with.model").read_bytes() == (tmp_path / "without.model").read_bytes()


def test_train_deals_folds_anew_without_samples_that_have_no_window_in_them(
    singles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two samples whose lack shows late: both would make the cohort's blocks smaller."""
    done("train", singles, tmp_path / "without.model", "good", "other")
    assert trained(tmp_path / "without.model")["ends"][0]["block"] == 2000
    monkeypatch.setattr("counterbias.pipeline.train.reader.why_unlearnable_drawn", lambda *_: "")
    capsys.readouterr()
    done("train", singles, tmp_path / "with.model", "clipped", "good", "multi", "other")
    stderr = capsys.readouterr().err
    for sample in ("clipped", "multi"):
        assert (
            f"{sample} is left out: no read start can be learnt from: "
            "none has its window and background within a block" in stderr
        )
    assert trained(tmp_path / "with.model")["ends"][0]["block"] == 2000
    assert (tmp_path / "with.model").read_bytes() == (tmp_path / "without.model").read_bytes()
