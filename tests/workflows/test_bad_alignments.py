"""Alignments that users get wrong: one clear line, a non-zero exit, no half-written file."""

from __future__ import annotations

import io
import re
import struct

import pysam
import pytest

from counterbias.cli import main
from tests.workflows.small_run import GTF, HEADER, Files, bgzf, read


def test_the_inputs_themselves_are_good(files: Files) -> None:
    assert main(["count", str(files.bam), str(files.gtf)]) == 0
    assert files.capfd.readouterr().out.startswith("a\t")


# -- alignments --------------------------------------------------------------------------------


def test_missing(files: Files) -> None:
    files.fails("nowhere.bam", files.gtf, match="nowhere.bam")


def test_folder(files: Files) -> None:
    (files.folder / "folder.bam").mkdir()
    files.fails("folder.bam", files.gtf, match=r"folder\.bam.*(folder|directory)")


def test_empty(files: Files) -> None:
    (files.folder / "empty.bam").touch()
    files.fails("empty.bam", files.gtf, match=r"empty\.bam.*empty")


def test_text_named_bam(files: Files) -> None:
    (files.folder / "text.bam").write_text("This is not an alignment file.\nReally not.\n" * 10)
    files.fails("text.bam", files.gtf, match=r"text\.bam")


def test_sam_without_header(files: Files) -> None:
    (files.folder / "bare.sam").write_text(
        "r1\t0\tchr1\t101\t60\t5M\t*\t0\t0\tACGTA\tIIIII\tNH:i:1\n"
    )
    files.fails("bare.sam", files.gtf, match=r"bare\.sam.*header")


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(files: Files, kept: float) -> None:
    data = files.bam.read_bytes()
    (files.folder / "cut.bam").write_bytes(data[: int(len(data) * kept)])
    files.fails("cut.bam", files.gtf, match=r"cut\.bam.*(truncated|ends|cut|end)")


def test_missing_end_of_file_block(files: Files) -> None:
    (files.folder / "cut.bam").write_bytes(files.bam.read_bytes()[:-28])
    files.fails("cut.bam", files.gtf, match=r"cut\.bam.*end-of-file")


def test_wrong_checksum(files: Files) -> None:
    data = bytearray(files.bam.read_bytes())
    size = struct.unpack_from("<H", data, 16)[0] + 1
    data[size - 8] ^= 0xFF
    (files.folder / "flipped.bam").write_bytes(data)
    files.fails("flipped.bam", files.gtf, match=r"flipped\.bam.*(CRC|checksum)")


@pytest.mark.parametrize(
    ("name", "offset", "value"),
    [
        ("block_size", 0, struct.pack("<i", 5)),
        ("block_size", 0, struct.pack("<i", -7)),
        ("refID", 4, struct.pack("<i", 77)),
        ("l_read_name", 12, b"\xff"),
        ("l_read_name", 12, b"\x00"),
        ("n_cigar_op", 16, struct.pack("<H", 65000)),
        ("l_seq", 20, struct.pack("<i", 1 << 28)),
        ("l_seq", 20, struct.pack("<i", -1)),
        ("next_refID", 24, struct.pack("<i", -9)),
    ],
)
def test_impossible_lengths(files: Files, name: str, offset: int, value: bytes) -> None:
    raw = bytearray(b"")
    with io.BytesIO() as whole:
        import gzip

        whole.write(gzip.decompress(files.bam.read_bytes()))
        raw = bytearray(whole.getvalue())
    text = struct.unpack_from("<i", raw, 4)[0]
    first = 8 + text + 4 + 4 + struct.unpack_from("<i", raw, 8 + text + 4)[0] + 4
    record = first
    for _ in range(3):
        record += 4 + struct.unpack_from("<i", raw, record)[0]
    raw[record + offset : record + offset + len(value)] = value
    (files.folder / "odd.bam").write_bytes(bgzf(bytes(raw)))
    line = files.fails("odd.bam", files.gtf, match=r"odd\.bam")
    assert re.search(r"record|block|byte", line), (name, line)


def test_pairs_that_are_not_sorted_by_name(files: Files) -> None:
    pairs = [(f"p{i}", 110 + 5 * i, 200 + 5 * i) for i in range(12)]
    first = [read(name, at, flag=99, mate=mate) for name, at, mate in pairs]
    second = [read(name, mate, flag=147, mate=at) for name, at, mate in pairs]
    path = files.write(files.folder / "pos.bam", first + second)
    before = files.snapshot()
    assert main(["count", "-r", "name", str(path), str(files.gtf)]) == 1
    out, error = files.capfd.readouterr()
    assert out == ""
    assert files.snapshot() == before
    last = error.splitlines()[-1]
    assert re.search(r"counterbias: .*pos\.bam.*not sorted by name.*-r pos", last), error


def test_cram_without_reference(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.folder / "reads.cram"
    with pysam.AlignmentFile(
        str(path), "wc", header=HEADER, reference_filename=str(files.genome)
    ) as out:
        for i in range(40):
            out.write(read(f"r{i}", 100 + 7 * i))
    hidden = files.folder / "elsewhere.fa"
    files.genome.rename(hidden)
    monkeypatch.setenv("REF_PATH", str(files.folder / "none"))
    monkeypatch.setenv("REF_CACHE", str(files.folder / "none"))
    files.fails(path, files.gtf, match=r"reads\.cram.*--bias-genome")


def test_no_contig_in_common(files: Files) -> None:
    files.gtf.write_text(GTF.replace("chr1\t", "1\t"))
    files.fails(files.bam, files.gtf, match=r"reads\.bam.*'chr1'.*'1'.*--bias-contig-alias")
