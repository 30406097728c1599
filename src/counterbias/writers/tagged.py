"""Alignments with their assignment (``-o``), as SAM or BAM.

Batches of records come in from the counting pass, in the order in which htseq-count writes them.
They are rewritten by :mod:`counterbias.writers.rendering` and leave as BAM (BGZF blocks compressed
here) or as SAM (written by htslib, so that its bytes are htseq-count's). With a bias model the
weights are known only after the pass: the records wait in a spool file, each with the row of its
fragment in ``ZW``, and a second sequential pass puts the weights in. Files appear under their names
when they are complete.
"""

from __future__ import annotations

import gzip
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import (
    is_stream,
    nameless_file,
    scratch_folder,
    temporary_errors,
    whole_stream,
    writing_errors,
)
from counterbias.records import CLASSES, TaggedBatch
from counterbias.writers import rendering

#: Bytes that go into one BGZF block: even if they cannot be compressed, they fit into its 65,536.
BLOCK = 0xFF00
#: The empty block that marks the end of a BGZF file.
END_OF_FILE = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

_BLOCK_HEADER = struct.Struct("<4BI2BHBBHH")


class TaggedWriter:
    """Writer of one ``-o`` file.

    Use it as a context manager and call :meth:`finish` at the end: leaving it otherwise removes
    everything.

    Args:
        path: the file to write.
        format: ``SAM`` or ``BAM``, in upper or lower case.
        header: the alignments' header as in BAM, uncompressed: magic, text and reference names.
        names: the features' identifiers.
        weighted: whether :meth:`finish` will be given weights.

    Attributes:
        left_out: number of tags that the file lacks because SAM cannot hold them.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(
        self, path: str, *, format: str, header: bytes, names: Sequence[str], weighted: bool = False
    ) -> None:
        self.path = path
        self.left_out = 0
        self._weighted = weighted
        self._text = format.upper() != "BAM"
        encoded = [name.encode("utf-8", "surrogateescape") for name in (*names, *CLASSES)]
        self._names = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self._name_offsets = np.concatenate(
            ([0], np.cumsum([len(name) for name in encoded]))
        ).astype(np.int64)
        self._room = np.empty(1 << 20, dtype=np.uint8)
        self._stack = ExitStack()
        self._finished = False
        try:
            with writing_errors(path):
                stream = self._stack.enter_context(
                    whole_stream(path, buffering=0 if self._text else 1 << 18)
                )
                self._sink: _Sink = _Sam(stream, header) if self._text else _Bam(stream, header)
                self._stack.callback(self._sink.abandon)
                self._spool = _Spool(path) if weighted else None
                if self._spool:
                    self._stack.callback(self._spool.close)
        except InputError as error:
            self.abort()
            raise InputError(
                error.problem, file=error.file or path, place=error.place, remedy=error.remedy
            ) from None
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> TaggedWriter:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()

    def abort(self) -> None:
        """Remove what was written, unless :meth:`finish` has completed the file."""
        if not self._finished:
            self._finished = True
            self._stack.__exit__(_Unfinished, _Unfinished(), None)

    def write(self, batch: TaggedBatch) -> None:
        """Write the entries of a batch, in order.

        Raises:
            InputError: the file cannot be written, or a record's lengths do not fit together.
        """
        if not len(batch):
            return
        records = self._render(batch)
        with writing_errors(self.path):
            if self._spool:
                self._spool.add(records)
            else:
                self._sink.write(records)

    def _render(self, batch: TaggedBatch) -> NDArray[np.uint8]:
        """Return the bytes of the records, valid until the next call."""
        needed = rendering.bound(
            batch.lengths,
            batch.record,
            batch.member_offsets,
            batch.members,
            batch.code,
            self._names,
            self._name_offsets,
        )
        if needed > len(self._room):
            self._room = np.empty(needed + needed // 4, dtype=np.uint8)
        used, left_out, problem = rendering.render(
            batch.buffer,
            batch.offsets,
            batch.lengths,
            batch.record,
            batch.code,
            batch.repeated,
            batch.member_offsets,
            batch.members,
            batch.site,
            batch.second,
            self._names,
            self._name_offsets,
            self._weighted,
            self._text,
            self._room,
        )
        if problem:
            raise _cannot_write(batch, int(used), int(problem), self.path)
        self.left_out += int(left_out)
        return self._room[:used]

    def finish(self, weights: NDArray[np.floating[Any]] | None = None) -> None:
        """Complete the file and put it in its place.

        Args:
            weights: with ``weighted``: (rows,), one weight per row of start sites, or (rows, 2),
                one for read 1 and one for read 2; float32 is kept. Otherwise None.

        Raises:
            InputError: the file cannot be written.
        """
        if self._finished:
            return
        if (weights is not None) != self._weighted:
            raise ValueError(
                "weights are given at the end if, and only if, they were announced at the start"
            )
        try:
            with writing_errors(self.path):
                if self._spool and weights is not None:
                    for records in self._weigh(self._spool, weights):
                        self._sink.write(records)
                self._sink.close()
        except BaseException:
            self.abort()
            raise
        self._finished = True
        self._stack.close()

    @staticmethod
    def _weigh(spool: _Spool, weights: NDArray[np.floating[Any]]) -> Iterator[NDArray[np.uint8]]:
        """Read the spooled records back and put their weights in."""
        both = np.asarray(weights, dtype="<f4")
        both = np.repeat(both, 2) if both.ndim == 1 else both.reshape(-1)
        table = np.ascontiguousarray(both).view(np.uint8).reshape(-1, 4)
        for records in spool.read():
            done = int(rendering.put_weights(records, table))
            if done == -2:
                raise OSError("its temporary file was damaged")
            if done < 0:
                raise IndexError("a record's row of start sites has no weight")
            yield records


def _cannot_write(batch: TaggedBatch, entry: int, problem: int, path: str) -> InputError:
    """Return the error of a record that cannot be written."""
    if problem == rendering.DAMAGED:
        return InputError(
            "an alignment record's lengths do not fit together: the alignment file is damaged",
            file=path,
        )
    start = int(batch.offsets[batch.record[entry]])
    field = batch.buffer[
        start + rendering.FIXED : start + rendering.FIXED + int(batch.buffer[start + 12])
    ]
    name = field.tobytes().partition(b"\0")[0].decode("utf-8", "replace")
    if problem == rendering.LONG_NAME:
        return InputError(
            f"the read '{name[:40]}…' cannot be written: its name is longer than 254 bytes",
            file=path,
        )
    return InputError(
        f"the name of the read '{name}' holds a control character, which SAM cannot",
        file=path,
        remedy="write BAM, with -p BAM",
    )


class _Unfinished(Exception):
    """What is raised within a writer's context where it is left without having been finished."""


class _Sink(Protocol):
    """Where records go: bytes of whole BAM records, uncompressed."""

    def write(self, records: NDArray[np.uint8]) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class _Bam:
    """Sink that compresses records into BGZF blocks."""

    def __init__(self, stream: BinaryIO, header: bytes) -> None:
        self._waiting = bytearray(_written_header(header, "wb"))
        self._stream = stream
        self._flush(len(self._waiting))

    def write(self, records: NDArray[np.uint8]) -> None:
        self._waiting += records.data
        self._flush(len(self._waiting) // BLOCK * BLOCK)

    def _flush(self, size: int) -> None:
        view = memoryview(self._waiting)
        for start in range(0, size, BLOCK):
            self._stream.write(_bgzf_block(bytes(view[start : min(start + BLOCK, size)])))
        view.release()
        del self._waiting[:size]

    def close(self) -> None:
        self._flush(len(self._waiting))
        self._stream.write(END_OF_FILE)
        self._stream.close()

    def abandon(self) -> None:
        with suppress(OSError):
            self._stream.close()


class _Sam:
    """Sink that lets htslib turn records into text, in a thread that reads them from a pipe.

    Args:
        target: the file, without a buffer.
        header: see :class:`TaggedWriter`.
    """

    def __init__(self, target: BinaryIO, header: bytes) -> None:
        self._error: BaseException | None = None
        self._target = target
        reading, writing = os.pipe()
        self._stream: BinaryIO = os.fdopen(writing, "wb", buffering=0)
        self._thread = threading.Thread(
            target=self._run, args=(os.fdopen(reading, "rb", buffering=0),), daemon=True
        )
        self._thread.start()
        try:
            text = memoryview(_written_header(header, "w"))
            while text.nbytes:
                text = text[self._target.write(text) :]
            self._send(memoryview(header))
        except BaseException:
            self.abandon()
            raise

    def _run(self, stream: BinaryIO) -> None:
        import pysam

        try:
            # pysam must not write the header: on a full disk it would fail where nothing can catch
            # it.
            with (
                stream,
                pysam.AlignmentFile(stream, "rb", check_sq=False) as source,
                pysam.AlignmentFile(
                    self._target, "w", template=source, add_sam_header=False
                ) as target,
            ):
                write = target.write
                for record in source:
                    write(record)
        except BaseException as error:
            self._error = error

    def _send(self, data: memoryview) -> None:
        try:
            while data.nbytes:
                data = data[os.write(self._stream.fileno(), data) :]
        except BrokenPipeError:
            self._end()
            raise OSError("the SAM file could not be written") from None

    def write(self, records: NDArray[np.uint8]) -> None:
        self._send(records.data)

    def _end(self) -> None:
        self._stream.close()
        self._thread.join()
        self._target.close()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        self._end()

    def abandon(self) -> None:
        with suppress(BaseException):
            self._end()


def _written_header(header: bytes, mode: str) -> bytes:
    """Return the header as htslib writes it in pysam's mode ``w`` or ``wb``, uncompressed."""
    import pysam

    with temporary_errors("the header of the alignments"), scratch_folder() as folder:
        source_name = os.path.join(folder, "header.bam")
        with open(source_name, "wb") as stream:
            for start in range(0, len(header), BLOCK):
                stream.write(_bgzf_block(header[start : start + BLOCK]))
            stream.write(END_OF_FILE)
        # A pipe rather than a file: on a full disk htslib would print messages of its own.
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as pipe, ThreadPoolExecutor(1) as pool:
            written = pool.submit(pipe.read)
            try:
                with (
                    os.fdopen(writing, "wb", buffering=0) as target,
                    pysam.AlignmentFile(source_name, "rb", check_sq=False) as source,
                    pysam.AlignmentFile(target, mode, template=source),
                ):
                    pass
            except ValueError:
                raise InputError(
                    "the header of the alignments is not one of SAM, so that nothing can be "
                    "written with it",
                    remedy="leave -o out, or mend the header with: samtools reheader",
                ) from None
            return gzip.decompress(written.result()) if mode == "wb" else written.result()


def _bgzf_block(data: bytes) -> bytes:
    """Compress at most :data:`BLOCK` bytes into one block (SAMv1, section 4.1)."""
    from deflate import deflate_compress

    packed = bytes(deflate_compress(data, 6))
    if len(packed) > 0xFFFF - 26:
        packed = b"\x01" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    head = _BLOCK_HEADER.pack(31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
    return head + packed + struct.pack("<II", zlib.crc32(data), len(data))


class _Spool:
    """Records in a temporary file, in the pieces in which they came, lightly compressed.

    It lies next to the file that is written, where there must be room anyway; for a stream, in
    TMPDIR.
    """

    def __init__(self, path: str) -> None:
        from deflate import deflate_compress, deflate_decompress

        self._compress, self._decompress = deflate_compress, deflate_decompress
        self._path = path
        with self._errors():
            self._stream = nameless_file(path, buffering=1 << 18)

    def _errors(self) -> AbstractContextManager[None]:
        return (
            temporary_errors("the alignments")
            if is_stream(self._path)
            else writing_errors(self._path)
        )

    def add(self, records: NDArray[np.uint8]) -> None:
        packed = self._compress(records.tobytes(), 1)
        with self._errors():
            self._stream.write(struct.pack("<QQ", len(packed), len(records)))
            self._stream.write(packed)

    def read(self) -> Iterator[NDArray[np.uint8]]:
        with self._errors():
            self._stream.seek(0)  # this also flushes the buffer
        while head := self._stream.read(16):
            packed, size = struct.unpack("<QQ", head)
            yield np.frombuffer(
                bytearray(self._decompress(self._stream.read(packed), size)), dtype=np.uint8
            )

    def close(self) -> None:
        with suppress(OSError):
            self._stream.close()
