"""Writing bigWig files, which genome browsers draw, with pyBigWig."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.files import folder_with_room, scratch_folder, whole_stream, writing_errors

#: The last four bytes of a complete file.
_LAST = bytes.fromhex("26fc8f88")
#: Bytes that a value (with its share of all zoom levels), a run and the rest take at most.
_VALUE, _RUN, _REST = 12, 256, 1 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """Values of consecutive positions.

    Args:
        contig: its name.
        start: the first position, 0-based.
        values: float32 (positions,), at least one, none of them NaN.
    """

    contig: str
    start: int
    values: NDArray[np.float32]


def require_bigwig(option: str) -> None:
    """Raise InputError unless pyBigWig is installed; it is not imported."""
    if importlib.util.find_spec("pyBigWig") is None:
        raise InputError(
            f"{option} needs pyBigWig, which is not installed",
            remedy="install it with pip install 'counterbias[bigwig]'",
        )


def room_for(values: int, runs: int) -> int:
    """Return how many bytes a file of this many values in runs certainly fits in."""
    return _VALUE * values + _RUN * runs + _REST


def write_bigwig(
    filename: str, contigs: Sequence[tuple[str, int]], runs: Iterable[Run], *, room: int
) -> None:
    """Write a bigWig file.

    The library says nothing that a program could catch of a disk that is full when it ends a file;
    so it writes where there is room, and what it wrote is looked at.

    Args:
        filename: the file; it appears whole or not at all.
        contigs: names and lengths, in the file's order.
        runs: the values, in that order; within a contig ascending.
        room: bytes that the file certainly fits in.

    Raises:
        InputError: the file cannot be written.
    """
    folder = os.path.dirname(os.path.realpath(filename))
    with (
        writing_errors(filename),
        # Room for two: the file is copied to its place.
        scratch_folder(folder_with_room(2 * room, [folder])) as scratch,
    ):
        name = os.path.join(scratch, "track.bw")
        _write(name, contigs, runs)
        with open(name, "rb") as source, whole_stream(filename) as stream:
            source.seek(-len(_LAST), os.SEEK_END)
            if source.read() != _LAST:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            source.seek(0)
            shutil.copyfileobj(source, stream, 1 << 20)


def _write(name: str, contigs: Sequence[tuple[str, int]], runs: Iterable[Run]) -> None:
    import pyBigWig

    file = pyBigWig.open(name, "w")
    try:
        file.addHeader(list(contigs))
        for run in runs:
            try:
                file.addEntries(run.contig, run.start, values=run.values, span=1, step=1)
            except (RuntimeError, SystemError) as error:  # all that it says of a failed write
                raise OSError(errno.EIO, os.strerror(errno.EIO)) from error
    finally:
        file.close()


def runs_of(contig: str, start: int, values: NDArray[np.float32]) -> Iterator[Run]:
    """Yield the runs of values without NaN of consecutive positions from ``start`` on."""
    known = ~np.isnan(values)
    if known.all():
        edges = [0, len(values)] if len(values) else []
    else:
        padded = np.concatenate(([False], known, [False]))
        edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield Run(contig, start + first, values[first:last])
