"""BGZF blocks: we read what Python's gzip reads, and refuse what it refuses.

The stream is inflated by the steps of the reader, in batches of any size, with and without
libdeflate. Blocks are also scanned and inflated in memory that ends at a forbidden page.
"""

from __future__ import annotations

import gzip
import random
import struct
import zlib

import numpy as np

from counterbias.alignments import AlignmentStream, bgzf, inflate
from counterbias.alignments import stream as reader
from counterbias.errors import InputError
from counterbias.native import SLACK
from tests.fuzz import bam_records, memory_source
from tests.fuzz.case import Case
from tests.fuzz.guarded import Guarded
from tests.fuzz.judging import refusal_wording
from tests.helpers.alignment_builders import EOF_BLOCK, block, header

_SOURCE, _TARGET = Guarded(1 << 18, np.uint8), Guarded(1 << 20, np.uint8)


def mutate(rng: random.Random) -> Case:
    """Draw the blocks of a BAM stream, with changes to some of them."""
    content = header() + b"".join(
        bam_records.sound_records(rng, bool(rng.getrandbits(1)), rng.choice((1, 2, 4)))
    )
    parts, start = [], 0
    largest = rng.choice((50, 300, 5000, 65280))
    while start < len(content):
        size = rng.choice((0, 1, largest, rng.randint(1, largest), rng.randint(1, largest)))
        parts.append(_block(rng, content[start : start + size]))
        start += size
    if rng.random() < 0.9:
        parts.append(EOF_BLOCK)
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2))):
        _change(rng, parts)
    return Case(parts, {"batch": rng.choice((0, 100, 1000)), "library": rng.random() < 0.8})


def _block(rng: random.Random, content: bytes) -> bytes:
    """Compress a block, sometimes with additional fields in its header."""
    plain = block(content, rng.choice((0, 1, 6, 6, 9)))
    chance = rng.random()
    if chance < 0.85:
        return plain
    # Another subfield of the gzip header, before or after BC.
    other = b"AB" + struct.pack("<H", 3) + b"abc"
    own = b"BC\2\0" + struct.pack("<H", len(plain) - 1 + len(other))
    extra = other + own if chance < 0.93 else own + other
    return plain[:10] + struct.pack("<H", len(extra)) + extra + plain[18:]


def _change(rng: random.Random, parts: list[bytes]) -> None:
    at = rng.randrange(len(parts))
    item = bytearray(parts[at])
    which = rng.randrange(10)
    if not item:
        return
    if which == 0:
        item[rng.randrange(min(len(item), 18))] = rng.randrange(256)
    elif which == 1:
        item[-1 - rng.randrange(min(len(item), 8))] ^= 1 << rng.randrange(8)
    elif which == 2:
        item[rng.randrange(len(item))] = rng.randrange(256)
    elif which == 3 and len(item) > 18:
        struct.pack_into(
            "<H", item, 16, rng.choice((0, 1, 17, 25, 26, 27, 65535, len(item), len(item) - 2))
        )
    elif which == 4 and len(item) > 12:
        struct.pack_into("<H", item, 10, rng.choice((0, 1, 4, 5, 7, 100, 65535)))
    elif which == 5 and len(item) > 26:
        struct.pack_into(
            "<I",
            item,
            len(item) - 4,
            rng.choice((0, 1, 65536, 65537, (1 << 31) - 1, (1 << 32) - 1)),
        )
    elif which == 6:
        del item[rng.randrange(len(item)) :]
    elif which == 7:
        parts.insert(
            rng.randint(0, len(parts)),
            rng.choice(
                (EOF_BLOCK, bytes(parts[at]), b"", b"\0" * 20, b"x", block(b""), EOF_BLOCK[:-1])
            ),
        )
        return
    elif which == 8:
        del parts[at]
        if not parts:
            parts.append(EOF_BLOCK)
        return
    else:
        # Other content, with its checksum but with a wrong length.
        content = bytes(rng.randrange(4) for _ in range(rng.choice((0, 1, 300))))
        other = bytearray(block(content))
        struct.pack_into(
            "<I", other, len(other) - 4, len(content) + rng.choice((-1, 1, 65536)) & 0xFFFFFFFF
        )
        item = other
    parts[at] = bytes(item)


def _read(content: bytes, batch: int, library: bool) -> bytes:
    """Inflate a stream as counting does. Return all bytes after the header."""
    small = {"batch": batch, "headroom": 256} if batch else {}
    with memory_source.reading(content, **small):
        source = memory_source.MemorySource(content)
        source.compression = memory_source.BGZF
        stream = AlignmentStream(source, bgzf.find_libdeflate() if library else None)
        parts = [stream._carry.tobytes()]
        loaded = stream.new_batch()
        while stream.load(loaded):
            inflate(loaded)
            stream.check_inflated(loaded)
            parts.append(loaded.data[reader.HEADROOM : loaded.end].tobytes())
        return b"".join(parts)


def _scan_guarded(content: bytes) -> None:
    """Scan and inflate in memory that ends at a forbidden page."""
    content = content[: 1 << 17]
    source = _SOURCE.ending(len(content) + SLACK)
    source[: len(content)] = np.frombuffer(content, dtype=np.uint8)
    source[len(content) :] = 0
    blocks = np.empty((64, 5), dtype=np.int64)
    count, stop, total, _ = bgzf.scan_blocks(source, 0, len(content), 1 << 19, blocks)
    assert 0 <= stop <= len(content)
    assert total == blocks[:count, bgzf.INFLATED].sum()
    library = bgzf.find_libdeflate()
    if count and total <= 1 << 20:
        target = _TARGET.ending(int(total))
        bad = bgzf.Inflater(library).inflate(source, target, 0, blocks, int(count))
        assert -1 <= bad < count
        if bad < 0:
            whole = b"".join(
                zlib.decompress(content[a : a + n], wbits=-15)
                for a, n, *_ in blocks[:count].tolist()
            )
            assert whole == target.tobytes()


def check(case: Case) -> str:
    """Read the stream and compare with gzip."""
    content = b"".join(case.parts)
    _scan_guarded(content)
    try:
        # gzip skips padding with zeros, which BGZF does not allow.
        expected: bytes | None = (
            gzip.decompress(content) if not content.endswith(b"\0" * 20) else None
        )
    except (OSError, EOFError, zlib.error):
        expected = None
    try:
        ours = _read(content, case.options["batch"], case.options["library"])
    except InputError as error:
        refusal = refusal_wording(error, (memory_source.NAME,))
        return f"refused, gzip {'reads' if expected is not None else 'refuses'}: {refusal}"
    if expected is None and any(len(part) > 3 and part[3] & ~4 for part in case.parts):
        # Other flags than the one for extra fields announce a name or a comment, for which neither
        # we nor htslib look.
        return "read, gzip refuses: more flags than BGZF has"
    assert expected is not None, "read, though gzip refuses it"
    assert expected.endswith(ours), "not the bytes that gzip reads"
    return "read alike"
