"""Byte order marks, UTF-16 and foreign line ends in text files: the same result, or one line."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from counterbias import InputError
from counterbias.cli import compare_arguments, main
from counterbias.evaluation.truth import read_truth
from counterbias.genome import read_aliases
from tests.helpers.messages import lines_of

SAM = (
    "@SQ\tSN:chr1\tLN:2000\n"
    "r1\t0\tchr1\t101\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
    "r2\t0\tchr1\t301\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
    "r3\t0\tchr1\t302\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
)
GTF = (
    'chr1\ttest\texon\t101\t200\t.\t+\t.\tgene_id "a";\n'
    'chr1\ttest\texon\t301\t400\t.\t+\t.\tgene_id "b";\n'
)
GFF3 = (
    "##gff-version 3\n"
    "chr1\ttest\texon\t101\t200\t.\t+\t.\tID=x;gene_id=a\n"
    "chr1\ttest\texon\t301\t400\t.\t+\t.\tID=y;gene_id=b\n"
)
MARK = b"\xef\xbb\xbf"

#: The same text as other systems and programs write it.
VARIANTS: dict[str, Callable[[str], bytes]] = {
    "mark": lambda text: MARK + text.encode(),
    "marks in joined files": lambda text: b"".join(
        MARK + line.encode() for line in text.splitlines(keepends=True)
    ),
    "CR LF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "mark, CR LF": lambda text: MARK + text.replace("\n", "\r\n").encode(),
    "mark, empty line": lambda text: MARK + b"\r\n" + text.encode(),
    "no last end": lambda text: text.rstrip("\n").encode(),
}
UNICODE = {"UTF-16": "utf-16", "UTF-16BE": "utf-16-be", "UTF-32": "utf-32"}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    found: Callable[[str], bytes] = request.param
    return found


@pytest.mark.parametrize(
    ("name", "text"), [("genes.gtf", GTF), ("genes.gff3", GFF3), ("genes.gtf.gz", GTF)]
)
def test_annotations_count_the_same(
    name: str,
    text: str,
    variant: Callable[[str], bytes],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "reads.sam").write_text(SAM)
    content = variant(text)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert main(["count", "-q", str(tmp_path / "reads.sam"), str(tmp_path / name)]) == 0
    shown = capfd.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("a\t1\nb\t2\n__no_feature\t0\n")


@pytest.mark.parametrize("encoding", UNICODE.values(), ids=UNICODE)
def test_other_encodings_of_an_annotation_are_one_line(
    encoding: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reads.sam").write_text(SAM)
    (tmp_path / "genes.gtf").write_bytes(GTF.encode(encoding))
    assert main(["count", str(tmp_path / "reads.sam"), str(tmp_path / "genes.gtf")]) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert len(lines_of(shown.err)) == 1
    if encoding == "utf-16":
        assert (
            "genes.gtf: this is UTF-16 text, expected UTF-8. "
            "Convert the file, as with 'iconv -f UTF-16 -t UTF-8'" in shown.err
        )


def test_aliases_are_the_same(variant: Callable[[str], bytes], tmp_path: Path) -> None:
    (tmp_path / "aliases.tsv").write_bytes(
        variant("# in the reads, in the genome\nchr1\t1\nchrM\tMT\n")
    )
    assert read_aliases(tmp_path / "aliases.tsv") == {"chr1": "1", "chrM": "MT"}


@pytest.mark.parametrize(("name", "separator"), [("truth.tsv", "\t"), ("truth.csv", ",")])
def test_truth_tables_are_the_same(
    name: str, separator: str, variant: Callable[[str], bytes], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(variant("gene\tA\nx\t1\ny\t2.5\n".replace("\t", separator)))
    found = read_truth(tmp_path / name, ["A"])
    assert found.identifier == "gene"
    assert found.columns == {"A": {"x": 1.0, "y": 2.5}}


def test_groups_are_the_same(variant: Callable[[str], bytes], tmp_path: Path) -> None:
    (tmp_path / "groups.tsv").write_bytes(variant("sample\tgroup\ns1\ta\ns2\tb\n"))
    assert compare_arguments.read_groups(str(tmp_path / "groups.tsv"), ["s1", "s2"]) == ("a", "b")


READERS: dict[str, Callable[[Path], object]] = {
    "aliases": read_aliases,
    "truth": lambda path: read_truth(path, ["A"]),
    "groups": lambda path: compare_arguments.read_groups(str(path), ["s1"]),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("encoding", UNICODE.values(), ids=UNICODE)
def test_other_encodings_of_tables_are_one_line(
    reader: Callable[[Path], object], encoding: str, tmp_path: Path
) -> None:
    (tmp_path / "table.tsv").write_bytes("gene\tA\nx\t1\n".encode(encoding))
    with pytest.raises(InputError, match=r"UTF-16.*iconv -f UTF-16 -t UTF-8"):
        reader(tmp_path / "table.tsv")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty|holds no aliases"),
        (b"\n \n\r\n", "is empty|holds no aliases"),
        (MARK, "is empty|holds no aliases"),
        (b"gene\tA\nx\0\t1\n", "line 2: .*NUL byte"),
        (b"gene\tA\nx\xff\t1\n", "line 2: .*not UTF-8 text"),
        (b"gene\tA\n" + b"y" * 200_000 + b'\t"' + b"x" * 200_000 + b'"\t3\n', "line "),
        (b"a\t" * 1_000_000 + b"b\n" + b"1\t" * 1_000_000 + b"2\n", "line 1: |columns"),
    ],
    ids=["empty", "blank", "mark", "zero", "latin", "long", "wide"],
)
def test_what_is_no_table_is_one_line(
    reader: Callable[[Path], object], content: bytes, match: str, tmp_path: Path
) -> None:
    (tmp_path / "table.tsv").write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        reader(tmp_path / "table.tsv")
    assert len(caught.value.line()) < 300


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            "gene\tA\tA\nx\t1\t2\n",
            r"line 1: there is more than one column 'A'. The table has 'gene', 'A', 'A'",
        ),
        ("\n\ngene\tB\nx\t1\n", r"line 3: there is no column 'A'"),
        ("gene\tA\n\nx\t1\t2\n", "line 3: 3 columns, the first line has 2"),
        ("gene\tA\nx\n", "line 2: 1 column, the first line has 2"),
        (
            'gene\tA\nx\t1\ny\t"2\nz\t3\n',
            r"line 3: the quotes of the truth table do not match. Close every quote",
        ),
        ('gene\tA\n"x"y\t1\n', "line 2: the quotes"),
        ("gene\tA\nx\t1\n\nx\t2\n", "line 4: 'x' is already in line 2"),
    ],
)
def test_truth_tables_name_the_line(content: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "truth.tsv").write_text(content)
    with pytest.raises(InputError, match=match):
        read_truth(tmp_path / "truth.tsv", ["A"])


def test_empty_lines_of_a_truth_table_are_skipped_and_quotes_may_hold_line_ends(
    tmp_path: Path,
) -> None:
    (tmp_path / "truth.csv").write_bytes(
        b'\r\n,\r\n"gene","A"\r\n"x, or\r\ny",1\r\n\r\n z , 2 \r\n'
    )
    found = read_truth(tmp_path / "truth.csv", ["A"])
    assert found.columns["A"] == {"x, or\ny": 1.0, "z": 2.0}


def test_a_file_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterbias.plaintext.MOST_BYTES", 1 << 20)
    pipe, writing = os.pipe()
    threading.Thread(target=_write_for_ever, args=(writing,), daemon=True).start()
    with pytest.raises(InputError, match="larger than 1 MiB: too large to be a truth table"):
        read_truth(f"/dev/fd/{pipe}", ["A"])
    os.close(pipe)


def _write_for_ever(descriptor: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        while True:
            os.write(descriptor, b"x\t1\n" * 1000)


def test_groups_need_both_columns_once_each(tmp_path: Path) -> None:
    for header in ("sample\tother", "sample\tgroup\tgroup", "sample\tsample\tgroup"):
        (tmp_path / "groups.tsv").write_text(f"{header}\n")
        with pytest.raises(
            InputError,
            match="line 1: the table of groups needs one column 'sample' and one 'group'",
        ):
            compare_arguments.read_groups(str(tmp_path / "groups.tsv"), ["s1"])


@pytest.mark.parametrize("option", ["-t", "-i", "--additional-attr"])
def test_options_that_are_not_utf8_are_no_reason_to_crash(
    option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reads.sam").write_text(SAM)
    (tmp_path / "genes.gtf").write_text(GTF)
    status = main(
        ["count", "-q", str(tmp_path / "reads.sam"), str(tmp_path / "genes.gtf"), option, "\udcff"]
    )
    shown = capfd.readouterr()
    assert status == (0 if option == "--additional-attr" else 1)
    assert shown.err == "" or "\\xff" in shown.err
