"""Make the reader take its bytes from memory, in batches of any size."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import counterbias.alignments
from counterbias.alignments import stream
from counterbias.alignments.source import BGZF, RAW, Source

#: The file name that errors must have.
NAME = "reads.bam"


class MemorySource(Source):
    """A source of bytes in memory."""

    def __init__(self, content: bytes) -> None:
        super().__init__(
            NAME, io.BytesIO(content), b"", RAW if content.startswith(b"BAM\1") else BGZF
        )


@contextmanager
def reading(
    content: bytes, batch: int = stream.ENOUGH, headroom: int = stream.HEADROOM
) -> Iterator[str]:
    """Replace the file that is opened under the yielded name by ``content``.

    It is read in batches of ``batch`` bytes, with ``headroom`` bytes for what one batch leaves to
    the next.
    """
    originals = (
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
    if batch < originals[1]:
        # Enough for any block, and faster to allocate than larger buffers.
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
        ) = originals
