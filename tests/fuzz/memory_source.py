"""Let the reader take its bytes from memory, and cut them into batches as small as wanted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import counterbias.alignments
from counterbias.alignments import stream
from counterbias.alignments.source import BGZF, RAW, Source

#: What an error must name as its file.
NAME = "reads.bam"


class MemorySource(Source):
    """Bytes that are there already."""

    def __init__(self, content: bytes) -> None:
        super().__init__(
            NAME, io.BytesIO(content), b"", RAW if content.startswith(b"BAM\1") else BGZF
        )


@contextmanager
def reading(
    content: bytes, batch: int = stream.ENOUGH, headroom: int = stream.HEADROOM
) -> Iterator[str]:
    """Let whoever opens the given name get ``content``; ``batch`` bytes at a time, with ``headroom`` bytes for what is carried over."""
    kept = (
        counterbias.alignments.open_source,
        stream.ENOUGH,
        stream.HEADROOM,
        stream.SOURCE_BYTES,
        stream.MAX_BLOCKS,
    )

    def open_memory(path: str, reference: str | None = None) -> Source:
        return MemorySource(content)

    counterbias.alignments.open_source = open_memory
    stream.ENOUGH, stream.HEADROOM = batch, headroom
    if batch < kept[1]:
        # A block may need this much, and smaller buffers are quicker to make.
        stream.SOURCE_BYTES, stream.MAX_BLOCKS = 1 << 17, 64
    try:
        yield NAME
    finally:
        (
            counterbias.alignments.open_source,
            stream.ENOUGH,
            stream.HEADROOM,
            stream.SOURCE_BYTES,
            stream.MAX_BLOCKS,
        ) = kept
