"""Lines and files that are no annotation, and queries: one clear message with the place."""

from __future__ import annotations

import gzip
from pathlib import Path

import HTSeq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterbias.annotation.lines import _split_outside_quotes, parse_query
from counterbias.errors import InputError
from tests.annotation.htseq_annotations import (
    LINE,
    compare,
    htseq,
    read_annotation,
    write,
)

BAD_LINES = [
    (
        "chr1 src exon 1 2 . + . gene_id x\n",
        "expected 9 tab-separated columns, found 1 column",
        "separated by tabs",
    ),
    ("chr1\ts\texon\t1\t2\t.\t+\t.\n", "expected 9 tab-separated columns, found 8", ""),
    ("chr1\ts\n", "found 2 columns", ""),
    (" \n", "found 1 column", "tabs"),
    (">chr1\n", "found 1 column", "##FASTA"),
    (
        LINE.replace("\t11\t", "\tx\t"),
        r"the start \(column 4\) is 'x', expected a whole number",
        "",
    ),
    (LINE.replace("\t20\t", "\t2.5\t"), r"the end \(column 5\) is '2.5'", ""),
    (LINE.replace("\t20\t", "\t\t"), r"the end \(column 5\) is ''", ""),
    (LINE.replace("\t20\t", "\t99999999999999999999\t"), "too large", ""),
    (LINE.replace("\t11\t", "\t0\t"), r"the start \(column 4\) is 0", "count from 1"),
    (LINE.replace("\t11\t", "\t-4\t"), r"the start \(column 4\) is -4", "count from 1"),
    (
        LINE.replace("\t11\t", "\t22\t"),
        r"the start \(22\) lies after the end \(20\)",
        "columns 4 and 5",
    ),
    (LINE.replace("\t11\t", "\t21\t"), "interval from 21 to 20 is empty", "both included"),
    (LINE.replace("\t+\t", "\t*\t"), r"the strand \(column 7\) is '\*'", ""),
    (LINE.replace("\t+\t", "\t\t"), r"the strand \(column 7\) is ''", ""),
    (LINE.replace("\t.\t+", "\thigh\t+"), r"the score \(column 6\) is 'high'", ""),
    (LINE.replace("+\t.\t", "+\tone\t"), r"the frame \(column 8\) is 'one'", ""),
    (LINE.replace('"A"', '"A'), "the quotes do not match", "no further quote"),
    (LINE.replace('"a"', '"a'), "the quotes do not match", ""),
    (LINE.replace('"A"', '"A" "B"'), "the quotes do not match", ""),
    (LINE.replace('gene_id "A"', "alone"), "'alone' is not an attribute", ""),
    (LINE.replace('gene_id "A"', "=x"), "'=x' is not an attribute", ""),
    (LINE.replace('gene_id "A"; gene_name "a";', "."), "'.' is not an attribute", ""),
    (
        LINE.replace("gene_id", "ID"),
        "this 'exon' line has no attribute 'gene_id'",
        "it has: ID, gene_name; choose one with -i",
    ),
    (LINE.replace('gene_id "A"; gene_name "a";', ""), "no attribute 'gene_id'", "it has: none"),
    (
        LINE.replace("\t+\t", "\t.\t"),
        "this 'exon' line has no strand, but counting is stranded",
        "--stranded=no",
    ),
]


@pytest.mark.parametrize(("line", "message", "remedy"), BAD_LINES)
@pytest.mark.parametrize("before", ["", LINE * 3 + "# c\r\n"])
def test_bad_lines_are_named(
    tmp_path: Path, line: str, message: str, remedy: str, before: str
) -> None:
    path = write(tmp_path / "a.gtf", before + line + LINE)
    with pytest.raises((ValueError, IndexError, OverflowError, KeyError)):
        htseq(path)
    with pytest.raises(InputError, match=message) as caught:
        read_annotation(path)
    assert (caught.value.file, caught.value.place) == (path, f"line {5 if before else 1}")
    assert remedy.lower() in caught.value.remedy.lower()


@pytest.mark.parametrize("line", [line for line, *_ in BAD_LINES])
def test_bad_lines_of_other_types(tmp_path: Path, line: str) -> None:
    """Faults of lines of other types matter only where they do to HTSeq."""
    path = write(tmp_path / "a.gtf", LINE + line.replace("\texon\t", "\tCDS\t"))
    try:
        htseq(path)
    except (ValueError, OverflowError):
        with pytest.raises(InputError) as caught:
            read_annotation(path)
        assert caught.value.place == "line 2"
    else:
        assert compare(path).lines == 2


@pytest.mark.parametrize("start", ["+11", " 11", "1_1", "011", "\u0661\u0661"])
def test_numbers_as_python_reads_them(tmp_path: Path, start: str) -> None:
    ours = compare(write(tmp_path / "a.gtf", LINE.replace("\t11\t", f"\t{start}\t")))
    assert ours.features.block_start.tolist() == [10]


def test_a_query_spares_what_it_drops(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gtf", LINE + LINE.replace('"A"', '"B"').replace("\t11\t", "\t0\t"))
    assert compare(path, feature_query='gene_id == "A"').lines == 1
    with pytest.raises(InputError, match="line 2"):
        read_annotation(path, feature_query='gene_id == "B"')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the annotation is empty"),
        (b"# only\n\n# comments\n", "holds no feature lines"),
        (b"BAM\x01\0\0\0", "line 1: this is binary data.*alignments come first"),
        (gzip.compress(b"BAM\x01\0\0\0", mtime=0), "line 1: this is binary data"),
        (LINE.encode() + b"chr\xff" + LINE.encode(), "line 2: byte 4 of the line is not UTF-8"),
        (LINE.encode() + b"# \xe9t\xe9\n", "line 2: byte 3 of the line is not UTF-8"),
        (gzip.compress(LINE.encode() * 100, mtime=0)[:60], "truncated"),
        (gzip.compress(LINE.encode() * 100, mtime=0)[:-4] + b"abcd", "damaged"),
        (b"\x1f\x8b\x08abc", "truncated|damaged"),
    ],
)
def test_files_that_are_no_annotation(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "a.gtf", content)
    with pytest.raises(InputError, match=message) as caught:
        read_annotation(path)
    assert caught.value.file == path


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_annotation(str(tmp_path / "none.gtf"))
    with pytest.raises(InputError, match="a folder"):
        read_annotation(str(tmp_path))


def test_no_feature_of_the_type_lists_those_there_are(tmp_path: Path) -> None:
    text = (
        LINE.replace("exon", "CDS") * 2
        + LINE.replace("exon", "gène")
        + LINE.replace("exon", "gene") * 3
    )
    path = write(tmp_path / "a.gtf", text)
    with pytest.raises(
        InputError, match=r"no feature of type 'exon'.*gene \(3\), CDS \(2\), gène \(1\)"
    ):
        read_annotation(path)
    with pytest.raises(InputError, match="'x' or 'y'"):
        read_annotation(path, feature_types=("x", "y"))


def test_a_query_that_nothing_meets(tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(InputError, match="none of the 2 'exon' lines meets --feature-query"):
        read_annotation(
            write(tmp_path / "a.gtf", LINE * 2),
            feature_query='gene_id == "Z"',
            on_lines=messages.append,
        )
    assert messages == ["0 GFF lines processed."]


def test_queries() -> None:
    assert parse_query('gene_name == "ACTB"') == ("gene_name", "ACTB")
    assert parse_query(' a=="b "c" "') == ("a", 'b "c" ')
    for bad in ("", "gene", 'gene = "x"', "gene == x", 'gene == "x', '"x" == gene', '== "x"'):
        with pytest.raises(InputError, match="not a query"):
            parse_query(bad)


@given(st.text('ab;" ', max_size=20))
def test_splitting_outside_quotes(text: str) -> None:
    if text.count('"') % 2 == 0:
        assert _split_outside_quotes(text) == [
            part.decode() for part in HTSeq.quotesafe_split(text.encode())
        ]
