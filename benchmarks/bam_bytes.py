"""Print what fills BAM files, and how fast they inflate.

    python benchmarks/bam_bytes.py simulated.bam real.bam

Compares simulated files with real ones: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import gzip
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import deflate
import numpy as np
from numpy.typing import NDArray
from shared import markdown

from counterbias.simulation.compression import BLOCK, LEVEL

#: Records read from the beginning of each file.
RECORDS = 200_000
#: Times that blocks are inflated; the fastest counts.
REPEATS = 5
#: Quality of a read without qualities.
MISSING = 255


def records(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the records of an uncompressed BAM stream, each without its size."""

    def number() -> int:
        return int(struct.unpack("<i", stream.read(4))[0])

    stream.read(4)
    stream.read(number())
    for _ in range(number()):
        stream.read(number() + 4)
    while size := stream.read(4):
        yield stream.read(struct.unpack("<i", size)[0])


def qualities_of(record: bytes) -> bytes:
    """Return the base qualities of a record; nothing where there are none."""
    name, cigar, length = record[8], *struct.unpack_from("<HxxI", record, 12)
    start = 32 + name + 4 * cigar + (length + 1) // 2
    found = record[start : start + length]
    return b"" if found[:1] == bytes([MISSING]) else found


def compressed(content: bytes) -> list[tuple[bytes, int]]:
    """Return blocks as BGZF has them at the default level, and the sizes of their contents."""
    parts = [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)]
    return [(bytes(deflate.deflate_compress(part, LEVEL)), len(part)) for part in parts]


def inflating(blocks: Sequence[tuple[bytes, int]]) -> float:
    """Return the seconds of CPU time that inflating takes."""
    best = float("inf")
    for _ in range(REPEATS):
        started = time.process_time()
        for block, size in blocks:
            deflate.deflate_decompress(block, size)
        best = min(best, time.process_time() - started)
    return best


def entropies(reads: Sequence[bytes]) -> tuple[float, float]:
    """Return the bits per quality: of qualities by themselves, and given the previous one."""
    pairs = np.zeros((256, 256))
    for read in reads:
        row = np.frombuffer(read, dtype=np.uint8)
        np.add.at(pairs, (row[:-1], row[1:]), 1)
    shares = pairs / max(1.0, pairs.sum())

    def bits(table: NDArray[np.float64]) -> float:
        some = table[table > 0]
        return abs(float((some * np.log2(some)).sum()))

    return bits(shares.sum(axis=0)), bits(shares) - bits(shares.sum(axis=1))


def row_of(path: Path) -> list[str]:
    """Return the figures of one file as cells."""
    with gzip.open(path) as stream:
        found = [one for one, _ in zip(records(stream), range(RECORDS), strict=False)]
    content = b"".join(struct.pack("<i", len(one)) + one for one in found)
    blocks = compressed(content)
    seconds, count = inflating(blocks), len(found)
    reads = [read for read in map(qualities_of, found) if read]
    bases = sum(map(len, reads))
    packed = sum(len(block) for block, _ in compressed(b"".join(reads)))
    alone, given = entropies(reads)
    return [
        path.name,
        f"{bases / count:.0f}",
        f"{len(content) / count:.0f}",
        f"{sum(len(block) for block, _ in blocks) / count:.1f}",
        f"{packed / bases:.2f}",
        f"{alone:.2f}",
        f"{given:.2f}",
        f"{len(content) / seconds / 1e6:.0f}",
        f"{seconds / count * 1e9:.0f}",
    ]


def main(argv: Sequence[str] | None = None) -> str:
    """Print one row per file, and return the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="BAM files")
    heading = ["file", "bases per record", "bytes", f"bytes at level {LEVEL}"]
    heading += ["bytes per quality", "bits per quality", "given the previous"]
    heading += ["inflated, MB/s of content", "ns per record"]
    table = markdown([heading, *map(row_of, parser.parse_args(argv).files)])
    print(table)
    return table


if __name__ == "__main__":
    main()
