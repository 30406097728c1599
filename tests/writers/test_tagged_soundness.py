"""Tags and names that a record cannot hold: ``-o`` writes sound files and says what it left out."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pysam
import pytest

from counterbias.cli import main
from counterbias.writers import rendering
from tests.helpers.alignment_builders import GTF, bam, bgzf, header, record

TAGS = {
    "character of NUL": b"XAA\0",
    "character that is a tab": b"XAA\t",
    "text with a tab": b"XAZone\ttwo\0",
    "text with a line break": b"XAZone\ntwo\0",
    "hexadecimal with an escape code": b"XAH\x1b1\0",
    "name with a line break": b"X\nZone\0",
    "delete": b"XAZone\x7f\0",
}


def count(folder: Path, records: list[bytes], kind: str, *more: str) -> Path:
    """Count records with ``-o``; return the file."""
    reads, genes, out = folder / "reads.bam", folder / "genes.gtf", folder / f"out.{kind}"
    reads.write_bytes(bam(records))
    genes.write_text(GTF)
    status = main(
        [
            "count",
            "-q",
            str(reads),
            str(genes),
            "-c",
            str(folder / "counts.tsv"),
            "-o",
            str(out),
            "-p",
            kind.upper(),
            *more,
        ]
    )
    assert status == 0
    return out


def read_back(path: Path) -> list[dict[str, object]]:
    """Read a file with pysam; every tag of every record must parse."""
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        return [dict(entry.get_tags()) for entry in file]


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize("kind", ["sam", "bam"])
def test_odd_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, name: str) -> None:
    odd = record("odd", contig=1, tags=b"NHC\1" + TAGS[name] + b"XZZafter\0")
    out = count(tmp_path, [record("sound", contig=1), odd, record("later", contig=1)], kind)
    entries = read_back(out)
    assert [entry["XF"] for entry in entries] == ["d"] * 3
    assert entries[1]["XZ"] == "after"
    kept = name == "character of NUL" or kind == "bam"
    assert ("XA" in entries[1] or "X\n" in entries[1]) == kept
    warned = (
        "Warning: "
        + str(out)
        + ": 1 tags hold control characters, which SAM cannot, and are left out\n"
    )
    assert capsys.readouterr().err == ("" if kept else warned)
    if name == "character of NUL":
        assert entries[1]["XA"] == ""


def test_odd_tags_with_weights(tmp_path: Path) -> None:
    """Weights are inserted by a second pass over the records, which once hung at such a tag."""
    genome = tmp_path / "genome.fa"
    letters = "".join(np.random.default_rng(1).choice(list("ACGT"), 5000))
    genome.write_text("".join(f">{name}\n{letters}\n" for name in ("chr1", "chr2", "chr3", "chrX")))
    records = [
        record(f"r{i}", contig=1, position=60 + 2 * i, tags=b"NHC\1XAA\0") for i in range(2000)
    ]
    options = [
        "--bias-model",
        "pwm",
        "--bias-genome",
        str(genome),
        "--bias-output",
        str(tmp_path / "bias"),
    ]
    entries = read_back(count(tmp_path, records, "bam", *options))
    assert len(entries) == 2000
    assert all(
        entry["XF"] == "d" and entry["XA"] == "" and float(str(entry["ZW"])) > 0
        for entry in entries
    )


@pytest.mark.parametrize("kind", ["sam", "bam"])
def test_a_name_ends_at_its_first_nul(tmp_path: Path, kind: str) -> None:
    content = bytearray(record("abcd", position=110))
    content[36 + 2] = 0
    with pysam.AlignmentFile(str(count(tmp_path, [bytes(content)], kind))) as file:
        assert [entry.query_name for entry in file] == ["ab"]


@pytest.mark.parametrize("kind", ["sam", "bam"])
def test_a_name_without_its_nul_gets_one(tmp_path: Path, kind: str) -> None:
    content = bytearray(record("abc", position=110))
    content[36 + 3] = ord("d")
    with pysam.AlignmentFile(str(count(tmp_path, [bytes(content)], kind))) as file:
        assert [entry.query_name for entry in file] == ["abcd"]


def test_names_that_cannot_be_written_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(record("n" * 254, position=110))
    content[36 + 254] = ord("n")
    for records, kind, reason in (
        ([bytes(content)], "bam", "longer than 254 bytes"),
        ([record("one\ttwo", position=110)], "sam", "-p BAM"),
    ):
        reads, genes, out = tmp_path / "reads.bam", tmp_path / "genes.gtf", tmp_path / "out"
        reads.write_bytes(bam(records))
        genes.write_text(GTF)
        assert main(["count", "-q", str(reads), str(genes), "-o", str(out), "-p", kind]) == 1
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
        assert not out.exists()


@pytest.mark.parametrize(
    "damage",
    [(0, struct.pack("<i", -4)), (0, struct.pack("<i", 1 << 30)), (16, b"\xff\xff"), (-4, b"?")],
)
def test_putting_weights_in_never_stands_still(damage: tuple[int, bytes]) -> None:
    """Whatever the bytes, the second pass ends."""
    content = bytearray(record("r", tags=b"NHC\1XAA\0ZWI" + struct.pack("<I", 0)))
    place = damage[0] if damage[0] >= 0 else content.index(b"XAA") + 2
    content[place : place + len(damage[1])] = damage[1]
    data = np.frombuffer(bytearray(content), dtype=np.uint8)
    done = int(rendering.put_weights(data, np.zeros((2, 4), dtype=np.uint8)))
    assert done == -2


ODD = [
    record("double", tags=b"XDd" + struct.pack("<d", 2.5)),
    record("no number", tags=b"XDf\x0c\x00\x80\x7fXEf\x00\x00\x80\xffXGf\x00\x00\xc0\x7f"),
    record(
        "short",
        raw_cigar=[50 << 4 | 4, 30 << 4 | 3],
        sequence=50,
        tags=b"CGBI" + struct.pack("<i3I", 3, 320, 483, 480),
    ),
    record(
        "between",
        raw_cigar=[50 << 4 | 4],
        sequence=50,
        tags=b"XAA!CGBi" + struct.pack("<i2I", 2, 20 << 4, 30 << 4) + b"XZZlast\0",
    ),
    record(
        "too few",
        raw_cigar=[50 << 4 | 4, 30 << 4 | 3],
        sequence=50,
        tags=b"CGBI" + struct.pack("<i1I", 1, 33) + b"XZZlast\0",
    ),
    record(
        "no numbers",
        raw_cigar=[50 << 4 | 4, 30 << 4 | 3],
        sequence=50,
        tags=b"CGBC" + struct.pack("<i", 2) + b"ab",
    ),
    record("a text", raw_cigar=[50 << 4 | 4, 30 << 4 | 3], sequence=50, tags=b"CGZtext\0"),
    record(
        "unaligned",
        4,
        raw_cigar=[50 << 4 | 4],
        sequence=50,
        tags=b"CGBI" + struct.pack("<i2I", 2, 20 << 4, 30 << 4),
    ),
]


@pytest.mark.parametrize("kind", ["sam", "bam"])
@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_htslib_moves_is_moved(tmp_path: Path, number: int, kind: str) -> None:
    """A double becomes a float, and a CIGAR in the tag CG its field, as in HTSeq's own classes."""
    HTSeq = pytest.importorskip("HTSeq", reason="HTSeq is the oracle of these tests")
    ours = count(tmp_path, [ODD[number]], kind, "-s", "no")
    reader = HTSeq.BAM_Reader(str(tmp_path / "reads.bam"))
    theirs = tmp_path / f"theirs.{kind}"
    with pysam.AlignmentFile(
        str(theirs), "wb" if kind == "bam" else "w", template=reader.get_template()
    ) as target:
        for entry in reader:
            with pysam.AlignmentFile(str(ours)) as written:
                entry.optional_fields.append(("XF", next(written).get_tag("XF")))
            target.write(entry.to_pysam_AlignedSegment(reader.get_template()))
    texts = [pysam.view(str(path)) for path in (ours, theirs)]
    assert texts[0] == texts[1]
    if kind == "bam":
        assert gzip.decompress(ours.read_bytes()) == gzip.decompress(theirs.read_bytes())


def test_a_header_that_is_not_sam_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reads, genes, out = tmp_path / "reads.bam", tmp_path / "genes.gtf", tmp_path / "out.sam"
    reads.write_bytes(bgzf(header(text="no header at all\n") + record("r")))
    genes.write_text(GTF)
    assert main(["count", "-q", str(reads), str(genes), "-o", str(out)]) == 1
    error = capsys.readouterr().err
    assert "reheader" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [reads, genes] or sorted(tmp_path.iterdir()) == [
        genes,
        reads,
    ]
