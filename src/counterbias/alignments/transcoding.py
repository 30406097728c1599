"""Alignments that are not plain BAM, converted to BAM by htslib.

SAM, CRAM and anything gzipped other than as BGZF go through htslib in a child process, so that one
reader serves all formats and htslib's own messages can be caught: a failure becomes an error, and
similar warnings become one, with their number.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import IO, Any

from counterbias.alignments.source import BGZF, TRUNCATED, Source, is_bgzf
from counterbias.errors import InputError
from counterbias.files import can_be_made, scratch_folder, temporary_errors
from counterbias.inputs import file_of

#: Run by a child process: htslib converts any format to uncompressed BGZF blocks of BAM on stdout.
#: Signals are left to the parent, which ends the child; where the parent is killed, the child ends
#: because nobody reads its output.
_TRANSCODE = """
import os
import signal
import sys

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
import pysam
reference = os.fsencode(sys.argv[1])
arguments = ["-u", "--no-PG", "-o", "-"] + (["-T", reference] if reference else []) + ["-"]
try:
    pysam.view(*arguments, catch_stdout=False)
except pysam.SamtoolsError as error:
    sys.exit(str(error))
"""


_NO_MARKER = "EOF marker is absent"


class _Messages:
    """What a child process writes to stderr, grouped while it runs: there may be a line per record.

    Lines that differ only in a quoted name or a number are in the same group.
    """

    _VARIABLE = re.compile(r"\"[^\"]*\"|'[^']*'|\d+")
    _QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
    #: Limits on what is kept: groups, names per group, bytes of a line.
    GROUPS, NAMES, LINE = 100, 4, 1000

    def __init__(self, stream: Any) -> None:
        self._groups: dict[str, _SimilarMessages] = {}
        self._others = 0
        self._stream = io.BufferedReader(stream)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError, ValueError), self._stream:
            while line := self._stream.readline(self.LINE):
                self._take(line.decode("utf-8", "replace").strip())

    def _take(self, line: str) -> None:
        key = self._VARIABLE.sub("…", line)
        group = self._groups.get(key)
        if group is None:
            if not line or len(self._groups) == self.GROUPS:
                self._others += bool(line)
                return
            group = self._groups[key] = _SimilarMessages(line)
        group.number += 1
        names = " ".join(one or other for one, other in self._QUOTED.findall(line))
        if len(group.names) < self.NAMES and names not in group.names:
            group.names.append(names)

    def first_lines(self) -> list[str]:
        """Return the first line of each group, once the process has ended."""
        self._thread.join()
        return [group.line for group in self._groups.values()]

    def from_htslib(self) -> Iterator[str]:
        """Yield htslib's own messages, a line per group, once the process has ended."""
        self._thread.join()
        for group in self._groups.values():
            if group.line.startswith(("[W::", "[E::")):
                yield f"htslib: {group}"
        if self._others:
            yield f"htslib: {self._others:,} further messages"


class _SimilarMessages:
    """A group of similar messages: its first line, their number, and the first names in them."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.number = 0
        self.names: list[str] = []

    def __str__(self) -> str:
        text = self.line.partition("] ")[2] or self.line
        if self.number == 1:
            return text
        others = self.names[1 : _Messages.NAMES - 1]
        also = (
            f", also for {', '.join(others)}{' …' if len(self.names) == _Messages.NAMES else ''}"
            if others
            else ""
        )
        return f"{text} (reported {self.number:,} times{also})"


class TranscodedSource(Source):
    """The output of a child process in which htslib converts a file, or bytes piped to it, to BAM.

    Args:
        path, stream, head: as for :class:`Source`.
        reference: the genome's FASTA file for CRAM, or None.
        cram: whether the file is CRAM.
    """

    def __init__(
        self, path: str, stream: Any, head: bytes, reference: str | None, cram: bool
    ) -> None:
        self._cram = cram
        self._marked = cram or is_bgzf(head)
        self._reference = reference
        genome = file_of(reference) if reference else ""
        if cram and genome:
            _refuse_gzip(genome, str(reference))
        # pysam makes a temporary file, which would be left behind where we end the child early.
        self._scratch = ExitStack()
        with temporary_errors("what htslib says"):
            folder = self._scratch.enter_context(scratch_folder())
            if cram and genome:
                genome = _indexable(genome, folder)
        # A file is read by the child itself, from our descriptor, since a name such as /dev/stdin
        # means something else to it. Of a pipe we have already read the head, so we pass on all.
        self._direct = path != "-" and os.path.isfile(path)
        if self._direct:
            stream.seek(0)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _TRANSCODE, genome],
            env={**os.environ, "TMPDIR": folder},
            stdin=stream if self._direct else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._messages = _Messages(self._process.stderr)
        super().__init__(path, self._process.stdout, b"", BGZF)
        self._file = stream
        if not self._direct:
            threading.Thread(
                target=_pump, args=(head, stream, self._process.stdin), daemon=True
            ).start()

    def check(self) -> None:
        """Raise InputError, in htslib's own words, if the child process failed."""
        if self._process.wait() == 0:
            return
        lines = self._messages.first_lines()
        words = [line for line in lines if line.startswith("[E::")] or lines or ["no reason given"]
        # The last line of a traceback names the exception.
        word = words[-1] if words[0].startswith("Traceback") else words[0]
        # htslib itself says nothing about CRAM that ends too early.
        if "samtools returned" in word:
            raise InputError("htslib cannot read it to its end", file=self.path, remedy=TRUNCATED)
        reason = word.partition("] ")[2] or word
        raise InputError(
            f"htslib cannot read it: {reason}", file=self.path, remedy=self._remedy(" ".join(lines))
        )

    def _remedy(self, messages: str) -> str:
        if not self._cram or not any(word in messages for word in ("ref", "MD5", "M5")):
            return ""
        if not self._reference:
            return (
                "CRAM needs the genome that it was made with: give it with --bias-genome genome.fa"
            )
        return f"check that {self._reference} is the genome that the file was made with"

    def remarks(self) -> list[str]:
        """Return htslib's warnings, similar ones joined."""
        # Plain gzip never has BGZF's end-of-file marker.
        return [
            text for text in self._messages.from_htslib() if self._marked or _NO_MARKER not in text
        ]

    def close(self) -> None:
        """End the child process."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._stream.close()
        if self._direct:
            self._file.close()
        self._scratch.close()


def _refuse_gzip(genome: str, name: str) -> None:
    """Raise InputError for a genome compressed by gzip, within which htslib cannot seek.

    ``name`` is what the user calls it.
    """
    with suppress(OSError), open(genome, "rb") as file:
        head = file.read(18)
        if head.startswith(b"\x1f\x8b") and not is_bgzf(head):
            problem = "CRAM files cannot be read with a genome that gzip has compressed"
            raise InputError(
                problem, file=name, remedy="unpack it, or compress it with bgzip instead"
            )


def _indexable(genome: str, folder: str) -> str:
    """Return a name of the genome next to which htslib can write the index that it needs.

    It is a symbolic link in ``folder`` where the genome's own folder is read-only.
    """
    index = f"{genome}.fai"
    if os.path.exists(index) or can_be_made(index):
        return genome
    link = os.path.join(folder, os.path.basename(genome))
    os.symlink(os.path.abspath(genome), link)
    return link


def _pump(head: bytes, stream: Any, target: IO[bytes] | None) -> None:
    """Pass bytes on to the child process until either side ends."""
    assert target is not None
    try:
        with target:
            target.write(head)
            while chunk := stream.read(1 << 16):
                target.write(chunk)
    except (OSError, ValueError):
        pass  # the child has ended or we are closing it; check() reports why
