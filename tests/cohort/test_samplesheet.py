"""A table of samples that cannot be right is refused in one line that names file and row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cohort.project import WORKFLOW, load, write_samples

SCHEMAS = WORKFLOW / "schemas"
CONFIG: dict[str, Any] = {
    "samples": "config/samples.tsv",
    "annotation": "genes.gtf",
    "genome": "genome.fa",
    "groups": ["control", "treated"],
    "pooled": {"by": "none"},
    "compare": {"samples": []},
}


@pytest.fixture(scope="module")
def samplesheet() -> ModuleType:
    return load("samplesheet")


@pytest.fixture
def read(
    samplesheet: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Write rows to a table next to the files they name, and read it."""
    monkeypatch.chdir(tmp_path)
    for name in ("genes.gtf", "genome.fa", "a.bam", "b.bam", "c.bam"):
        (tmp_path / name).touch()

    def read(rows: list[dict[str, str]], *columns: str, **settings: Any) -> Any:
        write_samples(tmp_path, rows, *columns)
        return samplesheet.read_samples(
            {**CONFIG, **settings}, str(SCHEMAS / "samples.schema.yaml")
        )

    return read


def row(name: str, **values: str) -> dict[str, str]:
    return {
        "sample": name,
        "alignments": f"{name}.bam",
        "group": "control",
        "strandedness": "no",
        **values,
    }


def test_samples_keep_their_order_and_know_their_rows(read: Callable[..., Any]) -> None:
    samples = read([row("b", batch="x"), row("a", group="treated", options="-r name")])
    assert [(one.name, one.row, one.group, one.batch) for one in samples] == [
        ("b", 2, "control", "x"),
        ("a", 3, "treated", ""),
    ]
    assert [one.options for one in samples] == ["", "-r name"]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([row("a"), row("gone")], "row 3: there is no file 'gone.bam'"),
        ([row("a"), row("a", alignments="b.bam")], "row 3: the sample 'a' is in row 2 too"),
        (
            [row("a"), row("b"), row("c", alignments="./a.bam")],
            "row 4: the alignments './a.bam' are those of 'a' in row 2",
        ),
        (
            [row("a"), row("b", group="teated")],
            "row 3: the group 'teated' is not among those of the configuration (control, treated)",
        ),
        (
            [row("a", strandedness="forward")],
            "row 2: strandedness: 'forward' is not one of ['yes', 'no', 'reverse']",
        ),
        ([row("a b", alignments="a.bam")], "row 2: sample: 'a b' does not match"),
        ([row("a", options="-s yes")], "row 2: -s cannot be given here: it is the column"),
    ],
)
def test_a_wrong_row_is_named(
    read: Callable[..., Any], samplesheet: ModuleType, rows: list[dict[str, str]], line: str
) -> None:
    with pytest.raises(samplesheet.SheetError) as caught:
        read(rows)
    assert str(caught.value).startswith(f"config/samples.tsv, {line}")
    assert "\n" not in str(caught.value)


def test_mixed_annotations_are_refused(read: Callable[..., Any], samplesheet: ModuleType) -> None:
    rows = [row("a", annotation="genes.gtf"), row("b", annotation="genes.v2.gtf")]
    with pytest.raises(samplesheet.SheetError, match=r"row 3: the annotation is 'genes\.v2\.gtf'"):
        read(rows, "annotation")
    assert len(read([row("a", annotation="genes.gtf")], "annotation")) == 1


def test_samples_of_one_model_have_one_strandedness(
    read: Callable[..., Any], samplesheet: ModuleType
) -> None:
    rows = [row("a", batch="x"), row("b", batch="y", strandedness="reverse")]
    assert len(read(rows, pooled={"by": "batch"})) == 2
    with pytest.raises(samplesheet.SheetError, match="row 3: the strandedness 'reverse' differs"):
        read(rows, pooled={"by": "cohort"})
    with pytest.raises(samplesheet.SheetError, match="row 3: there is no batch"):
        read([row("a", batch="x"), row("b")], pooled={"by": "batch"})


def test_what_is_compared_must_be_there(read: Callable[..., Any], samplesheet: ModuleType) -> None:
    with pytest.raises(samplesheet.SheetError, match="the sample 'd', which is to be compared"):
        read([row("a")], compare={"samples": ["a", "d"]})
    rows = [row("a"), row("b", strandedness="yes"), row("c", strandedness="yes")]
    assert len(read(rows, compare={"samples": ["b", "c"]})) == 3
    with pytest.raises(samplesheet.SheetError, match="row 3: the strandedness 'yes' differs"):
        read(rows, compare={"samples": ["a", "b"]})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "config/samples.tsv: the table is empty"),
        ("sample\talignments\n", "config/samples.tsv: the table has no samples"),
        ("sample\tsample\nx\ty\n", "config/samples.tsv, row 1: the column 'sample' is there twice"),
        (
            "sample\talignments\na a.bam\n",
            "config/samples.tsv, row 2: 1 values for 2 columns, which are separated by tabs",
        ),
        (
            "sample\talignments\na\ta.bam\n",
            "config/samples.tsv, row 2: 'group' is a required property",
        ),
    ],
)
def test_a_damaged_table_is_refused(
    read: Callable[..., Any], samplesheet: ModuleType, tmp_path: Path, text: str, line: str
) -> None:
    read([row("a")])
    (tmp_path / "config" / "samples.tsv").write_text(text)
    with pytest.raises(samplesheet.SheetError) as caught:
        samplesheet.read_samples(CONFIG, str(SCHEMAS / "samples.schema.yaml"))
    assert str(caught.value) == line


def test_spreadsheets_byte_order_marks_and_empty_rows_do_no_harm(
    read: Callable[..., Any], samplesheet: ModuleType, tmp_path: Path
) -> None:
    read([row("a"), {}, row("b")])
    table = tmp_path / "config" / "samples.tsv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    samples = samplesheet.read_samples(CONFIG, str(SCHEMAS / "samples.schema.yaml"))
    assert [(one.name, one.row) for one in samples] == [("a", 2), ("b", 4)]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"modle": "pwm"}, "Additional properties are not allowed ('modle' was unexpected)"),
        ({"groups": []}, "groups: [] should be non-empty"),
        (
            {"pooled": {"by": "kit"}},
            "pooled.by: 'kit' is not one of ['none', 'cohort', 'batch']",
        ),
        (
            {"count_options": "-r pos --bias-output x"},
            "count_options: --bias-output cannot be given here: the workflow names all files",
        ),
        (
            {"model": "none"},
            "model: without a bias model or --bias-lengths in count_options there are no tables to "
            "collect",
        ),
        ({"annotation": "gone.gtf"}, "annotation: there is no file 'gone.gtf'"),
        ({"genome": "gone.fa"}, "genome: there is no file 'gone.fa'"),
        ({"model": "gone.model"}, "model: there is no file 'gone.model'"),
    ],
)
def test_a_wrong_setting_is_named(
    samplesheet: ModuleType,
    settings: dict[str, Any],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("genes.gtf", "genome.fa"):
        (tmp_path / name).touch()
    given = {"annotation": "genes.gtf", "genome": "genome.fa", "groups": ["control"]}
    schema = str(SCHEMAS / "config.schema.yaml")
    samplesheet.check_config(given, "config.yaml", schema)
    with pytest.raises(samplesheet.SheetError) as caught:
        samplesheet.check_config({**given, **settings}, "config.yaml", schema)
    assert str(caught.value) == f"config.yaml: {line}"


@pytest.mark.parametrize(
    ("name", "alignments", "alike", "ending"),
    [
        ("a", "x/a.bam", True, ".bam"),
        ("a", "x/a.sam.gz", True, ".sam.gz"),
        ("a", "a/Aligned.sortedByCoord.out.bam", False, ".bam"),
        ("a", "A.bam", False, ".bam"),
        ("a", "a.CRAM", True, ".cram"),
        ("a.bam", "a.bam", False, ".bam"),
        ("a", "a.aligned", False, ".bam"),
    ],
)
def test_files_not_named_after_the_sample_are_known(
    samplesheet: ModuleType, name: str, alignments: str, alike: bool, ending: str
) -> None:
    sample = samplesheet.Sample(name, alignments, "control", "no", "", "", 2)
    assert (sample.is_named_alike, sample.ending) == (alike, ending)
