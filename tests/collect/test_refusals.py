"""What ``counterbias collect`` refuses: one line, no folder, and the difference named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterbias.cli import main
from tests.collect.cohort import (
    change_lines,
    change_report,
    collect,
    count,
    refused,
    report_of,
)

Capture = pytest.CaptureFixture[str]


# -- other options ---------------------------------------------------------------------------------


def set_option(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda report: report["options"].update({name: value})


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("mode", "intersection-strict", "with --mode intersection-strict, {} with --mode union"),
        ("minaqual", 0, "with --minaqual 0, {} with --minaqual 10"),
        ("nonunique", "all", "with --nonunique all, {} with --nonunique none"),
        ("type", ["gene"], "with --type gene, {} with --type exon"),
        ("idattr", ["a", "b"], "with --idattr a,b, {} with --idattr gene_id"),
        ("feature_query", 'x == "y"', 'with --feature-query x == "y", {} without --feature-query'),
        (
            "secondary_alignments",
            "score",
            "with --secondary-alignments score, {} with --secondary-alignments ignore",
        ),
        ("bias_lengths", "union", "with --bias-lengths union, {} with --bias-lengths transcripts"),
        ("bias_sampling", "paper", "with --bias-sampling paper, {} with --bias-sampling local"),
        ("bias_cap", None, "without --bias-cap, {} with --bias-cap 10.0"),
        ("bias_ends", "first", "with --bias-ends first, {} with --bias-ends both"),
        (
            "bias_context",
            "transcript",
            "with --bias-context transcript, {} with --bias-context genome",
        ),
        ("bias_model", "pwm", "with --bias-model pwm, {} with --bias-model heptamer"),
        ("bias_model_options", ["order=2"], "with --bias-option order=2, {} without --bias-option"),
    ],
)
def test_an_option_that_matters(
    option: str, value: Any, words: str, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    change_report(tables[1], set_option(option, value))
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert line.endswith(
        f"sample2.counts.tsv: it was counted {words.format('sample1.counts.tsv')}. Count all "
        "samples with the same options"
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("stranded", "reverse"),
        ("order", "name"),
        ("seed", 5),
        ("bias_seed", 5),
        ("bias_device", "cpu"),
        ("bias_genome", "elsewhere/genome.fa"),
        ("bias_prior", "batch.model"),
        ("bias_fragment_length", {"mean": 300.0, "sd": 50.0}),
    ],
)
def test_an_option_on_library_or_input_may_differ(
    option: str, value: Any, tables: list[Path], tmp_path: Path
) -> None:
    change_report(tables[1], set_option(option, value))
    collect(tmp_path / "cohort", *tables)


def test_another_window(tables: list[Path], tmp_path: Path, capfd: Capture) -> None:
    change_report(tables[2], lambda report: report["model"].update(upstream=5))
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert line.startswith(f"{tables[2]}: it was counted with --bias-window 5,10, ")


def test_a_saved_model_goes_with_fitted_ones_and_with_another_saved_one(
    tables: list[Path], tmp_path: Path
) -> None:
    for table, name in zip(tables[1:], ("first.model", "second.model"), strict=True):
        change_report(table, set_option("bias_model", name))
        change_report(table, lambda report, name=name: report["inputs"].update(model=name))
        change_report(table, lambda report: report["model"].update(upstream=5, backend="cnn"))
    collect(tmp_path / "cohort", *tables)
    rows = (tmp_path / "cohort" / "samples.tsv").read_text().splitlines()
    files = [row.split("\t")[rows[0].split("\t").index("model_file")] for row in rows[1:]]
    assert files == ["", "first.model", "second.model"]


def test_some_with_a_model_and_some_without(
    counted: Path, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    alone = ("--bias-model", "none", "--bias-lengths", "transcripts")
    count(counted, tmp_path / "alone", "sample3", *alone, "--additional-attr", "gene_name")
    other = tmp_path / "alone" / "sample3.counts.tsv"
    line = refused(capfd, tmp_path / "cohort", tables[0], other)
    assert line.startswith(f"{other}: it was counted without a bias model, ")


def test_an_option_given_to_a_real_count(
    counted: Path, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    count(counted, tmp_path / "strict", "sample3", "-m", "intersection-strict")
    other = tmp_path / "strict" / "sample3.counts.tsv"
    line = refused(capfd, tmp_path / "cohort", tables[0], other)
    assert line.startswith(f"{other}: it was counted with --mode intersection-strict, ")


# -- other annotations -----------------------------------------------------------------------------


def count_with(counted: Path, out: Path, change: Callable[[str], str], *options: str) -> Path:
    """Count a sample with a changed annotation; return its table."""
    genes = (counted / "study" / "genes.gtf").read_text()
    name = f"{out.name}.gtf"
    (counted / "study" / name).write_text(change(genes))
    count(counted, out, "sample3", "--additional-attr", "gene_name", *options, annotation=name)
    return out / "sample3.counts.tsv"


def without_gene_3(genes: str) -> str:
    return "".join(line for line in genes.splitlines(True) if "SIMG00000003" not in line)


def with_longer_gene_3(genes: str) -> str:
    """Move the end of the third gene's first exon by one base."""
    lines = genes.splitlines(True)
    place = next(n for n, line in enumerate(lines) if "SIMG00000003" in line and "\texon\t" in line)
    cells = lines[place].split("\t")
    cells[3] = str(int(cells[3]) - 1)
    lines[place] = "\t".join(cells)
    return "".join(lines)


def shifted(genes: str) -> str:
    """Move every feature by one base."""
    lines = []
    for line in genes.splitlines(True):
        cells = line.split("\t")
        if len(cells) > 8:
            cells[3:5] = [str(int(place) + 1) for place in cells[3:5]]
        lines.append("\t".join(cells))
    return "".join(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            without_gene_3,
            "the first that differs is 'SIMG00000004' here and 'SIMG00000003' there",
        ),
        (with_longer_gene_3, "SIMG00000003 has the length '"),
        (lambda genes: genes.replace("GENE5", "FIVE"), "has the gene_name 'FIVE' here and 'GENE5'"),
        (shifted, "its features have the names and lengths of those of "),
    ],
)
def test_another_annotation(
    change: Callable[[str], str],
    words: str,
    counted: Path,
    tables: list[Path],
    tmp_path: Path,
    capfd: Capture,
) -> None:
    other = count_with(counted, tmp_path / "other", change)
    line = refused(capfd, tmp_path / "cohort", tables[0], other)
    assert words in line
    assert line.startswith(str(other))
    assert line.endswith("Count all samples with one annotation")


def test_features_by_the_tables_alone_where_reports_have_no_fingerprint(
    counted: Path, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    other = count_with(counted, tmp_path / "other", without_gene_3)
    for table in (tables[0], other):
        change_report(table, lambda report: report["counting"].pop("features_fingerprint"))
    line = refused(capfd, tmp_path / "cohort", tables[0], other)
    assert "the first that differs is 'SIMG00000004' here and 'SIMG00000003' there" in line


def test_a_table_that_ends_before_another(
    tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    change_lines(tables[1], lambda lines: lines.pop())
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert "the first that differs is none here and 'SIMG00000012' there" in line


def test_other_attributes(
    counted: Path, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    count(counted, tmp_path / "plain", "sample3")
    other = tmp_path / "plain" / "sample3.counts.tsv"
    line = refused(capfd, tmp_path / "cohort", tables[0], other)
    assert line.startswith(f"{other}: its attributes are none, those of ")


def test_the_same_annotation_with_other_names_of_contigs(
    counted: Path, tables: list[Path], tmp_path: Path
) -> None:
    """What `count` was given with --bias-contig-alias is the same annotation all the same."""

    def other_names(genes: str) -> str:
        return genes.replace("chr1\t", "1\t").replace("chr2\t", "2\t")

    (tmp_path / "names").write_text("chr1\t1\nchr2\t2\n")
    alias = ("--bias-contig-alias", str(tmp_path / "names"))
    other = count_with(counted, tmp_path / "other", other_names, *alias)
    collect(tmp_path / "cohort", tables[0], other)


# -- samples and files -----------------------------------------------------------------------------


def test_a_sample_twice(tables: list[Path], tmp_path: Path, capfd: Capture) -> None:
    line = refused(capfd, tmp_path / "cohort", tables[0], tables[1], tables[0])
    assert line.startswith(f"{tables[0]}: the sample 'sample1' is given twice")
    shutil.copytree("counted", "again")
    other = Path("again") / "sample1.counts.tsv"
    line = refused(capfd, tmp_path / "cohort", tables[0], other)
    assert line.startswith(f"{other}: the sample 'sample1' is in ")


def test_a_missing_report(tables: list[Path], tmp_path: Path, capfd: Capture) -> None:
    report_of(tables[1]).unlink()
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert line.startswith(f"{report_of(tables[1])}: the quality report of ")
    assert "is missing" in line


def test_a_missing_table(tables: list[Path], tmp_path: Path, capfd: Capture) -> None:
    tables[1].unlink()
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert line == f"{tables[1]}: the table cannot be read: No such file or directory"
    report_of(tables[1]).unlink()
    assert refused(capfd, tmp_path / "cohort", *tables) == line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the quality report is damaged"),
        ("{", "the quality report is damaged"),
        ("[" * 100_000, "the quality report is damaged"),
        ("[]", "this is not a quality report"),
        ('{"counterbias_schema": 1}', "this is not a quality report"),
        ('{"counterbias_schema": [1, 4]}', "the quality report is damaged: sample: a name"),
        (
            '{"counterbias_schema": [1, 4], "sample": "a", "counting": {"fragments": "x"}}',
            "the quality report is damaged: counting.fragments: 'x' is not of type integer",
        ),
        (
            '{"counterbias_schema": [1, 4], "sample": "a", "counting": 3}',
            "the quality report is damaged: counting: an object is needed",
        ),
        (
            '{"counterbias_schema": [1, 4], "sample": "a"}',
            "the quality report is damaged: it has no counting",
        ),
        (
            '{"counterbias_schema": [2, 0], "sample": "a"}',
            "the quality report is of version 2, this program reads version 1. Update Counterbias",
        ),
    ],
)
def test_a_report_that_cannot_be_used(
    content: str, words: str, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    report_of(tables[1]).write_text(content)
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert line.startswith(f"{report_of(tables[1])}: {words}")


@pytest.mark.parametrize("part", ["counting", "model", "options", "inputs", "weights", "lengths"])
def test_a_report_without_a_part(
    part: str, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    change_report(tables[1], lambda report: report.pop(part))
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert f"the quality report is damaged: it has no {part}" in line


def test_a_table_of_another_run_than_its_report(
    tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    shutil.copy(tables[0], tables[1])
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert re.search(
        r"sample2.counts.tsv: it has \d+ fragments, its quality report \d+: they are not of the "
        r"same run. Count the sample again$",
        line,
    )


def test_a_table_that_lacks_features_of_its_report(
    tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    def drop_last_without_reads(lines: list[str]) -> None:
        fragments = lines.pop().split("\t")[3]
        change_report(
            tables[0],
            lambda report: report["counting"].update(
                assigned=report["counting"]["assigned"] - int(fragments)
            ),
        )

    change_lines(tables[0], drop_last_without_reads)
    line = refused(capfd, tmp_path / "cohort", tables[0])
    assert "it has 11 features, its quality report 12: they are not of the same run" in line


def change_cell(row: int, column: int, text: str) -> Callable[[list[str]], object]:
    def change(lines: list[str]) -> None:
        cells = lines[row].rstrip("\n").split("\t")
        cells[column] = text
        lines[row] = "\t".join(cells) + "\n"

    return change


def cut_short(lines: list[str]) -> None:
    lines[-1] = lines[-1][:20]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines.clear(), ": this is not a table of corrected counts"),
        (lambda lines: lines.pop(0), ": this is not a table of corrected counts"),
        (change_cell(0, 10, "tpm_corrected\r"), ": this is not a table of corrected counts"),
        (lambda lines: lines.__delitem__(slice(1, None)), ": the table has no features"),
        (cut_short, ", line 13: the table is cut short"),
        (change_cell(4, 3, "5\t6"), ", line 5: 12 columns, the first line has 11"),
        (change_cell(4, 3, "many"), ", line 5: 'many' in the column raw is not a number"),
        (change_cell(4, 3, ""), ", line 5: '' in the column raw is not a number"),
        (change_cell(4, 5, "nan"), ", line 5: 'nan' in the column effective_length is not a"),
        (change_cell(4, 6, "-1"), ", line 5: '-1' in the column corrected is not a number from 0"),
    ],
)
def test_a_table_that_is_none(
    change: Callable[[list[str]], object],
    words: str,
    tables: list[Path],
    tmp_path: Path,
    capfd: Capture,
) -> None:
    change_lines(tables[0], change)
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert line.startswith(f"{tables[0]}{words}")


@pytest.mark.parametrize("length", ["12.5", "1e300"])
def test_a_length_that_is_none(
    length: str, tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    """Other tables are compared with the first one, whose lengths are written."""
    change_lines(tables[0], change_cell(4, 2, length))
    line = refused(capfd, tmp_path / "cohort", tables[0])
    words = f"{tables[0]}, line 5: '{length}' in the column length is not a number of bases"
    assert line.startswith(words)


def test_a_table_of_another_name(tables: list[Path], tmp_path: Path, capfd: Capture) -> None:
    renamed = tables[0].rename(tmp_path / "table.tsv")
    line = refused(capfd, tmp_path / "cohort", renamed)
    assert line.startswith(f"{renamed}: the name of a table must end in .counts.tsv")


def test_a_folder_that_is_a_file(tables: list[Path], tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "cohort").write_text("mine")
    capfd.readouterr()
    collect(tmp_path / "cohort", *tables, status=1)
    assert "-o names a file, not a folder" in capfd.readouterr().err
    assert (tmp_path / "cohort").read_text() == "mine"


def test_a_file_that_cannot_be_replaced_leaves_the_others_as_they_were(
    tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    (tmp_path / "cohort" / "samples.tsv").mkdir(parents=True)
    (tmp_path / "cohort" / "raw.tsv").write_text("old")
    capfd.readouterr()
    collect(tmp_path / "cohort", *tables, status=1)
    assert "samples.tsv: -o is a folder" in capfd.readouterr().err
    assert (tmp_path / "cohort" / "raw.tsv").read_text() == "old"


def test_no_name_for_the_folder_and_no_tables(tables: list[Path], capfd: Capture) -> None:
    assert main(["collect", "-o", "", str(tables[0])]) == 1
    assert "-o needs the name of a folder" in capfd.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["collect", "-o", "cohort"])


def test_nothing_is_left_of_a_run_that_fails_while_writing(
    tables: list[Path], tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("counterbias.pipeline.collect.run.write_cohort", fail)
    line = refused(capfd, tmp_path / "new" / "cohort", *tables)
    assert "cannot be written: No space left on device" in line
    assert {path.name for path in tmp_path.iterdir()} == {"counted"}


def test_reports_are_compared_before_any_table_is_read(
    tables: list[Path], tmp_path: Path, capfd: Capture
) -> None:
    tables[0].write_text("no table")
    change_report(tables[2], set_option("minaqual", 3))
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert "--minaqual 3" in line
    assert json.loads(report_of(tables[2]).read_text())["options"]["minaqual"] == 3


def test_a_report_that_never_ends(tables: list[Path], tmp_path: Path, capfd: Capture) -> None:
    with report_of(tables[1]).open("a") as file:
        file.write(" " * 40_000_001)
    line = refused(capfd, tmp_path / "cohort", *tables)
    assert line.startswith(f"{report_of(tables[1])}: the quality report is too long")
