"""What fills BAM files is told for any file that pysam writes."""

from __future__ import annotations

import math
from pathlib import Path

import pysam
import pytest

from tests.helpers.scripts import load


def written(path: Path, reads: list[list[int] | None]) -> Path:
    """Write reads with these qualities, all of them of As."""
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 1000}, {"SN": "chr22", "LN": 50}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as stream:
        for number, qualities in enumerate(reads):
            record = pysam.AlignedSegment(stream.header)
            record.query_name, record.query_sequence = f"read{number:03}", "A" * 5
            record.reference_id, record.reference_start, record.cigarstring = 0, number, "5M"
            if qualities is not None:
                record.query_qualities = pysam.qualitystring_to_array(
                    "".join(chr(33 + one) for one in qualities)
                )
            record.set_tag("NH", 1)
            stream.write(record)
    return path


def test_qualities_are_found(tmp_path: Path) -> None:
    module = load("bam_bytes")
    reads: list[list[int] | None] = [[37, 37, 25, 37, 11], None, [2, 37, 37, 37, 37]]
    path = written(tmp_path / "some.bam", reads)
    with module.gzip.open(path) as stream:
        found = [list(module.qualities_of(record)) for record in module.records(stream)]
    assert found == [reads[0], [], reads[2]]


def test_bits_of_qualities_by_hand() -> None:
    """After 1 comes 1 or 2 with equal probability, after 2 comes 1."""
    alone, given = load("bam_bytes").entropies([bytes([1, 1, 2, 1, 1, 2, 1])])
    assert alone == pytest.approx(-(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3)))
    assert given == pytest.approx(4 / 6 * 1.0)
    assert load("bam_bytes").entropies([bytes([37] * 50)]) == (0.0, 0.0)


def test_every_file_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = written(tmp_path / "one.bam", [[37] * 5] * 200)
    two = written(tmp_path / "two.bam", [[30 + (n * n // 7) % 11] * 5 for n in range(200)])
    rows = load("bam_bytes").main([str(one), str(two)]).splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert [(row[0], row[1]) for row in cells] == [("one.bam", "5"), ("two.bam", "5")]
    # 4 + 32 fixed bytes, 8 of the name, 4 of the CIGAR, 3 of bases, 5 of qualities, 4 of NH.
    assert [row[2] for row in cells] == ["60", "60"]
    assert float(cells[0][4]) < float(cells[1][4])
    assert float(cells[0][5]) == 0.0 < float(cells[1][5])
    assert "one.bam" in capsys.readouterr().out
