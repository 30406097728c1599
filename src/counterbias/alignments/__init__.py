"""Read alignments: BAM, SAM, CRAM or stdin → batches of records → fragments."""

from __future__ import annotations

from counterbias.alignments.bgzf import find_libdeflate
from counterbias.alignments.header import AlignmentHeader
from counterbias.alignments.opening import is_read_once, open_source
from counterbias.alignments.stream import AlignmentStream, Batch, decode_batch, inflate

__all__ = [
    "AlignmentHeader",
    "AlignmentStream",
    "Batch",
    "decode_batch",
    "inflate",
    "is_read_once",
    "open_alignments",
    "read_header",
]


def open_alignments(
    path: str,
    *,
    reference: str | None = None,
    by_name: bool = True,
    primary_only: bool = False,
    library: bool = True,
) -> AlignmentStream:
    """Open alignments and read their header. Raises InputError.

    Args:
        path: a file, or ``-`` for stdin.
        reference: the genome's FASTA file, which CRAM needs.
        by_name: keep adjacent records of one name in one batch.
        primary_only: leave records that are not primary out of consideration there.
        library: inflate with libdeflate where it can be found.
    """
    source = open_source(path, reference)
    try:
        return AlignmentStream(
            source, find_libdeflate() if library else None, by_name, primary_only
        )
    except BaseException:
        source.close()
        raise


def read_header(path: str, *, reference: str | None = None) -> AlignmentHeader:
    """Read an alignment file's header only, for early checks. Raises InputError."""
    stream = open_alignments(path, reference=reference)
    stream.source.close()
    return stream.header
