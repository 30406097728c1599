"""Odd records are treated as htseq-count treats them.

What it counts is counted in the same way; what it stops at is reported in one line.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from counterbias.errors import InputError
from counterbias.options import CountingOptions
from counterbias.pipeline.counting import count_alignments
from tests.helpers.alignment_builders import (
    CONTIGS,
    GTF,
    annotation,
    bam,
    bgzf,
    header,
    oracle,
    ours,
    pair,
    record,
)

SOUND = record("sound")
PAIR = pair("pair", 100, 200)


def with_name(name: bytes) -> bytes:
    """Return a record whose name field holds these bytes."""
    content = bytearray(record("n" * (len(name) - 1)))
    content[36 : 36 + len(name)] = name
    return bytes(content)


def with_flag(content: bytes, flag: int) -> bytes:
    return content[:18] + struct.pack("<H", flag) + content[20:]


COUNTED = {
    "name without its NUL": [SOUND, with_name(b"abc"), SOUND],
    "NUL within the name": [SOUND, with_name(b"ab\0cd\0"), SOUND],
    "empty name": [SOUND, record(""), SOUND],
    "name of 255 bytes without its NUL": [SOUND, with_name(b"n" * 255), SOUND],
    "unknown operation of an unaligned read": [
        SOUND,
        record("x", 4, raw_cigar=[50 << 4 | 15], sequence=50),
        SOUND,
    ],
    "CIGAR of another length of an unaligned read": [SOUND, record("x", 4, sequence=40), SOUND],
    "NH as a double": [SOUND, record("x", tags=b"NHd" + struct.pack("<d", 2.5)), SOUND],
    "NH as a double that says one": [
        SOUND,
        record("x", tags=b"NHd" + struct.pack("<d", 1.0)),
        SOUND,
    ],
    "NH beyond 31 bits": [SOUND, record("x", tags=b"NHI" + struct.pack("<I", 2**32 - 1)), SOUND],
    "NH as a float": [SOUND, record("x", tags=b"NHf" + struct.pack("<f", 2.5)), SOUND],
    "character of NUL": [SOUND, record("x", tags=b"NHC\1XXA\0"), SOUND],
    "operation of no bases": [SOUND, record("x", raw_cigar=[0, 50 << 4], sequence=50), SOUND],
    "beyond the contig's end": [SOUND, record("x", position=999_999), SOUND],
    "both read 1 and read 2": [*PAIR, with_flag(PAIR[0], 0xE3), *PAIR],
    "mate at a negative position": [
        *PAIR,
        record("q", 0x63, next_contig=0, next_position=-7),
        *PAIR,
    ],
    "paired among single": [SOUND, *PAIR, SOUND],
}

STOPPED = {
    "mapped before the contig": ([SOUND, record("x", position=-1)], "impossible position"),
    "mapped to no contig": ([SOUND, record("x", contig=-1)], "impossible position"),
    "unknown operation": (
        [SOUND, record("x", raw_cigar=[50 << 4 | 9], sequence=50)],
        "unknown operation",
    ),
    "CIGAR of another length": ([SOUND, record("x", sequence=40)], "differ in length"),
    "contig that the header lacks": (
        [SOUND, record("x", contig=99)],
        "contig that the header does not have",
    ),
    "mate on such a contig": (
        [SOUND, record("x", next_contig=99)],
        "contig that the header does not have",
    ),
    "unknown tag before NH": ([SOUND, record("x", tags=b"XX?aNHC\1")], "unknown type"),
    "NH as a text": ([SOUND, record("x", tags=b"NHZ2\0")], "NH is not a number"),
    "single among paired": ([*PAIR, SOUND], "single-end record"),
    "neither read 1 nor read 2": ([*PAIR, with_flag(PAIR[0], 0x23)], "neither read 1 nor read 2"),
}


@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize("name", COUNTED)
def test_what_htseq_counts_is_counted_alike(tmp_path: Path, name: str, order: str) -> None:
    path = tmp_path / "odd.bam"
    path.write_bytes(bam(COUNTED[name]))
    genes = annotation(tmp_path)
    options = CountingOptions(order=order)
    assert ours(path, genes, options)[:2] == oracle(path, tmp_path / "genes.gtf", options)[:2]


@pytest.mark.parametrize("name", STOPPED)
def test_what_stops_htseq_stops_us_with_a_reason(tmp_path: Path, name: str) -> None:
    records, reason = STOPPED[name]
    path = tmp_path / "odd.bam"
    path.write_bytes(bam(records))
    genes = annotation(tmp_path)
    with pytest.raises((TypeError, ValueError, IndexError, KeyError, OSError)):
        oracle(path, tmp_path / "genes.gtf", CountingOptions())
    with pytest.raises(InputError, match=reason) as error:
        ours(path, genes, CountingOptions())
    assert error.value.place


@pytest.mark.parametrize(
    "names", [[b"same\0", b"same"], [b"same\0rest\0", b"same\0"], [b"same\0one\0", b"same\0two\0"]]
)
def test_a_name_ends_at_its_first_nul(tmp_path: Path, names: list[bytes]) -> None:
    """Mates whose names htslib takes for the same are a pair."""
    mates = zip(pair("name", 100, 200), names, strict=True)
    fields = [
        content[:12] + bytes([len(name)]) + content[13:36] + name + content[41:]
        for content, name in mates
    ]
    sized = [struct.pack("<i", len(content) - 4) + content[4:] for content in fields]
    path = tmp_path / "names.bam"
    path.write_bytes(bam(sized))
    genes = annotation(tmp_path)
    for order in ("name", "pos"):
        options = CountingOptions(order=order)
        found = ours(path, genes, options)
        assert found[:2] == oracle(path, tmp_path / "genes.gtf", options)[:2]
        assert sum(found[0]) + sum(found[1]) == 1


def test_a_contig_of_negative_length_is_no_reason_not_to_count(tmp_path: Path) -> None:
    path = tmp_path / "negative.bam"
    path.write_bytes(bgzf(header([("chr1", -5)]) + SOUND))
    genes = annotation(tmp_path)
    assert (
        ours(path, genes, CountingOptions())[:2]
        == oracle(path, tmp_path / "genes.gtf", CountingOptions())[:2]
    )


# -- many records of one name -----------------------------------------------------------------


def crowd(rng: random.Random, size: int) -> list[bytes]:
    """Draw records of one name at few places, aligned or not, some of them with mates."""
    places = [(0, 100), (0, 160), (0, 420), (1, 50)]
    records = []
    for _ in range(size):
        flag = 1 | rng.choice((0x40, 0x80)) | rng.choice((0, 0, 0, 4)) | rng.choice((0, 0, 0, 8))
        (contig, position), (next_contig, next_position) = rng.choice(places), rng.choice(places)
        length = rng.choice((0, 0, 60, -60))
        records.append(
            record(
                "crowd",
                flag,
                contig,
                position,
                next_contig=next_contig,
                next_position=next_position,
                length=length,
            )
        )
    return records


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("order", ["name", "pos"])
def test_a_crowd_of_one_name_is_paired_as_htseq_pairs_it(
    tmp_path: Path, order: str, seed: int
) -> None:
    rng = random.Random(seed)
    before, after = pair("before", 100, 200), pair("later", 110, 210)
    content = bam(
        [*before, *crowd(rng, rng.choice((9, 20, 200))), *after], sizes=[rng.randint(100, 3000)]
    )
    path = tmp_path / "crowd.bam"
    path.write_bytes(content)
    genes = annotation(tmp_path)
    options = CountingOptions(order=order)
    if order == "name":
        assert ours(path, genes, options) == oracle(path, tmp_path / "genes.gtf", options)
        return
    # In position order htseq-count loses mates that disagree about the template length; all others
    # it pairs as we do.
    found = ours(path, genes, options)
    if "disagree about the template length" not in found[2]:
        assert found == oracle(path, tmp_path / "genes.gtf", options)
    assert sum(found[0]) + sum(found[1]) >= len(before) // 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize(
    "kind", ["mates apart", "no mates", "no mates, other lengths", "unaligned"]
)
def test_crowds_take_linear_time(tmp_path: Path, order: str, kind: str) -> None:
    """200,000 records of one name and place must not be compared each with each."""
    size = 100_000
    first, second = pair("crowd", 100, 200)
    lengths = [
        record("crowd", 0x63, next_contig=0, next_position=200, length=i) for i in range(1000)
    ]
    unaligned = [record("crowd", flag, -1, -1, "", sequence=50) for flag in (0x4D, 0x8D)]
    records = {
        "mates apart": first * size + second * size,
        "no mates": first * (2 * size),
        "no mates, other lengths": b"".join(lengths) * (2 * size // 1000),
        "unaligned": unaligned[0] * size + unaligned[1] * size,
    }
    path = tmp_path / "crowd.bam"
    path.write_bytes(header() + records[kind])
    counts, classes, _ = ours(path, annotation(tmp_path), CountingOptions(order=order))
    pairs = kind in ("mates apart", "unaligned")
    assert sum(counts) + sum(classes) == (size if pairs else 2 * size)


@pytest.mark.timeout(120)
def test_a_header_of_half_a_million_contigs(tmp_path: Path) -> None:
    contigs = [*CONTIGS, *((f"scaffold_{i}", 1000) for i in range(500_000))]
    path = tmp_path / "many.bam"
    path.write_bytes(bgzf(header(contigs) + SOUND))
    counts, classes, _ = ours(path, annotation(tmp_path, GTF), CountingOptions())
    assert sum(counts) + sum(classes) == 1


def test_a_contig_name_without_its_nul_keeps_its_last_letter(tmp_path: Path) -> None:
    content = header([("chr1", 5000)]).replace(b"\x05\0\0\0chr1\0", b"\x04\0\0\0chr1")
    path = tmp_path / "name.bam"
    path.write_bytes(bgzf(content + SOUND))
    genes = annotation(tmp_path)
    found = ours(path, genes, CountingOptions())
    assert found[:2] == oracle(path, tmp_path / "genes.gtf", CountingOptions())[:2]
    assert found[1][0] == 0


@pytest.mark.parametrize(
    ("start", "end"),
    [(101, 2**31), (101, 2**40), (2**31 - 5, 2**31 + 5), (2**32 + 101, 2**32 + 999)],
)
def test_exons_beyond_31_bits(tmp_path: Path, start: int, end: int) -> None:
    """Coordinates that no alignment can reach lose no reads of what it can."""
    gtf = (
        f'chr1\tt\texon\t{start}\t{end}\t.\t+\t.\tgene_id "long";\n'
        'chr1\tt\texon\t2000\t2100\t.\t-\t.\tgene_id "b";\n'
    )
    path = tmp_path / "reads.bam"
    path.write_bytes(bam([record("r", position=204, cigar="4M"), record("s", 16, position=2000)]))
    genes = annotation(tmp_path, gtf)
    assert (
        ours(path, genes, CountingOptions())[:2]
        == oracle(path, tmp_path / "genes.gtf", CountingOptions())[:2]
    )


@pytest.mark.parametrize("order", ["name", "pos"])
@pytest.mark.parametrize("kind", ["large first batch", "crowd first"])
def test_start_sites_know_both_reads_whatever_comes_first(
    tmp_path: Path, order: str, kind: str
) -> None:
    """A first batch that has no record, or mostly header, says nothing about the library."""
    many = b"".join(b"".join(pair(f"r{i}", 100 + i % 50, 200)) for i in range(20_000))
    crowd_of_one = b"".join(pair("crowd", 100, 200)) * 20_000
    path = tmp_path / "reads.bam"
    path.write_bytes(header() + (many if kind == "large first batch" else crowd_of_one + many))
    genes = annotation(tmp_path)
    result = count_alignments(
        str(path), genes, CountingOptions(order=order, nonunique="all"), want_sites=True
    )
    assert result.sites is not None
    assert len(result.sites.ends) == 2
    assert len(result.sites) == int(result.counts.sum()) > 0
