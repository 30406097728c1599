"""Model files of samples that teach a model nothing: they say that there is none."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pysam
import pytest

import counterbias
from counterbias import Window
from counterbias.cli import main
from tests.bias.counted import assert_as_it_is, assert_same, command, count
from tests.helpers.samples_without_starts import (
    SINGLE,
    report,
    warnings_of,
)


def test_the_model_file_says_that_there_is_none(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "clipped.model").write_text("of an earlier run")
    count(singles, tmp_path / "b", "clipped")
    path = tmp_path / "b" / "clipped.model"
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["model.json"]
        description = json.loads(archive.read("model.json"))
    assert description["schema"] == [1, 2]
    assert description["training"]["samples"] == []
    assert description["ends"] == [
        {
            "arrays": [],
            "held_out_gain": None,
            "label": "both",
            "no_model": SINGLE["clipped"],
            "offset": 0.0,
            "slope": 0.0,
            "starts": 0,
        }
    ]
    model = counterbias.load_model(path)
    assert model.no_model == SINGLE["clipped"]
    assert model.window == Window(10, 10)
    assert model.ends[0].log_bias(np.zeros((3, 21), np.uint8)).tolist() == [0, 0, 0]
    counterbias.save_models(tmp_path / "again.model", model)
    assert (tmp_path / "again.model").read_bytes() == path.read_bytes()

    capsys.readouterr()
    count(singles, tmp_path / "used", "good", model=path)
    assert warnings_of(capsys.readouterr().err, "good") == [
        f"Warning: good: there is no model, all its weights are 1: "
        f"there is none in {path}: {SINGLE['clipped']}"
    ]
    assert_as_it_is(tmp_path / "used" / "good")

    assert main(command(singles, tmp_path / "prior", "good", more=("--bias-prior", path))) == 1
    messages = capsys.readouterr().err.splitlines()
    assert messages == [
        f"counterbias: {path}: there is no model in this file: {SINGLE['clipped']}. Leave it out"
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slope", 1.0),
        ("offset", 0.5),
        ("arrays", ["log_foreground"]),
        ("held_out_gain", 0.1),
        ("more", 1),
    ],
)
def test_an_end_without_a_model_says_nothing_else(
    singles: Path, tmp_path: Path, key: str, value: object
) -> None:
    count(singles, tmp_path / "b", "clipped")
    path = tmp_path / "b" / "clipped.model"
    with zipfile.ZipFile(path) as archive:
        description = json.loads(archive.read("model.json"))
    description["ends"][0][key] = value
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", json.dumps(description))
    with pytest.raises(counterbias.InputError):
        counterbias.load_model(path)


def test_a_saved_model_is_not_used_where_no_start_tells_whether_it_fits(
    singles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = singles / "alone" / "good.model"
    count(singles, tmp_path / "with", "other", "clipped", model=saved)
    assert warnings_of(capsys.readouterr().err, "clipped") == [
        f"Warning: clipped: the model is not used, all its weights are 1: "
        f"nothing tells whether it fits: {SINGLE['clipped']}"
    ]
    assert_as_it_is(tmp_path / "with" / "clipped")
    assert report(tmp_path / "with" / "clipped")["ends"][0]["no_model"] is None, (
        "there is one, though it is not used"
    )
    assert counterbias.load_model(tmp_path / "with" / "clipped.model").ends[0].slope == 0
    count(singles, tmp_path / "without", "other", model=saved)
    assert_same(tmp_path / "with" / "other", tmp_path / "without" / "other")


def test_scripts_and_simulations_can_read_the_model_file(
    singles: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(singles, tmp_path / "b", "clipped")
    count(pairs, tmp_path / "b", "no2", more=("-o", tmp_path / "tagged.sam"))
    weigh = counterbias.Weigher(tmp_path / "b" / "clipped.model", singles / "genome.fa")
    with pysam.AlignmentFile(str(singles / "good.sam")) as file:
        assert {weigh(read) for read in file} == {1.0}
    weigh = counterbias.Weigher(tmp_path / "b" / "no2.model", pairs / "genome.fa")
    with pysam.AlignmentFile(str(tmp_path / "tagged.sam"), check_sq=False) as file:
        for number, read in enumerate(file):
            if not read.is_read2:
                assert weigh(read) == pytest.approx(read.get_tag("ZW"), rel=1e-5)
            if number > 100:
                break
    capsys.readouterr()
    argv = [
        "simulate",
        "-o",
        tmp_path / "s",
        "--bias-model",
        tmp_path / "b" / "clipped.model",
        "--pairs",
        100,
    ]
    argv += ["--genes", 5, "--contigs", 1, "--bases", 100_000]
    assert main([str(word) for word in argv]) == 0
    assert (
        f"this file holds no model, so reads are unbiased: {SINGLE['clipped']}"
        in capsys.readouterr().err
    )


def test_in_python_a_model_is_given_or_an_error(singles: Path, tmp_path: Path) -> None:
    with pytest.raises(
        counterbias.InputError, match=r"clipped.sam: no read start can be learnt from"
    ):
        counterbias.fit_model(
            singles / "clipped.sam",
            singles / "genes.gtf",
            counterbias.BiasOptions("pwm", str(singles / "genome.fa")),
            options=counterbias.CountingOptions(stranded="yes", order="pos"),
        )
