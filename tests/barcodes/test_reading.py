"""Where barcodes come from, what is done without them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest

from counterbias.cli import main
from tests.barcodes.small_cells import count, counted, line, read, write

PAIRED, FIRST, SECOND = 1 | 8, 0x40, 0x80


def pair(first: tuple[str, ...], second: tuple[str, ...]) -> list[str]:
    """Return a pair counted for gene a, whose mates have these tags."""
    mates = []
    for flag, strand, tags in ((FIRST, 0x20, first), (SECOND, 0x10, second)):
        fields = line("a", *tags, flag=1 | 2 | flag | strand).split("\t")
        fields[6:9] = ["=", fields[3], "20" if flag == FIRST else "-20"]
        mates.append("\t".join(fields))
    return mates


@pytest.mark.parametrize(
    ("first", "second", "cell"),
    [
        (("CB:Z:T", "UB:Z:A"), (), "T"),
        ((), ("UB:Z:A", "CB:Z:T"), "T"),
        (("CB:Z:T",), ("UB:Z:A",), "T"),
        (("CB:Z:T", "UB:Z:A"), ("CB:Z:G", "UB:Z:C"), "T"),  # the first has the last word
        # Here htseq-count-barcodes takes the cell of read 2 and no UMI.
        (("CB:Z:T",), ("CB:Z:G", "UB:Z:A"), "T"),
    ],
)
@pytest.mark.parametrize("order", ["name", "pos"])
def test_each_barcode_of_a_pair_comes_from_the_first_mate_that_has_it(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...], cell: str, order: str
) -> None:
    table = count(tmp_path, pair(first, second), "-r", order)
    assert table[""] == [cell]
    assert counted(table) == {"a": ["1"]}


def test_other_tags_and_a_character_as_umi(tmp_path: Path) -> None:
    lines = [line("a", "XC:Z:T", "XM:A:G", "CB:Z:other", "UB:Z:other")]
    table = count(tmp_path, lines, "--cell-barcode", "XC", "--UMI", "XM")
    assert table[""] == ["T"]
    assert counted(table) == {"a": ["1"]}


def test_reads_without_barcodes_are_counted_nowhere_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        read("a", "T", "A"),
        read("a", None, "A"),
        read("a", "T", None),
        read("b", None, None, flag=256),  # secondary: left out anyway, but not without barcodes
    ]
    files = write(tmp_path, lines)
    assert main(["count-barcodes", "-o", str(tmp_path / "o.sam"), *files]) == 0
    shown, messages = capsys.readouterr()
    assert shown.splitlines()[1] == "a\t1"
    assert messages.splitlines()[-1] == (
        "1 cell with 1 UMI; 1.00 reads per UMI of a feature; 3 of 4 alignments lack a barcode."
    )
    with pysam.AlignmentFile(str(tmp_path / "o.sam")) as written:
        assert [record.get_tag("XF") for record in written] == ["a", *["__too_low_aQual"] * 3]


def test_pairs_without_barcodes_are_reported_as_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*pair(("CB:Z:T", "UB:Z:A"), ()), *pair((), ())]
    assert main(["count-barcodes", *write(tmp_path, lines)]) == 0
    assert capsys.readouterr().err.endswith("; 1 of 2 alignment pairs lacks a barcode.\n")


def test_a_tie_with_a_class_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [read("a", "T", "A"), read("__no_feature", "T", "A"), read("c", "T", "C")]
    assert main(["count-barcodes", *write(tmp_path, lines)]) == 0
    assert capsys.readouterr().err.endswith(
        "; 1 UMI not counted, since two features or classes have equally many of its reads.\n"
    )


def test_a_file_without_reads_gives_a_table_without_cells(tmp_path: Path) -> None:
    assert count(tmp_path, []) == {
        name: [*more]
        for name, more in {
            "": [], "a": [], "b": [], "c": [], "__no_feature": [], "__ambiguous": [],
            "__too_low_aQual": [], "__not_aligned": [], "__alignment_not_unique": [],
        }.items()
    }  # fmt: skip


def refused(
    folder: Path, capsys: pytest.CaptureFixture[str], lines: list[str], *options: str
) -> tuple[int, str]:
    """Count something that is refused; return the status and the message without its file."""
    files = write(folder, lines)
    try:
        status = main(["count-barcodes", "-q", "-c", str(folder / "x.tsv"), *options, *files])
    except SystemExit as stop:
        status = int(str(stop.code))
    shown, message = capsys.readouterr()
    assert shown == ""
    assert message.startswith("counterbias: ")
    assert message.count("\n") == 1
    assert not (folder / "x.tsv").exists()
    return status, message.replace(files[0], "FILE")


@pytest.mark.parametrize("name", ["C", "CBX", "1B", "C-", ""])
@pytest.mark.parametrize("option", ["--cell-barcode", "--UMI"])
def test_no_name_of_a_tag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    status, message = refused(tmp_path, capsys, [read("a", "T", "A")], option, name)
    assert status == 2
    assert "is not the name of a tag" in message


def test_one_tag_for_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, message = refused(tmp_path, capsys, [read("a", "T", "A")], "--UMI", "CB")
    assert (status, "cell and UMI cannot both be in the tag CB" in message) == (1, True)


@pytest.mark.parametrize("options", [(), ("--cell-barcode", "XC"), ("--UMI", "UX")])
def test_no_read_has_both_barcodes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    lines = [read("a", "T", "A" if options else None), read("a", "G", None)]
    status, message = refused(tmp_path, capsys, lines, *options)
    assert status == 1
    assert "FILE: none of its alignments has both the tags " in message
    assert "--cell-barcode and --UMI" in message


@pytest.mark.parametrize("tag", ["CB:i:5", "UB:B:c,1,2", "CB:f:1"])
@pytest.mark.parametrize("options", [(), ("--bias-threads", "2")])
def test_a_barcode_that_is_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tag: str, options: tuple[str, ...]
) -> None:
    lines = [read("a", "T", "A"), line("a", tag, "CB:Z:T", "UB:Z:A")]
    status, message = refused(tmp_path, capsys, lines, *options)
    assert status == 1
    assert "FILE, read 2: the tag CB or UB does not hold a text (type Z)" in message


def test_a_damaged_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.helpers.alignment_builders import bam, record

    files = write(tmp_path, [])
    good = record(tags=b"CBZT\0UBZA\0")
    (tmp_path / "cells.bam").write_bytes(bam([good, record(tags=b"NHC\1CBZT\0UBZA")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.helpers.alignment_builders.CONTIGS", (("chr1", 2000),))
        assert main(["count-barcodes", "-q", *files]) == 1
    message = capsys.readouterr().err
    assert "read 2: a tag runs over the end of the record or has an unknown type" in message
