"""Reading alignment files of any format, sound and broken ones."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pysam
import pytest

from counterbias.alignments import read_header, stream
from counterbias.errors import InputError
from counterbias.options import CountingOptions
from counterbias.pipeline.counting import Listeners, ReadingOptions, count_alignments
from tests import ROOT
from tests.helpers.alignment_builders import (
    CONTIGS,
    EOF_BLOCK,
    annotation,
    bam,
    bgzf,
    block,
    header,
    ours,
    pair,
    random_bam,
    random_gtf,
    record,
)  # fmt: skip

OPTIONS = CountingOptions()


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    """Return a small sound BAM file of single reads."""
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([record(f"r{i}", position=100 + i) for i in range(50)]))
    return path


def error_of(path: Path | str, folder: Path, **more: object) -> InputError:
    with pytest.raises(InputError) as caught:
        count_alignments(str(path), annotation(folder), OPTIONS, reading=ReadingOptions(**more))  # type: ignore[arg-type]
    assert "\n" not in caught.value.line()
    return caught.value


def broken(folder: Path, content: bytes, name: str = "broken.bam") -> InputError:
    path = folder / name
    path.write_bytes(content)
    error = error_of(path, folder)
    assert error.file == str(path)
    return error


def test_header_is_read(reads: Path) -> None:
    got = read_header(str(reads))
    assert got.contigs == tuple(name for name, _ in CONTIGS)
    assert got.lengths == tuple(length for _, length in CONTIGS)
    assert got.text.startswith("@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:5000\n")
    assert got.as_bam() == header()


def test_header_may_span_many_blocks(tmp_path: Path) -> None:
    contigs = [(f"contig_{i}", 1000 + i) for i in range(3000)]
    path = tmp_path / "many.bam"
    path.write_bytes(bgzf(header(contigs) + record(contig=2999), sizes=(777,)))
    got = read_header(str(path))
    assert got.contigs[2999] == "contig_2999"
    assert got.lengths[2999] == 3999
    assert count_alignments(str(path), annotation(tmp_path), OPTIONS).fragments == 1


def test_file_without_reads(tmp_path: Path) -> None:
    path = tmp_path / "none.bam"
    path.write_bytes(bam([]))
    warnings: list[str] = []
    result = count_alignments(
        str(path),
        annotation(tmp_path),
        OPTIONS,
        want_sites=True,
        listeners=Listeners(warn=warnings.append),
    )
    assert (result.fragments, result.paired, result.classes, warnings) == (
        0,
        False,
        (0, 0, 0, 0, 0),
        [],
    )
    assert result.sites is not None
    assert len(result.sites) == 0


@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize("threads", [1, 3])
def test_tiny_batches_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, threads: int
) -> None:
    rng = random.Random(7)
    (tmp_path / "genes.gtf").write_text(random_gtf(rng))
    path = tmp_path / "reads.bam"
    path.write_bytes(random_bam(rng, 400, paired=True, order=order))
    genes = annotation(tmp_path, (tmp_path / "genes.gtf").read_text())
    options = CountingOptions(order=order, nonunique="fraction", secondary_alignments="score")
    whole = ours(path, genes, options)
    for enough, headroom in ((1, 1 << 18), (5000, 100)):
        monkeypatch.setattr(stream, "ENOUGH", enough)
        monkeypatch.setattr(stream, "HEADROOM", headroom)
        assert ours(path, genes, options, threads=threads) == whole
    monkeypatch.setattr(stream, "MAX_BLOCKS", 2)
    assert ours(path, genes, options, threads=threads, libdeflate=False) == whole


def test_one_name_longer_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([*pair("one", 100, 150) * 300, *pair("two", 100, 150)], sizes=(500,)))
    monkeypatch.setattr(stream, "ENOUGH", 1000)
    monkeypatch.setattr(stream, "HEADROOM", 500)
    result = count_alignments(str(path), annotation(tmp_path), OPTIONS)
    assert result.fragments == 301


def as_sam(path: Path, target: Path) -> Path:
    with (
        pysam.AlignmentFile(str(path), check_sq=False) as source,
        pysam.AlignmentFile(str(target), "w", template=source) as out,
    ):
        for read in source:
            out.write(read)
    return target


def test_every_format_counts_the_same(
    tmp_path: Path, reads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genes = annotation(tmp_path)
    expected = ours(reads, genes, OPTIONS)
    assert sum(expected[0]) > 0
    sam = as_sam(reads, tmp_path / "reads.sam")
    plain = tmp_path / "raw.bam"
    plain.write_bytes(gzip.decompress(reads.read_bytes()))
    one_member = tmp_path / "gzip.bam"
    one_member.write_bytes(gzip.compress(plain.read_bytes()))
    sam_gz = tmp_path / "reads.sam.gz"
    sam_gz.write_bytes(bgzf(sam.read_bytes()))
    sam_gzip = tmp_path / "plain.sam.gz"
    sam_gzip.write_bytes(gzip.compress(sam.read_bytes()))
    for path in (sam, plain, one_member, sam_gz, sam_gzip):
        assert ours(path, genes, OPTIONS) == expected, path.name
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
        assert ours(Path("-"), genes, OPTIONS) == expected, path.name
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(reads.read_bytes())))
    assert ours(Path("-"), genes, OPTIONS) == expected


def test_who_listens_is_told_how_much_of_the_file_was_read(
    tmp_path: Path, reads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """htslib's child process reads SAM, and shares the position in the file with us."""
    told: list[tuple[int, bool, int, int]] = []
    listeners = Listeners(batch_done=lambda *what: told.append(what))
    for path in (reads, as_sam(reads, tmp_path / "reads.sam")):
        count_alignments(str(path), annotation(tmp_path), OPTIONS, listeners=listeners)
        size = path.stat().st_size
        assert told[-1] == (50, False, size, size)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(reads.read_bytes())))
    count_alignments("-", annotation(tmp_path), OPTIONS, listeners=listeners)
    assert told[-1] == (50, False, 0, 0)


def test_stdin_of_a_process(tmp_path: Path, reads: Path) -> None:
    (tmp_path / "genes.gtf").write_text("")
    code = (
        "import sys; from pathlib import Path; from tests.helpers.alignment_builders import *\n"
        "print(ours(Path('-'), annotation(Path(sys.argv[1])), CountingOptions())[0])"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    got = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        input=reads.read_bytes(),
        capture_output=True,
        env=environment,
        check=True,
    )
    assert got.stdout.decode().strip() == str(ours(reads, annotation(tmp_path), OPTIONS)[0])


def test_cram_needs_its_genome(tmp_path: Path, reads: Path) -> None:
    genome = tmp_path / "genome.fa"
    genome.write_text("".join(f">{name}\n{'A' * length}\n" for name, length in CONTIGS))
    cram = tmp_path / "reads.cram"
    with pysam.AlignmentFile(str(reads)) as source:
        lines = source.text if hasattr(source, "text") else str(source.header)
        with pysam.AlignmentFile(
            str(cram), "wc", text=lines, reference_filename=str(genome)
        ) as out:
            for read in source:
                out.write(read)
    assert ours(cram, annotation(tmp_path), OPTIONS, reference=str(genome)) == ours(
        reads, annotation(tmp_path), OPTIONS
    )
    genome.rename(tmp_path / "elsewhere.fa")
    error = error_of(cram, tmp_path)
    assert "--bias-genome" in error.remedy


def test_file_that_is_not_there(tmp_path: Path) -> None:
    assert "no such file" in error_of(tmp_path / "missing.bam", tmp_path).problem


def test_folder_and_empty_file(tmp_path: Path) -> None:
    assert "folder" in error_of(tmp_path, tmp_path).problem
    assert "empty" in broken(tmp_path, b"").problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(reads: Path, tmp_path: Path) -> None:
    reads.chmod(0)
    assert "permissions" in error_of(reads, tmp_path).remedy


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.999])
def test_truncated_file(reads: Path, tmp_path: Path, keep: float) -> None:
    content = reads.read_bytes()[: -len(EOF_BLOCK)]
    error = broken(tmp_path, content[: int(len(content) * keep)])
    assert "middle of a block" in error.problem
    assert error.place.startswith("byte ")
    assert "truncated" in error.remedy


def test_missing_end_marker(reads: Path, tmp_path: Path) -> None:
    error = broken(tmp_path, reads.read_bytes()[: -len(EOF_BLOCK)])
    assert "marker is missing" in error.problem


def test_file_that_ends_within_a_record(tmp_path: Path) -> None:
    error = broken(tmp_path, bgzf(header() + record("a") + record("b")[:-3]))
    assert "middle of a record" in error.problem
    assert error.place == "record 2"


def test_file_that_ends_within_its_header(tmp_path: Path) -> None:
    assert "header" in broken(tmp_path, bgzf(header()[:30])).problem


@pytest.mark.parametrize("use_libdeflate", [True, False])
@pytest.mark.parametrize("where", ["data", "crc", "size"])
def test_corrupted_block(tmp_path: Path, where: str, use_libdeflate: bool) -> None:
    first, second = block(header()), bytearray(block(record() * 100))
    place = {"data": len(second) // 2, "crc": -8, "size": -4}[where]
    second[place] ^= 0x55
    path = tmp_path / "broken.bam"
    path.write_bytes(first + bytes(second) + EOF_BLOCK)
    error = error_of(path, tmp_path, libdeflate=use_libdeflate)
    assert "checksum" in error.problem
    assert error.place == f"byte {len(first)}"


def test_what_is_no_block(tmp_path: Path) -> None:
    error = broken(tmp_path, block(header()) + b"x" * 1000)
    assert "not a BGZF block" in error.problem
    assert error.place == f"byte {len(block(header()))}"


def test_text_named_bam(tmp_path: Path) -> None:
    assert (
        "neither BAM nor SAM"
        in broken(tmp_path, b"chr1\tsource\texon\t1\t2\t.\t+\t.\tgene_id\n").problem
    )
    assert "neither BAM nor SAM" in broken(tmp_path, b"hello\n" * 10).problem
    assert "neither BAM nor SAM" in broken(tmp_path, gzip.compress(b"@r1\nACGT\n+\nIIII\n")).problem


def test_sam_without_header(tmp_path: Path) -> None:
    line = "r1\t0\tchr1\t100\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
    error = broken(tmp_path, line.encode(), "reads.sam")
    assert "no header" in error.problem
    assert "no contigs" in broken(tmp_path, b"@HD\tVN:1.6\n", "no_contigs.sam").problem


def test_sam_with_a_broken_line(tmp_path: Path) -> None:
    text = (
        "@SQ\tSN:chr1\tLN:5000\nr1\t0\tchr1\t100\t60\t4M\t*\t0\t0\tACGT\tIIII\nr2\t0\tchr1\tabc\n"
    )
    assert "htslib cannot read it" in broken(tmp_path, text.encode(), "reads.sam").problem


def test_header_without_contigs(tmp_path: Path) -> None:
    assert "no contigs" in broken(tmp_path, bgzf(header([]))).problem


@pytest.mark.parametrize("field", [4, 8 + 28])
@pytest.mark.parametrize("value", [-1, -(2**31), 2**31 - 1])
def test_impossible_numbers_in_the_header(tmp_path: Path, field: int, value: int) -> None:
    content = bytearray(header([("chr1", 10)], "@SQ\tSN:chr1\tLN:10\n"))
    place = 4 if field == 4 else 8 + 18
    content[place : place + 4] = struct.pack("<i", value)
    error = broken(tmp_path, bgzf(bytes(content)))
    assert "header" in error.problem


FIELDS = {
    "block_size": (0, "<i", [0, 31, -1, 2**31 - 1], ["impossible length"]),
    "refID": (4, "<i", [-2, 4, 2**31 - 1], ["contig"]),
    "unplaced": (4, "<i", [-1], ["impossible position"]),
    "pos": (8, "<i", [-1, -(2**31), 2**31 - 1], ["impossible position"]),
    "l_read_name": (12, "<B", [0, 1, 255], ["lengths", "tag runs over"]),
    "n_cigar_op": (16, "<H", [65535, 30000], ["lengths"]),
    "l_seq": (20, "<i", [-1, 2**31 - 1, 5000], ["lengths"]),
    "next_refID": (24, "<i", [-2, 4], ["contig"]),
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, (_, _, values, _) in FIELDS.items() for value in values],
)
def test_impossible_numbers_in_a_record(tmp_path: Path, field: str, value: int) -> None:
    place, kind, _, problems = FIELDS[field]
    content = bytearray(record("name", tags=b""))
    content[place : place + struct.calcsize(kind)] = struct.pack(kind, value)
    error = broken(tmp_path, bam([record("sound"), bytes(content)]))
    assert any(text in error.problem for text in problems), error.problem
    assert error.place == "record 2"


@pytest.mark.parametrize(
    "tags",
    [
        b"X",
        b"XA",
        b"XAZ",
        b"XAZabc",
        b"XAi\0\0",
        b"XA?\0",
        b"XAB",
        b"XABc\xff\xff\xff\xff",
        b"XABI\x05\0\0\0\0",
        b"XAB?\0\0\0\0\0",
    ],
)
def test_impossible_tags(tmp_path: Path, tags: bytes) -> None:
    error = broken(tmp_path, bam([record(tags=tags)]))
    assert "tag" in error.problem
    assert error.place == "record 1"


def test_impossible_cigars(tmp_path: Path) -> None:
    assert (
        "unknown operation"
        in broken(tmp_path, bam([record(raw_cigar=[50 << 4 | 9], sequence=50)])).problem
    )
    assert "differ in length" in broken(tmp_path, bam([record(cigar="50M", sequence=49)])).problem
    far = [(1 << 28) - 1 << 4 | 3] * 8 + [10 << 4]
    assert "impossible position" in broken(tmp_path, bam([record(raw_cigar=far)])).problem


@pytest.mark.parametrize("tags", [b"NHZ2\0", b"NHA2", b"NHBc\1\0\0\0\2"])
def test_hits_that_are_no_number(tmp_path: Path, tags: bytes) -> None:
    error = broken(tmp_path, bam([record(), record(tags=tags)]))
    assert "NH" in error.problem
    assert error.place == "read 2"


def test_single_end_among_paired_end(tmp_path: Path) -> None:
    error = broken(tmp_path, bam([*pair("p", 100, 200), record("s")]))
    assert "single-end" in error.problem
    assert error.place == "record 3"
    assert "neither read 1 nor read 2" in broken(tmp_path, bam([record("p", 0x1)])).problem


def test_paired_end_after_single_end_is_counted_singly(tmp_path: Path) -> None:
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([record("s"), *pair("p", 100, 200)]))
    result = count_alignments(str(path), annotation(tmp_path), OPTIONS)
    assert (result.fragments, result.paired) == (3, False)


def test_interrupt_stops_threads_and_children(reads: Path, tmp_path: Path) -> None:
    def stop(header: object) -> None:
        raise KeyboardInterrupt

    sam = as_sam(reads, tmp_path / "reads.sam")
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        count_alignments(
            str(sam),
            annotation(tmp_path),
            OPTIONS,
            reading=ReadingOptions(threads=3),
            listeners=Listeners(on_header=stop),
        )
    assert threading.active_count() == before
