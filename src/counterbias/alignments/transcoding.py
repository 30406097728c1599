"""Alignments that are not plain BAM, turned into BAM by htslib.

SAM, CRAM and anything gzipped in another way go through htslib in a child process, so that one reader serves them all and htslib's own
messages can be caught: a failure becomes an error, and what it warns of is told once per kind, with a number.
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

#: Run by a child process: htslib turns any format into BAM of stored blocks on stdout. Signals are for its parent, which ends it; where the
#: parent is killed, writing to nobody ends it.
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
    """What a child process writes to stderr, gathered by kind while it runs: there may be a line per record.

    Lines that differ only in a quoted name or a number are of one kind.
    """

    _VARIABLE = re.compile(r"\"[^\"]*\"|'[^']*'|\d+")
    _QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
    #: Bounds on what is kept: kinds, names per kind, bytes of a line.
    KINDS, NAMES, LINE = 100, 4, 1000

    def __init__(self, stream: Any) -> None:
        self._kinds: dict[str, _Kind] = {}
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
        kind = self._kinds.get(key)
        if kind is None:
            if not line or len(self._kinds) == self.KINDS:
                self._others += bool(line)
                return
            kind = self._kinds[key] = _Kind(line)
        kind.number += 1
        names = " ".join(one or other for one, other in self._QUOTED.findall(line))
        if len(kind.names) < self.NAMES and names not in kind.names:
            kind.names.append(names)

    def first_lines(self) -> list[str]:
        """Give the first line of each kind, when the process has ended."""
        self._thread.join()
        return [kind.line for kind in self._kinds.values()]

    def told(self) -> Iterator[str]:
        """Give what htslib itself has said, a line per kind, when the process has ended."""
        self._thread.join()
        for kind in self._kinds.values():
            if kind.line.startswith(("[W::", "[E::")):
                yield f"htslib: {kind}"
        if self._others:
            yield f"htslib: {self._others:,} further messages"


class _Kind:
    """A kind of message: its first line, how often it came, and the first names in it."""

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
            f", also of {', '.join(others)}{' …' if len(self.names) == _Messages.NAMES else ''}"
            if others
            else ""
        )
        return f"{text} (said {self.number:,} times{also})"


class TranscodedSource(Source):
    """The output of a child process in which htslib turns a file, or bytes handed to it, into BAM."""

    def __init__(
        self, path: str, stream: Any, head: bytes, reference: str | None, cram: bool
    ) -> None:
        self._cram = cram
        self._marked = cram or is_bgzf(head)
        self._reference = reference
        genome = file_of(reference) if reference else ""
        if cram and genome:
            _refuse_gzip(genome, str(reference))
        # pysam makes a temporary file, which would stay where we end the child, as when we have read all that we need.
        self._scratch = ExitStack()
        with temporary_errors("what htslib says"):
            folder = self._scratch.enter_context(scratch_folder())
            if cram and genome:
                genome = _indexable(genome, folder)
        # A file is read by the child itself, under our descriptor, since names such as /dev/stdin mean something else to it; a pipe has
        # already given us its first bytes, so we pass everything on.
        direct = path != "-" and os.path.isfile(path)
        if direct:
            stream.seek(0)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _TRANSCODE, genome],
            env={**os.environ, "TMPDIR": folder},
            stdin=stream if direct else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._messages = _Messages(self._process.stderr)
        super().__init__(path, self._process.stdout, b"", BGZF)
        if direct:
            stream.close()
        else:
            threading.Thread(
                target=_pump, args=(head, stream, self._process.stdin), daemon=True
            ).start()

    def check(self) -> None:
        """Raise InputError if the child process failed, with htslib's own words."""
        if self._process.wait() == 0:
            return
        lines = self._messages.first_lines()
        words = [line for line in lines if line.startswith("[E::")] or lines or ["no reason given"]
        word = (
            words[-1] if words[0].startswith("Traceback") else words[0]
        )  # Python's last line tells
        if "samtools returned" in word:  # htslib itself is silent of CRAM that ends too early
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
        """Give htslib's warnings, once per kind."""
        # What was compressed by plain gzip never has the marker of BGZF.
        return [text for text in self._messages.told() if self._marked or _NO_MARKER not in text]

    def close(self) -> None:
        """End the child process."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._stream.close()
        self._scratch.close()


def _refuse_gzip(genome: str, name: str) -> None:
    """Raise InputError where a genome, which users know by ``name``, is compressed in a way that htslib cannot read piecemeal."""
    with suppress(OSError), open(genome, "rb") as file:
        head = file.read(18)
        if head.startswith(b"\x1f\x8b") and not is_bgzf(head):
            problem = "CRAM files cannot be read with a genome that gzip has compressed"
            raise InputError(
                problem, file=name, remedy="unpack it, or compress it with bgzip instead"
            )


def _indexable(genome: str, folder: str) -> str:
    """Give a name of the genome beside which htslib can write the index that it needs: a link in ``folder`` where its own will not do."""
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
        pass  # the child has ended or we are closing: check() tells why
