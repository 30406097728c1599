"""Write simulated fragments as BAM (SAMv1 section 4.2).

A record depends on the seed and on its fragment only, so a name-sorted and a position-sorted file
hold the same records.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import whole_stream
from counterbias.options import ORDERS
from counterbias.simulation.compression import BLOCK, LEVEL, write_blocks
from counterbias.simulation.layout import RecordLayout
from counterbias.simulation.reads import Reads

#: Records encoded at a time.
_CHUNK = 40_000


def write_bam(
    path: str | os.PathLike[str],
    reads: Reads,
    *,
    order: str = "name",
    level: int = LEVEL,
    threads: int = 1,
) -> int:
    """Write reads as a BAM file sorted by ``name`` or ``pos``; return the number of records.

    The bytes do not depend on ``threads``.

    Raises:
        InputError: for any other order.
    """
    if order not in ORDERS:
        raise InputError(f"reads cannot be sorted by '{order}'", remedy="choose name or pos")
    layout = RecordLayout(reads)
    records = layout.sorted_records(order)
    blocks = _blocks(layout, records, bam_header(reads, order))
    with whole_stream(path) as stream:
        write_blocks(stream, blocks, level=level, threads=threads)
    return len(records)


def bam_header(reads: Reads, order: str) -> bytes:
    """Return the header of a BAM file sorted by ``name`` or ``pos``, uncompressed."""
    sorting = "queryname" if order == "name" else "coordinate"
    lengths = reads.genome.lengths
    lines = [f"@HD\tVN:1.6\tSO:{sorting}"]
    lines += [f"@SQ\tSN:{name}\tLN:{length}" for name, length in lengths.items()]
    text = ("\n".join([*lines, "@PG\tID:counterbias-simulate\tPN:counterbias"]) + "\n").encode()
    parts = [b"BAM\1", struct.pack("<i", len(text)), text, struct.pack("<i", len(lengths))]
    for name, length in lengths.items():
        parts.append(
            struct.pack("<i", len(name) + 1) + name.encode() + b"\0" + struct.pack("<i", length)
        )
    return b"".join(parts)


def _blocks(layout: RecordLayout, records: NDArray[np.int64], header: bytes) -> Iterator[bytes]:
    """Yield the uncompressed contents of BGZF blocks, divided as htslib does.

    The header has blocks to itself; the others hold whole records.
    """
    for start in range(0, len(header), BLOCK):
        yield header[start : start + BLOCK]
    buffer = np.empty(_CHUNK * layout.longest_record, dtype=np.uint8)
    kept = b""
    for first in range(0, len(records), _CHUNK):
        content, ends = layout.encode_records(records[first : first + _CHUNK], buffer)
        content, ends = kept + content, ends + len(kept)
        start = 0
        while len(content) - start > BLOCK:
            # The last record that fits ends the block; a record longer than a block is split.
            fitting = int(np.searchsorted(ends, start + BLOCK, side="right")) - 1
            end = int(ends[fitting]) if fitting >= 0 and ends[fitting] > start else start + BLOCK
            yield content[start:end]
            start = end
        kept = content[start:]
    if kept:
        yield kept
