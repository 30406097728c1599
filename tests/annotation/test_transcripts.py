"""The transcripts of features: worked-out cases, and a slow implementation with dictionaries."""

from __future__ import annotations

import dataclasses
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.annotation import load_annotation
from counterbias.options import AnnotationOptions
from counterbias.records import SCATTERED, TOO_MANY, UNNAMED, Annotation, FeatureTranscripts
from tests.annotation.htseq_annotations import write

#: Transcripts of a feature, in order: name and exons as (start, end) along its line; or why not.
Found = list[tuple[str, list[tuple[int, int]]]] | int


def exon(start: int, end: int, attributes: str, *, on: str = "1+", of: str = "exon") -> str:
    """Write a line; positions from 1, the end included, as in the file."""
    return f"{on[:-1]}\tsrc\t{of}\t{start}\t{end}\t.\t{on[-1]}\t.\t{attributes}\n"


def gtf(start: int, end: int, transcript: str, gene: str = "A", **where: str) -> str:
    return exon(start, end, f'gene_id "{gene}"; transcript_id "{transcript}";', **where)


def gff3(start: int, end: int, parent: str, gene: str = "A", **where: str) -> str:
    return exon(start, end, f"gene_id={gene};Parent={parent}", **where)


def load(path: str, *, stranded: bool = True, **options: Any) -> Annotation:
    """Load with transcripts, and check that without them all else is the same."""
    wanted = AnnotationOptions(path, **options)
    with_them = load_annotation(wanted, stranded=stranded, transcripts=True)
    without = load_annotation(wanted, stranded=stranded)
    assert without.transcripts is None
    assert with_them.lines == without.lines
    for one, two in (
        (with_them.features, without.features),
        (with_them.steps, without.steps),
    ):
        for field in dataclasses.fields(one):
            left, right = getattr(one, field.name), getattr(two, field.name)
            if isinstance(left, np.ndarray):
                assert left.dtype == right.dtype
                assert left.tolist() == right.tolist()
            else:
                assert left == right
    return with_them


def transcripts_of(annotation: Annotation) -> dict[str, Found]:
    """List the transcripts of each feature, after checking the record's form."""
    found = annotation.transcripts
    assert found is not None
    check_form(found, annotation.features.lengths)
    start, end = found.start.tolist(), found.end.tolist()
    listed: dict[str, Found] = {}
    for i, feature in enumerate(annotation.features.ids):
        if found.missing[i]:
            assert found.offsets[i] == found.offsets[i + 1]
            listed[feature] = int(found.missing[i])
            continue
        listed[feature] = [
            (
                found.ids[t],
                [
                    (start[e], end[e])
                    for e in range(found.exon_offsets[t], found.exon_offsets[t + 1])
                ],
            )
            for t in range(found.offsets[i], found.offsets[i + 1])
        ]
    return listed


def check_form(found: FeatureTranscripts, lengths: Any) -> None:
    """Check types and sizes, and that exons are ascending, apart, and within their feature."""
    assert [found.offsets.dtype, found.exon_offsets.dtype] == [np.int64, np.int64]
    assert [found.start.dtype, found.end.dtype] == [np.int64, np.int64]
    assert found.missing.dtype == np.uint8
    assert len(found.missing) == len(found.offsets) - 1 == len(lengths)
    assert found.offsets[0] == found.exon_offsets[0] == 0
    assert found.offsets[-1] == len(found) == len(found.exon_offsets) - 1
    assert found.exon_offsets[-1] == len(found.start) == len(found.end)
    assert (np.diff(found.offsets) >= 0).all()
    assert (np.diff(found.exon_offsets) > 0).all()
    assert (found.start < found.end).all()
    inner = np.ones(len(found.start), dtype=bool)
    inner[found.exon_offsets[:-1]] = False
    assert (found.start[inner] > found.end[np.flatnonzero(inner) - 1]).all()
    feature = np.repeat(np.arange(len(lengths)), np.diff(found.offsets))
    assert (found.start >= 0).all()
    assert (found.end[found.exon_offsets[1:] - 1] <= lengths[feature]).all()


def found_in(path: Path, text: str | bytes, **options: Any) -> dict[str, Found]:
    return transcripts_of(load(write(path, text), **options))


# Blocks of A: 11-30 and 41-50, its line has 30 bases.
_LINES = [(11, 20, "t1"), (41, 50, "t1"), (16, 30, "t2"), (41, 45, "t2")]
_FOUND: Found = [("t1", [(0, 10), (20, 30)]), ("t2", [(5, 25)])]


@pytest.mark.parametrize("strand", "+-.")
def test_exons_lie_along_the_blocks_whatever_the_strand(tmp_path: Path, strand: str) -> None:
    text = "".join(gtf(*line, on=f"1{strand}") for line in _LINES)
    found = found_in(tmp_path / "a.gtf", text, stranded=strand != ".")
    assert found == {"A": _FOUND}


def test_exons_may_stand_in_any_order_and_transcripts_keep_theirs(tmp_path: Path) -> None:
    """As on the minus strand of GENCODE; the lines of transcripts may also alternate."""
    text = "".join(gtf(*_LINES[i], on="1-") for i in (3, 1, 2, 0))
    assert found_in(tmp_path / "a.gtf", text) == {"A": _FOUND[::-1]}  # type: ignore[index]


def test_exons_that_overlap_or_touch_are_one(tmp_path: Path) -> None:
    text = (
        gtf(11, 20, "overlap") + gtf(15, 30, "overlap") + gtf(12, 14, "overlap")
        + gtf(11, 20, "touch") + gtf(21, 30, "touch")
        + gtf(11, 19, "apart") + gtf(21, 30, "apart")
        + gtf(11, 30, "twice") * 2
    )  # fmt: skip
    assert found_in(tmp_path / "a.gtf", text) == {
        "A": [
            ("overlap", [(0, 20)]),
            ("touch", [(0, 20)]),
            ("apart", [(0, 9), (10, 20)]),
            ("twice", [(0, 20)]),
        ]
    }


def test_exons_that_fill_their_blocks_are_one_stretch_of_the_line(tmp_path: Path) -> None:
    text = gtf(11, 20, "t") + gtf(51, 60, "t") + gtf(91, 95, "t")
    assert found_in(tmp_path / "a.gtf", text) == {"A": [("t", [(0, 25)])]}


def test_transcripts_that_share_exons_in_gff3(tmp_path: Path) -> None:
    text = gff3(11, 20, "t2,t1") + gff3(31, 40, "t1,t3") + gff3(51, 60, "t1,t2,,t2")
    assert found_in(tmp_path / "a.gff3", text) == {
        "A": [
            ("t2", [(0, 10), (20, 30)]),
            ("t1", [(0, 30)]),
            ("t3", [(10, 20)]),
        ]
    }


def test_commas_are_part_of_names_in_gtf(tmp_path: Path) -> None:
    text = exon(11, 20, 'gene_id "A"; transcript_id "t1,t2"; Parent "p";')
    assert found_in(tmp_path / "a.gtf", text) == {"A": [("t1,t2", [(0, 10)])]}


@pytest.mark.parametrize("name", ["a", "a.gff3"])
def test_attributes_of_gtf_in_a_file_without_its_name(tmp_path: Path, name: str) -> None:
    """They are read as in GFF3, so that quotes belong to the gene's name, as in htseq-count."""
    text = "".join(gtf(*line) for line in _LINES)
    assert found_in(tmp_path / name, text) == {'"A"': _FOUND}


def test_parent_goes_before_transcript_id(tmp_path: Path) -> None:
    text = "".join(
        exon(10 * i + 1, 10 * i + 5, f"gene_id=A;{names}")
        for i, names in enumerate(
            ["transcript_id=x;Parent=p", "transcript_id=p", "Parent=;transcript_id=y,z", "Parent=y"]
        )
    )
    assert found_in(tmp_path / "a.gff3", text) == {
        "A": [("p", [(0, 10)]), ("y,z", [(10, 15)]), ("y", [(15, 20)])]
    }


def test_a_transcript_belongs_to_its_feature(tmp_path: Path) -> None:
    text = gtf(11, 20, "t", "A") + gtf(31, 50, "t", "B") + gtf(21, 30, "t", "A")
    assert found_in(tmp_path / "a.gtf", text) == {"A": [("t", [(0, 20)])], "B": [("t", [(0, 20)])]}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.gtf", exon(31, 40, 'gene_id "A";')),
        ("a.gtf", gtf(31, 40, "")),
        ("a.gff3", exon(31, 40, "gene_id=A")),
        ("a.gff3", gff3(31, 40, "")),
        ("a.gff3", gff3(31, 40, ",")),
        ("a.gff3", exon(31, 40, 'gene_id=A;transcript_id ""')),
    ],
)
def test_one_line_without_a_transcript_leaves_its_feature_without(
    tmp_path: Path, name: str, line: str
) -> None:
    make = gtf if name.endswith("gtf") else gff3
    text = make(11, 20, "t1") + make(11, 20, "t1", "B") + line + make(51, 60, "t1")
    assert found_in(tmp_path / name, text) == {"A": UNNAMED, "B": [("t1", [(0, 10)])]}


@pytest.mark.parametrize("name", ["a.gtf", "a.gff3"])
def test_no_line_names_a_transcript(tmp_path: Path, name: str) -> None:
    text = exon(11, 20, "gene_id A") + exon(11, 20, "gene_id B")
    assert found_in(tmp_path / name, text) == {"A": UNNAMED, "B": UNNAMED}


@pytest.mark.parametrize("other", ["2+", "1-"])
def test_features_on_two_contigs_or_strands(tmp_path: Path, other: str) -> None:
    text = gtf(11, 20, "t1") + gtf(11, 20, "t2", on=other) + gtf(11, 20, "t1", "B", on=other)
    assert found_in(tmp_path / "a.gtf", text) == {"A": SCATTERED, "B": [("t1", [(0, 10)])]}
    # Both strands of two contigs, and a line that names none.
    text += gtf(11, 20, "t1", on="2+") + gtf(11, 20, "")
    assert found_in(tmp_path / "a.gtf", text)["A"] == UNNAMED


def test_too_many_transcripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The features around it lose nothing, even where they share its transcripts' names."""
    monkeypatch.setattr("counterbias.annotation.transcripts.MOST_TRANSCRIPTS", 2)
    text = "".join(
        gtf(11 + 10 * n, 15 + 10 * n, f"t{n}", gene)
        for gene, count in (("A", 2), ("B", 3), ("C", 2))
        for n in range(count)
    )
    two: Found = [("t0", [(0, 5)]), ("t1", [(5, 10)])]
    assert found_in(tmp_path / "a.gtf", text) == {"A": two, "B": TOO_MANY, "C": two}


def test_a_compressed_file(tmp_path: Path) -> None:
    text = "".join(gtf(*line) for line in _LINES)
    assert found_in(tmp_path / "a.gtf.gz", gzip.compress(text.encode())) == {"A": _FOUND}


def test_lines_that_need_a_second_reading(tmp_path: Path) -> None:
    text = gtf(11, 20, "é") + gtf(11, 20, "t") + gtf(31, 40, "é") + gtf(31, 40, "ü", "Ä")
    assert found_in(tmp_path / "a.gtf", text) == {
        "A": [("é", [(0, 20)]), ("t", [(0, 10)])],
        "Ä": [("ü", [(0, 10)])],
    }


def test_features_by_other_attributes(tmp_path: Path) -> None:
    text = "".join(
        exon(start, start + 9, f'gene_id "{gene}"; gene_name "N"; transcript_id "{name}";')
        for start, gene, name in ((11, "A", "a"), (21, "B", "b"), (41, "A", "a"))
    )
    path = tmp_path / "a.gtf"
    assert found_in(path, text, id_attributes=("gene_name",)) == {
        "N": [("a", [(0, 10), (20, 30)]), ("b", [(10, 20)])]
    }
    assert found_in(path, text, id_attributes=("transcript_id",)) == {
        "a": [("a", [(0, 20)])],
        "b": [("b", [(0, 10)])],
    }
    assert found_in(
        path,
        text,
        id_attributes=("gene_id", "transcript_id"),
        additional_attributes=("transcript_id", "gene_name"),
    ) == {"A:a": [("a", [(0, 20)])], "B:b": [("b", [(0, 10)])]}


def test_features_by_parent(tmp_path: Path) -> None:
    text = gff3(11, 20, "a,b") + gff3(31, 40, "a") + gff3(51, 60, "b,a")
    assert found_in(tmp_path / "a.gff3", text, id_attributes=("Parent",)) == {
        "a": [("a", [(0, 10)])],
        "a,b": [("a", [(0, 10)]), ("b", [(0, 10)])],
        "b,a": [("b", [(0, 10)]), ("a", [(0, 10)])],
    }


def test_lines_that_are_not_counted_name_no_transcripts(tmp_path: Path) -> None:
    text = (
        gtf(1, 100, "", of="gene")
        + gtf(11, 40, "t1")
        + gtf(16, 20, "t1", of="CDS")
        + gtf(31, 40, "t2", of="CDS")
        + gtf(51, 60, "t3", "B", of="CDS")
    )
    path = tmp_path / "a.gtf"
    assert found_in(path, text, feature_types=("CDS",)) == {
        "A": [("t1", [(0, 5)]), ("t2", [(5, 15)])],
        "B": [("t3", [(0, 10)])],
    }
    assert found_in(path, text, feature_types=("CDS", "exon"))["A"] == [
        ("t1", [(0, 30)]),
        ("t2", [(20, 30)]),
    ]
    query = {"feature_types": ("CDS",), "query": 'transcript_id == "t2"'}
    assert found_in(path, text, **query) == {"A": [("t2", [(0, 10)])]}


@pytest.mark.parametrize(
    "name",
    [
        "fly_pasilla_chr4/genes.gtf",
        "yeast/genes.gtf",
        "human_maqc_chr22/genes.gtf",
        "human_trimmed/genes.gtf",
    ],
)
def test_real_annotations(data_dir: Path, name: str) -> None:
    """Every gene has transcripts, and each is as long as its exons."""
    path = str(data_dir / name)
    genes = load(path, stranded=False)
    assert {len(one) > 0 for one in transcripts_of(genes).values() if isinstance(one, list)} == {
        True
    }
    alone = load_annotation(
        AnnotationOptions(path, id_attributes=("gene_id", "transcript_id")), stranded=False
    ).features
    length_of = dict(zip(alone.ids, alone.lengths.tolist(), strict=True))
    compared = 0
    for gene, found in transcripts_of(genes).items():
        for name_, exons in found if isinstance(found, list) else ():
            assert sum(end - start for start, end in exons) == length_of[f"{gene}:{name_}"]
            compared += 1
    assert compared > 50


# A slow implementation: every base of a feature's line by itself.


@st.composite
def lines_of_features(draw: st.DrawFn) -> list[tuple[str, int, int, str, str, tuple[str, ...]]]:
    """Draw contig, start, end (0-based, half open), strand, gene and transcripts of lines."""
    names = st.sampled_from(["t1", "t2", "t3", "gene", "A"])
    places = draw(
        st.fixed_dictionaries(
            {
                gene: st.lists(st.sampled_from(["1+", "1+", "1-", "2+"]), min_size=1, max_size=2)
                for gene in "ABCD"
            }
        )
    )
    lines = []
    for _ in range(draw(st.integers(1, 40))):
        gene = draw(st.sampled_from("ABCD"))
        where = draw(st.sampled_from(places[gene]))
        start = draw(st.integers(0, 50))
        fewest = 0 if not draw(st.integers(0, 15)) else 1
        listed = tuple(draw(st.lists(names, min_size=fewest, max_size=3 if fewest else 0)))
        end = start + draw(st.integers(1, 12))
        lines.append((where[0], start, end, where[1], gene, listed))
    return lines


def slow_transcripts(
    lines: list[tuple[str, int, int, str, str, tuple[str, ...]]], most: int
) -> dict[str, Found]:
    of_gene = defaultdict(list)
    for line in lines:
        of_gene[line[4]].append(line)
    result: dict[str, Found] = {}
    for gene, own in of_gene.items():
        bases = defaultdict(set)
        for _, start, end, _, _, listed in own:
            for name in listed:
                bases[name].update(range(start, end))
        if not all(line[5] for line in own):
            result[gene] = UNNAMED
        elif len({(line[0], line[3]) for line in own}) > 1:
            result[gene] = SCATTERED
        elif len(bases) > most:
            result[gene] = TOO_MANY
        else:
            along = {base: i for i, base in enumerate(sorted(set().union(*bases.values())))}
            result[gene] = [
                (name, stretches(sorted(along[base] for base in held)))
                for name, held in bases.items()
            ]
    return dict(sorted(result.items()))


def stretches(offsets: list[int]) -> list[tuple[int, int]]:
    """Join consecutive offsets to intervals."""
    joined: list[tuple[int, int]] = []
    for offset in offsets:
        if joined and joined[-1][1] == offset:
            joined[-1] = (joined[-1][0], offset + 1)
        else:
            joined.append((offset, offset + 1))
    return joined


@settings(max_examples=200, deadline=None)
@given(lines=lines_of_features(), form=st.sampled_from(["gtf", "gff3", "pipe"]))
def test_any_annotation_has_the_transcripts_of_a_slow_reading(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, int, int, str, str, tuple[str, ...]]],
    form: str,
) -> None:
    most = 2
    if form != "gff3":
        lines = [(*line[:5], line[5][:1]) for line in lines]
    text = ""
    for contig, start, end, strand, gene, listed in lines:
        if form == "gff3":
            attributes = f"gene_id={gene}" + (f";Parent={','.join(listed)}" if listed else "")
        else:
            name = listed[0] if listed else ""
            # A value without quotes is the same gene under the rules of both formats.
            attributes = f'gene_id {gene}; transcript_id "{name}"; note "{start}";'
        text += exon(start + 1, end, attributes, on=contig + strand)
    path = tmp_path_factory.mktemp("drawn") / {"gtf": "a.gtf", "gff3": "a.gff3", "pipe": "a"}[form]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("counterbias.annotation.transcripts.MOST_TRANSCRIPTS", most)
        found = found_in(path, text)
    assert found == slow_transcripts(lines, most)
