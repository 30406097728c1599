"""Cutting a stream of BAM bytes into batches of whole records.

A batch goes through four steps. :meth:`AlignmentStream.load` reads compressed bytes, in file order.
:func:`inflate` inflates them, in any thread. :meth:`AlignmentStream.walk` finds the records, in
file order again, since a record may continue in the next batch. :func:`decode_batch` reads them, in
any thread. Batches are reused, so memory does not grow with the file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import bgzf, decoding
from counterbias.alignments.header import CORRUPTED, AlignmentHeader, HeaderReader
from counterbias.alignments.source import RAW, TRUNCATED, Source
from counterbias.errors import InputError
from counterbias.native import with_slack

#: Most compressed bytes read per batch, and inflated bytes at which a batch is full.
SOURCE_BYTES = 1 << 20
ENOUGH = 3 << 20
#: The same while the header is read, to begin with: most files need no more.
HEADER_BYTES = 1 << 16
#: Room before a batch's own bytes for what the previous batch left over.
HEADROOM = 1 << 18
_ROOM = HEADROOM + ENOUGH + bgzf.MAX_BLOCK
#: Most BGZF blocks per batch.
MAX_BLOCKS = 4096


class Batch:
    """The buffers of one batch.

    ``data[start:end]`` holds whole records, which start at ``offsets[:count]``.
    """

    def __init__(self, library: bgzf.Libdeflate | None) -> None:
        self.inflater = bgzf.Inflater(library)
        self.source: NDArray[np.uint8] = with_slack(SOURCE_BYTES)
        self.blocks: NDArray[np.int64] = np.empty((MAX_BLOCKS, 5), dtype=np.int64)
        self.data: NDArray[np.uint8] = with_slack(_ROOM)
        self.offsets: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.rows: NDArray[np.int64] = np.empty((0, decoding.COLUMNS), dtype=np.int64)
        self.first_block: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.covered: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.block_count = 0
        self.position = 0
        self.bad_block = -1
        self.start = self.end = HEADROOM
        self.count = 0
        self.first_record = 0

    def size(self, record: int) -> int:
        """Return the number of bytes of a record, its length field included."""
        start = int(self.offsets[record])
        return 4 + int.from_bytes(self.data[start : start + 4].tobytes(), "little")

    def make_rows(self) -> None:
        """Make the tables that decoding fills large enough for this batch's records."""
        if len(self.rows) < self.count:
            self.rows = np.empty((2 * self.count, decoding.COLUMNS), dtype=np.int64)
        if len(self.first_block) <= self.count:
            self.first_block = np.empty(2 * self.count + 2, dtype=np.int64)
        operations = (self.end - self.start) // 4 + 1
        if len(self.covered) < operations:
            self.covered = np.empty(operations + ENOUGH // 4, dtype=np.int64)


def inflate(batch: Batch) -> None:
    """Inflate a loaded batch; may run in any thread."""
    if batch.block_count:
        batch.bad_block = batch.inflater.inflate(
            batch.source, batch.data, HEADROOM, batch.blocks, batch.block_count
        )


def decode_batch(batch: Batch, contigs: int, paired: bool, check_tags: bool) -> tuple[int, int]:
    """Fill the batch's rows; may run in any thread. Returns (records done, problem or 0)."""
    batch.make_rows()
    done, problem = decoding.decode(
        batch.data,
        batch.offsets,
        batch.count,
        contigs,
        paired,
        check_tags,
        batch.rows,
        batch.first_block,
        batch.covered,
    )
    return int(done), int(problem)


class AlignmentStream:
    """The records of one source, batch by batch.

    ``header`` is read on construction. ``paired`` follows htseq-count's rule, the first record's
    flag, and is None until that has been read. The constructor and the methods raise InputError for
    anything wrong with the bytes.
    """

    def __init__(
        self,
        source: Source,
        library: bgzf.Libdeflate | None,
        by_name: bool = True,
        primary_only: bool = False,
    ) -> None:
        self.source = source
        self.paired: bool | None = None
        self._library = library
        self._by_name = by_name
        self._primary_only = primary_only
        self._rest: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self._position = 0
        self._ended = False
        self._marked = False
        self._carry: NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        self._carry_size = 0
        self._growing = False
        self._gathered: list[NDArray[np.uint8]] = []
        self._gathered_size = 0
        self._records = 0
        self._spare: list[Batch] = []
        self.header = self._read_header()

    def new_batch(self) -> Batch:
        """Return a batch whose buffers are free."""
        return self._spare.pop() if self._spare else Batch(self._library)

    def release(self, batch: Batch) -> None:
        """Take back a batch that is no longer used; buffers of an unusual size are dropped."""
        if not _ROOM <= len(batch.data) <= 4 * _ROOM:
            batch.data = with_slack(_ROOM)
        if len(batch.offsets) > ENOUGH:
            batch.offsets = np.empty(0, dtype=np.int64)
        self._spare.append(batch)

    def load(self, batch: Batch, enough: int = ENOUGH) -> bool:
        """Read the next compressed bytes into the batch; return False at the end.

        The batch is full with ``enough`` inflated bytes, at most :data:`ENOUGH`.
        """
        batch.bad_block = -1
        batch.block_count = 0
        if self.source.compression == RAW:
            return self._load_raw(batch, enough)
        size = len(self._rest)
        batch.source[:size] = self._rest
        size += self._fill(batch.source.data[size:SOURCE_BYTES])
        if size == 0:
            self.source.check()
            if not self._marked:
                raise InputError(
                    "the end-of-file marker is missing",
                    file=self.source.path,
                    place=f"byte {self._position}",
                    remedy=TRUNCATED,
                )
            return False
        count, stop, total, problem = bgzf.scan_blocks(batch.source, 0, size, enough, batch.blocks)
        if count == 0:
            self.source.check()
            place = f"byte {self._position + stop}"
            if problem:
                raise InputError(
                    bgzf.SCAN_PROBLEMS[problem],
                    file=self.source.path,
                    place=place,
                    remedy=CORRUPTED,
                )
            raise InputError(
                "the file ends in the middle of a block",
                file=self.source.path,
                place=place,
                remedy=TRUNCATED,
            )
        batch.block_count = count
        batch.position = self._position
        batch.end = HEADROOM + total
        self._marked = int(batch.blocks[count - 1, bgzf.INFLATED]) == 0
        self._rest = batch.source[stop:size].copy()
        self._position += stop
        return True

    def _load_raw(self, batch: Batch, enough: int) -> bool:
        size = self._fill(batch.data.data[HEADROOM : HEADROOM + enough])
        batch.position = self._position
        batch.end = HEADROOM + size
        self._position += size
        return size > 0

    def _fill(self, view: memoryview) -> int:
        size = 0
        while not self._ended and size < len(view):
            got = self.source.readinto(view[size:])
            self._ended = got == 0
            size += got
        return size

    def check_inflated(self, batch: Batch) -> None:
        """Raise InputError if a block of the batch could not be inflated."""
        if batch.bad_block >= 0:
            # A block's header is 18 bytes long, unless it has further extra fields.
            place = f"byte {batch.position + int(batch.blocks[batch.bad_block, bgzf.DATA]) - 18}"
            raise InputError(
                "a block is corrupted: its content does not match its checksum and length",
                file=self.source.path,
                place=place,
                remedy=CORRUPTED,
            )

    def walk(self, batch: Batch) -> None:
        """Find the batch's records, after what the previous batch left over.

        Batches must come in order. Where a record, or a group of records with the same name, spans
        several batches, its bytes are gathered and searched each time that their number has
        doubled, so that the time stays linear.
        """
        self.check_inflated(batch)
        if self._growing and not self._gather(batch):
            batch.start = batch.end = HEADROOM
            batch.count = 0
            batch.first_record = self._records
            return
        self._prepend(batch)
        self._find_records(batch, last=False)
        self._carry = batch.data[batch.end : batch.end + self._carry_size].copy()

    def last_batch(self) -> Batch | None:
        """Return what is left after all batches: the last group of records, or None."""
        carry = np.concatenate((self._carry, *self._gathered))
        self._gathered, self._gathered_size = [], 0
        if not len(carry):
            return None
        batch = self.new_batch()
        batch.data = with_slack(len(carry))
        batch.data[: len(carry)] = carry
        batch.start, batch.end = 0, len(carry)
        self._find_records(batch, last=True)
        if self._carry_size:
            raise InputError(
                "the file ends in the middle of a record",
                file=self.source.path,
                place=f"record {self._records + 1}",
                remedy=TRUNCATED,
            )
        self._carry = self._carry[:0]
        return batch

    def _gather(self, batch: Batch) -> bool:
        """Keep a batch's bytes for later.

        Returns True once they are as many as those carried over; the batch then holds all of them.
        """
        self._gathered.append(batch.data[HEADROOM : batch.end].copy())
        self._gathered_size += batch.end - HEADROOM
        if self._gathered_size < len(self._carry):
            return False
        batch.data = with_slack(HEADROOM + self._gathered_size)
        np.concatenate(self._gathered, out=batch.data[HEADROOM : HEADROOM + self._gathered_size])
        batch.end = HEADROOM + self._gathered_size
        self._gathered, self._gathered_size = [], 0
        return True

    def _prepend(self, batch: Batch) -> None:
        """Put the bytes carried over in front of the batch's own."""
        size = len(self._carry)
        if size > HEADROOM:
            own = batch.end - HEADROOM
            larger = with_slack(size + own)
            larger[size : size + own] = batch.data[HEADROOM : batch.end]
            batch.data = larger
            batch.start, batch.end = 0, size + own
        else:
            batch.start = HEADROOM - size
        batch.data[batch.start : batch.start + size] = self._carry

    def _find_records(self, batch: Batch, last: bool) -> None:
        size = batch.end - batch.start
        if self.paired is None and size >= 36:
            self.paired = bool(batch.data[batch.start + 18] & decoding.PAIRED_FLAG)
        if len(batch.offsets) < size // 36 + 1:
            batch.offsets = np.empty(size // 36 + ENOUGH // 36, dtype=np.int64)
        keep_groups = bool(self.paired) and self._by_name and not last
        count, stop, problem = decoding.walk(
            batch.data, batch.start, batch.end, batch.offsets, keep_groups, self._primary_only
        )
        batch.count = int(count)
        batch.first_record = self._records
        self._records += batch.count
        self._carry_size = batch.end - int(stop)
        self._growing = self._carry_size > HEADROOM
        batch.end = int(stop)
        if problem:
            raise self.problem(batch, batch.count, int(problem))

    def problem(self, batch: Batch, record: int, problem: int) -> InputError:
        """Return the error for a problem with a record of a batch."""
        remedy = "" if problem in (decoding.NOT_PAIRED, decoding.NEITHER_READ) else CORRUPTED
        place = f"record {batch.first_record + record + 1}"
        return InputError(
            decoding.PROBLEMS[problem], file=self.source.path, place=place, remedy=remedy
        )

    def name(self, batch: Batch, record: int) -> str:
        """Return a record's name."""
        start = int(batch.offsets[record])
        return decoding.name_of(batch.data[start + 36 : start + 36 + int(batch.data[start + 12])])

    def _read_header(self) -> AlignmentHeader:
        reader = HeaderReader(self.source.path)
        enough = HEADER_BYTES
        while True:
            batch = self.new_batch()
            if not self.load(batch, enough):
                raise InputError(
                    "the file ends within its header", file=self.source.path, remedy=TRUNCATED
                )
            inflate(batch)
            self.check_inflated(batch)
            found = reader.feed(batch.data.data[HEADROOM : batch.end])
            self.release(batch)
            if found is not None:
                break
            enough = min(2 * enough, ENOUGH)
        header, rest = found
        if not header.contigs:
            raise InputError(
                "the header names no contigs",
                file=self.source.path,
                remedy="it needs @SQ lines, see: samtools view -H",
            )
        self._carry = np.frombuffer(rest, dtype=np.uint8)
        return header
