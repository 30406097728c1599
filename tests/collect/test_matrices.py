"""``counterbias collect``: matrices, features and samples of a cohort."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterbias.cli import main
from tests.collect.cohort import (
    SAMPLES,
    change_report,
    collect,
    count,
    matrix,
    refused,
    report_of,
)

FILES = {"raw.tsv", "corrected.tsv", "effective_length.tsv", "features.tsv", "samples.tsv"}


def test_each_column_is_the_samples_own(tables: list[Path], tmp_path: Path) -> None:
    collect(tmp_path / "cohort", *tables)
    assert {path.name for path in (tmp_path / "cohort").iterdir()} == FILES
    for name in ("raw", "corrected", "effective_length"):
        found = matrix(tmp_path / "cohort" / f"{name}.tsv")
        assert list(found.columns) == list(SAMPLES)
        assert found.index.name == "feature"
        for sample, table in zip(SAMPLES, tables, strict=True):
            pd.testing.assert_series_equal(found[sample], matrix(table)[name], check_names=False)


def test_tables_name_samples_whose_alignment_files_have_one_name(
    tables: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for table in tables:
        change_report(table, lambda report: report.update(sample="Aligned.out"))
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert "the sample 'Aligned.out' is in sample1.counts.tsv too" in line.replace(
        f"{tables[0].parent}/", ""
    )
    assert line.endswith("if only alignments share a name: --names tables")
    collect(tmp_path / "cohort", *tables, options=("--names", "tables"))
    for name in ("raw", "corrected", "effective_length"):
        assert list(matrix(tmp_path / "cohort" / f"{name}.tsv").columns) == list(SAMPLES)
    assert list(matrix(tmp_path / "cohort" / "samples.tsv").index) == list(SAMPLES)


def test_tables_with_no_name_or_one_name_name_no_samples(
    tables: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (other := tmp_path / "other").mkdir()
    for path in (tables[1], report_of(tables[1])):
        path.rename(other / path.name.replace("sample2", "sample1"))
    words = ("--names", "tables")
    line = refused(capfd, tmp_path / "cohort", tables[0], other / tables[0].name, options=words)
    assert "the sample 'sample1' is in" in line
    unnamed = tables[2].parent / ".counts.tsv"
    report_of(tables[2]).rename(report_of(unnamed))
    tables[2].rename(unnamed)
    line = refused(capfd, tmp_path / "cohort", unnamed, options=words)
    assert "nothing stands before .counts.tsv that would name the sample" in line


def test_cells_are_written_as_the_samples_tables_have_them(
    tables: list[Path], tmp_path: Path
) -> None:
    collect(tmp_path / "cohort", *tables)
    for column, name in ((3, "raw"), (5, "effective_length"), (6, "corrected")):
        rows = (tmp_path / "cohort" / f"{name}.tsv").read_text().splitlines()[1:]
        for number, table in enumerate(tables, start=1):
            own = table.read_text().splitlines()[1:]
            assert [row.split("\t")[number] for row in rows] == [
                row.split("\t")[column] for row in own
            ]


def test_fractions_and_counts_beyond_nine_digits_are_written_as_they_are(
    tables: list[Path], tmp_path: Path
) -> None:
    def write(table: Path, raw: str, total: float) -> None:
        lines = table.read_text().splitlines()
        rows = [line.split("\t") for line in lines]
        for row in rows[1:]:
            row[3] = "0"
        rows[1][3] = raw
        table.write_text("".join("\t".join(row) + "\n" for row in rows))
        change_report(table, lambda report: report["counting"].update(assigned=total))

    write(tables[0], "12345678901", 12345678901.0)
    write(tables[1], "7", 7.0)
    collect(tmp_path / "whole", *tables[:2])
    assert (tmp_path / "whole/raw.tsv").read_text().splitlines()[1].endswith("\t12345678901\t7")
    write(tables[1], "0.333333333", 0.33333333)
    write(tables[0], "7", 7.0)
    collect(tmp_path / "parts", *tables[:2])
    assert (tmp_path / "parts/raw.tsv").read_text().splitlines()[1].endswith("\t7\t0.333333333")


def test_features_have_their_lengths_and_attributes(tables: list[Path], tmp_path: Path) -> None:
    collect(tmp_path / "cohort", *tables)
    rows = (tmp_path / "cohort" / "features.tsv").read_text().splitlines()
    own = [line.split("\t")[:3] for line in tables[0].read_text().splitlines()]
    assert [row.split("\t") for row in rows] == own
    assert own[0] == ["feature", "gene_name", "length"]
    assert [name for _, name, _ in own[1:]] == [f"GENE{number}" for number in range(1, 13)]


def test_samples_have_the_main_values_of_their_reports(tables: list[Path], tmp_path: Path) -> None:
    change_report(tables[1], lambda report: report.update(warnings=["one", "two\tthree"]))
    collect(tmp_path / "cohort", *tables)
    found = pd.read_csv(tmp_path / "cohort/samples.tsv", sep="\t", index_col="sample")
    assert list(found.index) == list(SAMPLES)
    for sample, table in zip(SAMPLES, tables, strict=True):
        report = json.loads(report_of(table).read_text())
        [end], row = report["ends"], found.loc[sample]
        assert row["fragments"] == report["counting"]["fragments"] == 1500
        assert row["assigned"] == report["counting"]["assigned"] > 0
        assert row["assigned_percent"] == pytest.approx(row["assigned"] / 15)
        assert (row["paired"], row["stranded"]) == ("yes", "no")
        assert (row["model"], row["lengths"]) == ("heptamer", "transcripts")
        assert row["gain"] == end["calibration"]["gain"]
        assert row["gain_error"] == end["calibration"]["gain_error"]
        assert row["effective_sample_size"] == report["weights"]["effective_sample_size"]
        assert np.isnan(row["gain_read2"])
        assert row["counterbias"] == report["versions"]["counterbias"]
        assert row["alignments"].endswith(f"{sample}.bam")
    assert found["warnings"]["sample2"] == "one two\\tthree"


@pytest.mark.parametrize(
    ("ends", "source", "used_and_why"),
    [
        ({"both": ""}, "pwm", ("yes", "named")),
        ({"both": ""}, "auto", ("yes", "auto, by 900 distinct read starts")),
        ({"both": ""}, "m.model", ("yes", "a saved model")),
        ({"both": "it gains nothing"}, "auto", ("no", "it gains nothing")),
        ({"read1": "", "read2": "too few"}, "auto", ("yes", "read2: too few")),
        ({"read1": "a", "read2": "b"}, "auto", ("no", "read1: a; read2: b")),
    ],
)
def test_why_a_sample_has_its_model(
    ends: dict[str, str],
    source: str,
    used_and_why: tuple[str, str],
    tables: list[Path],
    tmp_path: Path,
) -> None:
    """``ends``: read end → why its model is not used; ``source``: backend, auto, or a file."""

    def change(report: dict) -> None:
        [end] = report["ends"]
        report["ends"] = [
            {
                **end,
                "end": name,
                "unique_starts": 900 + number,
                "calibration": {**end["calibration"], "applied": not reason, "reason": reason},
            }
            for number, (name, reason) in enumerate(ends.items())
        ]
        report["inputs"]["model"] = source if source.endswith(".model") else None
        report["options"]["bias_model"] = source

    change_report(tables[0], change)
    collect(tmp_path / "cohort", tables[0])
    found = pd.read_csv(tmp_path / "cohort/samples.tsv", sep="\t").iloc[0]
    assert (found["model_used"], found["why"]) == used_and_why
    assert np.isnan(found["gain_read2"]) == (len(ends) == 1)


def test_lengths_alone_have_no_model(counted: Path, tmp_path: Path) -> None:
    alone = ("--bias-model", "none", "--bias-lengths", "union")
    count(counted, tmp_path / "alone", "sample1", "sample2", *alone)
    collect(tmp_path / "cohort", *sorted((tmp_path / "alone").glob("*.counts.tsv")))
    found = pd.read_csv(tmp_path / "cohort/samples.tsv", sep="\t", keep_default_na=False)
    assert found["model"].tolist() == ["none", "none"]
    assert found["gain"].tolist() == ["NA", "NA"]
    assert found["why"].tolist() == ["", ""]
    assert found["effective_sample_size"].tolist() == [1, 1]


def test_samples_counted_apart_make_the_same_matrices(
    counted: Path, tables: list[Path], tmp_path: Path
) -> None:
    for sample in SAMPLES:
        count(counted, tmp_path / sample, sample, "--additional-attr", "gene_name")
    apart = [tmp_path / sample / f"{sample}.counts.tsv" for sample in SAMPLES]
    collect(tmp_path / "apart", *apart, options=("--h5ad",))
    collect(tmp_path / "together", *tables, options=("--h5ad",))
    for name in FILES | {"cohort.h5ad"}:
        one, other = ((tmp_path / way / name).read_bytes() for way in ("apart", "together"))
        assert one == other, name


def test_files_of_other_names_stay_and_those_of_the_same_names_are_replaced(
    tables: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "notes.txt").write_text("mine")
    (tmp_path / "cohort" / "raw.tsv").write_text("old")
    collect(tmp_path / "cohort", *tables[:1])
    assert {path.name for path in (tmp_path / "cohort").iterdir()} == FILES | {"notes.txt"}
    assert list(matrix(tmp_path / "cohort/raw.tsv").columns) == ["sample1"]


def test_what_was_made_is_said_unless_quiet(
    tables: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert main(["collect", "-o", str(tmp_path / "cohort"), *map(str, tables)]) == 0
    assert capfd.readouterr().err == f"3 samples × 12 features are in {tmp_path}/cohort\n"
    collect(tmp_path / "cohort", *tables)
    assert capfd.readouterr().err == ""


def test_another_version_of_the_program_is_warned_of(
    tables: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change_report(tables[1], lambda report: report["versions"].update(counterbias="9.9"))
    capfd.readouterr()
    collect(tmp_path / "cohort", *tables)
    line = capfd.readouterr().err
    assert line.startswith("Warning: the samples were counted by versions ")
    assert "9.9 of Counterbias" in line


def test_a_report_of_an_older_minor_version_is_taken(tables: list[Path], tmp_path: Path) -> None:
    def age(report: dict) -> None:
        report["counterbias_schema"] = [1, 4]
        del report["counting"]["features_fingerprint"]
        for name in ("type", "idattr", "feature_query"):
            del report["options"][name]

    change_report(tables[0], age)
    collect(tmp_path / "cohort", *tables)
    assert list(matrix(tmp_path / "cohort/raw.tsv").columns) == list(SAMPLES)


def test_a_newer_minor_version_may_have_more(tables: list[Path], tmp_path: Path) -> None:
    def renew(report: dict) -> None:
        report["counterbias_schema"] = [1, 99]
        report["counting"]["more"] = [{"deep": None}]

    change_report(tables[2], renew)
    collect(tmp_path / "cohort", *tables)
    assert (tmp_path / "cohort" / "samples.tsv").exists()


def test_names_that_would_break_a_table_are_escaped(tables: list[Path], tmp_path: Path) -> None:
    change_report(tables[0], lambda report: report.update(sample="a\tb"))
    collect(tmp_path / "cohort", *tables[:2])
    assert list(matrix(tmp_path / "cohort/raw.tsv").columns) == ["a\\tb", "sample2"]
    assert (tmp_path / "cohort/samples.tsv").read_text().splitlines()[1].startswith("a\\tb\t")


def test_tables_and_reports_may_be_pipes(tables: list[Path], tmp_path: Path) -> None:
    """As where a workflow keeps files packed; a report still lies next to its table."""
    contents = {path: path.read_bytes() for path in (tables[0], report_of(tables[0]))}
    for path in contents:
        path.unlink()
        os.mkfifo(path)
    writers = [
        threading.Thread(target=path.write_bytes, args=(content,))
        for path, content in contents.items()
    ]
    for writer in writers:
        writer.start()
    collect(tmp_path / "cohort", *tables)
    for writer in writers:
        writer.join()
    assert list(matrix(tmp_path / "cohort/raw.tsv").columns) == list(SAMPLES)
