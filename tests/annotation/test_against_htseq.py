"""Annotations, generated and real ones: the installed HTSeq decides what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from counterbias.errors import InputError
from tests.annotation.htseq_annotations import (
    LINE,
    compare,
    htseq,
    read_annotation,
    write,
)

_ODD_NAME = st.sampled_from(["A", "B", "C", "G one", "é", "x;y", "=", " "])


_NAME = st.sampled_from(["A", "B", "C", "D.1", "é", "E=f"])


# Each names gene_id and transcript_id in a form that HTSeq accepts: under GTF's rules or, without
# quotes, under those of both formats.
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


_OPTIONS = st.fixed_dictionaries(
    {
        "id_attributes": st.sampled_from(
            [("gene_id",), ("gene_id",), ("gene_id", "transcript_id"), ("transcript_id",)]
        ),
        "feature_types": st.sampled_from([("exon",), ("exon", "CDS"), ("gene", "nothing")]),
        "additional_attributes": st.sampled_from([(), ("gene_name",), ("gene_id", "absent")]),
        "feature_query": st.sampled_from(
            [None, None, None, 'gene_name == "A"', 'gene_id=="A"', 'transcript_id == ""']
        ),
        "stranded": st.booleans(),
        "add_chromosome_info": st.booleans(),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    ending=st.sampled_from(["\n", "\n", "\r\n", "\r"]),
    final=st.booleans(),
    name=st.sampled_from(["a.gtf", "a.gff3", "A.GTF"]),
    options=_OPTIONS,
)
def test_any_annotation_means_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    ending: str,
    final: bool,
    name: str,
    options: dict[str, Any],
) -> None:
    lines = data.draw(annotation_files(name.lower().endswith("gtf")))
    path = write(
        tmp_path_factory.mktemp("drawn") / name, ending.join(lines) + (ending if final else "")
    )
    try:
        _, attributes = htseq(path, **options)
    except ValueError:
        # Where HTSeq stops, so do we, and name the line.
        with pytest.raises(InputError) as caught:
            read_annotation(path, **options)
        assert caught.value.place.startswith("line ")
        return
    if attributes:
        compare(path, **options)
    else:
        with pytest.raises(InputError, match=r"no feature|none of the|empty"):
            read_annotation(path, **options)


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
        f"{contig}\ts\texon\t{start}\t{start + size}\t.\t"
        f"{strand.replace('.', '+') if stranded else strand}\t.\tgene_id g{gene}\n"
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
    read_annotation(path, on_lines=messages.append)
    assert capsys.readouterr().err == "".join(f"{message}\n" for message in messages)


def test_several_identifiers_and_a_query_on_real_data(data_dir: Path) -> None:
    path = str(data_dir / "human_maqc_chr22" / "genes.gtf")
    options: dict[str, Any] = {
        "feature_types": ("CDS", "exon"),
        "id_attributes": ("gene_id", "exon_number"),
    }
    assert len(compare(path, **options).features) > 100
    compare(path, feature_query='gene_biotype == "protein_coding"', stranded=False, **options)


def test_lines_are_counted_as_htseq_counts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = LINE.replace('"A"', '"B"')
    many, few = "#c\n\n" + LINE + LINE.replace("exon", "CDS") * 100_000, "#c\n\n" + (LINE + two) * 3
    for text, query, lines in ((many, None, 100_001), (few, None, 6), (few, 'gene_id == "A"', 3)):
        path = write(tmp_path / "a.gtf", text)
        messages: list[str] = []
        ours = read_annotation(path, feature_query=query, on_lines=messages.append)
        htseq(path, capture=True, feature_query=query)
        assert capsys.readouterr().err.splitlines() == messages
        assert ours.lines == lines
        assert len(messages) == (2 if lines > 100_000 else 1)
