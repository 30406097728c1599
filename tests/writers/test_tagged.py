"""Tagged SAM and BAM against what HTSeq's own classes write for the same records."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.records import TaggedBatch
from counterbias.writers.tagged import TaggedWriter

NAMES = ("a", "gene:1", "gène2")

HEADER = (
    "@HD\tVN:1.6\tSO:unsorted\n@SQ\tSN:chr1\tLN:100000\n@SQ\tSN:chr2\tLN:600000000\n"
    "@PG\tID:x\tPN:x\n@CO\tany remark\n"
)

RECORDS = [
    "r1\t0\tchr1\t101\t60\t10M\t*\t0\t0\tACGTNACGTA\tIIIIIIIIII\tNH:i:1\tXS:A:+\tMD:Z:10\tXH:H:1AE301\tXf:f:1.25\tXn:f:-1e-07",
    "r1\t16\tchr1\t101\t60\t5M\t*\t0\t0\tRYKM=\t!!#5~\tNH:i:255\tAS:i:-5\tXa:i:256\tXb:i:65536\tXc:i:-129\tXd:i:-32769\tXe:i:-128",
    "p1\t99\tchr1\t101\t60\t2S3M1I2M2D3M100N4M3H\t=\t201\t110\tACGTACGTACGTACG\tABCDEFGHIJKLMNO\tXB:B:c,-1,2\tXC:B:S,1,60000\tXD:B:f,1.5,2",
    "p1\t147\tchr1\t201\t60\t3=1X2P6M\t=\t101\t-110\tACGTACGTAC\tABCDEFGHIJ",
    "p2\t73\tchr2\t500000000\t3\t10M\t=\t500000000\t0\tACGTACGTAC\tABCDEFGHIJ\t"
    "NH:i:2\tXF:Z:there before",
    "p2\t133\tchr2\t500000000\t3\t*\t=\t500000000\t7\tACGTACGTAC\tABCDEFGHIJ\tZW:f:0.5",
    "p3\t77\t*\t0\t0\t*\t*\t0\t0\tACGTACGTA\tABCDEFGHI\tYT:Z:UP",
    "p3\t141\t*\t0\t0\t*\t*\t0\t0\tACGTACGTA\tABCDEFGHI\tXe:Z:\tXg:i:0",
    "s1\t4\tchr1\t300\t17\t*\tchr2\t17\t0\tACG\tABC",
    "s2\t0\tchr1\t99000\t255\t600M\tchr2\t18\t5\t" + "ACGTT" * 120 + "\t" + "FGHIJ" * 120,
    "s3\t20\tchr1\t99000\t255\t4M\t*\t0\t5\tACGT\tFGHI",
    "s4\t65\tchr1\t99\t9\t4M\t*\t0\t0\tACGT\tFGHI",
    "s5\t2113\tchr1\t99\t9\t4M400N4M\tchr2\t5\t0\tACGTACGT\tFGHIFGHI",
    "l" * 250 + "\t1024\tchr1\t16380\t9\t8M\t*\t0\t0\tACGTACGT\tFGHIFGHI\tNM:i:2147483647",
    "s6\t256\tchr1\t16380\t9\t2M0N2M\t*\t0\t0\tACGT\tFGHI\tXZ:Z:" + "z" * 3000,
]


def raw_alignments(folder: Path, lines: list[str] = RECORDS) -> tuple[bytes, list[bytes]]:
    """Return the header and the records of a BAM file, uncompressed."""
    text, packed = folder / "in.sam", folder / "in.bam"
    text.write_text(HEADER + "".join(line + "\n" for line in lines))
    with (
        pysam.AlignmentFile(str(text)) as source,
        pysam.AlignmentFile(str(packed), "wb", template=source) as target,
    ):
        for record in source:
            target.write(record)
    return split_alignments(gzip.decompress(packed.read_bytes()))


def split_alignments(data: bytes) -> tuple[bytes, list[bytes]]:
    at = 8 + struct.unpack_from("<i", data, 4)[0]
    number = struct.unpack_from("<i", data, at)[0]
    at += 4
    for _ in range(number):
        at += 8 + struct.unpack_from("<i", data, at)[0]
    header, records = data[:at], []
    while at < len(data):
        size = 4 + struct.unpack_from("<i", data, at)[0]
        records.append(data[at : at + size])
        at += size
    return header, records


class Entry:
    def __init__(
        self,
        record: int,
        code: int,
        members: tuple[int, ...] = (),
        *,
        repeated: bool = False,
        site: int = -1,
    ) -> None:
        self.record, self.code, self.members, self.repeated, self.site = (
            record,
            code,
            members,
            repeated,
            site,
        )

    @property
    def assignments(self) -> list[str]:
        classes = [
            "__no_feature",
            "__ambiguous",
            "__too_low_aQual",
            "__not_aligned",
            "__alignment_not_unique",
        ]
        text = NAMES[self.code] if self.code >= 0 else classes[-1 - self.code]
        if self.members:
            text += "[" + "+".join(NAMES[member] for member in self.members) + "]"
        return [classes[4], text] if self.repeated else [text]


def as_batch(records: list[bytes], entries: list[Entry], second: bool = False) -> TaggedBatch:
    lengths = np.array([len(record) for record in records], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))[:-1].astype(np.int64) + 3
    counts = np.cumsum([0, *(len(entry.members) for entry in entries)])
    return TaggedBatch(
        buffer=np.frombuffer(b"###" + b"".join(records) + b"more", dtype=np.uint8).copy(),
        offsets=offsets,
        lengths=lengths,
        record=np.array([entry.record for entry in entries], dtype=np.int64),
        code=np.array([entry.code for entry in entries], dtype=np.int32),
        repeated=np.array([entry.repeated for entry in entries], dtype=np.bool_),
        member_offsets=counts.astype(np.int64),
        members=np.array([member for entry in entries for member in entry.members], dtype=np.int32),
        site=np.array([entry.site for entry in entries], dtype=np.int64),
        second=np.full(len(entries), second, dtype=np.bool_),
    )


def some_entries() -> list[Entry]:
    entries = [Entry(row, (0, 1, 2, -1, -3, -4, -5)[row % 7]) for row in range(len(RECORDS))]
    entries += [
        Entry(0, -2, (0, 2)),
        Entry(4, -5),
        Entry(4, -2, (0, 1, 2), repeated=True),
        Entry(1, 0, repeated=True),
    ]
    return entries


def oracle(folder: Path, entries: list[Entry], kind: str) -> Path:
    """Write the same entries through HTSeq's reader, classes and writer."""
    HTSeq = pytest.importorskip("HTSeq", reason="HTSeq is the oracle of these tests")
    reader = HTSeq.BAM_Reader(str(folder / "in.bam"))
    records = list(reader)
    path = folder / f"theirs.{kind}"
    with pysam.AlignmentFile(
        str(path), "wb" if kind == "bam" else "w", template=reader.get_template()
    ) as target:
        for entry in entries:
            record = records[entry.record]
            kept = list(record.optional_fields)
            record.optional_fields.extend(("XF", text) for text in entry.assignments)
            target.write(record.to_pysam_AlignedSegment(reader.get_template()))
            record.optional_fields = kept
    return path


def write(
    path: Path, header: bytes, batches: list[TaggedBatch], weights: NDArray[Any] | None = None
) -> bytes:
    kind = path.suffix[1:].upper()
    with TaggedWriter(
        str(path), format=kind, header=header, names=NAMES, weighted=weights is not None
    ) as writer:
        for batch in batches:
            writer.write(batch)
        writer.finish(weights)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["sam", "bam"])
def test_equals_what_htseq_writes(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    header, records = raw_alignments(tmp_path)
    entries = some_entries()
    expected = oracle(tmp_path, entries, kind).read_bytes()
    got = write(
        tmp_path / f"ours.{kind}",
        header,
        [as_batch(records, entries[:7]), as_batch(records, entries[7:])],
    )
    if kind == "bam":
        expected, got = gzip.decompress(expected), gzip.decompress(got)
        assert split_alignments(got)[1] == split_alignments(expected)[1]
    assert got == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.bam",
        "in.sam",
        f"ours.{kind}",
        f"theirs.{kind}",
    ]
    assert capfd.readouterr().err == ""


def test_many_blocks_of_bgzf(tmp_path: Path) -> None:
    header, records = raw_alignments(tmp_path)
    batch = as_batch(records, [Entry(14, 2)] * 50)
    content = write(tmp_path / "ours.bam", header, [batch] * 20)
    assert content.endswith(
        bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    )
    with pysam.AlignmentFile(str(tmp_path / "ours.bam")) as source:
        assert {record.get_tag("XF") for record in source} == {"gène2"}
        assert source.header.to_dict()["CO"] == ["any remark"]
    pysam.quickcheck(str(tmp_path / "ours.bam"))
    noise = np.random.default_rng(1).integers(33, 120, 70000).astype(np.uint8).tobytes().decode()
    header, records = raw_alignments(tmp_path, [f"n\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*\tXX:Z:{noise}"])
    write(tmp_path / "noise.bam", header, [as_batch(records, [Entry(0, -4)])])
    with pysam.AlignmentFile(str(tmp_path / "noise.bam"), check_sq=False) as source:
        assert next(source).get_tag("XX") == noise


def test_a_read_without_qualities_is_written(tmp_path: Path) -> None:
    """htseq-count itself stops with an exception there."""
    header, records = raw_alignments(
        tmp_path,
        [
            "r\t0\tchr1\t7\t60\t4M\t*\t0\t0\tACGT\t*",
            "s\t0\tchr1\t7\t60\t4M\t*\t0\t0\t*\t*\tXB:i:4000000000",
        ],
    )
    text = write(
        tmp_path / "ours.sam", header, [as_batch(records, [Entry(0, 0), Entry(1, 1)])]
    ).decode()
    assert text == HEADER + (
        "r\t0\tchr1\t7\t60\t4M\t*\t0\t0\tACGT\t*\tXF:Z:a\ns\t0\tchr1\t7\t60\t4M\t*\t0\t0\t*\t*\tXB:i:4000000000\tXF:Z:gene:1\n"
    )


@pytest.mark.parametrize("kind", ["sam", "bam"])
def test_very_long_cigar(tmp_path: Path, kind: str) -> None:
    cigar = "1M1I" * 40000
    header, records = raw_alignments(
        tmp_path,
        [f"r\t0\tchr1\t7\t60\t{cigar}\t*\t0\t0\t{'ACGT' * 20000}\t{'FGHI' * 20000}\tNH:i:1"],
    )
    entries = [Entry(0, 1)]
    expected = oracle(tmp_path, entries, kind).read_bytes()
    got = write(tmp_path / f"ours.{kind}", header, [as_batch(records, entries)])
    if kind == "bam":
        expected, got = gzip.decompress(expected), gzip.decompress(got)
    assert got == expected


@pytest.mark.parametrize("kind", ["sam", "bam"])
@pytest.mark.parametrize("shape", ["rows", "rows and ends"])
def test_weights_stand_before_the_assignment(tmp_path: Path, kind: str, shape: str) -> None:
    header, records = raw_alignments(tmp_path)
    entries = [
        Entry(0, 0, site=0),
        Entry(1, 1),
        Entry(4, -5, site=2),
        Entry(4, -2, (0, 1), repeated=True, site=2),
        Entry(5, 1, site=1),
        Entry(5, -1),
    ]
    weights = (
        np.array([0.5, 1 / 3, 7.25])
        if shape == "rows"
        else np.array([[9, 0.5], [9, 1 / 3], [9, 7.25]])
    )
    path = tmp_path / f"ours.{kind}"
    write(
        path,
        header,
        [as_batch(records, entries[:2], second=True), as_batch(records, entries[2:], second=True)],
        weights,
    )
    with pysam.AlignmentFile(str(path)) as source:
        tags = [record.get_tags(with_value_type=True) for record in source]
    ends = [[tag[0] for tag in row][-3:] for row in tags]
    assert ends[0][1:] == ["ZW", "XF"]
    assert ends[3] == ["ZW", "XF", "XF"]
    found = [[value for name, value, _ in row if name == "ZW"] for row in tags]
    assert found == [
        [0.5],
        [],
        [],
        [7.25],
        [pytest.approx(1 / 3, rel=2e-6 if kind == "sam" else 1e-7)],
        [],
    ]
    assert {kind for row in tags for name, _, kind in row if name == "ZW"} == {"f"}


class Interrupt:
    def __len__(self) -> int:
        raise KeyboardInterrupt


def test_nothing_is_left_of_an_unfinished_file(tmp_path: Path) -> None:
    header, records = raw_alignments(tmp_path)
    for kind in ("sam", "bam"):
        for weighted in (False, True):
            path = tmp_path / f"ours.{kind}"
            path.write_text("before")
            with pytest.raises(KeyboardInterrupt):
                write(
                    path,
                    header,
                    [as_batch(records, some_entries()), Interrupt()],
                    np.ones(3) if weighted else None,
                )
            assert path.read_text() == "before"
            path.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.bam", "in.sam"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("kind", ["sam", "bam"])
@pytest.mark.parametrize("size", [1, 2000])
def test_full_disk(tmp_path: Path, kind: str, size: int, capfd: pytest.CaptureFixture[str]) -> None:
    header, records = raw_alignments(tmp_path)
    batch = as_batch(records, some_entries())
    (tmp_path / f"full.{kind}").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"full[.a-z]*: cannot be written") as caught:
        write(tmp_path / f"full.{kind}", header, [batch] * size)
    assert "\n" not in caught.value.line()


def test_missing_folder(tmp_path: Path) -> None:
    header, _ = raw_alignments(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        TaggedWriter(str(tmp_path / "absent" / "x.bam"), format="BAM", header=header, names=NAMES)


@pytest.mark.parametrize(
    "spoil", [(16, 0xFFFF, "<H"), (20, 100000, "<i"), (20, -5, "<i"), (12, 255, "<B")]
)
def test_lengths_that_do_not_fit_are_refused(tmp_path: Path, spoil: tuple[int, int, str]) -> None:
    header, records = raw_alignments(tmp_path)
    damaged = bytearray(records[0])
    struct.pack_into(spoil[2], damaged, spoil[0], spoil[1])
    with (
        pytest.raises(InputError, match="do not fit together"),
        TaggedWriter(str(tmp_path / "x.bam"), format="BAM", header=header, names=NAMES) as writer,
    ):
        writer.write(as_batch([bytes(damaged)], [Entry(0, 0)]))
    assert not (tmp_path / "x.bam").exists()
