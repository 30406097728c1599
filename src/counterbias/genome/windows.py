"""Cut windows around positions out of contigs, on the read's strand, contig by contig."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterbias.genome.splicing import Splices
from counterbias.loops import loop
from counterbias.records import Positions, Stretches, Window, rows_by_contig


class CodesByContig(Protocol):
    """What windows are cut from: a genome, or anything else with this method.

    A method ``codes_within``, if there is one, is used instead where only some intervals are
    needed: see :meth:`counterbias.genome.Genome.codes_within`.
    """

    def codes(self, contig: str) -> NDArray[np.uint8]:
        """Return a contig's codes, uint8 (length,)."""


def extract(
    genome: CodesByContig,
    contigs: Sequence[str],
    positions: Positions,
    window: Window,
    *,
    splices: Splices | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut the window around each position.

    Args:
        genome: where the contigs' codes come from.
        contigs: the names that ``positions.contig`` indexes.
        positions: where to cut; windows on contig -1 are not valid.
        window: how much to cut.
        splices: if given, windows follow the transcript across the edges of exons.

    Returns:
        contexts, uint8 (n, width), 0-3 = A, C, G, T, 5'→3' on the position's strand, with column
        ``upstream`` at the position; and valid, bool (n,), False (and the row 0) where the window
        leaves the contig or contains anything but these bases.
    """
    contexts = np.empty((len(positions), window.width), dtype=np.uint8)
    valid = np.empty(len(positions), dtype=np.bool_)
    for number, rows in rows_by_contig(positions.contig).items():
        place = np.ascontiguousarray(positions.position[rows], np.int64)
        strand = np.ascontiguousarray(positions.strand[rows], np.uint8)
        # Windows that follow transcripts may reach anywhere.
        around = place if splices is None else None
        codes = _codes(genome, contigs, number, around, around, window.width)
        cut = _cut_windows if splices is None else splices.on_contig(number).cut_windows
        if isinstance(rows, slice):
            cut(codes, place, strand, window.upstream, contexts[rows], valid[rows])
        else:
            part = np.empty((len(rows), window.width), dtype=np.uint8)
            part_valid = np.empty(len(rows), dtype=np.bool_)
            cut(codes, place, strand, window.upstream, part, part_valid)
            contexts[rows], valid[rows] = part, part_valid
    return contexts, valid


def extract_stretches(
    genome: CodesByContig, contigs: Sequence[str], stretches: Stretches, window: Window
) -> tuple[NDArray[np.uint8], bool]:
    """Cut stretches of consecutive positions, each with the flanks that its outer windows need.

    Returns:
        sequence, uint8 (positions + (width - 1) · stretches,), the stretches one after another,
        each 5'→3' on its strand, 4 for anything but A, C, G, T and for what lies off the contig;
        and whether the sequence is whole, without any 4.
    """
    flanks = window.width - 1
    sizes = stretches.sizes + flanks
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    sequence = np.empty(int(offsets[-1]), dtype=np.uint8)
    whole = True
    # Rows of one contig are mostly adjacent.
    edges = [
        0,
        *(np.flatnonzero(stretches.contig[1:] != stretches.contig[:-1]) + 1).tolist(),
        len(stretches),
    ]
    for first, last in pairwise(edges if len(stretches) else []):
        number = int(stretches.contig[first])
        start, end, strand = (
            stretches.start[first:last],
            stretches.end[first:last],
            stretches.strand[first:last],
        )
        codes = _codes(genome, contigs, number, start, end, window.width)
        whole &= bool(
            _copy(
                codes,
                start,
                end,
                strand,
                window.upstream,
                window.downstream,
                offsets[first:],
                sequence,
            )
        )
    return sequence, whole


def extract_tiles(
    genome: CodesByContig,
    contigs: Sequence[str],
    positions: Positions,
    wide: Window,
    window: Window,
    splices: Splices | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut tiles of consecutive genome positions, with the flanks that their outer windows need.

    ``positions`` are the 5' ends of the tiles; ``wide`` is ``window`` extended downstream by the
    length of a tile less one. With ``splices``, only the flanks follow the transcript. Returns what
    :func:`extract` does.
    """
    contexts, valid = extract(genome, contigs, positions, wide)
    if splices is None:
        return contexts, valid
    step = np.where(positions.strand == 0, 1, -1) * (wide.downstream - window.downstream)
    final = Positions(
        positions.contig, positions.position + step, positions.strand, positions.weight
    )
    before, before_valid = extract(
        genome, contigs, positions, Window(window.upstream, 0), splices=splices
    )
    after, after_valid = extract(
        genome, contigs, final, Window(0, window.downstream), splices=splices
    )
    contexts[:, : before.shape[1]] = before
    contexts[:, contexts.shape[1] - after.shape[1] :] = after
    return contexts, valid & before_valid & after_valid


def _codes(
    genome: CodesByContig,
    contigs: Sequence[str],
    number: int,
    start: NDArray[np.int64] | None,
    end: NDArray[np.int64] | None,
    margin: int,
) -> NDArray[np.uint8]:
    """Return a contig's codes as compiled code wants them, read-only; none for number -1.

    With intervals, only what lies within ``margin`` bases of them has to be right.
    """
    if number < 0:
        codes = np.empty(0, dtype=np.uint8)
    elif (
        start is not None
        and end is not None
        and (within := getattr(genome, "codes_within", None)) is not None
    ):
        codes = within(contigs[number], start, end, before=margin, after=margin)
    else:
        codes = np.ascontiguousarray(genome.codes(contigs[number]))
    codes = codes.view()
    codes.setflags(write=False)
    return codes


@loop("u1[::1], i8[::1], u1[::1], i8, u1[:, ::1], b1[::1]")
def _cut_windows(
    codes: NDArray[np.uint8],
    positions: NDArray[np.int64],
    strands: NDArray[np.uint8],
    upstream: int,
    contexts: NDArray[np.uint8],
    valid: NDArray[np.bool_],
) -> None:
    """Copy windows from a contig; on the minus strand from right to left, complemented."""
    width = contexts.shape[1]
    for row in range(len(positions)):
        minus = strands[row] != 0
        start = positions[row] + upstream if minus else positions[row] - upstream
        step = -1 if minus else 1
        last = start + step * (width - 1)
        good = min(start, last) >= 0 and max(start, last) < len(codes)
        if good:
            for column in range(width):
                code = codes[start + step * column]
                if code > 3:
                    good = False
                    break
                contexts[row, column] = 3 - code if minus else code
        if not good:
            for column in range(width):
                contexts[row, column] = 0
        valid[row] = good


@loop("u1[::1], i8[::1], i8[::1], u1[::1], i8, i8, i8[::1], u1[::1]")
def _copy(codes, start, end, strand, upstream, downstream, offsets, sequence):  # type: ignore[no-untyped-def]
    """Copy stretches with their flanks; return whether all of their bases are known."""
    seen = np.uint8(0)
    for row in range(len(start)):
        minus = strand[row] != 0
        first = start[row] - (downstream if minus else upstream)
        size = offsets[row + 1] - offsets[row]
        # The part on the contig, as columns of the stretch.
        low, high = min(max(0, -first), size), max(min(size, len(codes) - first), 0)
        out = sequence[offsets[row] : offsets[row + 1]]
        if low > 0 or high < size:
            out[:] = 4
            seen = np.uint8(4)
        if low >= high:
            continue
        source = codes[first + low : first + high]
        if minus:
            target = out[size - high : size - low]
            last = len(source) - 1
            for i in range(len(source)):
                code = source[last - i]
                seen |= code
                target[i] = code if code > 3 else 3 - code
        else:
            target = out[low:high]
            for i in range(len(source)):
                seen |= source[i]
                target[i] = source[i]
    return seen < 4
