"""Opening alignments of any format as a stream of BAM bytes.

BAM is read directly; every other format goes through :mod:`~counterbias.alignments.transcoding`.
"""

from __future__ import annotations

import errno
import os
import sys
import zlib
from typing import Any

from counterbias.alignments.source import BGZF, RAW, Source, is_bgzf
from counterbias.errors import InputError
from counterbias.inputs import reads_once

#: Bytes read to recognise the format: more than one BGZF block.
HEAD = (1 << 16) + 1024


def is_read_once(path: str) -> bool:
    """Whether alignments can be read only once: ``-``, a pipe, an open descriptor."""
    return path == "-" or reads_once(path)


def open_source(path: str, reference: str | None = None) -> Source:
    """Open a path, or stdin for ``-``, and recognise its format. Raises InputError."""
    stream = _open(path)
    try:
        return _recognise(path, stream, _read_head(path, stream), reference)
    except BaseException:
        if path != "-":
            stream.close()
        raise


def _recognise(path: str, stream: Any, head: bytes, reference: str | None) -> Source:
    """Choose the reader by a stream's first bytes."""
    if not head:
        raise InputError(
            "the file is empty",
            file=path,
            remedy="an alignment file without reads still has a header",
        )
    if head.startswith(b"BAM\1"):
        return Source(path, stream, head, RAW)
    if head.startswith(b"CRAM"):
        return _transcoded(path, stream, head, reference, cram=True)
    if head.startswith(b"\x1f\x8b"):
        content = _peek_gzip(head)
        if content is not None and not content.startswith(b"BAM\1"):
            _check_text(path, content)
        elif is_bgzf(head):
            return Source(path, stream, head, BGZF)
    else:
        _check_text(path, head)
    return _transcoded(path, stream, head, reference, cram=False)


def _transcoded(
    path: str, stream: Any, head: bytes, reference: str | None, *, cram: bool
) -> Source:
    # Imported here since BAM, the usual input, needs no child process.
    from counterbias.alignments.transcoding import TranscodedSource

    return TranscodedSource(path, stream, head, reference, cram=cram)


def _open(path: str) -> Any:
    if path == "-":
        # Without its buffer: a thread waiting for bytes would hold the buffer's lock at exit.
        buffer = getattr(sys.stdin, "buffer", None)
        return getattr(buffer, "raw", buffer) or open(0, "rb", buffering=0, closefd=False)
    if os.path.isdir(path):
        raise InputError("this is a folder, not an alignment file", file=path)
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise InputError("there is no such file", file=path) from None
    except OSError as error:
        remedy = "check the permissions" if error.errno == errno.EACCES else ""
        raise InputError(f"it cannot be read: {error.strerror}", file=path, remedy=remedy) from None


def _read_head(path: str, stream: Any) -> bytes:
    head = b""
    try:
        while len(head) < HEAD and (chunk := stream.read(HEAD - len(head))):
            head += chunk
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", file=path) from None
    return head


def _peek_gzip(head: bytes) -> bytes | None:
    """Return the first bytes of gzipped content, None where they cannot be inflated.

    The reader will then say where and why.
    """
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 4096) or None
    except zlib.error:
        return None


def _check_text(path: str, head: bytes) -> None:
    """Raise InputError unless bytes look like SAM with a header."""
    first = head.partition(b"\n")[0].rstrip(b"\r")
    fields = first.split(b"\t")
    if (
        len(fields[0]) == 3
        and fields[0][:1] == b"@"
        and fields[0][1:].isalpha()
        and fields[0][1:].isupper()
    ):
        return
    if len(fields) >= 11 and fields[1].isdigit() and fields[3].isdigit() and fields[4].isdigit():
        raise InputError(
            "this SAM file has no header, so its contigs are unknown",
            file=path,
            place="line 1",
            remedy="add @SQ lines, for instance with: samtools view -h -t genome.fa.fai",
        )
    raise InputError(
        "this is neither BAM nor SAM nor CRAM",
        file=path,
        remedy="check the order of the arguments: alignments, then GTF",
    )
