"""Windows that follow the transcript over the edges of exons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterbias.errors import InputError
from counterbias.genome import Splices, Transcripts, extract, extract_tiles, make_splices
from counterbias.pipeline.bias.transcripts import load_transcripts, sample_splices
from counterbias.records import PRESENT, EndSites, Positions, StartSites, Window

CODE = {"A": 0, "C": 1, "G": 2, "T": 3, "N": 4}
OTHER_STRAND = str.maketrans("ACGT", "TGCA")


class Contig:
    """One contig, given as text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def codes(self, contig: str) -> np.ndarray:
        return np.array([CODE[base] for base in self.text], np.uint8)


def chains(*exons: list[tuple[int, int]]) -> Transcripts:
    """Transcripts on the + strand of one contig."""
    rows = [exon for chain in exons for exon in chain]
    offsets = np.concatenate(([0], np.cumsum([len(chain) for chain in exons]))).astype(np.int64)
    start, end = (np.array([exon[side] for exon in rows], np.int64) for side in (0, 1))
    return Transcripts(
        ("c",), np.zeros(len(exons), np.int32), np.zeros(len(exons), np.int8), offsets, start, end
    )


def splices(*exons: list[tuple[int, int]], reads: list[int] | None = None) -> Splices:
    position = np.array(reads or [], np.int64)
    return make_splices(
        chains(*exons), np.zeros(1, np.int64), np.zeros(len(position), np.int32), position
    )


def at(*rows: tuple[int, int]) -> Positions:
    position, strand = np.array(rows, np.int64).reshape(-1, 2).T
    return Positions(
        np.zeros(len(rows), np.int32), position, strand.astype(np.uint8), np.ones(len(rows))
    )


def texts(
    contig: str, positions: Positions, window: Window, found: Splices | None
) -> list[str | None]:
    contexts, valid = extract(Contig(contig), ["c"], positions, window, splices=found)
    return [
        "".join("ACGT"[code] for code in row) if good else None
        for row, good in zip(contexts, valid, strict=True)
    ]


#        0         1         2
#        0123456789012345678901234567
TEXT = "AAAAACCCCCAAAAAGGGGGAAAAATTT"
#            exon 1    exon 2


def test_windows_go_on_in_the_next_exon() -> None:
    found = splices([(5, 10), (15, 20)])
    window = Window(2, 3)
    # Within an exon, over its right edge, over its left edge; the same on the other strand, where G
    # is C.
    assert texts(TEXT, at((7, 0), (9, 0), (15, 0)), window, found) == ["CCCCCG", "CCCGGG", "CCGGGG"]
    assert texts(TEXT, at((9, 0), (15, 0)), window, None) == ["CCCAAA", "AAGGGG"]
    assert texts(TEXT, at((9, 1), (15, 1)), window, found) == ["CCGGGG", "CCCGGG"]
    # The transcript's own ends and introns stay in the genome.
    assert texts(TEXT, at((5, 0), (19, 0), (12, 0)), window, found) == [
        "AACCCC",
        "GGGAAA",
        "AAAAAG",
    ]


def test_an_exon_shorter_than_the_window_is_passed_whole() -> None:
    found = splices([(5, 8), (10, 11), (15, 20)])
    assert texts(TEXT, at((7, 0), (10, 0), (15, 1)), Window(3, 3), found) == [
        "ACCCAGG",
        "CCCAGGG",
        "CCCCTGG",
    ]


def test_a_window_off_the_contig_or_over_an_n_is_not_valid() -> None:
    found = splices([(0, 3), (6, 8)])
    contig = "ACGNNNTT"
    assert texts(contig, at((2, 0), (1, 0), (0, 0), (7, 0), (6, 1)), Window(1, 1), found) == [
        "CGT",
        "ACG",
        None,
        None,
        "AAC",
    ]


def test_of_two_isoforms_the_one_that_is_read_speaks() -> None:
    long, skipping = [(5, 10), (12, 13), (15, 20)], [(5, 10), (15, 20)]
    reads = [*range(5, 10), *range(15, 20)] * 5
    assert texts(TEXT, at((9, 0)), Window(0, 2), splices(long, skipping)) == ["CAG"]
    assert texts(TEXT, at((9, 0)), Window(0, 2), splices(long, skipping, reads=reads)) == ["CGG"]
    assert texts(
        TEXT, at((9, 0)), Window(0, 2), splices(long, skipping, reads=[*reads, *[12] * 5])
    ) == ["CAG"]
    retained = [(5, 20)]
    assert texts(TEXT, at((9, 0)), Window(0, 2), splices(retained, skipping, reads=reads)) == [
        "CGG"
    ]
    assert texts(
        TEXT, at((9, 0)), Window(0, 2), splices(retained, skipping, reads=[*range(5, 20)] * 5)
    ) == ["CAA"]


def test_tiles_keep_their_inside_and_take_their_flanks_from_the_transcript() -> None:
    found = splices([(5, 10), (15, 20)])
    window, wide = Window(2, 2), Window(2, 6)
    for strand, first, expected in (
        (0, 15, "CCGGGGGAA"),
        (0, 5, "AACCCCCGG"),
        (1, 9, "CCGGGGGTT"),
        (1, 19, "TTCCCCCGG"),
    ):
        contexts, valid = extract_tiles(
            Contig(TEXT), ["c"], at((first, strand)), wide, window, found
        )
        assert valid.all()
        assert "".join("ACGT"[code] for code in contexts[0]) == expected
    same = extract_tiles(Contig(TEXT), ["c"], at((15, 0)), wide, window)
    assert (same[0] == extract(Contig(TEXT), ["c"], at((15, 0)), wide)[0]).all()


@st.composite
def annotated(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    cuts = sorted(draw(st.sets(st.integers(0, 40), min_size=4, max_size=10)))
    exons = list(zip(cuts[::2], cuts[1::2], strict=False))
    return draw(st.text("ACGTN", min_size=41, max_size=41)), exons


@settings(max_examples=60, deadline=None)
@given(annotated(), st.integers(0, 6), st.integers(0, 6), st.integers(0, 1))
def test_windows_equal_those_of_the_joined_exons(
    sample: tuple[str, list[tuple[int, int]]], up: int, down: int, strand: int
) -> None:
    text, exons = sample
    joined = [place for start, end in exons for place in range(start, end)]
    line = [*range(exons[0][0]), *joined, *range(exons[-1][1], len(text))]
    expected = []
    for place in joined:
        middle = line.index(place)
        low, high = (middle - up, middle + down) if strand == 0 else (middle - down, middle + up)
        window = (
            "".join(text[line[i]] for i in range(low, high + 1))
            if low >= 0 and high < len(line)
            else "N"
        )
        window = window.translate(OTHER_STRAND)[::-1] if strand else window
        expected.append(None if "N" in window else window)
    assert (
        texts(text, at(*((place, strand) for place in joined)), Window(up, down), splices(exons))
        == expected
    )


GTF = """c\tt\texon\t6\t10\t.\t+\t.\tgene_id "g"; transcript_id "t1";
c\tt\texon\t16\t20\t.\t+\t.\tgene_id "g"; transcript_id "t1";
c\tt\texon\t6\t20\t.\t+\t.\tgene_id "g"; transcript_id "t2";
"""
GFF = """##gff-version 3
c\tt\texon\t6\t10\t.\t+\t.\tID=e1;Parent=t1,t2
c\tt\texon\t16\t20\t.\t+\t.\tID=e2;Parent=t1
c\tt\texon\t16\t22\t.\t+\t.\tID=e3;Parent=t2
c\tt\texon\t3\t9\t.\t-\t.\tID=e4;Parent=t3
"""


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("genes.gtf", GTF, [[(5, 10), (15, 20)], [(5, 20)]]),
        ("genes.gff3", GFF, [[(2, 9)], [(5, 10), (15, 20)], [(5, 10), (15, 22)]]),
    ],
)
def test_chains_of_an_annotation(
    tmp_path: Path, name: str, content: str, expected: list[list[tuple[int, int]]]
) -> None:
    (tmp_path / name).write_text(content)
    found = load_transcripts(str(tmp_path / name))
    rows = list(zip(found.start.tolist(), found.end.tolist(), strict=True))
    assert (
        sorted(rows[a:b] for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True))
        == expected
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('c\tt\texon\t6\t10\t.\t+\t.\tgene_id "g";\n', "transcript_id"),
        ('c\tt\tCDS\t6\t10\t.\t+\t.\tgene_id "g"; transcript_id "t";\n', "exon"),
    ],
)
def test_an_annotation_without_transcripts(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "genes.gtf").write_text(content)
    with pytest.raises(InputError, match="--bias-context transcript needs transcripts") as found:
        load_transcripts(str(tmp_path / "genes.gtf"))
    assert message in str(found.value)
    assert "Use --bias-context genome" in str(found.value)


def test_contigs_are_found_by_name_and_absent_reads_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "genes.gtf").write_text(GTF)
    transcripts = load_transcripts(str(tmp_path / "genes.gtf"))
    bits = np.array([PRESENT] * 10 + [0] * 50, np.uint8)
    position = np.array([*range(5, 10), *range(15, 20), *[12] * 50], np.int32)
    end = EndSites(np.ones(60, np.int32), position, bits)
    sites = StartSites(("b", "c"), (9, 28), np.zeros(60, np.int32), None, (end,))
    found = sample_splices(transcripts, sites)
    place = Positions(
        np.array([1], np.int32), np.array([9], np.int64), np.zeros(1, np.uint8), np.ones(1)
    )
    contexts, _ = extract(Contig(TEXT), ["b", "c"], place, Window(0, 2), splices=found)
    assert contexts.tolist() == [[1, 2, 2]]
    other = Positions(
        np.array([0], np.int32), np.array([9], np.int64), np.zeros(1, np.uint8), np.ones(1)
    )
    assert extract(Contig(TEXT), ["b", "c"], other, Window(0, 2), splices=found)[0].tolist() == [
        [1, 0, 0]
    ]
