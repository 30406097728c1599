"""Open alignments of any format as a stream of bytes that holds BAM.

BAM is read as it is. SAM, CRAM and anything gzipped in another way are turned into BAM by htslib in a child process, so that one reader
serves them all and htslib's own messages can be caught.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
import zlib
from typing import IO, Any

from counterbias.errors import InputError

#: Bytes looked at to tell the format: more than one BGZF block.
HEAD = (1 << 16) + 1024

BGZF, RAW = "bgzf", "raw"

#: Run by a child process: htslib turns any format into BAM of stored blocks on stdout. Signals are for its parent, which ends it; whatever
#: ends the parent ends its stdin, with which the child ends, too (where stdin holds the alignments, htslib sees it by itself).
_TRANSCODE = """
import os
import signal
import sys
import threading

def end_with_parent():
    while os.read(0, 1):
        pass
    os._exit(1)

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
path, reference = sys.argv[1:]
if path != "-":
    threading.Thread(target=end_with_parent, daemon=True).start()
import pysam
arguments = ["-u", "--no-PG", "-o", "-"] + (["-T", reference] if reference else []) + [path]
try:
    pysam.view(*arguments, catch_stdout=False)
except pysam.SamtoolsError as error:
    sys.exit(str(error))
"""


class Source:
    """Bytes of a file, of stdin or of the child process, with the first ones already looked at."""

    def __init__(self, path: str, stream: Any, head: bytes, kind: str) -> None:
        self.path = path
        self.kind = kind
        self._stream = stream
        self._head = head

    def readinto(self, target: memoryview) -> int:
        """Fill ``target`` with the next bytes; gives their number, 0 at the end."""
        if self._head:
            size = min(len(self._head), len(target))
            target[:size] = self._head[:size]
            self._head = self._head[size:]
            return size
        try:
            return int(self._stream.readinto(target) or 0)
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}", file=self.path) from None

    def check(self) -> None:
        """Raise InputError if the stream ended because of something that is not in it."""

    def close(self) -> None:
        """Close the stream, unless it is stdin."""
        if self.path != "-":
            self._stream.close()


class TranscodedSource(Source):
    """The output of a child process in which htslib turns a file, or bytes handed to it, into BAM."""

    def __init__(self, path: str, stream: Any, head: bytes, reference: str | None, cram: bool) -> None:
        self._cram = cram
        self._reference = reference
        # A file is read by the child itself; a pipe has already given us its first bytes, so we pass everything on.
        self._direct = direct = path != "-" and os.path.isfile(path)
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TRANSCODE, os.path.abspath(path) if direct else "-", reference or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            bufsize=0,
        )
        super().__init__(path, self._process.stdout, b"", BGZF)
        if direct:
            stream.close()
        else:
            threading.Thread(target=_pump, args=(head, stream, self._process.stdin), daemon=True).start()

    def check(self) -> None:
        """Raise InputError if the child process failed, with htslib's own words."""
        if self._process.wait() == 0:
            return
        self._messages.seek(0)
        lines = [line.strip() for line in self._messages.read().decode("utf-8", "replace").splitlines()]
        words = [line for line in lines if line.startswith("[E::")] or [line for line in lines if line] or ["no reason given"]
        reason = words[0].partition("] ")[2] or words[0]
        raise InputError(f"htslib cannot read it: {reason}", file=self.path, remedy=self._remedy(" ".join(lines)))

    def _remedy(self, messages: str) -> str:
        if self._cram and not self._reference:
            return "CRAM needs the genome that it was made with: give it with --bias-genome genome.fa"
        if self._cram and ("ref" in messages or "MD5" in messages or "M5" in messages):
            return f"check that {self._reference} is the genome that the file was made with"
        return ""

    def close(self) -> None:
        """End the child process."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._stream.close()
        self._messages.close()
        if self._direct and self._process.stdin is not None:
            self._process.stdin.close()


def _pump(head: bytes, stream: Any, target: IO[bytes] | None) -> None:
    """Pass bytes on to the child process until either side ends."""
    assert target is not None
    try:
        with target:
            target.write(head)
            while chunk := stream.read(1 << 16):
                target.write(chunk)
    except (OSError, ValueError):
        pass  # the child has ended or we are closing: check() tells why


def open_source(path: str, reference: str | None = None) -> Source:
    """Open a path, or stdin for ``-``, and find out its format. Raises InputError."""
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
        raise InputError("the file is empty", file=path, remedy="an alignment file without reads still has a header")
    if head.startswith(b"BAM\1"):
        return Source(path, stream, head, RAW)
    if head.startswith(b"CRAM"):
        return TranscodedSource(path, stream, head, reference, cram=True)
    if head.startswith(b"\x1f\x8b"):
        content = _peek_gzip(head)
        if content is not None and not content.startswith(b"BAM\1"):
            _check_text(path, content)
        elif is_bgzf(head):
            return Source(path, stream, head, BGZF)
    else:
        _check_text(path, head)
    return TranscodedSource(path, stream, head, reference, cram=False)


def is_bgzf(head: bytes) -> bool:
    """Tell whether gzipped bytes are BGZF: an extra field named BC."""
    return len(head) >= 18 and head[2] == 8 and bool(head[3] & 4) and head[12:14] == b"BC"


def _open(path: str) -> Any:
    if path == "-":
        # Without its buffer, whose lock a thread that waits for bytes would hold when the program ends.
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
    """Give the first bytes of what was gzipped, None where they cannot be inflated (the reader will say where and why)."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 4096) or None
    except zlib.error:
        return None


def _check_text(path: str, head: bytes) -> None:
    """Raise InputError unless bytes look like SAM with a header."""
    first = head.partition(b"\n")[0].rstrip(b"\r")
    fields = first.split(b"\t")
    if len(fields[0]) == 3 and fields[0][:1] == b"@" and fields[0][1:].isalpha() and fields[0][1:].isupper():
        return
    if len(fields) >= 11 and fields[1].isdigit() and fields[3].isdigit() and fields[4].isdigit():
        raise InputError(
            "this SAM file has no header, so its contigs are unknown",
            file=path,
            place="line 1",
            remedy="add @SQ lines, for instance with: samtools view -h -t genome.fa.fai",
        )
    raise InputError("this is neither BAM nor SAM nor CRAM", file=path, remedy="check the order of the arguments: alignments, then GTF")
