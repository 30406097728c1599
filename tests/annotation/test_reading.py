"""Reading annotations in pieces, compressed, from pipes, and with many features."""

from __future__ import annotations

import gzip
import os
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from counterbias.annotation.reading import read_pieces
from tests.annotation.htseq_annotations import (
    LINE,
    compare,
    read_annotation,
    write,
)


def test_ordinary_lines_need_no_second_reading(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exact parser is slow: no line of a real file may need it."""

    def refuse(self: object, raw: bytes, number: int) -> None:
        raise AssertionError(f"line {number}: {raw!r}")

    monkeypatch.setattr("counterbias.annotation.lines.LineParser.parse", refuse)
    for path in sorted(data_dir.glob("*/*.gtf")):
        assert len(read_annotation(str(path)).features) > 20


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_pieces_hold_whole_lines(tmp_path: Path, piece: int, ending: str) -> None:
    text = ending.join(["one", "", "three " * 20, "four"])
    path = write(tmp_path / "a", text)
    pieces = [bytes(data[:size]) for data, size in read_pieces(path, piece=piece)]
    assert b"".join(pieces) == text.encode() + b"\n"
    for part, following in pairwise(pieces):
        assert part[-1:] in (b"\n", b"\r")
        assert not (part.endswith(b"\r") and following.startswith(b"\n"))


def test_small_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        f"c{i % 3}\ts\texon\t{i + 1}\t{i + 40}\t.\t{'+-'[i % 2]}\t.\t"
        f'gene_id "g{i // 4}"; n "é{i}";\n'
        for i in range(200)
    ]
    lines += [line.replace("é", "e") for line in lines]
    path = write(tmp_path / "a.gtf", "".join(lines))
    whole = read_annotation(path, additional_attributes=("n",))
    monkeypatch.setattr(
        "counterbias.annotation.loading.read_pieces", lambda path: read_pieces(path, piece=100)
    )
    parts = compare(path, additional_attributes=("n",))
    assert parts.features.ids == whole.features.ids
    assert parts.lines == whole.lines == 400
    assert (parts.steps.starts == whole.steps.starts).all()
    assert (parts.steps.sets == whole.steps.sets).all()


def test_tables_grow(tmp_path: Path) -> None:
    count = 70_000
    text = "".join(
        f"c{i % 7}\ts\texon\t{i + 1}\t{i + 10}\t.\t+\t.\t"
        f'gene_id "{"gene" * 5}{i}"; gene_name "{i}name";\n'
        for i in range(count)
    )
    ours = read_annotation(write(tmp_path / "a.gtf", text), additional_attributes=("gene_name",))
    assert len(ours.features) == count
    assert len(ours.features.contigs) == 7
    for row in (0, 77, count - 1):
        assert ours.features.ids[row][20:] + "name" == ours.features.attributes["gene_name"][row]
    assert (ours.features.lengths == 10).all()


def test_sets_of_many_features(tmp_path: Path) -> None:
    text = "".join(
        f'1\ts\texon\t{i + 1}\t{1000 - i}\t.\t+\t.\tgene_id "{i:03}"\n' for i in range(300)
    )
    ours = compare(write(tmp_path / "a.gtf", text))
    sizes = np.diff(ours.steps.member_offsets)
    assert sizes.max() == 300
    assert len(sizes) == 301


@pytest.mark.parametrize("name", ["a.gtf.gz", "a.gtf.gzip", "A.GTF.GZ"])
def test_compressed_annotations(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        gzip.compress(LINE.encode()) + gzip.compress(LINE.replace("A", "B").encode()),
    )
    assert compare(path).features.ids == ("A", "B")


def test_content_decides_about_compression(tmp_path: Path) -> None:
    assert read_annotation(
        write(tmp_path / "a.gtf", gzip.compress(LINE.encode()))
    ).features.ids == ("A",)
    assert read_annotation(write(tmp_path / "b.gtf.gz", LINE)).features.ids == ("A",)


def test_the_name_decides_about_quotes(tmp_path: Path) -> None:
    assert compare(write(tmp_path / "a.txt", LINE)).features.ids == ('"A"',)
    assert compare(write(tmp_path / "a.gff3", LINE.replace(' "A"', "=A"))).features.ids == ("A",)


def test_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(LINE.encode()))
    writer.start()
    try:
        assert read_annotation(path).features.ids == ('"A"',)
    finally:
        writer.join()


def test_the_last_line_of_a_feature_gives_its_attributes(tmp_path: Path) -> None:
    text = (
        LINE
        + LINE.replace('gene_name "a"', "x y").replace("chr1", "chr2")
        + LINE.replace('"A"', '"B"')
    )
    ours = compare(
        write(tmp_path / "a.gtf", text),
        additional_attributes=("gene_name",),
        add_chromosome_info=True,
    )
    assert ours.features.attributes == {"gene_name": ("", "a"), "Chromosome": ("chr2", "chr1")}


def test_joined_identifiers_that_meet(tmp_path: Path) -> None:
    one = LINE.replace('gene_name "a"', 'n "x:y"')
    text = one + one.replace('"A"', '"A:x"').replace('"x:y"', '"y"').replace("\t11", "\t15")
    ours = compare(write(tmp_path / "a.gtf", text), id_attributes=("gene_id", "n"))
    assert ours.features.ids == ("A:x:y",)
