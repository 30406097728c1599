"""Reading alignments: BAM, SAM, CRAM or stdin → batches of records as rows of numbers."""

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
    """Open alignments and read their header.

    Args:
        path: a file, or ``-`` for stdin.
        reference: the genome's FASTA file, which CRAM needs.
        by_name: whether adjacent records with the same name stay in one batch.
        primary_only: whether records that are not primary are ignored in doing so.
        library: whether to inflate with libdeflate where it is available.

    Raises:
        InputError: the file cannot be read or is no alignment file.
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
    """Read only the header of an alignment file, for early checks. Raises InputError."""
    stream = open_alignments(path, reference=reference)
    stream.source.close()
    return stream.header
