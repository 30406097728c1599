"""Annotations: the installed HTSeq decides what is right."""

from __future__ import annotations

import gzip
import os
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import HTSeq
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from counterbias.annotation import load_annotation
from counterbias.annotation.lines import _split_outside_quotes, parse_query
from counterbias.annotation.reading import read_pieces
from counterbias.errors import InputError
from counterbias.records import Annotation

LINE = 'chr1\tsrc\texon\t11\t20\t.\t+\t.\tgene_id "A"; gene_name "a";\n'


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def htseq(path: str, capture: Any = None, **options: Any) -> tuple[Any, dict[str, list[str]]]:
    """Read a file as htseq-count does; give the array and the attributes."""
    scan = HTSeq.make_feature_genomicarrayofsets(
        HTSeq.GFF_Reader(path),
        list(options.get("id_attributes", ["gene_id"])),
        feature_type=list(options.get("feature_types", ["exon"])),
        feature_query=options.get("feature_query"),
        additional_attributes=list(options.get("additional_attributes", [])),
        stranded=options.get("stranded", True),
        verbose=capture is not None,
        add_chromosome_info=options.get("add_chromosome_info", False),
    )
    return scan["features"], scan["attributes"]


def our_steps(annotation: Annotation, contig: int, strand: int) -> list[tuple[int, frozenset[str]]]:
    """Give the steps of a vector by name, as (start, set)."""
    steps = annotation.steps
    vector = steps.vector(contig, strand)
    rows = slice(int(steps.offsets[vector]), int(steps.offsets[vector + 1]))
    sets = [
        frozenset(
            annotation.features.ids[m]
            for m in steps.members[steps.member_offsets[s] : steps.member_offsets[s + 1]]
        )
        for s in steps.sets[rows]
    ]
    return list(zip(steps.starts[rows].tolist(), sets, strict=True))


def their_steps(array: Any, contig: str, strand: str) -> list[tuple[int, frozenset[str]]]:
    """Give HTSeq's steps, equal neighbours merged."""
    merged: list[tuple[int, frozenset[str]]] = []
    for interval, value in array.chrom_vectors[contig][strand].steps():
        if not merged or merged[-1][1] != frozenset(value):
            merged.append((interval.start, frozenset(value)))
    return merged


def compare(path: str, **options: Any) -> Annotation:
    """Check that a file means the same to HTSeq and to us."""
    array, attributes = htseq(path, **options)
    ours = load_annotation(path, **options)
    stranded = options.get("stranded", True)
    assert list(ours.features.ids) == sorted(attributes)
    names = [
        *options.get("additional_attributes", ()),
        *(["Chromosome"] if options.get("add_chromosome_info") else []),
    ]
    assert list(ours.features.attributes) == names
    for row, name in enumerate(ours.features.ids):
        assert [ours.features.attributes[key][row] for key in names] == attributes[name]
    assert ours.features.contigs == ours.steps.contigs == tuple(array.chrom_vectors)
    assert ours.steps.stranded == stranded
    assert ours.steps.member_offsets[:2].tolist() == [0, 0]
    for index, contig in enumerate(ours.steps.contigs):
        for number, strand in enumerate("+-" if stranded else "."):
            steps = our_steps(ours, index, number)
            assert steps == their_steps(array, contig, strand)
    check_blocks(ours)
    return ours


def check_blocks(annotation: Annotation) -> None:
    """Check that the merged intervals are sorted, apart, and cover what the steps say."""
    features = annotation.features
    covered: dict[tuple[int, int, str], int] = {}
    for row, name in enumerate(features.ids):
        blocks = range(int(features.block_offsets[row]), int(features.block_offsets[row + 1]))
        keys = [
            (
                int(features.block_contig[b]),
                int(features.block_strand[b]),
                int(features.block_start[b]),
            )
            for b in blocks
        ]
        assert keys == sorted(keys)
        assert keys
        for one, two in pairwise(blocks):
            if keys[one - blocks[0]][:2] == keys[two - blocks[0]][:2]:
                assert features.block_end[one] < features.block_start[two]
        for b in blocks:
            strand = int(features.block_strand[b]) if annotation.steps.stranded else 0
            key = (int(features.block_contig[b]), strand, name)
            covered[key] = covered.get(key, 0) + int(
                features.block_end[b] - features.block_start[b]
            )
        assert features.lengths[row] == sum(
            features.block_end[b] - features.block_start[b] for b in blocks
        )
    if annotation.steps.stranded:
        stepped: dict[tuple[int, int, str], int] = {}
        for contig in range(len(features.contigs)):
            for strand in (0, 1):
                steps = our_steps(annotation, contig, strand)
                for (start, names), (end, _) in pairwise(steps):
                    for name in names:
                        stepped[contig, strand, name] = (
                            stepped.get((contig, strand, name), 0) + end - start
                        )
        assert stepped == covered


_ODD_NAME = st.sampled_from(["A", "B", "C", "G one", "é", "x;y", "=", " "])
_NAME = st.sampled_from(["A", "B", "C", "D.1", "é", "E=f"])
# Each names gene_id and transcript_id in a way that HTSeq takes, under GTF's rules or, without quotes, under both.
_GTF = [
    'gene_id "{a}"; transcript_id "{b}";',
    'gene_id "{a}"; transcript_id "{b}"; gene_name "{b}"',
    'transcript_id "{b}"; gene_id "{a}" ; note "x; gene_id y";',
    'gene_id "{b}"; transcript_id ""; gene_id "{a}"; gene_name "{b}";',
    '  gene_id   "{a}";;  transcript_id="{b}"; ',
    'gene_id = "{a}"; level 2; transcript_id ; gene_name "{b}"x;',
    '"odd key" 1; transcript_id "{b}"; gene_id g{n}; \u3000tag\u3000"\u00e4"',
    '\x1fgene_id\x1f"{a}"; transcript_id\t"t";\x0bgene_name 1',
]
_BOTH = [
    "gene_id={c};transcript_id={d}",
    "ID=e{n};gene_id={c};transcript_id={d},{c};Note=a b ;",
    " gene_id {c} ; transcript_id= = {d};gene_name={d}; ;",
    'gene_id={c};transcript_id="{d}";gene_name "{c}"',
]
_BROKEN = ["alone", 'gene_id "A', 'gene_id "A" "B"; transcript_id "x"', "=x", "ID=only", "."]


@st.composite
def annotation_files(draw: st.DrawFn, gtf: bool) -> list[str]:
    """Draw lines that HTSeq mostly takes; one file in ten has a broken one."""
    lines = []
    for _ in range(draw(st.integers(1, 25))):
        if not draw(st.integers(0, 12)):
            lines.append(
                draw(st.sampled_from(["# note", "##gff-version 3", "", "# \u00e9", "#\tx"]))
            )
        start = draw(st.integers(1, 60))
        syntax = draw(st.sampled_from([_GTF[0], *_GTF, *_BOTH] if gtf else _BOTH))
        columns = [
            draw(st.sampled_from(["1", "chr2", "scaffold 3", "ü"])),
            "src",
            draw(st.sampled_from(["exon", "exon", "exon", "CDS", "gene"])),
            draw(st.sampled_from(["{}", "{}", "{}", "0{}", "+{}"])).format(start),
            str(start + draw(st.integers(0, 25))),
            draw(st.sampled_from([".", ".", "0.5", "12", "1e-5", "-3.", " 7 "])),
            draw(st.sampled_from("+-")),
            draw(st.sampled_from([".", "0", "2", "-1"])),
            syntax.format(
                a=draw(_ODD_NAME), b=draw(_ODD_NAME), c=draw(_NAME), d=draw(_NAME), n=start
            ),
        ]
        lines.append("\t".join(columns))
    if not draw(st.integers(0, 9)):
        row = draw(st.integers(0, len(lines) - 1))
        lines[row] = lines[row].rpartition("\t")[0] + "\t" + draw(st.sampled_from(_BROKEN))
    return lines


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    ending=st.sampled_from(["\n", "\n", "\r\n", "\r"]),
    final=st.booleans(),
    name=st.sampled_from(["a.gtf", "a.gff3", "A.GTF"]),
    ids=st.sampled_from(
        [("gene_id",), ("gene_id",), ("gene_id", "transcript_id"), ("transcript_id",)]
    ),
    types=st.sampled_from([("exon",), ("exon", "CDS"), ("gene", "nothing")]),
    extra=st.sampled_from([(), ("gene_name",), ("gene_id", "absent")]),
    query=st.sampled_from(
        [None, None, None, 'gene_name == "A"', 'gene_id=="A"', 'transcript_id == ""']
    ),
    stranded=st.booleans(),
    chromosome=st.booleans(),
)
def test_any_annotation_means_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    ending: str,
    final: bool,
    name: str,
    ids: tuple[str, ...],
    types: tuple[str, ...],
    extra: tuple[str, ...],
    query: str | None,
    stranded: bool,
    chromosome: bool,
) -> None:
    lines = data.draw(annotation_files(name.lower().endswith("gtf")))
    path = write(
        tmp_path_factory.mktemp("drawn") / name, ending.join(lines) + (ending if final else "")
    )
    options: dict[str, Any] = {
        "id_attributes": ids,
        "feature_types": types,
        "additional_attributes": extra,
        "feature_query": query,
        "stranded": stranded,
        "add_chromosome_info": chromosome,
    }
    try:
        _, attributes = htseq(path, **options)
    except ValueError:
        # Where HTSeq stops, so do we, and name the line.
        with pytest.raises(InputError) as caught:
            load_annotation(path, **options)
        assert caught.value.place.startswith("line ")
        return
    if attributes:
        compare(path, **options)
    else:
        with pytest.raises(InputError, match=r"no feature|none of the|empty"):
            load_annotation(path, **options)


@settings(max_examples=60, deadline=None)
@given(
    intervals=st.lists(
        st.tuples(
            st.integers(1, 40),
            st.integers(0, 30),
            st.sampled_from("+-."),
            st.integers(0, 12),
            st.sampled_from("12"),
        ),
        min_size=1,
        max_size=60,
    ),
    stranded=st.booleans(),
)
@example(intervals=[(1, 0, "+", 0, "1")], stranded=True)
@example(intervals=[(1, 9, "+", 0, "1"), (11, 5, "+", 0, "1"), (3, 4, "-", 0, "1")], stranded=False)
def test_steps_of_crowded_genomes(
    tmp_path_factory: pytest.TempPathFactory,
    intervals: list[tuple[int, int, str, int, str]],
    stranded: bool,
) -> None:
    text = "".join(
        f"{contig}\ts\texon\t{start}\t{start + size}\t.\t{strand.replace('.', '+') if stranded else strand}\t.\tgene_id g{gene}\n"
        for start, size, strand, gene, contig in intervals
    )
    compare(write(tmp_path_factory.mktemp("crowded") / "a.gtf", text), stranded=stranded)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("fly_pasilla_chr4", "genes.gtf"),
        ("yeast", "genes.gtf"),
        ("human_maqc_chr22", "genes.gtf"),
        ("human_trimmed", "genes.gtf"),
        ("truth", "ERCC92.gtf"),
    ],
)
@pytest.mark.parametrize("stranded", [True, False])
def test_real_annotations(
    data_dir: Path, folder: str, name: str, stranded: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(data_dir / folder / name)
    messages: list[str] = []
    compare(
        path,
        stranded=stranded,
        additional_attributes=("gene_name", "absent"),
        add_chromosome_info=True,
    )
    htseq(path, capture=True)
    load_annotation(path, on_lines=messages.append)
    assert capsys.readouterr().err == "".join(f"{message}\n" for message in messages)


def test_several_identifiers_and_a_query_on_real_data(data_dir: Path) -> None:
    path = str(data_dir / "human_maqc_chr22" / "genes.gtf")
    options: dict[str, Any] = {
        "feature_types": ("CDS", "exon"),
        "id_attributes": ("gene_id", "exon_number"),
    }
    assert len(compare(path, **options).features) > 100
    compare(path, feature_query='gene_biotype == "protein_coding"', stranded=False, **options)


def test_ordinary_lines_need_no_second_reading(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exact parser is slow: real files must pass it by, whatever their type of line."""

    def refuse(self: object, raw: bytes, number: int) -> None:
        raise AssertionError(f"line {number}: {raw!r}")

    monkeypatch.setattr("counterbias.annotation.lines.LineParser.parse", refuse)
    for path in sorted(data_dir.glob("*/*.gtf")):
        assert len(load_annotation(path).features) > 20


def test_lines_are_counted_as_htseq_counts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = LINE.replace('"A"', '"B"')
    many, few = "#c\n\n" + LINE + LINE.replace("exon", "CDS") * 100_000, "#c\n\n" + (LINE + two) * 3
    for text, query, lines in ((many, None, 100_001), (few, None, 6), (few, 'gene_id == "A"', 3)):
        path = write(tmp_path / "a.gtf", text)
        messages: list[str] = []
        ours = load_annotation(path, feature_query=query, on_lines=messages.append)
        htseq(path, capture=True, feature_query=query)
        assert capsys.readouterr().err.splitlines() == messages
        assert ours.lines == lines
        assert len(messages) == (2 if lines > 100_000 else 1)


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
        f'c{i % 3}\ts\texon\t{i + 1}\t{i + 40}\t.\t{"+-"[i % 2]}\t.\tgene_id "g{i // 4}"; n "é{i}";\n'
        for i in range(200)
    ]
    lines += [line.replace("é", "e") for line in lines]
    path = write(tmp_path / "a.gtf", "".join(lines))
    whole = load_annotation(path, additional_attributes=["n"])
    monkeypatch.setattr(
        "counterbias.annotation.loading.read_pieces", lambda path: read_pieces(path, piece=100)
    )
    parts = compare(path, additional_attributes=["n"])
    assert parts.features.ids == whole.features.ids
    assert parts.lines == whole.lines == 400
    assert (parts.steps.starts == whole.steps.starts).all()
    assert (parts.steps.sets == whole.steps.sets).all()


def test_tables_grow(tmp_path: Path) -> None:
    count = 20_000
    text = "".join(
        f'c{i % 7}\ts\texon\t{i + 1}\t{i + 10}\t.\t+\t.\tgene_id "{"gene" * 5}{i}"; gene_name "{i}name";\n'
        for i in range(count)
    )
    ours = load_annotation(write(tmp_path / "a.gtf", text), additional_attributes=["gene_name"])
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
    assert load_annotation(
        write(tmp_path / "a.gtf", gzip.compress(LINE.encode()))
    ).features.ids == ("A",)
    assert load_annotation(write(tmp_path / "b.gtf.gz", LINE)).features.ids == ("A",)


def test_the_name_decides_about_quotes(tmp_path: Path) -> None:
    assert compare(write(tmp_path / "a.txt", LINE)).features.ids == ('"A"',)
    assert compare(write(tmp_path / "a.gff3", LINE.replace(' "A"', "=A"))).features.ids == ("A",)


def test_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(LINE.encode()))
    writer.start()
    try:
        assert load_annotation(path).features.ids == ('"A"',)
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
        additional_attributes=["gene_name"],
        add_chromosome_info=True,
    )
    assert ours.features.attributes == {"gene_name": ("", "a"), "Chromosome": ("chr2", "chr1")}


def test_joined_identifiers_that_meet(tmp_path: Path) -> None:
    one = LINE.replace('gene_name "a"', 'n "x:y"')
    text = one + one.replace('"A"', '"A:x"').replace('"x:y"', '"y"').replace("\t11", "\t15")
    ours = compare(write(tmp_path / "a.gtf", text), id_attributes=("gene_id", "n"))
    assert ours.features.ids == ("A:x:y",)


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
        load_annotation(path)
    assert (caught.value.file, caught.value.place) == (path, f"line {5 if before else 1}")
    assert remedy.lower() in caught.value.remedy.lower()


@pytest.mark.parametrize("line", [line for line, *_ in BAD_LINES])
def test_bad_lines_of_other_types(tmp_path: Path, line: str) -> None:
    """What is wrong with a line that is not counted for matters just as far as it does to HTSeq."""
    path = write(tmp_path / "a.gtf", LINE + line.replace("\texon\t", "\tCDS\t"))
    try:
        htseq(path)
    except (ValueError, OverflowError):
        with pytest.raises(InputError) as caught:
            load_annotation(path)
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
        load_annotation(path, feature_query='gene_id == "B"')


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
        load_annotation(path)
    assert caught.value.file == path


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_annotation(tmp_path / "none.gtf")
    with pytest.raises(InputError, match="a folder"):
        load_annotation(tmp_path)


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
        load_annotation(path)
    with pytest.raises(InputError, match="'x' or 'y'"):
        load_annotation(path, feature_types=("x", "y"))


def test_a_query_that_nothing_meets(tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(InputError, match="none of the 2 'exon' lines meets --feature-query"):
        load_annotation(
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
