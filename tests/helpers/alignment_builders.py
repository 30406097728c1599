"""Build alignment files byte by byte, sound and broken, and count them with htseq-count's code."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterbias.annotation import load_annotation
from counterbias.options import AnnotationOptions, CountingOptions
from counterbias.pipeline.counting import Listeners, ReadingOptions, count_alignments
from counterbias.records import Annotation, SampleCounts, TaggedBatch

CONTIGS = (("chr1", 5000), ("chr2", 5000), ("chrX", 5000), ("chr3", 5000))
EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
OPERATIONS = "MIDNSHP=X"


def header(contigs: Sequence[tuple[str, int]] = CONTIGS, text: str | None = None) -> bytes:
    """Return an uncompressed BAM header."""
    if text is None:
        text = "@HD\tVN:1.6\n" + "".join(
            f"@SQ\tSN:{name}\tLN:{length}\n" for name, length in contigs
        )
    parts = [b"BAM\1", struct.pack("<i", len(text)), text.encode(), struct.pack("<i", len(contigs))]
    for name, length in contigs:
        parts += [
            struct.pack("<i", len(name) + 1),
            name.encode() + b"\0",
            struct.pack("<i", length),
        ]
    return b"".join(parts)


def cigar_words(cigar: str) -> list[int]:
    """Turn ``10M5N`` into BAM's numbers."""
    words, number = [], ""
    for letter in cigar:
        if letter.isdigit():
            number += letter
        else:
            words.append(int(number) << 4 | OPERATIONS.index(letter))
            number = ""
    return words


@dataclass(frozen=True, kw_only=True)
class RareFields:
    """Fields of a record that few tests change: those on its mate, tags, and contradictions.

    Args:
        mapq: mapping quality.
        next_contig: contig of the mate.
        next_position: position of the mate.
        length: template length.
        tags: their bytes.
        sequence: number of bases; that of the CIGAR where it is None.
        raw_cigar: words that replace those of the CIGAR.
    """

    mapq: int = 60
    next_contig: int = -1
    next_position: int = -1
    length: int = 0
    tags: bytes = b"NHC\1"
    sequence: int | None = None
    raw_cigar: list[int] | None = None


def record(
    name: str = "r",
    flag: int = 0,
    contig: int = 0,
    position: int = 100,
    cigar: str = "50M",
    **rare: Any,
) -> bytes:
    """Return one BAM record, its ``block_size`` included; ``rare`` are :class:`RareFields`."""
    fields = RareFields(**rare)
    words = cigar_words(cigar) if fields.raw_cigar is None else fields.raw_cigar
    sequence = fields.sequence
    if sequence is None:
        sequence = sum(word >> 4 for word in words if (word & 15) in (0, 1, 4, 7, 8))
    body = struct.pack(
        "<iiBBHHHiiii",
        contig,
        position,
        len(name) + 1,
        fields.mapq,
        0,
        len(words),
        flag,
        sequence,
        fields.next_contig,
        fields.next_position,
        fields.length,
    )
    body += name.encode() + b"\0" + struct.pack(f"<{len(words)}I", *words)
    body += b"\x11" * ((sequence + 1) // 2) + b"\x20" * sequence + fields.tags
    return struct.pack("<i", len(body)) + body


def pair(name: str, first: int, second: int, *, length: int = 200, **more: Any) -> list[bytes]:
    """Return two mates on contig 0."""
    return [
        record(name, 0x63, 0, first, next_contig=0, next_position=second, length=length, **more),
        record(name, 0x93, 0, second, next_contig=0, next_position=first, length=-length, **more),
    ]


def block(content: bytes, level: int = 6) -> bytes:
    """Compress one BGZF block."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
    data = deflater.compress(content) + deflater.flush()
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\0BC\2\0" + struct.pack("<H", len(data) + 25)
    return head + data + struct.pack("<II", zlib.crc32(content), len(content))


def bgzf(content: bytes, sizes: Sequence[int] = (60000,), *, marker: bool = True) -> bytes:
    """Compress bytes in blocks whose sizes are taken in turn."""
    parts, start, turn = [], 0, 0
    while start < len(content):
        size = sizes[turn % len(sizes)]
        parts.append(block(content[start : start + size]))
        start += size
        turn += 1
    return b"".join(parts) + (EOF_BLOCK if marker else b"")


def bam(records: Sequence[bytes], **more: Any) -> bytes:
    """Return a BAM file."""
    return bgzf(header() + b"".join(records), **more)


GTF = (
    'chr1\tt\texon\t101\t200\t.\t+\t.\tgene_id "a";\n'
    'chr1\tt\texon\t151\t300\t.\t+\t.\tgene_id "b";\n'
    'chr1\tt\texon\t401\t500\t.\t-\t.\tgene_id "c";\n'
    'chr2\tt\texon\t1\t5000\t.\t+\t.\tgene_id "d";\n'
)


def annotation(folder: Path, text: str = GTF, *, stranded: bool = True) -> Annotation:
    """Load an annotation given as text."""
    path = folder / "genes.gtf"
    path.write_text(text)
    return load_annotation(AnnotationOptions(str(path)), stranded=stranded)


def random_gtf(rng: random.Random, genes: int = 12) -> str:
    """Draw overlapping genes on both strands."""
    lines = []
    for gene in range(genes):
        contig, strand, start = (
            rng.choice(["chr1", "chr2", "chr3"]),
            rng.choice("+-"),
            rng.randint(1, 900),
        )
        for _ in range(rng.randint(1, 3)):
            length = rng.randint(5, 120)
            lines.append(
                f"{contig}\tt\texon\t{start}\t{start + length}\t.\t{strand}\t.\t"
                f'gene_id "g{gene}";\n'
            )
            start += length + rng.randint(1, 80)
    return "".join(lines)


def random_cigar(rng: random.Random) -> str:
    """Draw a CIGAR with any operation."""
    text = f"{rng.randint(0, 5)}{rng.choice('SH')}" if rng.random() < 0.2 else ""
    text += f"{rng.randint(5, 40)}{rng.choice('M=X')}"
    for _ in range(rng.randint(0, 2)):
        kind = rng.choice("IDNP")
        gap, rest = rng.randint(1, 60 if kind == "N" else 5), rng.randint(0, 30)
        text += f"{gap}{kind}{rest}{rng.choice('M=X')}"
    return text + (f"{rng.randint(1, 5)}{rng.choice('SH')}" if rng.random() < 0.2 else "")


def random_tags(rng: random.Random) -> bytes:
    """Draw tags, often with NH, of any integer type."""
    tags = [b"XZZhello\0"] if rng.random() < 0.5 else []
    if rng.random() < 0.2:
        tags.append(b"YBBI" + struct.pack("<i3I", 3, 1, 2, 3))
    value = rng.choice([1, 1, 1, 1, 0, 2, 3, 100])
    kind = rng.choice(["c", "C", "s", "S", "i", "I", "f", ""])
    if kind:
        tags.append(
            b"NH"
            + kind.encode()
            + struct.pack("<" + {"c": "b", "C": "B", "s": "h", "S": "H"}.get(kind, kind), value)
        )
    rng.shuffle(tags)
    return b"".join(tags)


def random_records(
    rng: random.Random, groups: int, *, paired: bool
) -> list[tuple[tuple[int, int], bytes]]:
    """Draw records in groups of one name, with the faults of real files.

    Returns:
        each record with its sort key for position order.
    """
    out = []
    for i in range(groups):
        name = f"r{i}" if rng.random() < 0.9 else f"read.with.a.longer.name.{i}:{7 * i}"
        members: list[dict[str, Any]] = []
        for k in range(rng.choice([1, 1, 1, 1, 2, 3]) if paired else 1):
            ends = []
            for which in (0x40, 0x80) if paired else (0,):
                flag = which | (1 if paired else 0) | (0x100 if k and paired else 0)
                for bit, chance in (
                    (0x10, 0.5),
                    (0x4, 0.08),
                    (0x800, 0.05),
                    (0x100, 0.0 if paired else 0.1),
                ):
                    flag |= bit if rng.random() < chance else 0
                place = {"contig": rng.randrange(4), "position": rng.randint(0, 1200)}
                ends.append({"flag": flag, "mapq": rng.choice([0, 5, 10, 20, 60, 60, 60]), **place})
            if paired:
                one, two = ends
                if rng.random() < 0.9:
                    two.update(contig=one["contig"], position=one["position"] + rng.randint(0, 100))
                length = rng.randint(-300, 300)
                for end, mate, sign in ((one, two, 1), (two, one, -1)):
                    end["flag"] |= (0x8 if mate["flag"] & 4 else 0) | (
                        0x20 if mate["flag"] & 0x10 else 0
                    )
                    end.update(
                        next_contig=mate["contig"],
                        next_position=mate["position"],
                        length=sign * length,
                    )
            members += ends * (2 if rng.random() < 0.05 else 1)
        for member in members:
            if rng.random() < 0.95:
                broken = dict(member)
                if paired and rng.random() < 0.08:
                    broken.update(
                        rng.choice(
                            [
                                {"next_position": 7},
                                {"next_contig": -1},
                                {"flag": member["flag"] ^ 8},
                            ]
                        )
                    )
                out.append(
                    (
                        (broken["contig"], broken["position"]),
                        record(name, cigar=random_cigar(rng), tags=random_tags(rng), **broken),
                    )
                )
    return out


def random_bam(rng: random.Random, groups: int, *, paired: bool, order: str) -> bytes:
    """Draw a BAM file in small blocks."""
    records = random_records(rng, groups, paired=paired)
    if order == "pos":
        records.sort(key=lambda item: item[0])
    return bam([content for _, content in records], sizes=[rng.randint(40, 4000) for _ in range(5)])


Outcome = tuple[list[float], tuple[int, ...], str]


def oracle(path: Path, gtf: Path, options: CountingOptions, *, quiet: bool = False) -> Outcome:
    """Count with HTSeq: counts in the order of the identifiers, classes, stderr."""
    import HTSeq
    from HTSeq.scripts.count_features.count_features_per_file import count_reads_single_file

    errors = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stderr(errors):
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: (
            errors.write(f"Warning: {message}\n") and None
        )
        scan = HTSeq.make_feature_genomicarrayofsets(
            HTSeq.GFF_Reader(str(gtf)),
            ["gene_id"],
            feature_type=["exon"],
            stranded=options.stranded != "no",
            verbose=False,
        )
        ids = sorted(scan["attributes"])
        result = count_reads_single_file(
            0, str(path), scan["features"], ids, options.order, 10**9, options.stranded,
            options.mode, options.nonunique, options.secondary_alignments,
            options.supplementary_alignments, ["exon"], ["gene_id"], [], quiet,
            options.minaqual, "SAM", None,
        )  # fmt: skip
    classes = tuple(
        result[key] for key in ("empty", "ambiguous", "lowqual", "notaligned", "nonunique")
    )
    return [result["counts"][name] for name in ids], classes, errors.getvalue()


def ours(
    path: Path,
    genes: Annotation,
    options: CountingOptions,
    record_sink: Callable[[TaggedBatch], None] | None = None,
    **more: Any,
) -> Outcome:
    """Count with Counterbias; return the same as :func:`oracle`."""
    lines: list[str] = []

    def processed(number: int, paired: bool) -> None:
        lines.append(f"{number} alignment record{' pairs' if paired else 's'} processed.\n")

    result = count_alignments(
        str(path),
        genes,
        options,
        reading=ReadingOptions(**more),
        listeners=Listeners(
            warn=lambda text: lines.append(f"Warning: {text}\n"),
            progress=processed,
            record_sink=record_sink,
        ),
    )
    processed(result.fragments, result.paired)
    return counts_as_htseq(result), result.classes, "".join(lines)


def counts_as_htseq(result: SampleCounts) -> list[float]:
    """Return counts as htseq-count prints them: 0 where nothing was added, else floats."""
    if result.touched is None:
        return [int(count) for count in result.counts]
    return [
        float(count) if touched else 0
        for count, touched in zip(result.counts, result.touched, strict=True)
    ]
