"""Barcodes of fragments: where the tags of cell and UMI lie in the bytes of their records.

As in htseq-count-barcodes, a pair has the barcodes of either mate, and a fragment without both of
them has none. Each barcode comes from the first mate that has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments.decoding import BAD_TAGS, fields_end, next_tag
from counterbias.errors import InputError
from counterbias.loops import helper, loop
from counterbias.native import load_i32, load_u8, load_u16, load_u64
from counterbias.options import BarcodeOptions
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.pipeline.counting.pairing import MATE, RECORD

#: Columns of the table of barcodes: where the cell's barcode starts in the records' bytes, -1 where
#: the fragment has no barcodes, its length and its hash; those of the UMI; and the numbers that
#: :mod:`.molecules` gives to cell and UMI.
CELL_START, CELL_SIZE, CELL_HASH, UMI_START, UMI_SIZE, UMI_HASH, CELL_NUMBER, UMI_NUMBER = range(8)
BARCODE_COLUMNS = 8

#: Another problem than those of decoding: a barcode's tag does not hold a text.
NOT_TEXT = -1


@helper
def _text_size(tag: Any, following: Any) -> Any:
    """Return the length of the text in the tag at an address, -1 where it holds something else."""
    tag_type = load_u8(tag + 2)
    if tag_type == 90 or tag_type == 72:  # Z H, which end with NUL
        return following - tag - 4
    return np.int64(1) if tag_type == 65 else np.int64(-1)  # A


@helper
def _hash_text(here: Any, size: Any) -> Any:
    """Hash the text at an address.

    No byte beyond its end is read: unlike a batch, mates from earlier ones have no slack behind
    them.
    """
    value = np.uint64(size) * np.uint64(0x9E3779B97F4A7C15)
    while size > 0:
        if size >= 8:
            word = load_u64(here)
        else:
            word = np.uint64(0)
            for i in range(size):
                word |= np.uint64(load_u8(here + i)) << np.uint64(8 * i)
        value = (value ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
        here += 8
        size -= 8
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return np.int64(value ^ (value >> np.uint64(29)))


@loop("u1[::1], i8[::1], i8, i8[:, ::1], i8, i8, i8, i8[:, ::1]")
def find_barcodes(
    data: Any,
    offsets: Any,
    own: Any,
    fragments: Any,
    count: Any,
    cell_tag: Any,
    umi_tag: Any,
    barcodes: Any,
) -> Any:
    """Fill the table of barcodes. Returns (fragments done, problem or 0)."""
    base = data.ctypes.data
    for f in range(count):
        cell, umi = np.int64(-1), np.int64(-1)
        cell_size, umi_size = np.int64(0), np.int64(0)
        for mate in range(2):
            record = fragments[f, mate * MATE + RECORD]
            if record == -1:
                continue
            if record < -1:
                record = own - 2 - record
            start = base + offsets[record]
            end = start + 4 + load_i32(start)
            here = fields_end(start)
            while here < end and (cell < 0 or umi < 0):
                following = next_tag(here, end)
                if following < 0:
                    return f, BAD_TAGS
                tag = load_u16(here)
                if tag == cell_tag and cell < 0:
                    cell = here + 3
                    cell_size = _text_size(here, following)
                elif tag == umi_tag and umi < 0:
                    umi = here + 3
                    umi_size = _text_size(here, following)
                if cell_size < 0 or umi_size < 0:
                    return f, NOT_TEXT
                here = following
        barcodes[f, CELL_START] = -1
        if cell >= 0 and umi >= 0:
            barcodes[f, CELL_START] = cell - base
            barcodes[f, CELL_SIZE] = cell_size
            barcodes[f, CELL_HASH] = _hash_text(cell, cell_size)
            barcodes[f, UMI_START] = umi - base
            barcodes[f, UMI_SIZE] = umi_size
            barcodes[f, UMI_HASH] = _hash_text(umi, umi_size)
    return count, 0


class BarcodeReader:
    """Finds the barcodes of fragments.

    Args:
        options: the names of the tags.
    """

    def __init__(self, options: BarcodeOptions) -> None:
        self._options = options
        self._tags = tuple(
            int.from_bytes(name.encode("ascii"), "little")
            for name in (options.cell_tag, options.umi_tag)
        )

    def find(self, fragments: FragmentBatch, records: RecordBytes) -> None:
        """Fill a batch's table of barcodes, or note its problem; may run in any thread."""
        if len(fragments.barcodes) < fragments.count:
            fragments.barcodes = np.empty((2 * fragments.count, BARCODE_COLUMNS), dtype=np.int64)
        done, problem = find_barcodes(
            records.data, records.offsets, records.own, fragments.table, fragments.count,
            *self._tags, fragments.barcodes,
        )  # fmt: skip
        fragments.bad_barcode = (int(done), int(problem)) if problem else None

    def problem(self, fragments: FragmentBatch, file: str, place: str) -> InputError:
        """Return the error of a batch whose barcodes could not be found."""
        assert fragments.bad_barcode is not None
        if fragments.bad_barcode[1] == BAD_TAGS:
            return InputError(
                "a tag runs over the end of the record or has an unknown type",
                file=file,
                place=place,
            )
        names = f"{self._options.cell_tag} or {self._options.umi_tag}"
        return InputError(
            f"the tag {names} does not hold a text (type Z), so it is no barcode",
            file=file,
            place=place,
            remedy="name the tags of cell and UMI with --cell-barcode and --UMI",
        )


def without_barcodes(fragments: FragmentBatch) -> NDArray[np.bool_]:
    """Return which fragments have no barcodes, (fragments,)."""
    return np.asarray(fragments.barcodes[: fragments.count, CELL_START] < 0)
