"""The fingerprint of features: the same for the same places, whatever else a file says."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from counterbias.annotation import load_annotation
from counterbias.options import AnnotationOptions

#: Contig, start, end, strand, gene.
EXONS = (
    ("chr1", 101, 200, "+", "b"),
    ("chr1", 301, 400, "+", "b"),
    ("chr1", 501, 600, "-", "a"),
    ("chr2", 101, 200, "+", "c"),
    ("chrM", 1, 50, "+", "d"),
)
Exon = tuple[str, int, int, str, str]


def fingerprint(folder: Path, exons: tuple[Exon, ...], more: str = "") -> str:
    path = folder / "genes.gtf"
    path.write_text(
        "".join(
            f'{contig}\tx\texon\t{start}\t{end}\t.\t{strand}\t.\tgene_id "{gene}";{more}\n'
            for contig, start, end, strand, gene in exons
        )
    )
    return load_annotation(AnnotationOptions(str(path)), stranded=True).features.fingerprint()


def test_it_is_16_digits_and_always_the_same(tmp_path: Path) -> None:
    """The value itself must not change: reports of two versions are compared by it."""
    found = fingerprint(tmp_path, EXONS)
    assert found == "b2e0f6ff53e714d3"


@pytest.mark.parametrize("seed", range(5))
def test_lines_in_another_order_are_the_same(seed: int, tmp_path: Path) -> None:
    lines = random.Random(seed).sample(EXONS, len(EXONS))
    assert fingerprint(tmp_path, tuple(lines)) == fingerprint(tmp_path, EXONS)


def test_other_names_of_contigs_exons_cut_in_two_and_attributes_are_the_same(
    tmp_path: Path,
) -> None:
    renamed = tuple((contig.removeprefix("chr"), *rest) for contig, *rest in EXONS)
    halves = (("chr1", 101, 150, "+", "b"), ("chr1", 140, 200, "+", "b"), *EXONS[1:])
    wanted = fingerprint(tmp_path, EXONS)
    assert fingerprint(tmp_path, renamed) == wanted
    assert fingerprint(tmp_path, halves) == wanted
    assert fingerprint(tmp_path, EXONS, ' gene_name "x";') == wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda exon: (exon[0], exon[1] + 1, exon[2] + 1, *exon[3:]),
        lambda exon: (exon[0], exon[1], exon[2] + 1, *exon[3:]),
        lambda exon: (*exon[:3], "-", exon[4]),
        lambda exon: (*exon[:4], "bb"),
        lambda exon: ("chr2", *exon[1:]),
        lambda exon: ("chr9", *exon[1:]),
    ],
    ids=["moved", "longer", "other strand", "other name", "other contig", "contig of its own"],
)
def test_a_feature_that_differs(change: Callable[[Exon], Exon], tmp_path: Path) -> None:
    changed = (change(EXONS[0]), *EXONS[1:])
    assert fingerprint(tmp_path, changed) != fingerprint(tmp_path, EXONS)


def test_a_feature_more_and_names_that_join_to_the_same(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, (*EXONS, ("chr2", 900, 950, "+", "e"))) != fingerprint(
        tmp_path, EXONS
    )
    one = tuple((*exon[:4], name) for exon, name in zip(EXONS, "aabcd", strict=True))
    other = tuple((*exon[:4], name) for exon, name in zip(EXONS, "abbcd", strict=True))
    assert fingerprint(tmp_path, one) != fingerprint(tmp_path, other)
