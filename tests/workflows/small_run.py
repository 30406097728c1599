"""A small sound run, one of whose inputs a test then spoils."""

from __future__ import annotations

import random
import re
import struct
import zlib
from pathlib import Path

import pysam
import pytest

from counterbias.cli import main
from tests.helpers.messages import lines_of

GTF = (
    'chr1\ttest\texon\t101\t400\t.\t+\t.\tgene_id "a"; transcript_id "a.1";\n'
    'chr1\ttest\texon\t601\t900\t.\t-\t.\tgene_id "b"; transcript_id "b.1";\n'
    'chr1\ttest\tCDS\t601\t900\t.\t-\t.\tgene_id "b"; transcript_id "b.1";\n'
)


HEADER = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 2000}]}


def read(
    name: str, position: int, *, flag: int = 0, mate: int = -1, length: int = 50
) -> pysam.AlignedSegment:
    segment = pysam.AlignedSegment(pysam.AlignmentHeader.from_dict(HEADER))
    segment.query_name = name
    segment.flag = flag
    segment.reference_id = 0
    segment.reference_start = position
    segment.mapping_quality = 60
    segment.cigartuples = [(0, length)]
    segment.query_sequence = "A" * length
    segment.query_qualities = pysam.qualitystring_to_array("I" * length)
    if mate >= 0:
        segment.next_reference_id = 0
        segment.next_reference_start = mate
    segment.set_tag("NH", 1)
    return segment


class Files:
    """Small valid inputs in a folder, and how the command fails when they are spoilt."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capfd = folder, capfd
        self.gtf = folder / "genes.gtf"
        self.gtf.write_text(GTF)
        self.bam = folder / "reads.bam"
        self.write(self.bam, [read(f"r{i}", 100 + 7 * i) for i in range(40)])
        self.genome = folder / "genome.fa"
        letters = random.Random(1).choices("ACGT", k=2000)
        self.genome.write_text(">chr1\n" + "".join(letters) + "\n")

    def write(self, path: Path, reads: list[pysam.AlignedSegment], mode: str = "wb") -> Path:
        with pysam.AlignmentFile(str(path), mode, header=HEADER) as out:
            for one in reads:
                out.write(one)
        return path

    def fails(self, *argv: object, match: str) -> str:
        """Run ``counterbias count``: it must fail with one matching line, and change no file."""
        before = self.snapshot()
        self.capfd.readouterr()
        status = main(["count", *(str(word) for word in argv)])
        out, error = self.capfd.readouterr()
        assert status == 1, (status, out, error)
        lines = [line for line in lines_of(error) if not line.endswith(" processed.")]
        assert len(lines) == 1, error
        assert lines[0].startswith("counterbias: ")
        assert re.search(match, lines[0]), lines[0]
        assert "Traceback" not in error
        assert out == ""
        assert self.snapshot() == before
        return lines[0]

    def snapshot(self) -> dict[str, bytes]:
        """Return the bytes of every file but the genome's index, which may appear."""
        found = sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".fai"
        )
        return {str(path): path.read_bytes() for path in found}


def bgzf(data: bytes) -> bytes:
    """Compress into BGZF blocks, end-of-file block included (SAMv1 section 4.1)."""
    out = b""
    for part in [data[i : i + 60000] for i in range(0, len(data), 60000)] + [b""]:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(part) + packer.flush()
        out += (
            b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
            + struct.pack("<H", len(packed) + 25)
            + packed
        )
        out += struct.pack("<II", zlib.crc32(part), len(part))
    return out


def fitted(files: Files) -> Path:
    """Fit a model on the small sample."""
    command = [
        "count",
        "-q",
        "--bias-model",
        "pwm",
        "--bias-genome",
        files.genome,
        "--bias-output",
        "fit",
        files.bam,
        files.gtf,
    ]
    assert main([str(word) for word in command]) == 0
    files.capfd.readouterr()
    return files.folder / "fit.model"
