"""Pairs of which one read teaches a model nothing: the other is corrected as if it were alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest

import counterbias
from tests.bias.counted import BY_TRANSCRIPTS, assert_as_it_is, assert_same, count
from tests.helpers.samples_without_starts import (
    NO_READ_1,
    NO_READ_2,
    numbers,
    report,
    table,
    warnings_of,
)


@pytest.mark.parametrize(
    "case", [("no1", "read1", NO_READ_1), ("no2", "read2", NO_READ_2)], ids=["no1", "no2"]
)
@pytest.mark.parametrize("model", ["pwm", "auto"])
def test_the_other_end_is_corrected_as_if_alone(
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, str, str],
    model: str,
) -> None:
    sample, end, reason = case
    count(pairs, tmp_path / "b", sample, model=model)
    messages = warnings_of(
        capsys.readouterr().err,
        sample,
        but=lambda line: "--stranded" in line or "expect a noisy model" in line,
    )
    assert messages == [
        f"Warning: {sample}: there is no model of {end}, whose reads count as unbiased: {reason}"
    ]
    found = report(tmp_path / "b" / sample)
    silent, other = sorted(found["ends"], key=lambda one: one["end"] != end)
    assert (silent["no_model"], silent["calibration"]["applied"]) == (reason, False)
    assert (other["no_model"], other["calibration"]["applied"]) == (None, True)
    assert found["model"]["backend"] == ("pwm" if other["unique_starts"] < 2000 else "cnn"), (
        "chosen by the end that has starts"
    )
    rows = table(tmp_path / "b" / sample)
    assert any(row["weighted"] != row["raw"] for row in rows)
    assert sum(float(row["weighted"]) for row in rows) == pytest.approx(1500, rel=1e-6)


def test_the_other_ends_model_is_that_of_a_sample_in_which_nothing_is_clipped(
    pairs: Path, tmp_path: Path
) -> None:
    """Both have the same reads 1, so the same is learnt from them."""
    count(pairs, tmp_path / "b", "no2")
    whole = (
        (pairs / "no2.sam")
        .read_text()
        .replace("\t5S45M\t", "\t50M\t")
        .replace("\t45M5S\t", "\t50M\t")
    )
    (tmp_path / "no2.sam").write_text(whole)
    for name in ("genome.fa", "genes.gtf"):
        (tmp_path / name).symlink_to(pairs / name)
    count(tmp_path, tmp_path / "whole", "no2")
    one, two = (
        counterbias.load_model(tmp_path / folder / "no2.model").ends[0] for folder in ("b", "whole")
    )
    # Clipping moves the mates' starts, and so which pairs are copies; the starts stay.
    assert one.starts == two.starts
    windows = np.random.default_rng(1).integers(0, 4, (200, 21), dtype=np.uint8)
    assert np.corrcoef(one.log_bias(windows), two.log_bias(windows))[0, 1] > 0.99


def test_single_reads_find_no_model_in_a_blend_of_the_other_end(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(pairs, tmp_path / "b", "no1", more=("--bias-prior", pairs / "alone" / "good.model"))
    path = tmp_path / "b" / "no1.model"
    model = counterbias.load_model(path)
    assert model.prior is not None
    assert isinstance(model.ends[1].model, counterbias.Blend)
    with (pairs / "good.sam").open() as source, (tmp_path / "single.sam").open("w") as out:
        for text in source:
            fields = text.split("\t")
            if text.startswith("@") or int(fields[1]) & 0x40:
                fields[1:] = (
                    fields[1:]
                    if text.startswith("@")
                    else [str(int(fields[1]) & 0x10), *fields[2:6], "*", "0", "0", *fields[9:]]
                )
                out.write("\t".join(fields))
    for name in ("genome.fa", "genes.gtf"):
        (tmp_path / name).symlink_to(pairs / name)
    capsys.readouterr()
    count(tmp_path, tmp_path / "c", "single", model=path)
    assert (
        f"single: there is no model, all its weights are 1: there is none in {path}: {NO_READ_1}"
        in capsys.readouterr().err
    )
    assert counterbias.load_model(tmp_path / "c" / "single.model").prior is None
    assert_as_it_is(tmp_path / "c" / "single")


def test_where_neither_end_teaches_anything_one_warning_tells(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(
        pairs,
        tmp_path / "b",
        "neither",
        "good",
        more=("-o", tmp_path / "n.sam", "-o", tmp_path / "g.sam"),
    )
    assert warnings_of(capsys.readouterr().err, "neither") == [
        f"Warning: neither: there is no model, all its weights are 1: {NO_READ_1}; {NO_READ_2}"
    ]
    assert_as_it_is(tmp_path / "b" / "neither")
    assert_same(tmp_path / "b" / "good", pairs / "alone" / "good")
    with pysam.AlignmentFile(str(tmp_path / "n.sam"), check_sq=False) as file:
        assert {record.get_tag("ZW") for record in file} == {1.0}


@pytest.mark.parametrize("stranded", ["yes", "reverse"])
def test_by_default_where_neither_end_teaches_anything_lengths_alone_are_corrected_for(
    pairs: Path, tmp_path: Path, stranded: str
) -> None:
    """With the wrong strand, no pair is assigned at all."""
    more = ("-s", stranded)
    count(pairs, tmp_path / "b", "neither", more=more, lengths=None)
    count(pairs, tmp_path / "none", "neither", model="none", more=more, lengths="transcripts")
    found = report(tmp_path / "b" / "neither")
    assert [end["calibration"]["applied"] for end in found["ends"]] == [False, False]
    assert found["lengths"]["method"] == "transcripts"
    assert found["lengths"]["assumed"] == (stranded == "reverse")
    assert found["lengths"] == report(tmp_path / "none" / "neither")["lengths"]
    for ending in BY_TRANSCRIPTS:
        assert (tmp_path / "b" / f"neither{ending}").read_bytes() == (
            tmp_path / "none" / f"neither{ending}"
        ).read_bytes()
    assert numbers(tmp_path / "b" / "neither", "weighted") == numbers(
        tmp_path / "b" / "neither", "raw"
    )


def test_without_strandedness_the_ends_are_one(pairs: Path, tmp_path: Path) -> None:
    count(pairs, tmp_path / "b", "no2", more=("-s", "no"))
    (end,) = report(tmp_path / "b" / "no2")["ends"]
    assert end["no_model"] is None


def test_a_model_of_one_end_is_read_again(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count(pairs, tmp_path / "b", "no2")
    path = tmp_path / "b" / "no2.model"
    model = counterbias.load_model(path)
    assert model.no_model == ""
    assert (model.ends[0].slope > 0, model.ends[1].slope) == (True, 0)
    capsys.readouterr()
    count(pairs, tmp_path / "again", "no2", model=path)
    assert (tmp_path / "again" / "no2.counts.tsv").read_bytes() == (
        tmp_path / "b" / "no2.counts.tsv"
    ).read_bytes()
    count(pairs, tmp_path / "used", "good", model=path)
    assert (
        f"there is no model of read2, whose reads count as unbiased: "
        f"there is none in {path}: {NO_READ_2}" in capsys.readouterr().err
    )
    count(pairs, tmp_path / "prior", "good", more=("--bias-prior", path))
    assert (
        report(tmp_path / "prior" / "good")["ends"][1]["training"]["details"]["prior_share"] >= 0
    ), "read 1's stands in"


@pytest.mark.parametrize("how", ["file", "prior"])
def test_a_model_of_other_samples_serves_effective_lengths_of_the_silent_end(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """It serves the unsequenced end, as with single reads; the reads' own weights stay the same."""
    both = pairs / "alone" / "good.model"
    assert all(end.slope > 0 for end in counterbias.load_model(both).ends)
    given = {"model": both} if how == "file" else {"more": ("--bias-prior", both)}
    count(pairs, tmp_path / "b", "no2", **given)  # type: ignore[arg-type]
    where = str(both) if how == "file" else "the prior"
    assert (
        f"all weights of read2 are 1, while effective lengths take its model in {where} as it is"
        in capsys.readouterr().err
    )
    one = tmp_path / "one.model"
    model = counterbias.load_model(both)
    lone = counterbias.EndModel("read2", model.ends[1].model, 0.0, 0.0, model.ends[1].starts)
    counterbias.save_models(
        one,
        counterbias.ModelFile(
            "pwm", "counterbias", model.version, model.window, (model.ends[0], lone)
        ),
    )
    given = {"model": one} if how == "file" else {"more": ("--bias-prior", one)}
    count(pairs, tmp_path / "gained_nothing", "no2", **given)  # type: ignore[arg-type]
    found, unbiased = (
        numbers(tmp_path / name / "no2", "effective_length") for name in ("b", "gained_nothing")
    )
    assert not np.allclose(found, unbiased, rtol=1e-3)
    found, unbiased = (
        numbers(tmp_path / name / "no2", "weighted") for name in ("b", "gained_nothing")
    )
    assert np.allclose(found, unbiased)
